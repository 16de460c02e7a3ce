//! Connections that attack, in raw frames, and their neighbours, who are answered meanwhile.

use std::time::Duration;

use petty_gateway::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::world::{World, eventually};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
/// `GET /`, by HPACK's static table.
pub(crate) const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'x'];
/// The longest frame that nobody has to agree to first.
const FRAME: usize = 16 << 10;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(crate) async fn connection(world: &World) -> TcpStream {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    stream
}

/// Writes while the server takes it, reading what it says; how many of the pieces it took.
async fn flood(stream: TcpStream, pieces: impl Iterator<Item = Vec<u8>>) -> usize {
    let (mut reading, mut writing) = stream.into_split();
    let read = async {
        let mut buffer = vec![0; 64 << 10];
        while reading.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    };
    let mut taken = 0;
    let write = async {
        for piece in pieces {
            if writing.write_all(&piece).await.is_err() {
                break;
            }
            taken += 1;
        }
    };
    let both = async {
        tokio::select! {
            () = read => {}
            () = write => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both).await.expect("an end of the flood");
    taken
}

/// A neighbour that goes on calling until the flood is over; every call is answered.
async fn beside<T>(world: &World, flood: impl Future<Output = T>) -> T {
    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    tokio::pin!(flood);
    loop {
        let call = world.send("GET", "/v1/realtime", &auth, "");
        tokio::pin!(call);
        tokio::select! {
            biased;
            reply = &mut call => assert_eq!(reply.status, 200),
            flooded = &mut flood => {
                assert_eq!(call.await.status, 200, "and after it");
                return flooded;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_reset_at_once_cost_their_connection() {
    const STREAMS: u32 = 200_000;
    let world = World::new().await;
    let stream = connection(&world).await;
    let resets = (0..STREAMS).map(|at| {
        let id = 2 * at + 1;
        let headers = frame(HEADERS, END_STREAM | END_HEADERS, id, GET);
        [headers, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()
    });
    let taken = beside(&world, flood(stream, resets)).await;
    assert!(taken < STREAMS as usize, "the connection was cut before all of them were taken");
    eventually(|| world.tasks.running("http-stream") == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_costs_its_connection() {
    const FRAMES: usize = 8_192;
    let world = World::new().await;
    for payload in [vec![0x40; FRAME], Vec::new()] {
        let mut stream = connection(&world).await;
        stream.write_all(&frame(HEADERS, END_STREAM, 1, GET)).await.unwrap();
        let frames = std::iter::repeat_with(|| frame(CONTINUATION, 0, 1, &payload)).take(FRAMES);
        let taken = beside(&world, flood(stream, frames)).await;
        assert!(taken < FRAMES, "{} bytes a frame: cut before all were taken", payload.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_come_drop_by_drop_are_not_waited_for() {
    let limits = Limits { read_timeout: Duration::from_millis(500), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let slow = futures::future::join_all((0..200).map(|_| async {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(b"GET /v1/realtime HTTP/1.1\r\nhost: x\r\n").await.unwrap();
        let drops = std::iter::repeat_with(|| b"x: y\r\n".to_vec());
        let (mut reading, mut writing) = stream.into_split();
        let dripping = async {
            for piece in drops {
                if writing.write_all(&piece).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let ended = async {
            let mut buffer = [0; 1_024];
            while reading.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        };
        let cut = async {
            tokio::select! {
                () = dripping => {}
                () = ended => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(30), cut).await.expect("an end of the waiting");
    }));
    drop(beside(&world, slow).await);
}

//! Clients of HTTP/2 that ask for something and do not read it, in raw frames.

use std::time::Duration;

use petty_gateway::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::floods::{END_HEADERS, END_STREAM, GET, HEADERS, RST_STREAM, connection, frame};
use crate::world::{World, eventually};

const DATA: u8 = 0;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// Asks for a file, on a stream of a connection whose streams begin without a window.
async fn ask(stream: &mut TcpStream, id: u32, path: &str) {
    stream.write_all(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
    // The path, which is none of HPACK's table, in place of the one that is.
    let length = u8::try_from(path.len()).unwrap();
    let head = [&GET[..2], &[0x04, length], path.as_bytes(), &GET[3..]].concat();
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, id, &head)).await.unwrap();
}

/// The next frame: its kind, its stream and what it holds.
async fn next(stream: &mut TcpStream) -> (u8, u32, Vec<u8>) {
    let reading = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        (head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload)
    };
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("a frame in time")
}

#[tokio::test]
async fn a_stream_that_takes_nothing_of_its_answer_is_reset_and_its_connection_goes_on() {
    let limits = Limits { write_timeout: Duration::from_millis(300), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let mut stream = connection(&world).await;
    // However much it is: one frame, or many.
    for (id, path) in [(1, "/openapi.json"), (3, "/health"), (5, "/docs/swagger-ui-bundle.js")] {
        let began = tokio::time::Instant::now();
        ask(&mut stream, id, path).await;
        loop {
            let (kind, of, payload) = next(&mut stream).await;
            assert_ne!(kind, DATA, "{path}: there is no room for any");
            if (kind, of) == (RST_STREAM, id) {
                assert_eq!(payload, [0, 0, 0, 8], "{path}: cancelled");
                break;
            }
        }
        assert!(began.elapsed() >= limits.write_timeout, "{path}");
        eventually(|| world.tasks.running("http-stream") == 0).await;
        assert_eq!(world.tasks.running("http-connection"), 1);
    }
}

#[tokio::test]
async fn a_stream_that_takes_a_byte_and_no_more_is_let_go_of() {
    let limits = Limits { write_timeout: Duration::from_millis(300), ..Limits::default() };
    let world = World::with_limits(limits).await;
    let mut stream = connection(&world).await;
    ask(&mut stream, 1, "/openapi.json").await;
    stream.write_all(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])).await.unwrap();
    while next(&mut stream).await.0 != DATA {}
    eventually(|| world.tasks.running("http-stream") == 0).await;
    assert_eq!(world.tasks.running("http-connection"), 1);
}

//! What goes wrong beside a client, for as long as this process lives.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use petty_chassis::types::{Clock, PetId};
use petty_chassis::{Shutdown, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bench::gateway::rest;
use crate::bench::http::{self, Connection};
use crate::cli::{Trouble, TroubleArgs};

/// How many ask for what is not answered, each again after this time.
const ASKING: u64 = 200;
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How many connections flood, and how many crawl.
const FLOODING: u64 = 4;
const CRAWLING: u64 = 1_000;
const CRAWL: Duration = Duration::from_secs(1);
/// How many connections somebody greedy has.
const GREEDY: u64 = 64;
/// So many streams are begun and reset at a time.
const TOGETHER: u32 = 64;
/// A connection that was closed is opened again after this time.
const OPEN_AGAIN: Duration = Duration::from_millis(10);

/// Of HTTP/2 (RFC 9113, 6; RFC 7541, appendix A): `GET /` by the static table.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'x'];
/// The longest frame that nobody has to agree to first.
const FRAME: usize = 16 << 10;

pub(in crate::bench) async fn run(args: &TroubleArgs) -> anyhow::Result<()> {
    let tasks = Tasks::new(Shutdown::new());
    let TroubleArgs { target, kind, rate, token } = args.clone();
    let pet = PetId::new(&Clock::system());
    let ask = |what: &str| -> Arc<[u8]> { http::get(&format!("/v1/pets/{pet}/{what}"), &token).into() };
    let spawn = |count: u64, one: &dyn Fn(u64) -> futures::future::BoxFuture<'static, ()>| {
        for nth in 0..count {
            drop(tasks.spawn("trouble", one(nth)));
        }
    };
    match kind {
        Trouble::Hung => spawn(ASKING, &|nth| Box::pin(ask_on(target, ask("plan"), nth))),
        Trouble::Dead => spawn(ASKING, &|nth| Box::pin(ask_on(target, ask("alerts"), nth))),
        Trouble::Resets => spawn(FLOODING, &|_| Box::pin(flood(target, resets))),
        Trouble::Continuation => spawn(FLOODING, &|_| Box::pin(flood(target, continuation))),
        Trouble::Slow => spawn(CRAWLING, &|nth| Box::pin(crawl(target, nth))),
        Trouble::Greedy => {
            let every = Duration::from_secs_f64(GREEDY as f64 / rate);
            spawn(GREEDY, &|nth| {
                let request: Arc<[u8]> =
                    rest(1, 900 + usize::try_from(nth).unwrap_or_default(), &token).into();
                Box::pin(send_on(target, request, every))
            });
        }
    }
    std::future::pending().await
}

/// Asks, waits for whatever comes, and asks again.
async fn ask_on(target: SocketAddr, request: Arc<[u8]>, nth: u64) {
    sleep(ASK_AGAIN.mul_f64(nth as f64 / ASKING as f64)).await;
    loop {
        if let Ok(mut connection) = Connection::open(target).await {
            while connection.send(&request).await.is_ok() {
                sleep(ASK_AGAIN).await;
            }
        }
        sleep(ASK_AGAIN).await;
    }
}

/// Sends at a pace, whatever is answered.
async fn send_on(target: SocketAddr, request: Arc<[u8]>, every: Duration) {
    let mut due = Instant::now();
    loop {
        if let Ok(mut connection) = Connection::open(target).await {
            while connection.send(&request).await.is_ok() {
                // What was late is not made up for.
                due = (due + every).max(Instant::now());
                sleep_until(due).await;
            }
        }
        sleep(OPEN_AGAIN).await;
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Some streams, begun and reset; the numbers go on from here.
fn resets(next: &mut u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..TOGETHER {
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, *next, GET));
        bytes.extend(frame(RST_STREAM, 0, *next, &CANCEL));
        *next += 2;
    }
    bytes
}

/// A head that does not end: of the first stream its beginning, and then more of it.
fn continuation(next: &mut u32) -> Vec<u8> {
    // A literal field that nobody indexes: "x", and as much value as the frame has room for.
    let value = vec![b'x'; FRAME - 16];
    let mut field = vec![0x00, 0x01, b'x', 0x7f];
    // Its length as an integer with a prefix of seven bits (RFC 7541, 5.1).
    let mut rest = value.len() - 0x7f;
    while rest >= 0x80 {
        field.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
        rest >>= 7;
    }
    field.push(u8::try_from(rest).unwrap_or_default());
    field.extend(value);
    let begins = *next == 1;
    *next = 3;
    if begins { frame(HEADERS, END_STREAM, 1, GET) } else { frame(CONTINUATION, 0, 1, &field) }
}

/// Writes for as long as the server takes it, and begins anew where it does not.
async fn flood(target: SocketAddr, piece: fn(&mut u32) -> Vec<u8>) {
    loop {
        if let Ok(stream) = TcpStream::connect(target).await {
            let (mut reading, mut writing) = stream.into_split();
            let read = async {
                let mut buffer = vec![0; 64 << 10];
                while reading.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
            };
            let write = async {
                let mut next = 1;
                let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
                bytes.extend(frame(SETTINGS, 0, 0, &[]));
                while writing.write_all(&bytes).await.is_ok() && next < 1 << 30 {
                    bytes = piece(&mut next);
                }
            };
            tokio::select! {
                () = read => {}
                () = write => {}
            }
        }
        sleep(OPEN_AGAIN).await;
    }
}

/// A head of a request, a byte at a time.
async fn crawl(target: SocketAddr, nth: u64) {
    sleep(CRAWL.mul_f64(nth as f64 / CRAWLING as f64)).await;
    loop {
        if let Ok(mut stream) = TcpStream::connect(target).await
            && stream.write_all(b"GET /v1/realtime HTTP/1.1\r\nhost: x\r\nx-slow: ").await.is_ok()
        {
            while stream.write_all(b"x").await.is_ok() {
                sleep(CRAWL).await;
            }
        }
        sleep(CRAWL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_are_reset_have_odd_numbers_that_rise() {
        let mut next = 1;
        let bytes = resets(&mut next);
        assert_eq!(next, 1 + 2 * TOGETHER);
        assert_eq!(bytes.len(), TOGETHER as usize * (9 + GET.len() + 9 + CANCEL.len()));
        assert_eq!(bytes[..9], [0, 0, 6, HEADERS, END_HEADERS | END_STREAM, 0, 0, 0, 1]);
    }

    #[test]
    fn a_head_without_end_is_begun_once_and_goes_on_in_frames_of_the_longest_there_are() {
        let mut next = 1;
        assert_eq!(continuation(&mut next)[3..5], [HEADERS, END_STREAM]);
        let more = continuation(&mut next);
        assert_eq!(more[3..5], [CONTINUATION, 0]);
        assert!((FRAME - 16..=FRAME + 9).contains(&more.len()), "{}", more.len());
        // 16,368 - 127 = 16,241 = 126 * 128 + 113.
        assert_eq!(more[9..15], [0, 1, b'x', 0x7f, 113 | 0x80, 126]);
    }
}

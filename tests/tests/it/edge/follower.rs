//! Who follows a pet through gateways that go: by server-sent events, and by WebSocket.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use petty_tests::mesh::Mesh;
use petty_tests::socket::{Heard, Socket};
use petty_tests::sse::Stream;
use tokio::time::Instant;

use super::traffic::Traffic;
use crate::streaming::Scene;

/// The close code of a gateway that goes away (RFC 6455, 7.4.1).
const AWAY: u16 = 1001;
/// So often somebody who waits looks whether there is anything left to wait for.
const LOOK: Duration = Duration::from_millis(250);
/// What was measured before is there within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who comes back after the last that was seen, and what that was.
pub(super) struct Follower<'a> {
    traffic: &'a Traffic<'a>,
    scene: &'a Scene,
    /// The last that there will be, once that is known.
    head: &'a AtomicU64,
    /// The numbers that came, in order.
    pub(super) seen: Vec<u64>,
    /// How often it was told to move.
    pub(super) moves: usize,
    /// When something came last, or was known to come.
    since: Instant,
}

impl<'a> Follower<'a> {
    pub(super) fn new(traffic: &'a Traffic<'a>, scene: &'a Scene, head: &'a AtomicU64) -> Self {
        Self { traffic, scene, head, seen: Vec::new(), moves: 0, since: Instant::now() }
    }

    fn last(&self) -> u64 {
        self.seen.last().copied().unwrap_or_default()
    }

    /// Whether everything is there, or too little comes.
    fn is_done(&mut self) -> bool {
        let head = self.head.load(Ordering::SeqCst);
        if head == 0 {
            self.since = Instant::now();
            return false;
        }
        if self.since.elapsed() > PATIENCE {
            self.traffic.lose(format!("nothing comes after {} of {head}", self.last()));
            return true;
        }
        self.last() >= head
    }

    fn note(&mut self, kind: &str, id: &str) {
        self.since = Instant::now();
        match id.parse() {
            Ok(id) if ["ENTRY", "REMOVED"].contains(&kind.to_ascii_uppercase().as_str()) => {
                self.seen.push(id)
            }
            _ => self.traffic.lose(format!("{kind} {id} instead of the next after {}", self.last())),
        }
    }

    /// As an `EventSource` does.
    pub(super) async fn by_events(mut self) -> Self {
        let (traffic, scene) = (self.traffic, self.scene);
        let path = scene.path();
        while !self.is_done() {
            let client = &traffic.gateways[traffic.pick().await];
            let last = self.last().to_string();
            let opened = Stream::try_open(client, &path, &scene.owner.token, Some(&last));
            let mut stream = match opened.await {
                Ok(Ok(stream)) => stream,
                other => {
                    traffic.lose(format!("no stream: {other:?}"));
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
            };
            while !self.is_done() {
                match tokio::time::timeout(LOOK, stream.next()).await {
                    Err(_) => {}
                    Ok(Some(event)) => self.note(&event.event, &event.id),
                    Ok(None) => {
                        if !stream.was_told_to_move() {
                            traffic.lose(format!("a stream broke after {}", self.last()));
                        }
                        self.moves += 1;
                        break;
                    }
                }
            }
        }
        self
    }

    /// As an app does.
    pub(super) async fn by_socket(mut self, addresses: [SocketAddr; 2]) -> Self {
        let (traffic, scene) = (self.traffic, self.scene);
        while !self.is_done() {
            let replica = traffic.pick().await;
            let last = self.last().to_string();
            let opened = async {
                let mut socket = Socket::open(addresses[replica], &scene.owner.token).await?;
                // Who goes already says so in answer.
                let _away = socket.subscribe(&scene.pet, Some(&last)).await;
                Ok::<_, petty_tests::socket::Error>(socket)
            };
            let mut socket = match opened.await {
                Ok(socket) => socket,
                Err(error) => {
                    traffic.lose(format!("no socket: {error:?}"));
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
            };
            while !self.is_done() {
                let told = match tokio::time::timeout(LOOK, socket.next()).await {
                    Err(_) => continue,
                    Ok(Heard::Told(told)) => told,
                    Ok(Heard::Closed(code)) => {
                        if code != Some(AWAY) {
                            traffic.lose(format!("a socket was closed by {code:?} after {}", self.last()));
                        }
                        self.moves += 1;
                        break;
                    }
                };
                match told["type"].as_str().unwrap_or_default() {
                    "SUBSCRIBED" | "PRESENCE" => {}
                    "UPDATE" => {
                        let update = &told["update"];
                        let text = |field: &str| update[field].as_str().unwrap_or_default();
                        self.note(text("type"), text("id"));
                    }
                    _ => traffic.lose(format!("a socket was told {told}")),
                }
            }
        }
        self
    }
}

/// Where the gateways take HTTP.
pub(super) fn addresses(mesh: &Mesh) -> [SocketAddr; 2] {
    [0, 1].map(|replica| mesh.http(replica))
}

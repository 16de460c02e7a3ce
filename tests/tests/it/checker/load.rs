//! The load: collars that send, in every way there is, and note what they are told.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use petty_scenarios::chance::Chance;
use petty_tests::mesh::Mesh;
use petty_tests::relay::Relay;
use petty_tests::rest::{Answer, Client};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::ledger::{Key, Known, Ledger};
use super::relay;

/// Longer than healing usually takes; what is not answered by then is unknown.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
/// After an answer that was none.
const PAUSE: Duration = Duration::from_millis(20);
/// The most readings of a batch.
const MOST: u64 = 40;
/// How many collars send in each way.
const EACH: usize = 2;
/// How many messages a call that goes on has.
const MESSAGES: usize = 4;

/// How a collar sends.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// `POST /v1/ingest`.
    Single,
    /// `POST /v1/ingest:batch`.
    Batch,
    /// The same, packed.
    Packed,
    /// The same, of lines.
    Lines,
    /// The gRPC stream, several messages a call.
    Stream,
}

/// All collars.
pub(super) struct Load {
    collars: Vec<Collar>,
}

struct Collar {
    client: Client,
    relay: Relay,
    token: String,
    id: String,
    way: Way,
    begin: Timestamp,
    count: i64,
    chance: Chance,
    /// What may be sent again.
    earlier: Vec<(Key, f64)>,
}

/// A request of some readings.
pub(super) struct Asked {
    pub(super) readings: Vec<(Key, f64)>,
    /// Out of its bounds, and so to be refused, whatever becomes of the others.
    pub(super) bad: Option<(Key, f64)>,
}

impl Load {
    /// Pets with a collar each.
    pub(super) async fn on(mesh: &Mesh, chance: &mut Chance) -> Self {
        let client = mesh.client();
        let owner = client.sign_up().await;
        let begin = Clock::system().now() - SignedDuration::from_hours(24 * 20);
        let mut collars = Vec::new();
        let relay = Relay::to(mesh);
        for way in [Way::Single, Way::Batch, Way::Packed, Way::Lines, Way::Stream] {
            for nth in 0..EACH {
                let pet = client.pet(&owner, &format!("{way:?} {nth}"), "DOG").await;
                let id = format!("collar-{way:?}-{nth}");
                let token = client.pair(&owner, &pet, &id, Some(begin)).await;
                let (client, relay) = (client.clone(), relay.clone());
                let (chance, earlier) = (Chance::of(&[chance.number()]), Vec::new());
                collars.push(Collar { client, relay, token, id, way, begin, count: 0, chance, earlier });
            }
        }
        Self { collars }
    }

    /// Sends until it is told to stop.
    pub(super) async fn run(self, ledger: &Ledger, stop: &AtomicBool) {
        let sending = self.collars.into_iter().map(|mut collar| async move {
            while !stop.load(Ordering::Acquire) {
                collar.send(ledger).await;
            }
        });
        join_all(sending).await;
    }
}

impl Collar {
    async fn send(&mut self, ledger: &Ledger) {
        if matches!(self.way, Way::Stream) {
            let asked: Vec<Asked> = (0..MESSAGES).map(|_| self.asked()).collect();
            let known = relay::send(&self.relay, &self.token, &asked, ledger).await;
            let broken = known.contains(&Known::Unknown);
            for (asked, known) in asked.into_iter().zip(known) {
                self.note(ledger, asked, known);
            }
            if broken {
                tokio::time::sleep(PAUSE).await;
            }
            return;
        }
        let asked = self.asked();
        let answer = self.client.try_send(self.request(&asked)).await;
        let known = asked.known(&answer, ledger);
        self.note(ledger, asked, known);
        if known != Known::Acknowledged {
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn note(&mut self, ledger: &Ledger, asked: Asked, known: Known) {
        ledger.note(&asked.readings, known);
        ledger.note_within(asked.bad.as_slice());
        // What is unknown is settled in one of two cases, and stays unknown in the other.
        if known == Known::Acknowledged || (known == Known::Unknown && self.chance.happens(0.5)) {
            self.earlier.extend(asked.readings);
        }
    }

    fn asked(&mut self) -> Asked {
        let count = match self.way {
            Way::Single => 1,
            Way::Batch | Way::Packed | Way::Lines | Way::Stream => 1 + self.chance.number() % MOST,
        };
        let mut readings: Vec<(Key, f64)> = (0..count).map(|_| self.fresh()).collect();
        if !self.earlier.is_empty() && self.chance.happens(0.2) {
            let nth = usize::try_from(self.chance.number()).unwrap_or_default() % self.earlier.len();
            let again = self.earlier.swap_remove(nth);
            match self.way {
                Way::Single => readings = vec![again],
                Way::Batch | Way::Packed | Way::Lines | Way::Stream => readings.push(again),
            }
        }
        let bad = match self.way {
            Way::Single => None,
            Way::Batch | Way::Packed | Way::Lines | Way::Stream => {
                self.chance.happens(0.3).then(|| (self.fresh().0, 999.0))
            }
        };
        Asked { readings, bad }
    }

    /// A reading of a time of its own.
    fn fresh(&mut self) -> (Key, f64) {
        self.count += 1;
        let at = self.begin + SignedDuration::from_secs(self.count);
        let half_beats = u32::try_from(self.chance.number() % 300).unwrap_or_default();
        ((self.id.clone(), at.as_microsecond()), 40.0 + f64::from(half_beats) / 2.0)
    }

    fn request(&self, asked: &Asked) -> RequestBuilder {
        let post_as = |path: &str, kind: &str| {
            let request = self.client.request(Method::POST, path, Some(&self.token)).timeout(PATIENCE);
            request.header("content-type", kind)
        };
        let post = |path: &str| post_as(path, "application/json");
        let all: Vec<Value> = asked.readings.iter().chain(&asked.bad).map(reading).collect();
        match self.way {
            Way::Lines => {
                let lines: String = all.iter().map(|reading| format!("{reading}\n")).collect();
                post_as("/v1/ingest:batch", "application/x-ndjson").body(lines)
            }
            // By another road.
            Way::Single | Way::Stream => post("/v1/ingest").body(all[0].to_string()),
            Way::Batch => post("/v1/ingest:batch").body(json!({"readings": all}).to_string()),
            Way::Packed => {
                let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
                packing.write_all(json!({"readings": all}).to_string().as_bytes()).unwrap();
                let packed = packing.finish().unwrap();
                post("/v1/ingest:batch").header("content-encoding", "gzip").body(packed)
            }
        }
    }
}

fn reading(((collar, time_us), heart_rate): &(Key, f64)) -> Value {
    let at = Timestamp::from_microsecond(*time_us).unwrap();
    json!({"collar_id": collar, "timestamp": at.to_string(), "heart_rate": heart_rate})
}

impl Asked {
    /// What an answer says. One that is a client's fault would be ours: but for the bad reading, the requests are good. So would be
    /// one that is nobody's: whatever is killed, it is away, and no service has a fault for that.
    fn known(&self, answer: &Result<Answer, reqwest::Error>, ledger: &Ledger) -> Known {
        let answer = match answer {
            Ok(answer) => answer,
            // It never left.
            Err(error) if error.is_connect() => return Known::Refused,
            Err(_) => return Known::Unknown,
        };
        let (status, code) = (answer.status.as_u16(), answer.body["code"].as_str().unwrap_or_default());
        match status {
            200 | 201 => {
                let number = |field: &str| answer.body[field].as_u64().unwrap_or_default();
                let counted = number("accepted") + number("duplicates");
                assert_eq!(counted, self.readings.len() as u64, "{}", answer.text);
                let rejected = answer.body["rejected"].as_array().map_or(0, Vec::len);
                assert_eq!(rejected, usize::from(self.bad.is_some()), "{}", answer.text);
                Known::Acknowledged
            }
            429 => Known::Refused,
            503 if code == "STORAGE_FULL" => {
                let later = answer.headers.get("retry-after").and_then(|value| value.to_str().ok());
                let later = later.and_then(|seconds| seconds.parse::<u64>().ok());
                assert!(later.is_some_and(|seconds| seconds > 0), "{later:?}: {}", answer.text);
                ledger.note_without_room(&self.readings);
                Known::Refused
            }
            503 if code == "OVERLOADED" => Known::Refused,
            499 | 503 | 504 => Known::Unknown,
            500 | 502 => {
                ledger.note_fault(&format!("{status} {}", answer.text));
                Known::Unknown
            }
            _ => panic!("a good request was refused for good: {status} {}", answer.text),
        }
    }
}

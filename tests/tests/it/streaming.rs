//! What happens reaches open streams, through cuts and restarts, without gap or duplicate; and a stream ends with its
//! reader's access.

mod sockets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Client};
use petty_tests::sse::{Event, Stream};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use sockets::Sockets;

const COLLAR: &str = "collar-stream";
/// Withdrawn access is in force everywhere within this time.
const IN_FORCE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(20);

/// A pet that is measured.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) owner: Account,
    pub(crate) pet: String,
    pub(crate) device: String,
    pub(crate) begin: Timestamp,
}

impl Scene {
    pub(crate) async fn new(mesh: &Mesh) -> Self {
        let client = mesh.client();
        let owner = client.sign_up().await;
        let pet = client.pet(&owner, "Rex", "DOG").await;
        let begin = Clock::system().now() - SignedDuration::from_hours(72);
        let begin = Timestamp::from_second(begin.as_second()).unwrap();
        let device = client.pair(&owner, &pet, COLLAR, Some(begin)).await;
        Self { client, owner, pet, device, begin }
    }

    pub(crate) fn path(&self) -> String {
        format!("/v1/pets/{}/stream", self.pet)
    }

    async fn open(&self, last_event_id: Option<&str>) -> Stream {
        Stream::open(&self.client, &self.path(), &self.owner.token, last_event_id).await.expect("a stream")
    }

    /// Spells of three readings a minute apart, with ten minutes of silence and more between them: an episode each. What is
    /// counted are the readings.
    pub(crate) fn restless(&self, from: i64, readings: i64) -> Vec<Value> {
        self.restless_of(COLLAR, from, readings)
    }

    /// The same of another collar.
    fn restless_of(&self, collar: &str, from: i64, readings: i64) -> Vec<Value> {
        (from..from + readings)
            .map(|nth| {
                let at = self.begin + SignedDuration::from_mins(minute_of(nth));
                json!({"collar_id": collar, "timestamp": at.to_string(), "heart_rate": 60, "activity_level": 0})
            })
            .collect()
    }

    /// Lets somebody see a pet of the owner's; the share's path.
    async fn share(&self, pet: &str, with: &Account) -> String {
        let shares = format!("/v1/pets/{pet}/shares");
        let body = json!({"email": with.email, "role": "VIEWER"});
        let share = self.client.post(&shares, &self.owner.token, &body).await.good();
        format!("{shares}/{}", share["share_id"].as_str().unwrap())
    }
}

/// The minute of a spell's reading.
pub(crate) fn minute_of(nth: i64) -> i64 {
    nth / 3 * 14 + nth % 3 + 1
}

fn number(event: &Event) -> u64 {
    event.id.parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_measured_reaches_an_open_stream() {
    let mesh = Mesh::start(crate::NODE).await;
    let scene = Scene::new(&mesh).await;
    let mut stream = scene.open(None).await;
    let ready = stream.expect(PATIENCE).await;
    assert_eq!((ready.event.as_str(), ready.id.as_str()), ("ready", "0"));
    assert_eq!(ready.data["type"], "READY");
    scene.client.ingest_patiently(&scene.device, &scene.restless(0, 3)).await;
    let entry = stream.expect(PATIENCE).await;
    assert_eq!((entry.event.as_str(), entry.id.as_str()), ("entry", "1"));
    assert_eq!(entry.data["entry"]["pet_id"], scene.pet);
    assert_eq!(entry.data["entry"]["kind"], "BEHAVIOR");

    // What is listed says from where to stream, and the two make a whole.
    let listed =
        scene.client.get(&format!("/v1/pets/{}/timeline", scene.pet), &scene.owner.token).await.good();
    let head = listed["last_event_id"].as_str().unwrap().to_owned();
    let mut after = scene.open(Some(&head)).await;
    scene.client.ingest_patiently(&scene.device, &scene.restless(3, 3)).await;
    let next = after.expect(PATIENCE).await;
    assert_eq!(number(&next), head.parse::<u64>().unwrap() + 1);

    // Of another kind: the plan.
    let profile = json!({"weight_kg": 20.0, "body_condition_score": 5, "neutered": true});
    let request = scene
        .client
        .request(Method::PUT, &format!("/v1/pets/{}/nutrition-profile", scene.pet), Some(&scene.owner.token))
        .json(&profile);
    scene.client.send(request).await.good();
    let plan = loop {
        let event = after.expect(PATIENCE).await;
        if event.data["entry"]["kind"] == "PLAN" {
            break event;
        }
    };
    assert!(plan.data["entry"]["plan"]["kcal_per_day"].as_f64().is_some_and(|kcal| kcal > 0.0), "{plan:?}");

    // What no stream is opened by.
    for (last, field) in [("yesterday", "last_event_id"), ("-1", "last_event_id")] {
        let refused = Stream::open(&scene.client, &scene.path(), &scene.owner.token, Some(last)).await;
        refused.expect_err("no stream").names(field);
    }
    let stranger = scene.client.sign_up().await;
    let refused = Stream::open(&scene.client, &scene.path(), &stranger.token, None).await;
    refused.expect_err("no stream").is_problem(404, "PET_NOT_FOUND");
    let refused = Stream::open(&scene.client, &scene.path(), "", None).await;
    refused.expect_err("no stream").is_problem(401, "TOKEN_MISSING");
    let mut lost = scene.open(Some("1000000")).await;
    let resync = lost.expect(PATIENCE).await;
    assert_eq!(resync.event, "resync");
}

/// Reads on after the last event seen, over and over, as an EventSource does, cutting the connection after so many events.
struct Reader<'a> {
    scene: &'a Scene,
    seen: Vec<Event>,
    last: String,
}

impl Reader<'_> {
    async fn read(&mut self, events: usize) {
        let scene = self.scene;
        let opened =
            Stream::try_open(&scene.client, &scene.path(), &scene.owner.token, Some(&self.last)).await;
        let Ok(Ok(mut stream)) = opened else {
            // The gateway or timeline is being started again; an EventSource waits, too, before it comes back.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        };
        for _ in 0..events {
            let Ok(Some(event)) = tokio::time::timeout(Duration::from_millis(500), stream.next()).await
            else {
                return;
            };
            if event.event == "error" {
                return;
            }
            assert!(["entry", "removed"].contains(&event.event.as_str()), "{event:?}");
            self.last.clone_from(&event.id);
            self.seen.push(event);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_cut_at_any_moment_is_taken_up_without_gap_or_duplicate() {
    let mut mesh = Mesh::start(crate::NODE).await;
    let scene = Scene::new(&mesh).await;
    let ready = scene.open(None).await.expect(PATIENCE).await;
    let sent = &AtomicUsize::new(0);
    let sending = async {
        for part in 0..60 {
            scene.client.ingest_patiently(&scene.device, &scene.restless(part * 10, 10)).await;
            sent.fetch_add(1, Ordering::AcqRel);
        }
    };
    let mut reader = Reader { scene: &scene, seen: Vec::new(), last: ready.id.clone() };
    let reading = async {
        for cut in 0..150 {
            reader.read(cut * 7 % 11).await;
        }
    };
    let striking = async {
        for (victim, parts) in [("timeline", 10), ("gateway", 25), ("timeline", 40)] {
            eventually("readings are sent", Duration::from_secs(60), || async {
                sent.load(Ordering::Acquire) >= parts
            })
            .await;
            mesh.kill(victim, 0);
            mesh.spawn(victim, 0);
        }
    };
    tokio::join!(sending, reading, striking);
    // 600 readings, 200 spells: the timeline is whole once its newest entry is there.
    let end = scene.begin + SignedDuration::from_mins(minute_of(599));
    let timeline = format!("/v1/pets/{}/timeline", scene.pet);
    eventually("the timeline is whole", Duration::from_secs(60), || async {
        let answer = scene.client.get(&timeline, &scene.owner.token).await;
        let newest = answer.body["entries"][0]["end_time"].as_str().unwrap_or_default().parse::<Timestamp>();
        newest.is_ok_and(|newest| newest >= end)
    })
    .await;
    let head = scene.client.get(&timeline, &scene.owner.token).await.good();
    let head: u64 = head["last_event_id"].as_str().unwrap().parse().unwrap();
    while reader.last.parse::<u64>().unwrap() < head {
        reader.read(100).await;
    }
    let numbers: Vec<u64> = reader.seen.iter().map(number).collect();
    let first = ready.id.parse::<u64>().unwrap() + 1;
    assert_eq!(numbers, (first..=head).collect::<Vec<u64>>(), "every number once, in order");
    // And they are what one uncut stream says.
    let mut whole = scene.open(Some(&ready.id)).await;
    for event in &reader.seen {
        assert_eq!(&whole.expect(PATIENCE).await, event);
    }
    // What the stream told, put together, is the timeline.
    let mut told = std::collections::BTreeMap::new();
    for event in &reader.seen {
        let entry = event.data["entry"].clone();
        let id = entry["event_id"].as_str().unwrap().to_owned();
        if event.event == "removed" {
            told.remove(&id)
        } else {
            told.insert(id, entry)
        };
    }
    let span = format!("{timeline}?start_time={}", scene.begin);
    let listed = scene.client.all(&span, &scene.owner.token, "entries").await;
    let listed: std::collections::BTreeMap<String, Value> =
        listed.into_iter().map(|entry| (entry["event_id"].as_str().unwrap().to_owned(), entry)).collect();
    assert_eq!(told, listed);
}

/// How long until a stream ends.
async fn ended(mut stream: Stream, since: Instant) -> Duration {
    let end = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(30), end).await.expect("the stream ends");
    since.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_within_5_s_after_its_readers_access() {
    for paused in [false, true] {
        let replicas = [("timeline", 2), ("auth", 2), ("gateway", 2)];
        let mesh = Mesh::start_with(crate::NODE, &replicas).await;
        let scene = Scene::new(&mesh).await;
        let friend = scene.client.sign_up().await;
        let share = scene.share(&scene.pet, &friend).await;
        let mut streams = Vec::new();
        // One on each replica of timeline, most likely.
        for _ in 0..4 {
            let mut stream =
                Stream::open(&scene.client, &scene.path(), &friend.token, None).await.expect("a stream");
            assert_eq!(stream.expect(PATIENCE).await.event, "ready");
            streams.push(stream);
        }
        let mut own = scene.open(None).await;
        own.expect(PATIENCE).await;
        let mut sockets = Sockets::open(&mesh, &scene, &friend).await;
        sockets.are_updated(&scene, 0).await;
        if paused {
            mesh.stack.redis().pause();
        } else {
            sockets.owners_counts(&scene.pet, 2).await;
        }
        let since = Instant::now();
        let withdrawn = async {
            let status = scene.client.delete(&share, &scene.owner.token).await.status.as_u16();
            assert!(status == 200 || paused && [503, 504].contains(&status), "{status}");
        };
        let ends = futures::future::join_all(streams.into_iter().map(|stream| ended(stream, since)));
        let ((), ends, told) = tokio::join!(withdrawn, ends, sockets.friends_is_unsubscribed(&scene.pet));
        assert!(ends.iter().all(|took| *took < IN_FORCE), "paused: {paused}, {ends:?}");
        let took = told.0 - since;
        assert!(took < IN_FORCE, "paused: {paused}, a socket: {took:?}");
        mesh.stack.redis().resume();
        if !paused {
            assert_eq!(told.1["problem"]["code"], "PET_NOT_FOUND", "{}", told.1);
            // The owner's goes on, and the friend's of the other pet.
            let path = format!("/v1/pets/{}/timeline", scene.pet);
            let listed = scene.client.get(&path, &scene.owner.token).await.good();
            let head: u64 = listed["last_event_id"].as_str().unwrap().parse().unwrap();
            scene.client.ingest_patiently(&scene.device, &scene.restless(3, 3)).await;
            while number(&own.expect(PATIENCE).await) <= head {}
            sockets.others_is_updated(&scene, 3).await;
            sockets.owners_counts(&scene.pet, 1).await;
            let since = Instant::now();
            let nothing = json!({});
            let leaving = scene.client.post("/v1/auth/logout", &scene.owner.token, &nothing);
            let (answer, took, (closed, code)) =
                tokio::join!(leaving, ended(own, since), sockets.owners_is_closed());
            answer.good();
            assert!(took < IN_FORCE, "after the log-out: {took:?}");
            assert_eq!(code, Some(4401));
            assert!(closed - since < IN_FORCE, "after the log-out, a socket: {:?}", closed - since);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_one_stream_in_place_of_a_token() {
    let mesh = Mesh::start(crate::NODE).await;
    let scene = Scene::new(&mesh).await;
    let ticket = scene.client.post("/v1/stream/ticket", &scene.owner.token, &json!({})).await;
    assert_eq!(ticket.status.as_u16(), 201, "{}", ticket.text);
    let ticket = ticket.good();
    assert_eq!(ticket["expires_in"], 30);
    let text = ticket["ticket"].as_str().unwrap();
    let path = format!("{}?ticket={text}", scene.path());
    let mut stream = Stream::open(&scene.client, &path, "", None).await.expect("a stream");
    assert_eq!(stream.expect(PATIENCE).await.event, "ready");
    scene.client.ingest_patiently(&scene.device, &scene.restless(0, 3)).await;
    assert_eq!(stream.expect(PATIENCE).await.event, "entry");
    let again = Stream::open(&scene.client, &path, "", None).await.expect_err("it serves once");
    assert_eq!(again.status.as_u16(), 401, "{}", again.text);
    let elsewhere = format!("/v1/pets?ticket={text}");
    let elsewhere = scene.client.send(scene.client.request(Method::GET, &elsewhere, None)).await;
    assert_eq!(elsewhere.status.as_u16(), 401, "{}", elsewhere.text);
    assert!(!mesh.logs().contains(text), "a log holds a ticket");
}

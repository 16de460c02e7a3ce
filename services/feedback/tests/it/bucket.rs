//! The archive in a bucket: a stand-in for S3 that keeps objects in memory, refuses and waits as the test says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use petty_proto::feedback::v1::feedback::Verdict;
use petty_testbench::{Plan, at, eventually};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::bench::{Bench, lines, plan};

#[derive(Clone, Default)]
struct Bucket {
    inner: Arc<Mutex<Inner>>,
    go_on: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    objects: BTreeMap<String, Bytes>,
    requests: usize,
    away: bool,
    /// The next writing waits until it may go on, and is only then there.
    holds_next: bool,
    held: bool,
}

impl Bucket {
    fn set_away(&self, away: bool) {
        self.inner.lock().unwrap().away = away;
    }

    fn hold_next(&self) {
        self.inner.lock().unwrap().holds_next = true;
    }

    fn holds(&self) -> bool {
        self.inner.lock().unwrap().held
    }

    fn objects(&self) -> BTreeMap<String, String> {
        let inner = self.inner.lock().unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        inner.objects.iter().map(|(name, bytes)| (name.clone(), text(bytes))).collect()
    }

    fn requests(&self) -> usize {
        self.inner.lock().unwrap().requests
    }
}

async fn answer(State(bucket): State<Bucket>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let signed =
        parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value.starts_with("AWS4-HMAC-SHA256 Credential=key/") && value.contains("/eu-west-7/s3/")
        });
    let hold = {
        let mut inner = bucket.inner.lock().unwrap();
        inner.requests += 1;
        if inner.away {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        inner.held = std::mem::take(&mut inner.holds_next);
        inner.held
    };
    if !signed {
        return StatusCode::FORBIDDEN.into_response();
    }
    if hold {
        bucket.go_on.notified().await;
    }
    let mut inner = bucket.inner.lock().unwrap();
    let name = parts.uri.path().to_owned();
    match parts.method {
        Method::PUT => {
            inner.objects.insert(name, body);
            (StatusCode::OK, [(header::ETAG, "\"1\"")]).into_response()
        }
        Method::DELETE => {
            inner.objects.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn at_bucket(address: SocketAddr) -> Plan {
    plan()
        .with("PETTY_ARCHIVE_URL", "s3://labels/petty/test")
        .with("PETTY_ARCHIVE_S3_ENDPOINT", format!("http://{address}"))
        .with("PETTY_ARCHIVE_S3_ALLOW_HTTP", "true")
        .with("PETTY_ARCHIVE_S3_REGION", "eu-west-7")
        .with("PETTY_ARCHIVE_S3_ACCESS_KEY_ID", "key")
        .with("PETTY_ARCHIVE_S3_SECRET_ACCESS_KEY", "hidden")
}

async fn bench(name: &str) -> (Bench, Bucket) {
    let bucket = Bucket::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::planned(at_bucket(listener.local_addr().unwrap()), name).await;
    let router = Router::new().fallback(answer).with_state(bucket.clone());
    bench.base.context.tasks.spawn("bucket", async move { axum::serve(listener, router).await.unwrap() });
    (bench, bucket)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_written_and_removed_below_the_prefix() {
    let (bench, bucket) = bench("bucket").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let said = bench.say(account, &told, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    let [(name, text)] = bucket.objects().into_iter().collect::<Vec<_>>().try_into().unwrap();
    assert!(name.starts_with("/labels/petty/test/labels/v1/date"), "{name}");
    assert_eq!(lines(&text)[0]["feedback_id"].as_str(), Some(said.feedback_id.as_str()));
    bench.apply(&bench.erasing(pet)).await.unwrap();
    bench.archive.round().await.unwrap();
    assert!(bucket.objects().is_empty());
    assert_eq!(bench.erased().await, [pet.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_away_loses_nothing() {
    let (bench, bucket) = bench("bucket_away").await;
    let (_, account, told) = bench.told_pet(1).await;
    bucket.set_away(true);
    bench.say(account, &told, Verdict::Correct).await;
    let round = bench.archive.round().await.unwrap();
    assert_eq!((round.written, round.failed), (0, 1));
    assert!(!round.failure.unwrap().contains("hidden"));
    assert!(bucket.requests() > 1, "what may pass in a moment is tried again at once");
    bucket.set_away(false);
    bench.archive.round().await.unwrap();
    assert_eq!(bucket.objects().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_erased_while_it_is_written_is_written_without_it() {
    let (bench, bucket) = bench("bucket_beside").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let (_, other, theirs) = bench.told_pet(2).await;
    bench.say(account, &told, Verdict::Correct).await;
    let stays = bench.say(other, &theirs, Verdict::Correct).await;
    bucket.hold_next();
    let erase = async {
        eventually("it is being written", || async { bucket.holds() }).await;
        bench.apply(&bench.erasing(pet)).await.unwrap();
        assert!(bench.erased().await.is_empty());
        bucket.go_on.notify_one();
    };
    let (round, ()) = tokio::join!(bench.archive.round(), erase);
    assert_eq!(round.unwrap().written, 2, "the first one was of the past when it was there");
    let [text] = bucket.objects().into_values().collect::<Vec<_>>().try_into().unwrap();
    let [line] = lines(&text).try_into().unwrap();
    assert_eq!(line["feedback_id"].as_str(), Some(stays.feedback_id.as_str()));
    assert_eq!(bench.erased().await, [pet.to_string()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_comes_back_from_the_dead_is_written_over() {
    let (bench, bucket) = bench("bucket_zombie").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let (_, other, theirs) = bench.told_pet(2).await;
    bench.say(account, &told, Verdict::Correct).await;
    bench.say(other, &theirs, Verdict::Correct).await;
    let successor = bench.replica();
    bucket.hold_next();
    let meanwhile = async {
        eventually("it is being written", || async { bucket.holds() }).await;
        assert_eq!(successor.round().await.unwrap().written, 0, "somebody else has it");
        bench.clock.set(at(61));
        bench.apply(&bench.erasing(pet)).await.unwrap();
        assert_eq!(successor.round().await.unwrap().written, 1);
        assert_eq!(bench.erased().await.len(), 1);
        bucket.go_on.notify_one();
    };
    let (round, ()) = tokio::join!(bench.archive.round(), meanwhile);
    // What it wrote brought the erased pet back; it found its lease lost, and had it written again.
    assert_eq!(round.unwrap().written, 2);
    let [text] = bucket.objects().into_values().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(lines(&text).len(), 1, "{text}");
    assert_eq!(
        bench
            .count("-- dirty\nSELECT count(*) FROM archive_objects WHERE generation > written_generation")
            .await,
        0
    );
}

//! What is answered while a service is away or hangs.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use petty_chassis::access::{Broadcast, STREAM};
use petty_chassis::events::redis::Connector;
use petty_chassis::types::AccountId;
use petty_gateway::{BoxError, LastKnown, Limits, Upstreams};
use petty_proto::events::v1::{AccessChanged, Envelope};
use petty_proto::ingest::v1::reading_service_server::ReadingServiceServer;
use petty_provision::Stack;
use prost::Message as _;
use tokio::task::AbortHandle;
use tower::Service;

use crate::stand_in::StandIn;
use crate::world::{World, eventually};

const REALTIME: &str = "/v1/realtime?collar_id=SN-1A4B7C-9Z";

type Request = http::Request<tonic::body::Body>;

/// What a service does.
#[derive(Clone, Default)]
pub(crate) struct Mood {
    now: Arc<AtomicU8>,
    hanging: Arc<AtomicUsize>,
}

/// A call that hangs.
struct Hanging(Arc<AtomicUsize>);

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Mood {
    pub(crate) const ANSWERS: u8 = 0;
    pub(crate) const AWAY: u8 = 1;
    pub(crate) const HANGS: u8 = 2;

    pub(crate) fn set(&self, mood: u8) {
        self.now.store(mood, Ordering::SeqCst);
    }

    /// How many calls hang.
    pub(crate) fn hanging(&self) -> usize {
        self.hanging.load(Ordering::SeqCst)
    }

    fn before(&self, services: &StandIn) -> Upstreams {
        self.of(services, "ingest", ReadingServiceServer::new(services.clone()))
    }

    /// One service has this mood, and all others answer.
    pub(crate) fn of<S>(&self, services: &StandIn, name: &'static str, service: S) -> Upstreams
    where
        S: Service<Request, Response = http::Response<tonic::body::Body>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        let mood = self.clone();
        let moody = tower::service_fn(move |request: Request| {
            let (now, mut service) = (mood.now.load(Ordering::SeqCst), service.clone());
            let hanging = Arc::clone(&mood.hanging);
            async move {
                match now {
                    Self::AWAY => Err(BoxError::from("connection refused")),
                    Self::HANGS => {
                        hanging.fetch_add(1, Ordering::SeqCst);
                        let _hanging = Hanging(hanging);
                        std::future::pending().await
                    }
                    _ => Ok(service.call(request).await.unwrap()),
                }
            }
        });
        services.upstreams().with(name, moody)
    }
}

/// Says `message` where everybody hears it.
async fn say(redis: &Connector, field: &str, message: Vec<u8>) {
    let mut command = redis::cmd("XADD");
    let said: Result<String, _> =
        command.arg(STREAM).arg("*").arg(field).arg(message).query_async(&mut redis.shared()).await;
    said.unwrap();
}

/// A world that remembers what was answered for as long as it hears that nothing goes unheard, and who says so.
async fn remembering(redis: &Connector, mood: &Mood, limits: Limits) -> (World, AbortHandle) {
    let (heard, beat) = (redis.clone(), redis.clone());
    let world = World::dressed(
        limits,
        |services| mood.before(services),
        move |edge, tasks, shutdown| {
            let broadcast = Broadcast::listen(heard, tasks, shutdown.clone());
            edge.remembering(LastKnown::heard_of(&broadcast))
        },
    )
    .await;
    let heart = world.tasks.spawn("heart", async move {
        loop {
            say(&beat, "n", b"1".to_vec()).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    (world, heart.abort_handle())
}

#[tokio::test]
async fn the_newest_reading_that_was_known_is_given_to_whoever_may_still_see_it() {
    let stack = petty_provision::shared().await.unwrap();
    let redis = Connector::new(&stack.redis().url()).unwrap();
    let mood = Mood::default();
    let (world, heart) = remembering(&redis, &mood, Limits::default()).await;
    let account = AccountId::new(&world.clock);
    let (token, other) = (world.account_of(account, "pets:read"), world.account("pets:read"));
    let ask = async |token: &str| world.send("GET", REALTIME, &[("authorization", token)], "").await;

    let fresh = ask(&token).await;
    assert_eq!((fresh.status, &fresh.json()["stale"]), (200, &false.into()));
    mood.set(Mood::AWAY);
    // The broadcast is heard a moment after the gateway began to listen.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        mood.set(Mood::ANSWERS);
        assert_eq!(ask(&token).await.status, 200);
        mood.set(Mood::AWAY);
        let old = ask(&token).await;
        if old.status == 200 {
            let (mut was, is) = (fresh.json(), old.json());
            was["stale"] = true.into();
            assert_eq!(is, was, "what was known, and that it is old");
            assert!(!old.header("age").is_empty());
            break;
        }
        assert_eq!(old.problem(), (503, "UNAVAILABLE".to_owned()));
        assert!(tokio::time::Instant::now() < deadline, "nothing old is given");
    }
    // To nobody else, to no other question, and of nothing else.
    assert_eq!(ask(&other).await.status, 503);
    let header = [("authorization", token.as_str())];
    assert_eq!(world.send("GET", "/v1/realtime?collar_id=SN-2", &header, "").await.status, 503);
    // Whoever may perhaps no longer see it is not given it.
    for change in [
        AccessChanged { pet_id: "another".to_owned(), ..AccessChanged::default() },
        AccessChanged { pet_id: "p-1".to_owned(), ..AccessChanged::default() },
    ] {
        let concerned = change.pet_id == "p-1";
        say(
            &redis,
            "e",
            Envelope { payload: change.encode_to_vec().into(), number: 1, ..Envelope::default() }
                .encode_to_vec(),
        )
        .await;
        if concerned {
            let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
            while ask(&token).await.status != 503 {
                assert!(tokio::time::Instant::now() < deadline, "it is still given");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        } else {
            assert_eq!(ask(&token).await.status, 200, "another pet's change");
        }
    }
    // Nor is anybody, where changes are not heard of.
    mood.set(Mood::ANSWERS);
    assert_eq!(ask(&token).await.status, 200);
    mood.set(Mood::AWAY);
    assert_eq!(ask(&token).await.status, 200);
    heart.abort();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while ask(&token).await.status != 503 {
        assert!(tokio::time::Instant::now() < deadline, "it is still given");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_was_known_is_given_where_the_service_has_no_place_left() {
    // Of its own: what is known is forgotten by what others say.
    let stack = Stack::temporary().await.unwrap();
    let redis = Connector::new(&stack.redis().url()).unwrap();
    let mood = Mood::default();
    let limits = Limits { upstream_concurrency: 2, ..Limits::default() };
    let (world, _heart) = remembering(&redis, &mood, limits).await;
    let (token, other) = (world.account("pets:read"), world.account("pets:read"));
    let ask = async |token: &str| world.send("GET", REALTIME, &[("authorization", token)], "").await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        mood.set(Mood::ANSWERS);
        assert_eq!(ask(&token).await.status, 200);
        mood.set(Mood::AWAY);
        if ask(&token).await.status == 200 {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "nothing old is given");
    }
    mood.set(Mood::HANGS);
    // Two hang, and the third is refused.
    let mut asked: FuturesUnordered<_> = (0..3).map(|_| ask(&other)).collect();
    let refused = asked.next().await.unwrap();
    assert_eq!(refused.problem(), (503, "OVERLOADED".to_owned()), "who was answered nothing yet");
    let began = tokio::time::Instant::now();
    let reply = ask(&token).await;
    assert_eq!((reply.status, &reply.json()["stale"]), (200, &true.into()), "{reply:?}");
    assert!(!reply.header("age").is_empty());
    assert!(began.elapsed() < Duration::from_secs(1), "it has not asked the service");
    drop(asked);
}

#[tokio::test]
async fn a_service_that_hangs_takes_no_place_of_the_others() {
    let mood = Mood::default();
    let limits = Limits { upstream_concurrency: 8, concurrency: 16, ..Limits::default() };
    let world = World::before(limits, |services| mood.before(services)).await;
    let token = world.account("pets:read");
    let header = [("authorization", token.as_str())];
    mood.set(Mood::HANGS);
    let hanging = futures::future::join_all((0..8).map(|_| world.send("GET", REALTIME, &header, "")));
    let meanwhile = async {
        eventually(|| world.services.calls("list_pets").is_empty()).await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let more = world.send("GET", REALTIME, &header, "");
            // Until all eight hang, one more does too.
            match tokio::time::timeout(Duration::from_millis(500), more).await {
                Ok(reply) => {
                    assert_eq!(reply.problem(), (503, "OVERLOADED".to_owned()));
                    assert_eq!(reply.header("retry-after"), "1");
                    break;
                }
                Err(_) => assert!(tokio::time::Instant::now() < deadline, "no end to it"),
            }
        }
        for _ in 0..20 {
            assert_eq!(world.send("GET", "/v1/pets", &header, "").await.status, 200);
        }
    };
    let (hung, ()) = tokio::join!(hanging, meanwhile);
    assert!(hung.iter().all(|reply| [503, 504].contains(&reply.status)), "{hung:?}");
}

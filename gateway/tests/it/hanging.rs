//! A service that hangs, and what is asked of it besides calls that are answered whole.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use petty_chassis::caller::personal;
use petty_chassis::types::Entropy;
use petty_gateway::{BoxError, Limits};
use petty_proto::ingest::v1::ingest_service_server::IngestServiceServer;
use petty_proto::timeline::v1::timeline_service_server::TimelineServiceServer;
use secrecy::ExposeSecret as _;

use crate::last_known::Mood;
use crate::sockets;
use crate::world::{Reply, World, eventually};

const STREAM: &str = "/v1/pets/p-1/stream";
const WITH_TICKET: &str = "/v1/pets/p-1/stream?ticket=t-1";

/// Eight may ask each service.
fn limits() -> Limits {
    Limits { upstream_concurrency: 8, concurrency: 16, ..Limits::default() }
}

/// Nine ask what hangs: eight wait for it, who are answered, and one is refused.
async fn nine_ask<'w>(
    world: &'w World,
    target: &'w str,
    headers: &'w [(&'w str, &'w str)],
) -> FuturesUnordered<impl Future<Output = Reply> + use<'w>> {
    let mut asked: FuturesUnordered<_> =
        (0..9).map(|_| async move { world.send("GET", target, headers, "").await }).collect();
    let refused = asked.next().await.unwrap();
    assert_eq!(refused.problem(), (503, "OVERLOADED".to_owned()), "{target}");
    assert_eq!(refused.header("retry-after"), "1");
    asked
}

/// All others are answered meanwhile.
async fn others_are_answered(world: &World, target: &str, header: &[(&str, &str)]) {
    for _ in 0..20 {
        let replies = futures::future::join_all((0..8).map(|_| world.send("GET", target, header, ""))).await;
        assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    }
}

/// A world whose timeline has a mood.
async fn before_a_timeline() -> (World, Mood) {
    let mood = Mood::default();
    let world = World::before(limits(), |services| {
        mood.of(services, "timeline", TimelineServiceServer::new(services.clone()))
    });
    (world.await, mood)
}

/// A world whose auth answers nobody.
async fn before_no_auth() -> World {
    World::before(limits(), |services| {
        let hangs = tower::service_fn(|_: http::Request<tonic::body::Body>| {
            std::future::pending::<Result<http::Response<tonic::body::Body>, BoxError>>()
        });
        services.upstreams().with("auth", hangs)
    })
    .await
}

#[tokio::test]
async fn streams_that_are_not_opened_take_no_place_of_the_others() {
    let (world, mood) = before_a_timeline().await;
    let token = world.account("pets:read");
    let header = [("authorization", token.as_str())];
    mood.set(Mood::HANGS);
    let hang = nine_ask(&world, STREAM, &header).await;
    others_are_answered(&world, "/v1/pets", &header).await;
    assert!(hang.all(async |reply| reply.status == 504).await);
    mood.set(Mood::ANSWERS);
    // Streams that are open take no place, however many: ten, of a service with eight.
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(world.stream(STREAM, &header).await);
    }
    world.services.streams.are_open(10).await;
}

#[tokio::test]
async fn a_ticket_is_not_used_up_where_its_service_hangs() {
    let (world, mood) = before_a_timeline().await;
    let token = world.account("pets:read");
    let header = [("authorization", token.as_str())];
    world.services.ticket("t-1", token.strip_prefix("Bearer ").unwrap());
    mood.set(Mood::HANGS);
    let hang = nine_ask(&world, STREAM, &header).await;
    let refused = world.send("GET", WITH_TICKET, &[], "").await;
    assert_eq!(refused.problem(), (503, "OVERLOADED".to_owned()));
    assert!(world.services.calls("redeem_stream_ticket").is_empty());
    assert!(hang.all(async |reply| reply.status == 504).await);
    mood.set(Mood::ANSWERS);
    drop(world.stream(WITH_TICKET, &[]).await);
}

#[tokio::test]
async fn tickets_that_auth_does_not_answer_take_no_place_of_the_others() {
    let world = before_no_auth().await;
    let token = world.account("pets:read");
    let header = [("authorization", token.as_str())];
    let hang = nine_ask(&world, WITH_TICKET, &[]).await;
    others_are_answered(&world, "/v1/foods", &header).await;
    // Nor one of the service whose stream they are for.
    drop(world.stream(STREAM, &header).await);
    assert!(hang.all(async |reply| reply.status == 504).await);
}

#[tokio::test]
async fn personal_tokens_that_auth_does_not_answer_take_no_place_of_the_others() {
    let world = before_no_auth().await;
    let token = world.account("pets:read");
    let header = [("authorization", token.as_str())];
    let personal = format!("Bearer {}", personal::generate(Entropy).expose_secret());
    let personal = [("authorization", personal.as_str())];
    // One asks for all nine, who wait for it.
    let hang = nine_ask(&world, "/v1/foods", &personal).await;
    others_are_answered(&world, "/v1/foods", &header).await;
    assert!(hang.all(async |reply| reply.status == 504).await);
}

#[tokio::test]
async fn subscriptions_that_are_not_opened_are_few_and_take_no_place_of_the_others() {
    let (world, mood) = before_a_timeline().await;
    let token = world.account("pets:read");
    let header = [("authorization", token.as_str())];
    let mut socket = sockets::open(&world, "/v1/stream", Some(&token)).await.unwrap();
    mood.set(Mood::HANGS);
    for pet in 0..9 {
        sockets::subscribe(&mut socket, &format!("p-{pet}")).await;
    }
    // Half of the service's eight places are theirs; the five who get none are told so at once.
    for _ in 0..5 {
        let told = sockets::next(&mut socket).await;
        assert_eq!((&told["type"], &told["problem"]["code"]), (&"UNSUBSCRIBED".into(), &"OVERLOADED".into()));
        assert_eq!(told["problem"]["status"], 503);
    }
    assert_eq!(mood.hanging(), 4);
    others_are_answered(&world, "/v1/pets", &header).await;
    // The other half is for requests, which wait for the service as before.
    let asked = futures::future::join_all((0..4).map(|_| world.send("GET", STREAM, &header, "")));
    let (replies, ()) = tokio::join!(asked, eventually(|| mood.hanging() == 8));
    assert!(replies.iter().all(|reply| reply.status == 504), "{replies:?}");
    for _ in 0..4 {
        let told = sockets::next(&mut socket).await;
        assert_eq!((&told["type"], &told["problem"]["status"]), (&"UNSUBSCRIBED".into(), &504.into()));
    }
    // One that is away is not waited for.
    mood.set(Mood::AWAY);
    sockets::subscribe(&mut socket, "p-1").await;
    assert_eq!(sockets::next(&mut socket).await["problem"]["status"], 503);
    mood.set(Mood::ANSWERS);
    // Subscriptions that are open take no place, however many: ten, of a service with eight.
    for pet in 0..10 {
        sockets::subscribe(&mut socket, &format!("p-{pet}")).await;
    }
    for _ in 0..10 {
        assert_eq!(sockets::next(&mut socket).await["type"], "SUBSCRIBED");
    }
    world.services.streams.are_open(10).await;
    others_are_answered(&world, "/v1/pets/p-1/timeline", &header).await;
}

#[tokio::test]
async fn uploads_to_a_service_that_hangs_take_no_more_places_than_there_are() {
    let mood = Mood::default();
    let limits = Limits { upstream_concurrency: 2, ..Limits::default() };
    let world = World::before(limits, |services| {
        mood.of(services, "ingest", IngestServiceServer::new(services.clone()))
    })
    .await;
    let token = world.account("write");
    let (auth, lines) = (("authorization", token.as_str()), ("content-type", "application/x-ndjson"));
    mood.set(Mood::HANGS);
    let both = [auth, lines];
    let uploads = (0..4).map(|_| world.send("POST", "/v1/ingest:batch", &both, "{\"heart_rate\":70}\n"));
    let meanwhile = async {
        eventually(|| mood.hanging() == 2).await;
        // A request besides is refused instead of waiting as well.
        let refused = world.send("POST", "/v1/ingest:batch", &[auth], "{}").await;
        assert_eq!(refused.problem(), (503, "OVERLOADED".to_owned()));
        assert_eq!(mood.hanging(), 2);
        mood.set(Mood::ANSWERS);
    };
    let (replies, ()) = tokio::join!(futures::future::join_all(uploads), meanwhile);
    // Who had a place sends once more after the call's deadline; the others came again as often as they may meanwhile.
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 503, 503]);
}

//! How much a caller may ask for, by one replica and by several.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::HeaderValue;
use petty_chassis::events::redis::Connector;
use petty_chassis::types::AccountId;
use petty_gateway::{Limits, Quotas, Rate, Rates, TrustedProxies};
use petty_provision::Stack;

use crate::sockets::{closed, next, open, refused, say, subscribe};
use crate::stand_in::StandIn;
use crate::world::{Reply, World};

fn a_minute(quota: u32) -> Option<Rate> {
    Some(Rate { quota, window: Duration::from_secs(60) })
}

/// One that goes by itself, behind a proxy on this machine.
async fn alone(rates: Rates) -> World {
    World::dressed(Limits::default(), StandIn::upstreams, |edge, _, _| {
        let proxies = TrustedProxies::of("127.0.0.0/8".parse().unwrap());
        edge.within(Quotas::alone(rates)).behind(proxies)
    })
    .await
}

/// One of several before one Redis.
async fn replica(rates: Rates, redis: &Connector) -> World {
    World::dressed(Limits::default(), StandIn::upstreams, |edge, tasks, shutdown| {
        edge.within(Quotas::shared(rates, redis, tasks, shutdown))
    })
    .await
}

async fn list_pets(world: &World, token: &str) -> Reply {
    world.send("GET", "/v1/pets", &[("authorization", token)], "").await
}

/// How many of so many at once are let pass.
async fn taken_of(world: &World, token: &str, count: usize) -> usize {
    let replies = futures::future::join_all((0..count).map(|_| list_pets(world, token))).await;
    replies.iter().filter(|reply| reply.status == 200).count()
}

#[tokio::test]
async fn whoever_asks_too_much_is_told_when_to_come_again_and_nobody_else_is() {
    let world = alone(Rates { read: a_minute(30), ..Rates::unlimited() }).await;
    let (greedy, other) = (world.account("read write"), world.account("read"));
    let mut refused = 0;
    // At a hundred times the quota, a hundred at once: who is far over it is answered in its own time.
    for _ in 0..30 {
        let asked = futures::future::join_all((0..100).map(|_| list_pets(&world, &greedy)));
        let (replies, others) = tokio::join!(asked, list_pets(&world, &other));
        assert_eq!(others.status, 200);
        refused += replies.iter().filter(|reply| reply.status != 200).count();
        for reply in replies {
            assert_eq!(reply.header("ratelimit-policy"), "\"read\";q=30;w=60");
            if reply.status == 200 {
                assert!(reply.header("ratelimit").starts_with("\"read\";r="));
            } else {
                assert_eq!(reply.problem(), (429, "RATE_LIMITED".to_owned()));
                assert!((1..=3).contains(&reply.header("retry-after").parse::<u64>().unwrap()));
                assert!(reply.header("ratelimit").starts_with("\"read\";r=0;t="));
            }
        }
    }
    assert!(refused > 2_500, "{refused}");
    // Of another class it is not refused, and what is not limited says nothing of limits.
    let reply = world.send("POST", "/v1/pets", &[("authorization", &greedy)], r#"{"name":"Rex"}"#).await;
    assert_eq!((reply.status, reply.header("ratelimit")), (201, ""));
    // Nothing that was refused reached a service.
    assert_eq!(world.services.calls("list_pets").len(), 3_000 - refused + 30);
}

#[tokio::test]
async fn a_collar_that_is_named_like_an_account_has_a_quota_of_its_own() {
    let world = alone(Rates { ingest: a_minute(5), ..Rates::unlimited() }).await;
    let account = AccountId::new(&world.clock);
    let (account, collar) =
        (world.account_of(account, "write"), world.collar_named(&account.to_string(), "write"));
    let send = async |token: &str| world.send("POST", "/v1/ingest", &[("authorization", token)], "{}").await;
    for token in [&collar, &account] {
        for _ in 0..5 {
            assert_eq!(send(token).await.status, 201);
        }
        assert_eq!(send(token).await.problem().1, "RATE_LIMITED");
    }
}

#[tokio::test]
async fn who_is_not_known_is_limited_by_the_address() {
    let rates = Rates { credentials: a_minute(2), source: a_minute(5), ..Rates::unlimited() };
    let world = alone(rates).await;
    let log_in = async |address: &'static str| {
        let body = r#"{"email":"a@b.example","password":"a long one"}"#;
        world.send("POST", "/v1/auth/login", &[("x-forwarded-for", address)], body).await
    };
    for _ in 0..2 {
        assert_ne!(log_in("192.0.2.1").await.status, 429);
    }
    let reply = log_in("192.0.2.1").await;
    assert_eq!(reply.problem().0, 429);
    assert_eq!(reply.header("ratelimit-policy"), "\"credentials\";q=2;w=60");
    assert_ne!(log_in("192.0.2.2").await.status, 429);
    // Tokens that are no good are counted too: looking at them costs something.
    let bad = [("x-forwarded-for", "192.0.2.1"), ("authorization", "Bearer x.y.z")];
    let statuses = [
        world.send("GET", "/v1/pets", &bad, "").await.status,
        world.send("GET", "/v1/pets", &bad, "").await.status,
        world.send("GET", "/v1/pets", &bad, "").await.status,
    ];
    assert_eq!(statuses, [401, 401, 429]);
    // Whoever is on the machine itself has no address that tells anybody apart.
    for _ in 0..10 {
        let body = r#"{"email":"a@b.example","password":"a long one"}"#;
        assert_ne!(world.send("POST", "/v1/auth/login", &[], body).await.status, 429);
    }
}

#[tokio::test]
async fn what_describes_the_api_is_counted_by_the_address_and_what_probes_is_not() {
    let world = alone(Rates { source: a_minute(3), ..Rates::unlimited() }).await;
    let ask =
        async |path: &str, address: &str| world.send("GET", path, &[("x-forwarded-for", address)], "").await;
    for path in ["/openapi.json", "/docs", "/docs/swagger-ui-bundle.js"] {
        assert_eq!(ask(path, "192.0.2.1").await.status, 200, "{path}");
    }
    let refused = ask("/openapi.json", "192.0.2.1").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.problem(), (429, "RATE_LIMITED".to_owned()));
    assert_eq!(refused.header("ratelimit-policy"), "\"source\";q=3;w=60");
    assert_eq!(ask("/openapi.json", "192.0.2.2").await.status, 200);
    for path in ["/health", "/ready", "/version"] {
        assert_eq!(ask(path, "192.0.2.1").await.status, 200, "{path}");
    }
}

/// Asks a replica so often, over many connections that each ask again as soon as they are answered; how often it said yes, and no.
async fn hammered(world: &World, account: AccountId, count: usize) -> (usize, usize) {
    const CONNECTIONS: usize = 75;
    let token = world.account_of(account, "read");
    let asking = (0..CONNECTIONS).map(|nth| {
        let (token, share) = (&token, count / CONNECTIONS + usize::from(nth < count % CONNECTIONS));
        async move {
            let mut statuses = Vec::with_capacity(share);
            for _ in 0..share {
                statuses.push(list_pets(world, token).await.status);
            }
            statuses
        }
    });
    let statuses = futures::future::join_all(asking).await.concat();
    let of = |status| statuses.iter().filter(|&&answered| answered == status).count();
    let (taken, refused) = (of(200), of(429));
    assert_eq!(taken + refused, count, "{statuses:?}");
    (taken, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_share_a_quota_to_within_a_twentieth() {
    let stack = Stack::temporary().await.unwrap();
    let redis = Connector::new(&stack.redis().url()).unwrap();
    // So slow that nothing comes back meanwhile.
    let rates =
        Rates { read: Some(Rate { quota: 1_000, window: Duration::from_secs(3_600) }), ..Rates::unlimited() };
    let (one, other) = (replica(rates, &redis).await, replica(rates, &redis).await);
    let mut account = AccountId::new(&one.clock);
    // Each time it is another race for the last of it.
    for _ in 0..5 {
        account = AccountId::new(&one.clock);
        let asking = [&one, &other].map(|replica| hammered(replica, account, 750));
        let [(here, _), (there, _)] = futures::future::join_all(asking).await[..] else { unreachable!() };
        assert!((950..=1_050).contains(&(here + there)), "{here} and {there}");
        assert!(here > 0 && there > 0, "both were asked: {here} and {there}");
    }

    // A replica that comes later begins with what is left.
    let late = replica(rates, &redis).await;
    assert_eq!(list_pets(&late, &late.account_of(account, "read")).await.status, 429);

    let mut redis_connection = redis.shared();
    let before: HashSet<String> =
        redis::cmd("KEYS").arg("petty:quota:*").query_async(&mut redis_connection).await.unwrap();

    // Where Redis is away each goes by itself, and limits all the same.
    stack.redis().pause();
    let mut alone = 0;
    let token = one.account("read");
    for _ in 0..15 {
        alone += taken_of(&one, &token, 100).await;
    }
    stack.redis().resume();
    assert!((1_000..=1_010).contains(&alone), "{alone}");

    // What was taken meanwhile is owed once it is back.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        assert!(tokio::time::Instant::now() < deadline, "nothing was told");
        list_pets(&one, &token).await;
        let keys: HashSet<String> =
            redis::cmd("KEYS").arg("petty:quota:*").query_async(&mut redis_connection).await.unwrap();
        let mut lowest = i64::MAX;
        for key in keys.difference(&before) {
            let tokens: i64 =
                redis::cmd("HGET").arg(key).arg("tokens").query_async(&mut redis_connection).await.unwrap();
            lowest = lowest.min(tokens);
        }
        if lowest < 20_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hammers_two_replicas_at_a_hundred_times_the_quota_gets_the_quota_and_others_are_answered() {
    const QUOTA: usize = 200;
    let stack = Stack::temporary().await.unwrap();
    let redis = Connector::new(&stack.redis().url()).unwrap();
    let rates =
        Rates { read: Some(Rate { quota: 200, window: Duration::from_secs(3_600) }), ..Rates::unlimited() };
    let (one, other) = (replica(rates, &redis).await, replica(rates, &redis).await);
    let greedy = AccountId::new(&one.clock);
    let hammering =
        futures::future::join_all([&one, &other].map(|replica| hammered(replica, greedy, 50 * QUOTA)));
    tokio::pin!(hammering);
    let is_over = AtomicBool::new(false);
    // Each within its own quota, at both replicas by turns.
    let tenants = (0..8).map(|_| {
        let (account, is_over, replicas) = (AccountId::new(&one.clock), &is_over, [&one, &other]);
        async move {
            let mut statuses = Vec::new();
            let tokens = replicas.map(|replica| replica.account_of(account, "read"));
            while statuses.len() < QUOTA * 9 / 10 && !is_over.load(Ordering::Acquire) {
                let at = statuses.len() % 2;
                let asked = list_pets(replicas[at], &tokens[at]);
                let answered = tokio::time::timeout(Duration::from_secs(5), asked).await;
                statuses.push(answered.map_or(0, |reply| reply.status));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            statuses
        }
    });
    let ended = async {
        let counts = hammering.await;
        is_over.store(true, Ordering::Release);
        counts
    };
    let (counts, statuses) = tokio::join!(ended, futures::future::join_all(tenants));
    let taken: usize = counts.iter().map(|(taken, _)| taken).sum();
    assert!((QUOTA * 95 / 100..=QUOTA * 105 / 100).contains(&taken), "{counts:?}");
    let statuses = statuses.concat();
    let good = statuses.iter().filter(|&&status| status == 200).count();
    assert!(statuses.len() >= 100, "others asked meanwhile: {}", statuses.len());
    assert!(good * 100 >= statuses.len() * 99, "{good} of {}: {statuses:?}", statuses.len());
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_its_quota() {
    let world = alone(Rates::default()).await;
    let reply = list_pets(&world, &world.account("read")).await;
    assert_eq!(
        reply.headers.get("ratelimit-policy"),
        Some(&HeaderValue::from_static("\"read\";q=3000;w=60"))
    );
}

#[tokio::test]
async fn who_subscribes_too_often_is_closed_and_told_so() {
    let world = alone(Rates { read: a_minute(5), ..Rates::unlimited() }).await;
    let (greedy, other) = (world.account("pets:read"), world.account("pets:read"));
    // The handshake is one of them.
    let mut socket = open(&world, "/v1/stream", Some(&greedy)).await.unwrap();
    for _ in 0..4 {
        subscribe(&mut socket, "p-1").await;
        assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    }
    subscribe(&mut socket, "p-1").await;
    assert_eq!(closed(&mut socket).await, 4429);
    assert_eq!(refused(open(&world, "/v1/stream", Some(&greedy)).await), 429);
    // Nobody else is, until as much is asked for by taking it back.
    let mut socket = open(&world, "/v1/stream", Some(&other)).await.unwrap();
    subscribe(&mut socket, "p-1").await;
    assert_eq!(next(&mut socket).await["type"], "SUBSCRIBED");
    let unsubscribe = serde_json::json!({"type": "UNSUBSCRIBE", "pet_id": "p-2"});
    for _ in 0..3 {
        say(&mut socket, unsubscribe.clone()).await;
        assert_eq!(next(&mut socket).await["type"], "UNSUBSCRIBED");
    }
    say(&mut socket, unsubscribe).await;
    assert_eq!(closed(&mut socket).await, 4429);
}

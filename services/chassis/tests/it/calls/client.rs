//! What a client does with every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use petty_chassis::grpc::{Deadline, RequestId};
use petty_proto::auth::v1::{GetMeRequest, SignUpRequest};
use tokio::net::TcpListener;
use tonic::{Code, Request};

use crate::fixture::{Act, Keys, Node, Stub, client, eventually, mesh, reason};

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_call_hands_on_its_request_id_and_what_is_left_of_its_time() {
    let keys = Keys::new();
    let inner = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    // The outer one calls in the gateway's name: that is whom the policy names.
    let relay = mesh(&keys, "gateway", &[inner.uri()]).channel("auth");
    let outer = Node::start(&keys.environment("auth"), vec![Act::Relay(relay)]).await;
    let mut request = Request::new(GetMeRequest {});
    request.extensions_mut().insert(RequestId("one-request".to_owned()));
    request.extensions_mut().insert(Deadline::after(Duration::from_millis(1500)));
    request
        .metadata_mut()
        .insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    client(&mesh(&keys, "gateway", &[outer.uri()])).get_me(request).await.unwrap();
    let (outer, inner) = (outer.stub.seen().remove(0), inner.stub.seen().remove(0));
    assert_eq!((outer.request_id.as_str(), inner.request_id.as_str()), ("one-request", "one-request"));
    assert!(inner.left < outer.left && outer.left < Duration::from_millis(1500), "{outer:?} {inner:?}");
    let trace = |seen: &crate::fixture::Seen| seen.traceparent.as_ref().map(|text| text[3..35].to_owned());
    assert_eq!(trace(&outer).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    assert_eq!(trace(&outer), trace(&inner));
}

#[tokio::test]
async fn a_deadline_is_kept_whoever_hangs() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Hang]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = (format!("http://{}", silent.local_addr().unwrap()), silent);
    for uri in [node.uri(), silent.0] {
        let mut request = Request::new(GetMeRequest {});
        request.set_timeout(Duration::from_millis(200));
        let since = Instant::now();
        let refused = client(&mesh(&keys, "gateway", &[uri])).get_me(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
        assert!(since.elapsed() < Duration::from_millis(1200), "{:?}", since.elapsed());
    }
    eventually("the server gives up as well", async || node.stub.dropped() == 1).await;
}

#[tokio::test]
async fn only_what_may_be_repeated_is_sent_again() {
    let keys = Keys::new();
    let acts = || vec![Act::Unavailable, Act::Unavailable, Act::Answer];
    let node = Node::start(&keys.environment("auth"), acts()).await;
    client(&mesh(&keys, "gateway", &[node.uri()])).get_me(GetMeRequest {}).await.unwrap();
    assert_eq!(node.stub.seen().len(), 3);

    let node = Node::start(&keys.environment("auth"), acts()).await;
    let refused =
        client(&mesh(&keys, "gateway", &[node.uri()])).sign_up(SignUpRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(node.stub.seen().len(), 1);
}

#[tokio::test]
async fn what_a_service_gives_up_by_itself_is_not_told_as_given_up_by_the_caller() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::GiveUp, Act::Answer]).await;
    client(&mesh(&keys, "gateway", &[node.uri()])).get_me(GetMeRequest {}).await.unwrap();
    assert_eq!(node.stub.seen().len(), 2, "it is sent again where it may be");

    let node = Node::start(&keys.environment("auth"), vec![Act::GiveUp]).await;
    let refused =
        client(&mesh(&keys, "gateway", &[node.uri()])).sign_up(SignUpRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    assert_eq!(node.stub.seen().len(), 1);

    let node = Node::start(&keys.environment("auth"), vec![Act::GiveUpLate]).await;
    let mut request = Request::new(GetMeRequest {});
    request.set_timeout(Duration::from_millis(300));
    let refused = client(&mesh(&keys, "gateway", &[node.uri()])).get_me(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
}

#[tokio::test]
async fn repeating_stays_within_its_budget() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Unavailable]).await;
    let mesh = mesh(&keys, "gateway", &[node.uri()]);
    let since = Instant::now();
    let calls = (0..100).map(|_| {
        let mut client = client(&mesh);
        async move { client.get_me(GetMeRequest {}).await.unwrap_err() }
    });
    futures::future::join_all(calls).await;
    // 10 at the start, a fifth of 100 calls, 10 a second.
    let most = 100 + 10 + 20 + 10 * usize::try_from(since.elapsed().as_secs() + 1).unwrap();
    let sent = node.stub.seen().len();
    assert!((101..=most).contains(&sent), "{sent} sent, at most {most} allowed");
}

#[tokio::test]
async fn a_dead_replica_is_passed_over() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[nobody().await, node.uri()]);
    for _ in 0..10 {
        client(&mesh).get_me(GetMeRequest {}).await.unwrap();
        // What never left can be sent to another one, whatever it is.
        client(&mesh).sign_up(SignUpRequest::default()).await.unwrap();
    }
    let signed_up = node.stub.seen().iter().filter(|seen| seen.method == "SignUp").count();
    assert_eq!(signed_up, 10);
}

#[tokio::test]
async fn what_was_under_way_at_a_replica_that_dies_is_answered_by_another() {
    let keys = Keys::new();
    let dying = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", dying.local_addr().unwrap());
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[uri, node.uri()]);
    // Far more at once than failures in a row would say of one replica that it is away.
    let calls = futures::future::join_all((0..24).map(|_| {
        let mut client = client(&mesh);
        async move { client.get_me(GetMeRequest {}).await.map(drop) }
    }));
    let dies = async {
        let (taken, _) = dying.accept().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop((taken, dying));
    };
    let (answers, ()) = tokio::join!(calls, dies);
    for answer in answers {
        answer.unwrap();
    }
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    assert_eq!(node.stub.seen().len(), 25);
}

#[tokio::test]
async fn a_replica_that_hangs_is_left_alone_after_it_cost_one_call() {
    let keys = Keys::new();
    let hanging = Node::start(&keys.environment("auth"), vec![Act::Hang]).await;
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[hanging.uri(), node.uri()]);
    let mut failed = 0;
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(2) {
        let mut request = Request::new(GetMeRequest {});
        request.set_timeout(Duration::from_millis(600));
        failed += usize::from(client(&mesh).get_me(request).await.is_err());
    }
    assert!((1..=2).contains(&failed), "{failed}");
    assert!(node.stub.seen().len() > 50);
}

#[tokio::test]
async fn replicas_share_the_calls() {
    let keys = Keys::new();
    let nodes = [
        Node::start(&keys.environment("auth"), vec![Act::Answer]).await,
        Node::start(&keys.environment("auth"), vec![Act::Answer]).await,
    ];
    let mesh = mesh(&keys, "gateway", &nodes.each_ref().map(Node::uri));
    for _ in 0..20 {
        client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    }
    let counts = nodes.each_ref().map(|node| node.stub.seen().len());
    assert_eq!(counts, [10, 10]);
}

#[tokio::test]
async fn names_are_resolved_to_all_their_addresses() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[format!("http://localhost:{}", node.address.port())]);
    for _ in 0..5 {
        client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    }
}

#[tokio::test]
async fn a_target_that_is_away_is_answered_for_at_once_and_used_again_when_it_is_back() {
    let keys = Keys::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counting = {
        let accepted = Arc::clone(&accepted);
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                drop(stream);
            }
        };
        petty_chassis::Tasks::new(petty_chassis::Shutdown::new()).spawn("accept", accept)
    };
    let mesh = mesh(&keys, "gateway", &[format!("http://{address}")]);
    let since = Instant::now();
    for _ in 0..200 {
        let refused = client(&mesh).get_me(GetMeRequest {}).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
    }
    let most = 8 + 4 * usize::try_from(since.elapsed().as_secs() + 1).unwrap();
    let connections = accepted.load(Ordering::Relaxed);
    assert!((1..=most).contains(&connections), "{connections} connections in {:?}", since.elapsed());

    counting.abort();
    // Aborting is noticed when the task is next polled; until then the port is its own.
    eventually("the port is free", async || TcpListener::bind(address).await.is_ok()).await;
    let environment = keys.environment("auth").with("PETTY_GRPC_LISTEN", address.to_string());
    let _node = Node::start(&environment, vec![Act::Answer]).await;
    let since = Instant::now();
    eventually("calls are answered again", async || client(&mesh).get_me(GetMeRequest {}).await.is_ok())
        .await;
    assert!(since.elapsed() < Duration::from_millis(1500), "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_target_that_says_nothing_is_answered_for_at_once_after_it_cost_five_calls() {
    let keys = Keys::new();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mesh = mesh(&keys, "gateway", &[format!("http://{}", silent.local_addr().unwrap())]);
    let call = |milliseconds| {
        let mut request = Request::new(GetMeRequest {});
        request.set_timeout(Duration::from_millis(milliseconds));
        let mut client = client(&mesh);
        async move { client.get_me(request).await.unwrap_err() }
    };
    for refused in futures::future::join_all((0..5).map(|_| call(700))).await {
        assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused:?}");
    }
    // On a slow machine it may be time for one to look.
    let refused = futures::future::join_all((0..20).map(|_| call(700))).await;
    let at_once = refused.iter().filter(|refused| reason(refused) == "UPSTREAM_UNAVAILABLE").count();
    assert!(at_once >= 19, "{refused:?}");
}

#[tokio::test]
async fn without_an_endpoint_a_call_is_answered_unavailable() {
    let keys = Keys::new();
    let mesh = mesh(&keys, "gateway", &[]);
    let refused = client(&mesh).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "UPSTREAM_UNAVAILABLE"));
}

#[tokio::test]
async fn a_large_message_passes() {
    let keys = Keys::new();
    let node = Node::start_as("auth", &keys.environment("auth"), Stub::new(vec![Act::Answer])).await;
    let request = SignUpRequest { email: "a".repeat(3 << 20), ..SignUpRequest::default() };
    client(&mesh(&keys, "gateway", &[node.uri()])).sign_up(request).await.unwrap();
}

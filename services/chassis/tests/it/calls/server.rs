//! What a server does around every call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use petty_chassis::grpc::{CLIENT_ADDRESS, RequestId};
use petty_chassis::telemetry;
use petty_proto::auth::v1::GetMeRequest;
use petty_proto::auth::v1::account_service_client::AccountServiceClient;
use tokio::sync::Notify;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{Act, Keys, Node, client, eventually, mesh, reason};

/// A connection without any identity.
async fn stranger(node: &Node) -> tonic::transport::Channel {
    Endpoint::from_shared(node.uri()).unwrap().connect().await.unwrap()
}

async fn health(node: &Node) -> Option<ServingStatus> {
    let mut health = HealthClient::new(stranger(node).await);
    let request = HealthCheckRequest { service: "petty.auth.v1.AccountService".to_owned() };
    Some(health.check(request).await.ok()?.into_inner().status())
}

#[tokio::test]
async fn a_request_id_is_taken_over_answered_and_made_where_it_is_missing() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[node.uri()]);
    let mut request = Request::new(GetMeRequest {});
    request.extensions_mut().insert(RequestId("from-the-edge".to_owned()));
    let answer = client(&mesh).get_me(request).await.unwrap();
    assert_eq!(answer.metadata().get("x-request-id").unwrap(), "from-the-edge");

    let answer = client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    let made = answer.metadata().get("x-request-id").unwrap().to_str().unwrap();
    assert_eq!(made.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    let seen = node.stub.seen();
    assert_eq!([&seen[0].request_id, &seen[1].request_id], ["from-the-edge", made]);
    assert!(seen.iter().all(|seen| seen.service == "gateway"), "{seen:?}");
}

#[tokio::test]
async fn where_the_client_is_is_taken_from_the_gateway() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mut gateway = client(&mesh(&keys, "gateway", &[node.uri()]));
    for (said, taken) in [
        (&["2001:db8::7"][..], Some("2001:db8::7")),
        (&["192.0.2.7"], Some("192.0.2.7")),
        (&["somewhere"], None),
        (&["192.0.2.7", "192.0.2.8"], None),
        (&[], None),
    ] {
        let mut request = Request::new(GetMeRequest {});
        for address in said {
            request.metadata_mut().append(CLIENT_ADDRESS, address.parse().unwrap());
        }
        gateway.get_me(request).await.unwrap();
        let seen = node.stub.seen().pop().unwrap().client_address;
        assert_eq!(seen, taken.map(|address| address.parse().unwrap()), "{said:?}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_internal_and_the_next_call_is_served() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Panic, Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[node.uri()]);
    let refused = client(&mesh).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Internal, "INTERNAL"));
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
    let metrics = telemetry::prometheus_text();
    assert!(metrics.contains("rpc_server_panics_total{"), "{metrics}");
}

#[tokio::test]
async fn the_policy_s_deadline_holds_without_the_caller_s() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Hang]).await;
    let token = petty_chassis::grpc::identity::Minter::new(
        "gateway",
        &keys.private_key("gateway"),
        petty_chassis::types::Clock::system(),
    );
    let token = token.unwrap().token("auth").unwrap();
    let mut request = Request::new(GetMeRequest {});
    request.metadata_mut().insert("petty-service-token", token.to_str().unwrap().parse().unwrap());
    let since = Instant::now();
    let refused = AccountServiceClient::new(stranger(&node).await).get_me(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert!(since.elapsed() >= Duration::from_secs(2) && since.elapsed() < Duration::from_secs(4));
    assert_eq!(node.stub.dropped(), 1, "the work is given up with the call");
}

#[tokio::test]
async fn what_is_too_much_at_once_is_refused_while_health_answers() {
    let keys = Keys::new();
    let release = Arc::new(Notify::new());
    let environment = keys.environment("auth").with("PETTY_GRPC_CONCURRENCY", "1");
    let node = Node::start(&environment, vec![Act::Hold(Arc::clone(&release)), Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[node.uri()]);
    let mut first = client(&mesh);
    let held = tokio::join!(first.get_me(GetMeRequest {}), async {
        eventually("the first call is held", async || !node.stub.seen().is_empty()).await;
        let refused = client(&mesh).get_me(GetMeRequest {}).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "OVERLOADED"));
        assert_eq!(health(&node).await, Some(ServingStatus::Serving));
        release.notify_one();
    });
    held.0.unwrap();
    client(&mesh).get_me(GetMeRequest {}).await.unwrap();
}

#[tokio::test]
async fn only_services_that_prove_themselves_and_may_call_are_served() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let refused = AccountServiceClient::new(stranger(&node).await).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "SERVICE_UNKNOWN"));

    let others = Keys::new();
    let refused = client(&mesh(&others, "gateway", &[node.uri()])).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!(reason(&refused), "SERVICE_UNKNOWN", "a key of its own making");

    let refused = client(&mesh(&keys, "ingest", &[node.uri()])).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SERVICE_NOT_ALLOWED"));
    assert!(node.stub.seen().is_empty());
    assert_eq!(health(&node).await, Some(ServingStatus::Serving), "health is anybody's");
}

#[tokio::test]
async fn a_method_without_a_policy_is_not_there() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mesh = mesh(&keys, "gateway", &[node.uri()]);
    let mut grpc = tonic::client::Grpc::new(mesh.channel("auth"));
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/petty.auth.v1.AccountService/DropEverything");
    let codec = tonic_prost::ProstCodec::<GetMeRequest, GetMeRequest>::default();
    let refused = grpc.unary(Request::new(GetMeRequest {}), path, codec).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_drain_finishes_what_it_has_and_takes_nothing_new() {
    let keys = Keys::new();
    let release = Arc::new(Notify::new());
    let node = Node::start(&keys.environment("auth"), vec![Act::Hold(Arc::clone(&release))]).await;
    let mesh = mesh(&keys, "gateway", &[node.uri()]);
    let watching = stranger(&node).await;
    let mut caller = client(&mesh);
    let (held, ()) = tokio::join!(caller.get_me(GetMeRequest {}), async {
        eventually("the call is held", async || !node.stub.seen().is_empty()).await;
        node.context.shutdown.begin();
        eventually("the port is closed", async || {
            tokio::net::TcpStream::connect(node.address).await.is_err()
        })
        .await;
        drop(watching);
        release.notify_one();
    });
    held.unwrap();
    assert!(node.context.tasks.wait(Duration::from_secs(5)).await, "nothing had to be cut off");
    assert_eq!(node.context.shutdown.failure(), None);
    let refused = client(&mesh).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn health_follows_readiness() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let postgres = node.context.readiness.check("postgres");
    for (ok, status) in [(false, ServingStatus::NotServing), (true, ServingStatus::Serving)] {
        if ok {
            postgres.ok("")
        } else {
            postgres.fail("gone")
        }
        eventually("health follows", async || health(&node).await == Some(status)).await;
    }
}

#[tokio::test]
async fn who_watches_health_hears_of_the_drain_and_holds_it_up_no_longer() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mut client = HealthClient::new(stranger(&node).await);
    let mut watches = Vec::new();
    for service in ["", "petty.auth.v1.AccountService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut watch = client.watch(request).await.unwrap().into_inner();
        let first = watch.message().await.unwrap().unwrap();
        assert_eq!(first.status(), ServingStatus::Serving);
        watches.push(watch);
    }
    node.context.shutdown.begin();
    for mut watch in watches {
        let told = watch.message().await.unwrap().map(|told| told.status());
        assert_eq!(told, Some(ServingStatus::NotServing));
        let end = tokio::time::timeout(Duration::from_secs(5), watch.message()).await;
        assert!(matches!(end, Ok(Ok(None))), "{end:?}");
    }
    assert!(node.context.tasks.wait(Duration::from_secs(5)).await, "nothing had to be cut off");
}

#[tokio::test]
async fn reflection_knows_our_services() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let mut reflection = ServerReflectionClient::new(stranger(&node).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol(
            "petty.auth.v1.AccountService".to_owned(),
        )),
    };
    let answers = reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_variable() {
    let keys = Keys::new();
    let node = Node::start(&keys.environment("auth"), vec![Act::Answer]).await;
    let environment = keys.environment("auth").with("PETTY_GRPC_LISTEN", node.address.to_string());
    let context = crate::fixture::context("auth", &environment);
    let error = petty_chassis::grpc::Server::new(&context).serve().await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("PETTY_GRPC_LISTEN: cannot listen on {}", node.address)), "{error}");
}

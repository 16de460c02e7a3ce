//! Streams over a connection to their service, which breaks.

use std::time::Duration;

use futures::StreamExt as _;
use petty_chassis::{Shutdown, Tasks};
use petty_gateway::Limits;
use petty_proto::timeline::v1::timeline_service_server::TimelineServiceServer;
use petty_proto::timeline::v1::timeline_update::Type;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::{Endpoint, Server};

use crate::stand_in::update;
use crate::world::{World, eventually};

const STREAM: &str = "/v1/pets/p-1/stream";

#[tokio::test]
async fn a_stream_ends_with_its_service_and_lets_go_of_it() {
    let (service, proxy) = (listener().await, listener().await);
    let (to_service, to_proxy) = (service.local_addr().unwrap(), proxy.local_addr().unwrap());
    let world = World::before(Limits::default(), |services| {
        let channel = Endpoint::from_shared(format!("http://{to_proxy}")).unwrap().connect_lazy();
        services.upstreams().with("timeline", channel)
    })
    .await;
    let tasks = Tasks::new(Shutdown::new());
    let incoming = futures::stream::unfold(service, |service| async move {
        let accepted = service.accept().await.map(|(stream, _)| stream);
        Some((accepted, service))
    });
    let server = Server::builder().add_service(TimelineServiceServer::new(world.services.clone()));
    drop(tasks.spawn("service", server.serve_with_incoming(incoming.boxed())));
    let between = tasks.spawn("proxy", async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut server = TcpStream::connect(to_service).await.unwrap();
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    });

    let token = world.account("read");
    let auth = [("authorization", token.as_str())];
    let (one, mut two) = (world.stream(STREAM, &auth).await, world.stream(STREAM, &auth).await);
    world.services.streams.are_open(2).await;
    drop(one);
    world.services.streams.are_open(1).await;

    assert_eq!(two.block().await.unwrap(), "retry: 1000");
    world.services.streams.send(1, Ok(update(1, Type::Ready)));
    assert_eq!(two.event().await.1, "ready");
    // The method's deadline is that of the opening.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    world.services.streams.send(1, Ok(update(2, Type::Entry)));
    assert_eq!(two.event().await.0, "2");

    between.abort();
    let (_, event, problem) = two.event().await;
    assert_eq!((event.as_str(), &problem["status"]), ("error", &503.into()));
    assert_eq!(two.block().await, None);
    eventually(|| world.tasks.running("http-events") == 0).await;
    world.services.streams.are_open(0).await;
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

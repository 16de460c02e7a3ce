//! Services beside each other in one process.

use std::time::Duration;

use petty_chassis::grpc::Server;
use petty_chassis::{Context, Running, Service, Shutdown, Tasks, embed};
use petty_proto::auth::v1::account_service_server::AccountServiceServer;

use crate::fixture::{Act, Keys, SOON, Stub};

struct Auth;
struct Ingest;

impl Service for Auth {
    const NAME: &'static str = "auth";
    type Config = ();

    fn run(context: Context, (): ()) -> Running {
        Box::pin(async move {
            let stub = Stub::new(vec![Act::Answer]);
            Ok(Server::new(&context).add(AccountServiceServer::new(stub)).serve().await?)
        })
    }
}

impl Service for Ingest {
    const NAME: &'static str = "ingest";
    type Config = ();

    fn run(context: Context, (): ()) -> Running {
        Box::pin(async move {
            context.readiness.started();
            context.shutdown.draining().await;
            anyhow::bail!("could not write the last batch")
        })
    }
}

struct Fails;

impl Service for Fails {
    const NAME: &'static str = "gateway";
    type Config = ();

    fn run(_context: Context, (): ()) -> Running {
        Box::pin(async move { anyhow::bail!("told to fail") })
    }
}

#[tokio::test]
async fn services_share_a_process_and_its_shutdown() {
    let keys = Keys::new();
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let auth = embed::<Auth>(keys.environment("auth"), shutdown.clone(), tasks.clone()).await.unwrap();
    let ingest = embed::<Ingest>(keys.environment("ingest"), shutdown.clone(), tasks.clone()).await.unwrap();
    assert_ne!(auth.admin, ingest.admin);
    for service in [&auth, &ingest] {
        tokio::time::timeout(SOON, service.readiness.ready()).await.unwrap();
        assert!(service.readiness.is_ready());
    }
    shutdown.begin();
    assert!(!auth.readiness.is_ready());
    assert!(tasks.wait(Duration::from_secs(5)).await);
    auth.join.await.unwrap();
    ingest.join.await.unwrap();
    assert_eq!(shutdown.failure(), None);
}

#[tokio::test]
async fn one_that_fails_takes_the_others_down() {
    let keys = Keys::new();
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let auth = embed::<Auth>(keys.environment("auth"), shutdown.clone(), tasks.clone()).await.unwrap();
    embed::<Fails>(keys.environment("gateway"), shutdown.clone(), tasks.clone()).await.unwrap();
    tokio::time::timeout(SOON, shutdown.draining()).await.unwrap();
    assert_eq!(shutdown.failure().as_deref(), Some("gateway: told to fail"));
    tasks.wait(Duration::from_secs(5)).await;
    auth.join.await.unwrap();
}

#[tokio::test]
async fn a_bad_configuration_starts_nothing() {
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let environment = petty_chassis::config::Environment::default().with("PETTY_GRACE_PERIOD", "soon");
    let error = embed::<Auth>(environment, shutdown, tasks.clone()).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.starts_with("auth: bad configuration: ") && text.contains("PETTY_GRACE_PERIOD"), "{text}");
    assert_eq!(tasks.running("auth"), 0);
}

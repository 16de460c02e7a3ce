//! Services of a mesh within the test's process, on the binary's own Postgres and Redis.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use petty_chassis::access::{Access, AccessSource, Asker, Decision, Target};
use petty_chassis::caller::KeySource;
use petty_chassis::config::{BaseConfig, Environment, load};
use petty_chassis::events::Handler;
use petty_chassis::grpc::gate::Gate;
use petty_chassis::grpc::server::Server;
use petty_chassis::postgres::Migrations;
use petty_chassis::types::Clock;
use petty_chassis::{ApiError, Context, Foundation, FoundationConfig, Shutdown, Tasks};
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;
use petty_provision::Stack;
use secrecy::ExposeSecret as _;

pub(crate) mod migrations {
    petty_chassis::postgres::refinery::embed_migrations!("tests/it/migrations");
}

/// The keys of every service, the same for all worlds of the process.
struct Keys {
    private: BTreeMap<&'static str, String>,
    public: String,
}

fn keys() -> &'static Keys {
    static KEYS: std::sync::OnceLock<Keys> = std::sync::OnceLock::new();
    KEYS.get_or_init(|| {
        let mut private = BTreeMap::new();
        let mut public = BTreeMap::new();
        for service in ["auth", "ingest", "behavior", "nutrition", "timeline", "feedback", "gateway"] {
            let pair = Ed25519KeyPair::generate().unwrap();
            let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
            let pem = format!(
                "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                STANDARD.encode(der.as_ref())
            );
            private.insert(service, pem);
            public.insert(service, STANDARD.encode(pair.public_key().as_ref()));
        }
        Keys { private, public: serde_json::to_string(&public).unwrap() }
    })
}

/// A service: its foundation, and what ends it.
pub(crate) struct Node {
    pub(crate) base: Foundation,
    pub(crate) shutdown: Shutdown,
    pub(crate) tasks: Tasks,
    pub(crate) address: Option<std::net::SocketAddr>,
}

/// How a service is set up.
pub(crate) struct Setup<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) service: &'static str,
    /// The database, so that two replicas share one and two tests do not.
    pub(crate) database: &'a str,
    pub(crate) redis_url: String,
    /// Where producers answer.
    pub(crate) endpoints: Vec<(&'static str, std::net::SocketAddr)>,
    /// Entries that wait for longer than twice this are claimed.
    pub(crate) handling_deadline: &'static str,
    /// How long gaps are waited for.
    pub(crate) gap_grace: &'static str,
}

/// Short, so that faults are got over within a test's patience.
pub(crate) const HANDLING_DEADLINE: &str = "500ms";
pub(crate) const GAP_GRACE: &str = "500ms";

/// One on the shared servers, whose peers are nobody.
pub(crate) async fn node(database: &str) -> Node {
    let stack = petty_provision::shared().await.unwrap();
    let redis_url = stack.redis().url().expose_secret().to_owned();
    Setup {
        stack,
        service: "timeline",
        database,
        redis_url,
        endpoints: Vec::new(),
        handling_deadline: HANDLING_DEADLINE,
        gap_grace: GAP_GRACE,
    }
    .start()
    .await
}

impl Setup<'_> {
    /// Lays the foundation, and serves the outbox.
    pub(crate) async fn start(self) -> Node {
        let database = self.stack.postgres().ensure_database(self.database).await.unwrap();
        let mut environment = BTreeMap::from([
            ("PETTY_GRPC_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("PETTY_SERVICE_KEY".to_owned(), keys().private[self.service].clone()),
            ("PETTY_SERVICE_KEYS".to_owned(), keys().public.clone()),
            ("PETTY_DATABASE_URL".to_owned(), database.runtime_url.expose_secret().to_owned()),
            ("PETTY_MIGRATION_URL".to_owned(), database.owner_url.expose_secret().to_owned()),
            ("PETTY_DATABASE_POOL".to_owned(), "6".to_owned()),
            ("PETTY_EVENTS_REDIS_URL".to_owned(), self.redis_url),
            ("PETTY_SHARDS".to_owned(), "4".to_owned()),
            ("PETTY_EVENTS_HANDLING_DEADLINE".to_owned(), self.handling_deadline.to_owned()),
            ("PETTY_EVENTS_GAP_INTERVAL".to_owned(), "200ms".to_owned()),
            ("PETTY_EVENTS_GAP_GRACE".to_owned(), self.gap_grace.to_owned()),
        ]);
        for (peer, address) in self.endpoints {
            environment
                .insert(format!("PETTY_ENDPOINT_{}", peer.to_uppercase()), format!("http://{address}"));
        }
        let environment: Environment = environment.into_iter().collect();
        let (base, config) = load::<(BaseConfig, FoundationConfig)>(&environment).unwrap();
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let context = Context::new(self.service, base, shutdown.clone(), &tasks);
        let migrations = Migrations::new(migrations::migrations::runner());
        let base = Foundation::lay(&context, &config, migrations).await.unwrap();
        let gate =
            Gate::new(base.verifier(Box::new(Nobody)), Access::direct(Box::new(Nobody), Clock::system()));
        let server =
            Server::new(&context).add(OutboxServiceServer::new(gate.guard(base.events.outbox_handler())));
        let bound = server.bind().await.unwrap();
        let address = Some(bound.address());
        context.tasks.spawn("server", async move { bound.serve().await.unwrap() });
        Node { base, shutdown, tasks, address }
    }
}

impl Node {
    pub(crate) fn consume(&self, handler: Arc<dyn Handler>) {
        self.base.events.consume(handler, &self.base.mesh);
    }

    /// Ends it as a crash would: nothing is drained.
    pub(crate) async fn crash(self) {
        self.shutdown.cancel();
        self.tasks.wait(Duration::ZERO).await;
    }
}

/// No caller is known, and nobody may anything.
struct Nobody;

#[tonic::async_trait]
impl KeySource for Nobody {
    async fn keys(&self) -> Result<petty_proto::auth::v1::Jwks, ApiError> {
        Ok(petty_proto::auth::v1::Jwks { keys: Vec::new() })
    }
}

#[tonic::async_trait]
impl AccessSource for Nobody {
    async fn check(&self, _asker: &Asker<'_>, _target: &Target) -> Result<Decision, ApiError> {
        Ok(Decision { role: None, pairings: Vec::new(), expires: None })
    }
}

/// Waits until something holds; says what it was when it does not in time.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "not within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

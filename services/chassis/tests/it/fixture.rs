//! A service that does as it is told, and those who call it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use petty_chassis::config::{self, BaseConfig, Environment};
use petty_chassis::grpc::identity::generate_key;
use petty_chassis::grpc::{
    CallScope, Channel, ClientAddress, Deadline, Mesh, RequestId, Server, ServiceIdentity,
};
use petty_chassis::{Context, Shutdown, Tasks};
use petty_proto::auth::v1::account_service_client::AccountServiceClient;
use petty_proto::auth::v1::account_service_server::{AccountService, AccountServiceServer};
use petty_proto::auth::v1::{
    Account, CloseAccountRequest, CloseAccountResponse, GetMeRequest, SignUpRequest, TokenResponse,
    UpdateMeRequest,
};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

/// How long an effect may take to show.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// What the service does with the next calls.
#[derive(Clone)]
pub(crate) enum Act {
    Answer,
    Panic,
    Hang,
    /// Answers when told to.
    Hold(Arc<Notify>),
    Unavailable,
    /// Answers as tonic does for a call that was given up.
    GiveUp,
    /// The same, when the call's time is nearly over.
    GiveUpLate,
    /// Says the same to another service first.
    Relay(Channel),
}

/// What the service saw of a call.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: &'static str,
    pub(crate) request_id: String,
    pub(crate) service: String,
    pub(crate) traceparent: Option<String>,
    pub(crate) left: Duration,
    pub(crate) client_address: Option<IpAddr>,
}

/// Answers `AccountService`, without a gate.
#[derive(Clone)]
pub(crate) struct Stub {
    acts: Arc<Mutex<Vec<Act>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    dropped: Arc<Mutex<usize>>,
}

impl Stub {
    /// Does these in turn; the last one for good.
    pub(crate) fn new(mut acts: Vec<Act>) -> Self {
        acts.reverse();
        Self { acts: Arc::new(Mutex::new(acts)), seen: Arc::default(), dropped: Arc::default() }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many calls were given up while they hung.
    pub(crate) fn dropped(&self) -> usize {
        *self.dropped.lock().unwrap()
    }

    fn next(&self) -> Act {
        let mut acts = self.acts.lock().unwrap();
        if acts.len() > 1 { acts.pop().unwrap() } else { acts.last().unwrap().clone() }
    }

    async fn act<T>(&self, method: &'static str, request: &Request<T>) -> Result<(), Status> {
        let extensions = request.extensions();
        let scope = CallScope::current().expect("calls are answered in a scope");
        let header =
            |name| request.metadata().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.seen.lock().unwrap().push(Seen {
            method,
            request_id: extensions.get::<RequestId>().unwrap().to_string(),
            service: extensions.get::<ServiceIdentity>().unwrap().to_string(),
            traceparent: header("traceparent"),
            left: extensions.get::<Deadline>().unwrap().left(),
            client_address: extensions.get::<ClientAddress>().map(|address| address.0),
        });
        assert_eq!(Some(&scope.request_id), extensions.get::<RequestId>());
        tracing::info!(target: "petty::stub", method, "acting");
        match self.next() {
            Act::Answer => {}
            Act::Panic => panic!("hunter2 panics"),
            Act::Hang => {
                let _dropped = Dropped(Arc::clone(&self.dropped));
                std::future::pending::<()>().await;
            }
            Act::Hold(release) => release.notified().await,
            Act::Unavailable => return Err(Status::unavailable("not now")),
            Act::GiveUp => return Err(Status::cancelled("Timeout expired")),
            Act::GiveUpLate => {
                let left = extensions.get::<Deadline>().unwrap().left();
                tokio::time::sleep(left.saturating_sub(Duration::from_millis(30))).await;
                return Err(Status::cancelled("Timeout expired"));
            }
            Act::Relay(channel) => {
                AccountServiceClient::new(channel).get_me(GetMeRequest {}).await?;
            }
        }
        Ok(())
    }
}

struct Dropped(Arc<Mutex<usize>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        *self.0.lock().unwrap() += 1;
    }
}

#[tonic::async_trait]
impl AccountService for Stub {
    async fn sign_up(&self, request: Request<SignUpRequest>) -> Result<Response<TokenResponse>, Status> {
        self.act("SignUp", &request).await?;
        Ok(Response::new(TokenResponse::default()))
    }

    async fn close_account(
        &self,
        request: Request<CloseAccountRequest>,
    ) -> Result<Response<CloseAccountResponse>, Status> {
        self.act("CloseAccount", &request).await?;
        Ok(Response::new(CloseAccountResponse::default()))
    }

    async fn get_me(&self, request: Request<GetMeRequest>) -> Result<Response<Account>, Status> {
        self.act("GetMe", &request).await?;
        Ok(Response::new(Account { account_id: "me".to_owned(), ..Account::default() }))
    }

    async fn update_me(&self, request: Request<UpdateMeRequest>) -> Result<Response<Account>, Status> {
        self.act("UpdateMe", &request).await?;
        Ok(Response::new(Account::default()))
    }
}

/// A key for each service.
pub(crate) struct Keys {
    private: BTreeMap<&'static str, SecretString>,
    public: String,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let mut private = BTreeMap::new();
        let mut public = BTreeMap::new();
        for service in ["gateway", "auth", "ingest", "nutrition", "timeline"] {
            let (key, shown) = generate_key().unwrap();
            private.insert(service, key);
            public.insert(service, shown);
        }
        Self { private, public: serde_json::to_string(&public).unwrap() }
    }

    pub(crate) fn private_key(&self, service: &str) -> SecretString {
        self.private[service].clone()
    }

    /// What a service needs to be set.
    pub(crate) fn environment(&self, service: &str) -> Environment {
        Environment::default()
            .with("PETTY_SERVICE_KEY", self.private[service].expose_secret())
            .with("PETTY_SERVICE_KEYS", &self.public)
            .with("PETTY_GRPC_LISTEN", "127.0.0.1:0")
            .with("PETTY_ADMIN_LISTEN", "127.0.0.1:0")
    }
}

pub(crate) fn context(service: &'static str, environment: &Environment) -> Context {
    let base: BaseConfig = config::load(environment).unwrap_or_else(|faults| panic!("{faults}"));
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    Context::new(service, base, shutdown, &tasks)
}

/// A stub that is served.
pub(crate) struct Node {
    pub(crate) context: Context,
    pub(crate) address: SocketAddr,
    pub(crate) stub: Stub,
}

impl Node {
    pub(crate) async fn start(environment: &Environment, acts: Vec<Act>) -> Self {
        Self::start_as("auth", environment, Stub::new(acts)).await
    }

    pub(crate) async fn start_as(service: &'static str, environment: &Environment, stub: Stub) -> Self {
        let context = context(service, environment);
        let server = Server::new(&context).add(AccountServiceServer::new(stub.clone())).bind().await.unwrap();
        let address = server.address();
        context.tasks.spawn_critical("server", async move { Ok(server.serve().await?) });
        context.readiness.ready().await;
        Self { context, address, stub }
    }

    /// Where others find it.
    pub(crate) fn uri(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.context.shutdown.cancel();
    }
}

/// `service` calling the auth service at `uris`.
pub(crate) fn mesh(keys: &Keys, service: &'static str, uris: &[String]) -> Mesh {
    let environment = keys.environment(service).with("PETTY_ENDPOINT_AUTH", uris.join(","));
    Mesh::new(&context(service, &environment)).unwrap()
}

pub(crate) fn client(mesh: &Mesh) -> AccountServiceClient<Channel> {
    AccountServiceClient::new(mesh.channel("auth"))
}

/// Polls until it is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let polled = tokio::time::timeout(SOON, async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(polled.await.is_ok(), "not within {SOON:?}: {what}");
}

/// The reason that a refusal gives.
pub(crate) fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}

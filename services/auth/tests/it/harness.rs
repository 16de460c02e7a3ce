//! One auth, with databases of its own, and what calls it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use petty_auth::config::AuthConfig;
use petty_chassis::config::{BaseConfig, Environment};
use petty_chassis::grpc::identity::{Minter, generate_key};
use petty_chassis::service::Context;
use petty_chassis::types::Clock;
use petty_chassis::{Shutdown, Tasks};
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::access_service_client::AccessServiceClient;
use petty_proto::auth::v1::account_service_client::AccountServiceClient;
use petty_proto::auth::v1::operations_service_client::OperationsServiceClient;
use petty_proto::auth::v1::personal_token_service_client::PersonalTokenServiceClient;
use petty_proto::auth::v1::pet_service_client::PetServiceClient;
use petty_proto::auth::v1::second_factor_service_client::SecondFactorServiceClient;
use petty_proto::auth::v1::staff_service_client::StaffServiceClient;
use petty_proto::auth::v1::token_service_client::TokenServiceClient;
use petty_provision::{ServiceDatabase, Stack};
use secrecy::ExposeSecret as _;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

pub(crate) const PASSWORD: &str = "correct horse battery staple";

static MADE: AtomicU32 = AtomicU32::new(0);

/// auth and its surroundings.
pub(crate) struct Harness {
    pub(crate) clock: Clock,
    pub(crate) database: ServiceDatabase,
    pub(crate) environment: Environment,
    minters: BTreeMap<&'static str, Arc<Minter>>,
    channel: Channel,
    shutdown: Shutdown,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) email: String,
    pub(crate) account_id: String,
    pub(crate) token: String,
    pub(crate) refresh: String,
}

impl Drop for Harness {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::start_with(petty_provision::shared().await.unwrap(), &[]).await
    }

    pub(crate) async fn start_with(stack: &Stack, more: &[(&str, &str)]) -> Self {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let database = stack.postgres().ensure_database(&format!("auth_{number}")).await.unwrap();
        let (auth, gateway, ingest) =
            (generate_key().unwrap(), generate_key().unwrap(), generate_key().unwrap());
        let operator = generate_key().unwrap();
        let redis = stack.redis().url();
        // A logical database each, as far as there are.
        let redis =
            format!("{}/{}", redis.expose_secret().trim_end_matches("/0").trim_end_matches('/'), number % 16);
        let mut environment = Environment::from_iter([
            ("PETTY_GRPC_LISTEN", "127.0.0.1:0".to_owned()),
            ("PETTY_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("PETTY_SERVICE_KEY", auth.0.expose_secret().to_owned()),
            (
                "PETTY_SERVICE_KEYS",
                format!(
                    r#"{{"auth":"{}","gateway":"{}","ingest":"{}","operator":"{}"}}"#,
                    auth.1, gateway.1, ingest.1, operator.1
                ),
            ),
            ("PETTY_DATABASE_URL", database.runtime_url.expose_secret().to_owned()),
            ("PETTY_MIGRATION_URL", database.owner_url.expose_secret().to_owned()),
            ("PETTY_EVENTS_REDIS_URL", redis),
            ("PETTY_KEY_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
            // Many harnesses share one Postgres.
            ("PETTY_DATABASE_POOL", "5".to_owned()),
            // RSA keys take a while to make in a debug build.
            ("PETTY_TOKEN_ALGORITHM", "ES256".to_owned()),
        ]);
        for (name, value) in more {
            environment.set(*name, *value);
        }
        let clock = Clock::manual(Clock::system().now());
        let minters = [("gateway", gateway.0), ("ingest", ingest.0), ("operator", operator.0)]
            .map(|(name, key)| (name, Arc::new(Minter::new(name, &key, clock.clone()).unwrap())));
        let (channel, shutdown) = serve(&environment, &clock).await;
        Self { clock, database, environment, minters: minters.into(), channel, shutdown }
    }

    /// Another replica on the same databases.
    pub(crate) async fn replica(&self) -> Self {
        self.set_up_as(self.environment.clone()).await
    }

    /// Another replica, set up in another way.
    pub(crate) async fn set_up_as(&self, environment: Environment) -> Self {
        let (channel, shutdown) = serve(&environment, &self.clock).await;
        Self {
            clock: self.clock.clone(),
            database: self.database.clone(),
            environment,
            minters: self.minters.clone(),
            channel,
            shutdown,
        }
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, seconds: i64) -> Timestamp {
        let now = self.clock.now() + SignedDuration::from_secs(seconds);
        self.clock.set(now);
        now
    }

    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub(crate) fn accounts(&self) -> AccountServiceClient<Channel> {
        AccountServiceClient::new(self.channel.clone())
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.channel.clone())
    }

    pub(crate) fn pets(&self) -> PetServiceClient<Channel> {
        PetServiceClient::new(self.channel.clone())
    }

    pub(crate) fn personal(&self) -> PersonalTokenServiceClient<Channel> {
        PersonalTokenServiceClient::new(self.channel.clone())
    }

    pub(crate) fn staff(&self) -> StaffServiceClient<Channel> {
        StaffServiceClient::new(self.channel.clone())
    }

    pub(crate) fn access(&self) -> AccessServiceClient<Channel> {
        AccessServiceClient::new(self.channel.clone())
    }

    pub(crate) fn operations(&self) -> OperationsServiceClient<Channel> {
        OperationsServiceClient::new(self.channel.clone())
    }

    /// A request that the gateway makes for nobody.
    pub(crate) fn anonymous<M>(&self, message: M) -> Request<M> {
        self.by("gateway", message)
    }

    /// A request that a service makes.
    pub(crate) fn by<M>(&self, service: &str, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let token = self.minters[service].token("auth").unwrap();
        request.metadata_mut().insert("petty-service-token", token.to_str().unwrap().parse().unwrap());
        request
    }

    /// A request that the gateway makes for the holder of a token.
    pub(crate) fn with<M>(&self, token: &str, message: M) -> Request<M> {
        let mut request = self.anonymous(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    /// The same from a client there.
    pub(crate) fn from<M>(&self, address: &str, message: M) -> Request<M> {
        let mut request = self.anonymous(message);
        request.metadata_mut().insert("x-petty-client-address", address.parse().unwrap());
        request
    }

    pub(crate) fn factors(&self) -> SecondFactorServiceClient<Channel> {
        SecondFactorServiceClient::new(self.channel.clone())
    }

    /// Signs in from an address.
    pub(crate) async fn log_in_from(
        &self,
        address: &str,
        request: wire::LogInRequest,
    ) -> Result<wire::TokenResponse, Status> {
        self.tokens().log_in(self.from(address, request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        let email = format!("{name}@example.org");
        let request =
            wire::SignUpRequest { email: email.clone(), password: PASSWORD.to_owned(), ..Default::default() };
        let answer = self.accounts().sign_up(self.anonymous(request)).await.unwrap().into_inner();
        User {
            email,
            account_id: answer.account_id,
            token: answer.access_token,
            refresh: answer.refresh_token,
        }
    }

    pub(crate) async fn pet(&self, owner: &User, name: &str) -> wire::Pet {
        let request = wire::CreatePetRequest {
            name: name.to_owned(),
            species: wire::pet::Species::Dog.into(),
            ..Default::default()
        };
        self.pets().create_pet(self.with(&owner.token, request)).await.unwrap().into_inner()
    }

    pub(crate) async fn pair(&self, owner: &User, pet: &wire::Pet, collar: &str) -> wire::PairCollarResponse {
        self.try_pair(owner, pet, collar, None).await.unwrap()
    }

    pub(crate) async fn try_pair(
        &self,
        owner: &User,
        pet: &wire::Pet,
        collar: &str,
        start: Option<Timestamp>,
    ) -> Result<wire::PairCollarResponse, Status> {
        let request = wire::PairCollarRequest {
            pet_id: pet.pet_id.clone(),
            collar_id: collar.to_owned(),
            start_time: start.map(Into::into),
            request_id: String::new(),
        };
        self.pets().pair_collar(self.with(&owner.token, request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn device(
        &self,
        collar: &str,
        secret: &str,
    ) -> Result<wire::CollarTokenResponse, Status> {
        let request =
            wire::IssueCollarTokenRequest { collar_id: collar.to_owned(), secret: secret.to_owned() };
        self.tokens().issue_collar_token(self.anonymous(request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn refresh(&self, token: &str) -> Result<wire::TokenResponse, Status> {
        let request = wire::RefreshRequest { refresh_token: token.to_owned() };
        self.tokens().refresh(self.anonymous(request)).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn me(&self, token: &str) -> Result<wire::Account, Status> {
        self.accounts().get_me(self.with(token, wire::GetMeRequest {})).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn check(
        &self,
        token: &str,
        resource: Option<wire::check_access_request::Resource>,
    ) -> Result<wire::CheckAccessResponse, Status> {
        let request = self.with(token, wire::CheckAccessRequest { resource });
        self.access().check_access(request).await.map(tonic::Response::into_inner)
    }

    pub(crate) async fn check_pet(
        &self,
        token: &str,
        pet: &wire::Pet,
    ) -> Result<wire::CheckAccessResponse, Status> {
        self.check(token, Some(wire::check_access_request::Resource::PetId(pet.pet_id.clone()))).await
    }

    pub(crate) async fn check_collar(
        &self,
        token: &str,
        collar: &str,
    ) -> Result<wire::CheckAccessResponse, Status> {
        self.check(token, Some(wire::check_access_request::Resource::CollarId(collar.to_owned()))).await
    }

    /// The rows of a statement, each column as text, as the runtime role sees them.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<Vec<String>>, tokio_postgres::Error> {
        let url = self.database.runtime_url.expose_secret();
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let query = async move {
            let messages = client.simple_query(sql).await;
            drop(client);
            messages
        };
        let (messages, _) = tokio::join!(query, connection);
        let rows = messages?.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|index| row.get(index).unwrap_or("NULL").to_owned()).collect())
            }
            _ => None,
        });
        Ok(rows.collect())
    }

    /// The one value of a statement.
    pub(crate) async fn value(&self, sql: &str) -> String {
        self.rows(sql).await.unwrap()[0][0].clone()
    }
}

async fn serve(environment: &Environment, clock: &Clock) -> (Channel, Shutdown) {
    boot(environment, clock).await.unwrap()
}

/// Boots an auth and connects to it.
pub(crate) async fn boot(environment: &Environment, clock: &Clock) -> anyhow::Result<(Channel, Shutdown)> {
    let (base, config) = petty_chassis::config::load::<(BaseConfig, AuthConfig)>(environment).unwrap();
    let shutdown = Shutdown::new();
    let tasks = Tasks::new(shutdown.clone());
    let context = Context { clock: clock.clone(), ..Context::new("auth", base, shutdown.clone(), &tasks) };
    let server = petty_auth::bind(context, config).await?;
    let address = server.address();
    tasks.spawn("auth", server.serve());
    let endpoint =
        Channel::from_shared(format!("http://{address}")).unwrap().timeout(Duration::from_secs(20));
    Ok((endpoint.connect().await?, shutdown))
}

/// A log-in without a second factor or a known device.
pub(crate) fn credentials(email: &str, password: &str) -> wire::LogInRequest {
    wire::LogInRequest { email: email.to_owned(), password: password.to_owned(), ..Default::default() }
}

/// A refusal's code and reason.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (status.code(), reason)
}

/// The fields that a refusal of bad input names.
pub(crate) fn fields<T: std::fmt::Debug>(answer: Result<T, Status>) -> Vec<String> {
    let status = answer.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

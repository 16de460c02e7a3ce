//! The operator's way to the services: gRPC, with both identities: the service identity `operator`, and a staff account's token.
//!
//! Invariant: the staff account's passphrase goes to the mesh that holds the data directory, and to nobody else.

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use petty_chassis::config::{BaseConfig, Environment, load};
use petty_chassis::grpc::{Channel, Mesh};
use petty_chassis::{Context, Shutdown, Tasks};
use petty_proto::auth::v1::operations_service_client::OperationsServiceClient;
use petty_proto::events::v1::event_operations_service_client::EventOperationsServiceClient;
use secrecy::{ExposeSecret as _, SecretString};
use tonic::{Request, Status};

use crate::cli::OperatorArgs;
use crate::client::{Account, Client};
use crate::mesh::{Keys, OPERATOR, SERVICES};
use crate::ready;

/// Where auth is, for whoever names it.
const AUTH: &str = "PETTY_ENDPOINT_AUTH";
/// The staff account's token, for whoever brings it.
const TOKEN: &str = "PETTY_OPERATOR_TOKEN";

/// Somebody who may operate a mesh.
pub struct Operator {
    mesh: Mesh,
    /// Those that it knows the addresses of.
    services: Vec<&'static str>,
    token: SecretString,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Operator").finish_non_exhaustive()
    }
}

impl Operator {
    /// Of the mesh that the arguments or the environment name.
    ///
    /// # Errors
    /// Where no mesh runs there, or a key, certificate or account is missing.
    pub async fn new(args: &OperatorArgs) -> anyhow::Result<Self> {
        let mut environment = Environment::from_process();
        let token = if environment.get(AUTH).is_some() {
            let token = environment.get(TOKEN).map(SecretString::from);
            token.with_context(|| format!("{TOKEN} is not set; it is a staff account's access token"))?
        } else {
            Self::on_this_machine(args, &mut environment).await?
        };
        if environment.get("PETTY_SERVICE_KEYS").is_none() {
            // Nobody calls an operator.
            environment.set("PETTY_SERVICE_KEYS", "{}");
        }
        let known = |service: &&str| environment.get(&endpoint(service)).is_some();
        let services = SERVICES.into_iter().filter(known).collect();
        let base: BaseConfig = load(&environment).map_err(|faults| anyhow::anyhow!("{faults}"))?;
        let shutdown = Shutdown::new();
        let tasks = Tasks::new(shutdown.clone());
        let mesh = Mesh::new(&Context::new(OPERATOR, base, shutdown, &tasks))?;
        Ok(Self { mesh, services, token })
    }

    /// Finds everything in the data directory of `petty up`, and signs the staff account in.
    async fn on_this_machine(
        args: &OperatorArgs,
        environment: &mut Environment,
    ) -> anyhow::Result<SecretString> {
        let path = args.ready_file();
        let ready = ready::read(&path)?.with_context(|| {
            format!(
                "there is no {}: start the mesh with `cargo petty up` first, or set {AUTH}",
                path.display()
            )
        })?;
        ready.runs_on(&path, &args.data_dir)?;
        for service in SERVICES {
            let address = ready.services.get(service).and_then(|addresses| addresses.grpc.clone());
            let address =
                address.with_context(|| format!("the ready file does not say where {service} is"))?;
            environment.set(endpoint(service), address);
        }
        let keys = args.data_dir.join("keys.json");
        let keys = Keys::load(&keys)?.with_context(|| format!("there is no {}", keys.display()))?;
        environment.set("PETTY_SERVICE_KEY", keys.private(OPERATOR)?.expose_secret());
        let staff = ready.staff.context("the ready file names no staff account")?;
        let account = Account { email: staff.email, password: staff.password.into() };
        let signed_in = Client::new(&ready.gateway)?.log_in(&account).await;
        signed_in.context("sign the staff account in")
    }

    /// Calls auth's operations.
    #[must_use]
    pub fn operations(&self) -> OperationsServiceClient<Channel> {
        OperationsServiceClient::new(self.mesh.channel("auth"))
    }

    /// Whether it knows the addresses of all of these services: to leave out those that it does not would look as if they had nothing.
    ///
    /// # Errors
    /// Names the variables that are to be set.
    pub fn must_know<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> anyhow::Result<()> {
        let unknown = services.into_iter().filter(|service| !self.services.contains(service));
        let variables: BTreeSet<String> = unknown.map(endpoint).collect();
        ensure!(
            variables.is_empty(),
            "nothing was done, because it is not known where all are that are to be asked: set {}, or name one with --service",
            Vec::from_iter(variables).join(" and ")
        );
        Ok(())
    }

    /// Calls what a service lets an operator do with its events.
    #[must_use]
    pub fn events_of(&self, service: &str) -> EventOperationsServiceClient<Channel> {
        EventOperationsServiceClient::new(self.mesh.channel(service))
    }

    /// A request of the staff account's.
    ///
    /// # Errors
    /// Where the token is none.
    pub fn request<M>(&self, message: M) -> anyhow::Result<Request<M>> {
        let mut request = Request::new(message);
        let value = format!("Bearer {}", self.token.expose_secret()).parse();
        request.metadata_mut().insert("authorization", value.context("the staff account's token is none")?);
        Ok(request)
    }
}

/// What an operator is told of a refusal.
#[must_use]
pub fn refused(service: &str, status: &Status) -> anyhow::Error {
    anyhow::anyhow!("{service} refused: {} ({:?})", status.message(), status.code())
}

fn endpoint(service: &str) -> String {
    format!("PETTY_ENDPOINT_{}", service.to_uppercase())
}

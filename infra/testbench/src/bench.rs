//! The bench.

use std::fmt;
use std::sync::Arc;

use petty_chassis::access::Access;
use petty_chassis::config::{BaseConfig, Environment, Section, load};
use petty_chassis::events::Handler;
use petty_chassis::grpc::gate::{Gate, Guarded};
use petty_chassis::types::{AccountId, Clock, PetId};
use petty_chassis::{Context, Foundation, FoundationConfig, Shutdown, Tasks};
use tonic::Request;

use crate::plan::Plan;
use crate::streams::Streams;
use crate::table::Table;
use crate::tokens::{Badge, Signer};

/// What a service stands on within a test. What it started ends when it is dropped.
pub struct Bench {
    /// Its database, its part in events, its context.
    pub base: Foundation,
    /// What all of it takes the time from.
    pub clock: Clock,
    /// Who may see what.
    pub access: Table,
    /// What the service reads.
    pub environment: Environment,
    gate: Gate,
    signer: Signer,
    pub(crate) worker: Option<Arc<dyn Handler>>,
    shutdown: Shutdown,
    _streams: Streams,
}

impl fmt::Debug for Bench {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Bench").field("service", &self.base.context.service).finish_non_exhaustive()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Bench {
    pub(crate) async fn lay(plan: Plan, environment: Environment, streams: Streams) -> Self {
        let (base, config) = load::<(BaseConfig, FoundationConfig)>(&environment)
            .unwrap_or_else(|faults| panic!("{}: {faults}", plan.service));
        let shutdown = Shutdown::new();
        let clock = Clock::manual(plan.start);
        let tasks = Tasks::new(shutdown.clone());
        let context =
            Context { clock: clock.clone(), ..Context::new(plan.service, base, shutdown.clone(), &tasks) };
        let base = Foundation::lay(&context, &config, plan.migrations)
            .await
            .unwrap_or_else(|error| panic!("{}: {error:#}", plan.service));
        let signer = Signer::new();
        let access = Table::default();
        let gate = Gate::new(
            base.verifier(Box::new(signer.keys())),
            Access::direct(Box::new(access.clone()), clock.clone()),
        );
        let worker = None;
        Self { base, clock, access, environment, gate, signer, worker, shutdown, _streams: streams }
    }

    /// The service's own part of what it reads.
    ///
    /// # Panics
    /// With every fault, where it cannot be read.
    #[must_use]
    pub fn config<C: Section>(&self) -> C {
        load(&self.environment).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// Believes the bench's tokens, and decides by its [`Table`], which it asks each time.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// A handler behind the [gate](Self::gate).
    #[must_use]
    pub fn guard<H>(&self, handler: H) -> Guarded<H> {
        self.gate.guard(Arc::new(handler))
    }

    /// Takes on what applies events: for [`apply`](Self::apply) and [`consume`](Self::consume).
    pub fn employ(&mut self, worker: Arc<dyn Handler>) {
        self.worker = Some(worker);
    }

    /// A new pet's id.
    #[must_use]
    pub fn pet_id(&self) -> PetId {
        PetId::new(&self.clock)
    }

    /// A new account's id.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        AccountId::new(&self.clock)
    }

    /// The account that has a pet: a new one, where nobody has it yet.
    pub fn owner_of(&self, pet: PetId) -> AccountId {
        self.access.owner_of(&self.clock, pet)
    }

    /// An account's request, with a token for everything.
    #[must_use]
    pub fn request<M>(&self, account: AccountId, message: M) -> Request<M> {
        self.request_of(&Badge::account(account), message)
    }

    /// A request with a token that says this.
    #[must_use]
    pub fn request_of<M>(&self, badge: &Badge, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.token(badge));
        request.metadata_mut().insert("authorization", bearer.parse().expect("a token is ASCII"));
        // As the chassis' server does: for handlers that are called without one.
        request.extensions_mut().insert(self.shutdown.clone());
        request
    }

    /// A token that says this.
    #[must_use]
    pub fn token(&self, badge: &Badge) -> String {
        self.signer.sign(badge, &self.clock)
    }
}

//! auth: who you are, which pets and collars are yours, who else may see them.
//!
//! Invariants: no secret is stored as it is; a change, its audit entry and its events are one transaction; a revocation is
//! answered once every service can hear of it; pairings of one collar never overlap.

mod announce;
pub mod audit;
mod bootstrap;
pub mod config;
pub mod domain;
mod grpc;
mod keys;
mod mail;
mod passwords;
mod revocation;
mod seal;
mod signer;
mod store;
mod throttle;
pub mod vault;
mod worker;

use std::sync::Arc;

use petty_chassis::Foundation;
use petty_chassis::access::Access;
use petty_chassis::grpc::Server;
use petty_chassis::grpc::gate::Gate;
use petty_chassis::grpc::server::BoundServer;
use petty_chassis::postgres::Migrations;
use petty_chassis::service::{Context, Running, Service};
use petty_proto::auth::v1::access_service_server::AccessServiceServer;
use petty_proto::auth::v1::account_service_server::AccountServiceServer;
use petty_proto::auth::v1::credential_service_server::CredentialServiceServer;
use petty_proto::auth::v1::operations_service_server::OperationsServiceServer;
use petty_proto::auth::v1::personal_token_service_server::PersonalTokenServiceServer;
use petty_proto::auth::v1::pet_service_server::PetServiceServer;
use petty_proto::auth::v1::second_factor_service_server::SecondFactorServiceServer;
use petty_proto::auth::v1::session_service_server::SessionServiceServer;
use petty_proto::auth::v1::staff_service_server::StaffServiceServer;
use petty_proto::auth::v1::token_service_server::TokenServiceServer;
use petty_proto::events::v1::event_operations_service_server::EventOperationsServiceServer;
use petty_proto::events::v1::outbox_service_server::OutboxServiceServer;

use crate::config::AuthConfig;
use crate::grpc::{Grpc, LocalAccess};
use crate::keys::{Keeper, LocalKeys};
use crate::mail::Post;
use crate::passwords::Passwords;
use crate::signer::Minter;
use crate::throttle::Throttle;
use crate::vault::{Vault, Wrapping};

mod migrations {
    refinery::embed_migrations!("migrations");
}

/// The auth service.
#[derive(Debug)]
pub struct Auth;

impl Service for Auth {
    const NAME: &'static str = "auth";
    type Config = AuthConfig;

    fn run(context: Context, config: AuthConfig) -> Running {
        Box::pin(run(context, config))
    }
}

async fn run(context: Context, config: AuthConfig) -> anyhow::Result<()> {
    Ok(Box::pin(bind(context, config)).await?.serve().await?)
}

/// Migrates, makes what the first boot makes, and takes the port; nothing is answered yet.
///
/// # Errors
/// Where the database is away, the signing key cannot be opened, or the port cannot be had.
pub async fn bind(context: Context, config: AuthConfig) -> anyhow::Result<BoundServer> {
    let AuthConfig { foundation, sign_up, algorithm, key_encryption_keys, password_hashers, .. } = config;
    let base =
        Foundation::lay(&context, &foundation, Migrations::new(migrations::migrations::runner())).await?;
    let wrapping = Wrapping::new(context.entropy, key_encryption_keys);
    wrapping.watch(&context);
    let vault = Vault::open(&context, &base.db, wrapping.clone()).await?;
    let lifetime = config.signing_keys.lifetime;
    let keeper = Keeper { context: context.clone(), db: base.db.clone(), wrapping, lifetime };
    let signing = keeper.boot(algorithm).await?;
    keeper.keep(&signing, config.signing_keys.check);
    let passwords = Passwords::new(&context.tasks, context.entropy, password_hashers).await?;
    if let Some(account) = config.bootstrap {
        bootstrap::ensure(&context, &base.db, &vault, &passwords, account).await?;
    }
    let clock = context.clock.clone();
    mail::deliver(&context, &base.db, &vault, config.mail)?;
    let access = LocalAccess { db: base.db.clone(), clock: clock.clone(), vault: vault.clone() };
    let keys = LocalKeys { db: base.db.clone(), clock: clock.clone() };
    let verifier = base.verifier(Box::new(keys.clone()));
    let gate = Gate::new(verifier.clone(), Access::direct(Box::new(access.clone()), clock.clone()));
    let minter = Minter {
        signing,
        entropy: context.entropy,
        issuer: foundation.tokens.issuer.clone(),
        audience: foundation.tokens.audience.clone(),
        account_ttl: config.access_token_ttl,
        device_ttl: config.device_token_ttl,
    };
    let handler = Arc::new(Grpc {
        db: base.db.clone(),
        clock,
        entropy: context.entropy,
        shards: base.events.shards(),
        throttle: Throttle::new(vault.clone()),
        post: Post::new(context.clock.clone(), vault.clone()),
        vault,
        passwords,
        minter,
        sign_up,
        access,
        verifier,
        tokens: foundation.tokens,
        public_url: config.public_url,
        keys,
        keeper,
        lifetimes: config.lifetimes,
    });
    base.events.consume(Arc::new(worker::Erasures), &base.mesh);
    worker::keep_house(&context, &base.db);
    let server = Server::new(&context)
        .add(AccountServiceServer::new(gate.guard(handler.clone())))
        .add(TokenServiceServer::new(gate.guard(handler.clone())))
        .add(SecondFactorServiceServer::new(gate.guard(handler.clone())))
        .add(PetServiceServer::new(gate.guard(handler.clone())))
        .add(CredentialServiceServer::new(gate.guard(handler.clone())))
        .add(SessionServiceServer::new(gate.guard(handler.clone())))
        .add(PersonalTokenServiceServer::new(gate.guard(handler.clone())))
        .add(StaffServiceServer::new(gate.guard(handler.clone())))
        .add(AccessServiceServer::new(gate.guard(handler.clone())))
        .add(OperationsServiceServer::new(gate.guard(handler)))
        .add(OutboxServiceServer::new(gate.guard(base.events.outbox_handler())))
        .add(EventOperationsServiceServer::new(gate.guard(base.events.operations_handler())));
    Ok(server.bind().await?)
}

//! auth's RPCs. Conversion between wire and domain happens here and nowhere else.
//!
//! Each handler keeps the architecture's order: the rest of the request's shape first, then access, then the store.

mod access;
mod account;
mod attempts;
mod closing;
mod collar;
pub(crate) mod convert;
mod credential;
mod errors;
mod link;
mod look;
mod metadata;
mod operations;
mod personal;
mod pet;
mod revoke;
mod second_factor;
mod session;
mod share;
mod sign_in;
mod staff;
mod ticket;
mod token;
mod upkeep;

pub(crate) use access::LocalAccess;

use petty_chassis::caller::Verifier;
use petty_chassis::foundation::TokenConfig;
use petty_chassis::grpc::gate::Call;
use petty_chassis::postgres::Db;
use petty_chassis::types::{self, Clock, Entropy};

use crate::config::SignUpMode;
use crate::domain::session::Lifetimes;
use crate::keys::{Keeper, LocalKeys};
use crate::mail::Post;
use crate::passwords::Passwords;
use crate::signer::Minter;
use crate::store::audit::Origin;
use crate::throttle::Throttle;
use crate::vault::Vault;

/// Answers all of auth's services.
#[derive(Debug)]
pub(crate) struct Grpc {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) shards: i16,
    pub(crate) vault: Vault,
    pub(crate) post: Post,
    pub(crate) passwords: Passwords,
    pub(crate) throttle: Throttle,
    pub(crate) minter: Minter,
    pub(crate) sign_up: SignUpMode,
    pub(crate) access: LocalAccess,
    /// Verifies tokens that are asked about; the gate's own.
    pub(crate) verifier: Verifier,
    pub(crate) tokens: TokenConfig,
    /// Where clients reach the gateway, where that is known.
    pub(crate) public_url: Option<String>,
    pub(crate) keys: LocalKeys,
    /// How long sessions live.
    pub(crate) lifetimes: Lifetimes,
    pub(crate) keeper: Keeper,
}

impl Grpc {
    /// Now, as the database keeps it.
    fn now(&self) -> jiff::Timestamp {
        types::micros(self.clock.now())
    }

    /// By which request something is asked, and from where: for the audit log.
    fn origin<'a>(&self, call: &'a Call) -> Origin<'a> {
        Origin::new(&self.vault, call.request_id(), call.client_address())
    }
}

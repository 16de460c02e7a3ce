//! Who may do what: for the other services by RPC, for auth's own gate directly.

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::access::{AccessSource, Asker, Decision, Role, Target};
use petty_chassis::caller::Caller;
use petty_chassis::grpc::gate::{AccessServiceHandler, Call};
use petty_chassis::postgres::{Db, Tx};
use petty_chassis::types::{Clock, CollarId, PetId};
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::check_access_request::Resource;
use petty_proto::auth::v1::pet::Role as WireRole;

use super::errors::Fields;
use super::look::Looker;
use super::{Grpc, convert};
use crate::domain::Error;
use crate::domain::access::{Grant, VisiblePairing};
use crate::domain::pairing::Pairing;
use crate::store::audit::Origin;
use crate::store::{access, pets};
use crate::vault::Vault;

/// Decides from auth's own tables, each time.
#[derive(Clone, Debug)]
pub(crate) struct LocalAccess {
    pub(crate) db: Db,
    pub(crate) clock: Clock,
    pub(crate) vault: Vault,
}

impl LocalAccess {
    pub(super) async fn decide(
        &self,
        caller: &Caller,
        target: &Target,
        looker: Option<Looker<'_>>,
    ) -> Result<Decision, ApiError> {
        let now = petty_chassis::types::micros(self.clock.now());
        if let Some(looker) = looker {
            return self
                .db
                .transaction("look", |tx| async move {
                    let own = for_account(&tx, caller, target, now).await?;
                    // To one's own, and to what is shared with one, nothing needs to be said.
                    if own.role.is_some() || !own.pairings.is_empty() {
                        return Ok(own);
                    }
                    self.look(&tx, looker, target, now).await
                })
                .await;
        }
        self.db
            .read("check_access", |tx| async move {
                match caller.device() {
                    None => for_account(&tx, caller, target, now).await,
                    Some((collar, pet)) => for_device(&tx, caller, (collar, pet), target, now).await,
                }
            })
            .await
    }
}

#[async_trait::async_trait]
impl AccessSource for LocalAccess {
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError> {
        let Asker { caller, reason, request_id, client_address, .. } = *asker;
        let origin = Origin::new(&self.vault, request_id, client_address.map(|address| address.0));
        let looker = reason.map(|reason| Looker { caller, reason, service: "auth", origin });
        self.decide(caller, target, looker).await
    }
}

async fn for_account(
    tx: &Tx,
    caller: &Caller,
    target: &Target,
    now: Timestamp,
) -> Result<Decision, ApiError> {
    let account = caller.account_id();
    let ends_at = stands(tx, caller, now).await?;
    let decision = match target {
        Target::Session => decision(None, &[]),
        Target::Pet(pet) => decision(access::pet(tx, *pet, account, now).await?, &[]),
        Target::Collar(collar) => decision(None, &access::collar(tx, collar, account, now).await?),
    };
    Ok(Decision { expires: decision.expires.into_iter().chain(ends_at).min(), ..decision })
}

/// Whether what an account's token hangs on still stands, with all that it claims; when that ends by itself.
async fn stands(tx: &Tx, caller: &Caller, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    let (session, account) = (caller.session_id(), caller.account_id());
    if caller.is_integration() {
        let ends_at = access::personal_token_stands(tx, session, account, now).await?;
        return ends_at.ok_or(Error::SessionEnded.into()).map(Some);
    }
    match access::session_stands(tx, session, account, caller.roles(), now).await? {
        None => Err(Error::SessionEnded.into()),
        Some(true) => Ok(None),
        // A role was taken away: the session goes on, with a token that does not claim it.
        Some(false) => Err(ApiError::unauthenticated(
            "TOKEN_EXPIRED",
            "the access token has expired; get another with the refresh token",
        )),
    }
}

/// A collar's token is good for its own pet and its own collar, as long as its pairing lasts.
async fn for_device(
    tx: &Tx,
    caller: &Caller,
    (collar, pet): (&CollarId, PetId),
    target: &Target,
    now: Timestamp,
) -> Result<Decision, ApiError> {
    let standing = access::credential_stands(tx, caller.session_id(), collar, now).await?;
    let is_tokens_own = |own: &Pairing| own.pet_id == pet && own.account_id == caller.account_id();
    let (own, ends_at) = standing.filter(|(own, _)| is_tokens_own(own)).ok_or(Error::SessionEnded)?;
    let decision = match target {
        Target::Session => decision(None, &[]),
        Target::Pet(asked) if *asked == own.pet_id => {
            decision(Some(Grant { role: Role::Caregiver, expires_at: None }), &[])
        }
        Target::Pet(_) => decision(None, &[]),
        Target::Collar(asked) if *asked == own.collar_id => {
            decision(None, &access::own_collar(tx, &own).await?)
        }
        Target::Collar(_) => decision(None, &[]),
    };
    Ok(Decision { expires: decision.expires.into_iter().chain(ends_at).min(), ..decision })
}

pub(super) fn decision(grant: Option<Grant>, pairings: &[VisiblePairing]) -> Decision {
    let expiries = grant.iter().chain(pairings.iter().map(|visible| &visible.grant));
    Decision {
        role: grant.map(|grant| grant.role),
        expires: expiries.filter_map(|grant| grant.expires_at).min(),
        pairings: pairings.iter().map(convert::visible).collect(),
    }
}

#[tonic::async_trait]
impl AccessServiceHandler for Grpc {
    async fn check_access(
        &self,
        call: Call,
        request: wire::CheckAccessRequest,
    ) -> Result<wire::CheckAccessResponse, ApiError> {
        let mut fields = Fields::default();
        let target = match &request.resource {
            None => Some(Target::Session),
            Some(Resource::PetId(pet)) => fields.parse("pet_id", pet).map(Target::Pet),
            Some(Resource::CollarId(collar)) => fields.parse("collar_id", collar).map(Target::Collar),
        };
        let Some(target) = target else { return Err(fields.into_error()) };
        // Whether the session still stands is part of the decision.
        let caller = call.claimed_caller()?;
        let service = call.service().map(|service| service.as_str()).unwrap_or_default();
        let origin = self.origin(&call);
        let looker = call.access_reason().map(|reason| Looker { caller, reason, service, origin });
        let Decision { role, pairings, expires } = self.access.decide(caller, &target, looker).await?;
        match target {
            Target::Pet(_) if role.is_none() => return Err(Error::PetNotFound.into()),
            Target::Collar(_) if pairings.is_empty() => return Err(Error::CollarNotFound.into()),
            Target::Session | Target::Pet(_) | Target::Collar(_) => {}
        }
        let pairings = pairings.into_iter().map(|pairing| wire::Pairing {
            pairing_id: pairing.pairing_id.to_string(),
            pet_id: pairing.pet_id.to_string(),
            start_time: Some(pairing.start.into()),
            end_time: pairing.end.map(Into::into),
            role: WireRole::from(pairing.role).into(),
        });
        Ok(wire::CheckAccessResponse {
            role: role.map_or(WireRole::Unspecified, WireRole::from).into(),
            pairings: pairings.collect(),
            expire_time: expires.map(Into::into),
        })
    }

    async fn describe_pet(
        &self,
        _call: Call,
        request: wire::DescribePetRequest,
    ) -> Result<wire::DescribePetResponse, ApiError> {
        let mut fields = Fields::default();
        let Some(pet_id) = fields.parse("pet_id", &request.pet_id) else { return Err(fields.into_error()) };
        let pet = self.db.read("describe_pet", |tx| async move { pets::get(&tx, pet_id).await }).await?;
        let pet = pet.ok_or(Error::PetNotFound)?;
        Ok(wire::DescribePetResponse {
            account_id: pet.account_id.to_string(),
            pet: Some(convert::pet(&pet, None)),
        })
    }
}

//! OperationsService: what an operator does.

use jiff::Timestamp;
use petty_chassis::error::chain;
use petty_chassis::grpc::gate::{Call, OperationsServiceHandler};
use petty_chassis::postgres::Tx;
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::signing_key::State as WireState;
use serde_json::json;

use super::{Grpc, upkeep};
use crate::domain::{Error, rotation};
use crate::keys::promote;
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::keys::{self, KeyInfo, State};

/// No `kid` of ours is longer.
const LONGEST_KID: usize = 64;

#[tonic::async_trait]
impl OperationsServiceHandler for Grpc {
    async fn list_signing_keys(
        &self,
        call: Call,
        _request: wire::ListSigningKeysRequest,
    ) -> Result<wire::ListSigningKeysResponse, ApiError> {
        call.caller().await?;
        let since = self.now() - rotation::PUBLISHED;
        let known = self.db.read("list_keys", |tx| async move { keys::list(&tx, since).await }).await?;
        let lifetime = self.keeper.lifetime;
        let keys = known.into_iter().map(|key| signing_key(key, lifetime)).collect();
        Ok(wire::ListSigningKeysResponse { keys })
    }

    async fn rotate_signing_keys(
        &self,
        call: Call,
        request: wire::RotateSigningKeysRequest,
    ) -> Result<wire::RotateSigningKeysResponse, ApiError> {
        match request.kid.len() {
            0 => return Err(FieldError::required("kid").into()),
            1..=LONGEST_KID => {}
            _ => return Err(FieldError::out_of_range("kid", "is longer than any of ours").into()),
        }
        let actor = Actor::Account(call.caller().await?.account_id());
        let (request, origin) = (&request, self.origin(&call));
        let rotate = |tx: Tx| async move { self.rotate_keys(&tx, request, actor, origin).await };
        let rotated = self.db.transaction("rotate_keys", rotate).await?;
        // Nothing more is signed here with a key that is believed no more; other replicas learn of it within seconds.
        if let Err(error) = self.keeper.look(&self.minter.signing).await {
            tracing::error!(error = chain(&error), "the signing keys cannot be looked at");
        }
        Ok(rotated)
    }

    async fn reencrypt_data(
        &self,
        call: Call,
        request: wire::ReencryptDataRequest,
    ) -> Result<wire::ReencryptDataResponse, ApiError> {
        upkeep::reencrypt(self, &call, &request).await
    }

    async fn verify_audit_log(
        &self,
        call: Call,
        request: wire::VerifyAuditLogRequest,
    ) -> Result<wire::VerifyAuditLogResponse, ApiError> {
        upkeep::verify_audit_log(self, &call, &request).await
    }
}

impl Grpc {
    async fn rotate_keys(
        &self,
        tx: &Tx,
        request: &wire::RotateSigningKeysRequest,
        actor: Actor<'_>,
        origin: Origin<'_>,
    ) -> Result<wire::RotateSigningKeysResponse, ApiError> {
        let (now, kid) = (self.now(), request.kid.as_str());
        keys::lock(tx).await?;
        let known = keys::list(tx, now - rotation::PUBLISHED).await?;
        let of = |state| known.iter().find(|key| key.state == state);
        let (next, current) = (of(State::Next), of(State::Current).ok_or(Error::KeyNotCurrent)?);
        if current.kid == kid {
            let rotate_at = if request.compromised {
                // Without a next key there is nothing to sign with: it is being made, within seconds.
                next.ok_or_else(|| ApiError::unavailable("KEY_BEING_MADE", "the next key is being made"))?;
                promote(tx, (now, self.keeper.lifetime), actor, origin).await?;
                withdraw(tx, kid, now, actor, origin).await?;
                now
            } else {
                keys::bring_forward(tx, now).await?;
                let entry = Entry::done(actor, "ASK_FOR_KEY_ROTATION", kid, origin);
                audit::write(tx, now, &entry).await?;
                rotation::takes_over(now, next.map_or(now, |next| next.created_at))
            };
            let next_kid = next.map(|next| next.kid.clone()).unwrap_or_default();
            return Ok(rotated(next_kid, rotate_at));
        }
        // Sent again: it is done.
        let retired = known.iter().find(|key| key.kid == kid).and_then(|key| key.retired_at);
        let retired_at = retired.ok_or(Error::KeyNotCurrent)?;
        if request.compromised {
            withdraw(tx, kid, now, actor, origin).await?;
        }
        Ok(rotated(current.kid.clone(), retired_at))
    }
}

/// Believes a retired key no more.
async fn withdraw(
    tx: &Tx,
    kid: &str,
    now: Timestamp,
    actor: Actor<'_>,
    origin: Origin<'_>,
) -> Result<(), ApiError> {
    keys::forget(tx, kid).await?;
    let entry = Entry::done(actor, "WITHDRAW_SIGNING_KEY", kid, origin).with(json!({"compromised": true}));
    Ok(audit::write(tx, now, &entry).await?)
}

fn rotated(next_kid: String, rotate_at: Timestamp) -> wire::RotateSigningKeysResponse {
    wire::RotateSigningKeysResponse { next_kid, rotate_time: Some(rotate_at.into()) }
}

fn signing_key(key: KeyInfo, lifetime: jiff::SignedDuration) -> wire::SigningKey {
    let (state, due_at) = match key.state {
        State::Next => (WireState::Next, None),
        State::Current => (WireState::Current, Some(key.due_at.unwrap_or(key.created_at + lifetime))),
        State::Retired => (WireState::Retired, key.retired_at.map(|at| at + rotation::PUBLISHED)),
    };
    wire::SigningKey {
        kid: key.kid,
        algorithm: key.algorithm.as_str().to_owned(),
        state: state.into(),
        create_time: Some(key.created_at.into()),
        due_time: due_at.map(Into::into),
    }
}

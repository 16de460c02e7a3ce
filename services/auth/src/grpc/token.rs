//! TokenService.

use jiff::Timestamp;
use petty_chassis::caller::DeviceClaims;
use petty_chassis::grpc::gate::{Call, TokenServiceHandler};
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, CollarId, SessionId};
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::errors::Fields;
use super::revoke::Ending;
use super::{Grpc, convert};
use crate::domain::session::{self, Verdict};
use crate::domain::{self, Error};
use crate::signer::Granted;
use crate::store::audit::{self, Actor, Entry, Origin, Outcome};
use crate::store::sessions::{self, Chain, EndReason, NewSession};
use crate::store::staff;
use crate::{announce, keys, revocation, seal};

/// What a collar's token may do.
const DEVICE_SCOPE: &str = "readings:write pets:read";
/// No secret of ours is longer; what is, is not looked up.
pub(super) const LONGEST_SECRET: usize = 256;
pub(super) const TOO_LONG: &str = "is longer than any that was given out";
const BEARER: &str = "Bearer";

/// A session that is about to be opened, with the first token of its chain.
pub(super) struct Opening {
    pub(super) session: NewSession,
    pub(super) token_hash: [u8; 32],
    refresh_token: String,
}

/// What a refresh gave.
struct Refreshed {
    account_id: AccountId,
    session_id: SessionId,
    scope: String,
    roles: Vec<String>,
    refresh_token: String,
    expires_at: Timestamp,
}

impl Grpc {
    /// A session of an account's, from now on.
    pub(super) fn opening(&self, account_id: AccountId) -> Opening {
        let created_at = self.now();
        let ends_at = self.lifetimes.end(created_at);
        let refresh_token = self.entropy.token::<32>();
        let session = NewSession {
            session_id: SessionId::new(&self.clock),
            account_id,
            created_at,
            expires_at: self.lifetimes.expiry(created_at, ends_at),
            ends_at,
        };
        Opening { session, token_hash: seal::digest(&refresh_token), refresh_token }
    }

    /// The answer to who has signed in.
    pub(super) fn signed_in(
        &self,
        opening: &Opening,
        scope: &str,
        roles: &[String],
    ) -> Result<wire::TokenResponse, ApiError> {
        let NewSession { session_id, account_id, created_at, expires_at, .. } = opening.session;
        let granted = Granted { scope, roles, integration: false };
        let minted = self.minter.account((account_id, session_id), granted, created_at, expires_at)?;
        Ok(wire::TokenResponse {
            access_token: minted.token,
            refresh_token: opening.refresh_token.clone(),
            token_type: BEARER.to_owned(),
            expires_in: minted.expires_in,
            account_id: account_id.to_string(),
            scope: scope.to_owned(),
            device_token: None,
        })
    }

    /// Rotates, repeats, or ends the session, in one transaction; `None` where the token is good for nothing.
    async fn rotate(
        &self,
        tx: &Tx,
        presented: &str,
        origin: Origin<'_>,
    ) -> Result<Option<Refreshed>, ApiError> {
        let now = self.now();
        let used = seal::digest(presented);
        let Some(chain) = sessions::lock_chain(tx, &used).await? else { return Ok(None) };
        let context = *chain.session_id.0.as_bytes();
        let unsealable = || ApiError::internal("a refresh token's successor cannot be sealed or opened");
        let key = seal::key_of(presented).ok_or_else(unsealable)?;
        let (refresh_token, expires_at) = match session::judge(chain.session, chain.token, now) {
            Verdict::Over => return Ok(None),
            Verdict::Reused => {
                self.end_reused(tx, &chain, now, origin).await?;
                return Ok(None);
            }
            Verdict::Repeat => {
                let sealed = chain.successor.as_deref().ok_or_else(unsealable)?;
                let successor = seal::open(&key, &context, sealed).ok_or_else(unsealable)?;
                (String::from_utf8(successor).map_err(ApiError::internal)?, chain.session.expires_at)
            }
            Verdict::Rotate => {
                let successor = self.entropy.token::<32>();
                let sealed =
                    seal::seal(self.entropy, &key, &context, successor.as_bytes()).ok_or_else(unsealable)?;
                let expires_at = self.lifetimes.expiry(now, chain.ends_at);
                sessions::rotate(tx, &chain, (&used, &seal::digest(&successor)), &sealed, (now, expires_at))
                    .await?;
                (successor, expires_at)
            }
        };
        let Chain { account_id, session_id, scope, .. } = chain;
        let roles = staff::roles(tx, account_id).await?.unwrap_or_default();
        let (scope, roles) = domain::staff::claimed(&scope, roles);
        Ok(Some(Refreshed { account_id, session_id, scope, roles, refresh_token, expires_at }))
    }

    /// Somebody has a token that was used up: whoever else has the session loses it too.
    async fn end_reused(
        &self,
        tx: &Tx,
        chain: &Chain,
        now: Timestamp,
        origin: Origin<'_>,
    ) -> Result<(), ApiError> {
        let event = announce::session_ended(tx, &self.clock, chain.session_id, chain.account_id).await?;
        sessions::end(tx, chain.session_id, EndReason::TokenReused, now, event).await?;
        let entry = Entry::done(Actor::Anybody, "END_REUSED_SESSION", chain.account_id, origin)
            .with(json!({"session_id": chain.session_id.to_string(), "generation": chain.token.generation}));
        Ok(audit::write(tx, now, &entry).await?)
    }

    /// Notes a refusal: alike for known and unknown.
    pub(super) async fn refused_credentials(
        &self,
        action: &'static str,
        subject: String,
        origin: Origin<'_>,
    ) -> ApiError {
        let entry = &Entry {
            actor: Actor::Anybody,
            action,
            subject,
            outcome: Outcome::Refused,
            origin,
            detail: json!({}),
        };
        let now = self.now();
        match self
            .db
            .transaction("audit_refusal", |tx| async move { audit::write(&tx, now, entry).await })
            .await
        {
            Ok(()) => Error::BadCredentials.into(),
            Err(error) => error.into(),
        }
    }
}

#[tonic::async_trait]
impl TokenServiceHandler for Grpc {
    async fn log_in(&self, call: Call, request: wire::LogInRequest) -> Result<wire::TokenResponse, ApiError> {
        self.sign_in(&call, &request).await
    }

    async fn refresh(
        &self,
        call: Call,
        request: wire::RefreshRequest,
    ) -> Result<wire::TokenResponse, ApiError> {
        let presented = secret("refresh_token", &request.refresh_token)?;
        let origin = self.origin(&call);
        let refreshed = self
            .db
            .transaction("refresh", |tx| async move { self.rotate(&tx, presented, origin).await })
            .await?;
        let Some(refreshed) = refreshed else {
            self.wrong_secret(&call).await?;
            return Err(Error::RefreshTokenInvalid.into());
        };
        let Refreshed { account_id, session_id, scope, roles, refresh_token, expires_at } = refreshed;
        let granted = Granted { scope: &scope, roles: &roles, integration: false };
        let minted = self.minter.account((account_id, session_id), granted, self.now(), expires_at)?;
        Ok(wire::TokenResponse {
            access_token: minted.token,
            refresh_token,
            token_type: BEARER.to_owned(),
            expires_in: minted.expires_in,
            account_id: account_id.to_string(),
            scope,
            device_token: None,
        })
    }

    async fn log_out(
        &self,
        call: Call,
        _request: wire::LogOutRequest,
    ) -> Result<wire::LogOutResponse, ApiError> {
        // Not whether the session stands: sent again, it waits again for what was told of its end.
        let caller = call.claimed_caller()?;
        let (session, account) = (caller.session_id(), caller.account_id());
        let (now, origin) = (self.now(), self.origin(&call));
        let told = self
            .db
            .transaction("log_out", |tx| async move {
                let ending = Ending { session, account, actor: Actor::Account(account), action: "LOG_OUT" };
                let event = self.end_session(&tx, ending, now, origin).await?;
                event.ok_or_else(|| ApiError::from(Error::SessionEnded))
            })
            .await?;
        revocation::told(&self.db, &self.clock, &[told], call.deadline()).await?;
        Ok(wire::LogOutResponse { success: true })
    }

    async fn issue_collar_token(
        &self,
        call: Call,
        request: wire::IssueCollarTokenRequest,
    ) -> Result<wire::CollarTokenResponse, ApiError> {
        let mut fields = Fields::default();
        let collar: Option<CollarId> = fields.parse("collar_id", &request.collar_id);
        let Some(collar) = collar else {
            if let Err(ApiError { violations, .. }) = secret("secret", &request.secret) {
                violations.into_iter().for_each(|violation| fields.fault(violation));
            }
            return Err(fields.into_error());
        };
        let secret = secret("secret", &request.secret)?;
        let Some((pairing, credential)) = self.credential(&collar, secret).await? else {
            self.wrong_secret(&call).await?;
            return Err(self
                .refused_credentials("ISSUE_COLLAR_TOKEN", collar.to_string(), self.origin(&call))
                .await);
        };
        let device = DeviceClaims { pet: pairing.pet_id, account: pairing.account_id };
        let minted = self.minter.device((&collar, credential), device, DEVICE_SCOPE, self.now())?;
        let (entry, now) = (
            &Entry::done(Actor::Collar(&collar), "ISSUE_COLLAR_TOKEN", &collar, self.origin(&call)),
            self.now(),
        );
        self.db
            .transaction("audit_collar_token", |tx| async move { audit::write(&tx, now, entry).await })
            .await?;
        Ok(wire::CollarTokenResponse {
            access_token: minted.token,
            token_type: BEARER.to_owned(),
            expires_in: minted.expires_in,
            collar_id: collar.to_string(),
            pet_id: pairing.pet_id.to_string(),
            scope: DEVICE_SCOPE.to_owned(),
        })
    }

    async fn issue_stream_ticket(
        &self,
        call: Call,
        _request: wire::IssueStreamTicketRequest,
    ) -> Result<wire::IssueStreamTicketResponse, ApiError> {
        self.issue_ticket(&call).await
    }

    async fn redeem_stream_ticket(
        &self,
        call: Call,
        request: wire::RedeemStreamTicketRequest,
    ) -> Result<wire::RedeemStreamTicketResponse, ApiError> {
        self.redeem_ticket(&call, &request).await
    }

    async fn revoke_token(
        &self,
        call: Call,
        request: wire::RevokeTokenRequest,
    ) -> Result<wire::RevokeTokenResponse, ApiError> {
        self.revoke(&call, &request).await
    }

    async fn introspect_token(
        &self,
        _call: Call,
        request: wire::IntrospectTokenRequest,
    ) -> Result<wire::IntrospectTokenResponse, ApiError> {
        self.introspect(&request).await
    }

    async fn get_server_metadata(
        &self,
        _call: Call,
        _request: wire::GetServerMetadataRequest,
    ) -> Result<wire::ServerMetadata, ApiError> {
        Ok(self.metadata())
    }

    async fn get_jwks(&self, _call: Call, _request: wire::GetJwksRequest) -> Result<wire::Jwks, ApiError> {
        Ok(convert::jwks(keys::published(&self.keys.db, self.clock.now()).await?))
    }
}

/// A secret that somebody presents.
pub(super) fn secret<'a>(field: &'static str, text: &'a str) -> Result<&'a str, ApiError> {
    match text.len() {
        0 => Err(FieldError::required(field).into()),
        1..=LONGEST_SECRET => Ok(text),
        _ => Err(FieldError::out_of_range(field, TOO_LONG).into()),
    }
}

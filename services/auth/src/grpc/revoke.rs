//! The ends of sessions, and tokens as others hold them: revoking (RFC 7009) and introspection (RFC 7662).

use jiff::Timestamp;
use petty_chassis::access::Target;
use petty_chassis::caller::{Caller, personal};
use petty_chassis::grpc::gate::Call;
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, EventId, SessionId};
use petty_chassis::{ApiError, Code, FieldError};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::Grpc;
use crate::domain::personal as domain;
use crate::domain::session::{self, Verdict};
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::personal_tokens;
use crate::store::sessions::{self, EndReason};
use crate::{announce, revocation, seal};

/// No token of ours is longer; what is, is not looked at.
const LONGEST_TOKEN: usize = 8_192;

/// The end of a session.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    pub(super) session: SessionId,
    pub(super) account: AccountId,
    pub(super) actor: Actor<'a>,
    /// As the audit log calls it.
    pub(super) action: &'static str,
}

/// Whose session a token is of.
struct Held {
    session: SessionId,
    account: AccountId,
}

impl Grpc {
    /// Ends a session, or finds it ended: the event that tells of it. `None` where there is none of that account's.
    pub(super) async fn end_session(
        &self,
        tx: &Tx,
        ending: Ending<'_>,
        now: Timestamp,
        origin: Origin<'_>,
    ) -> Result<Option<EventId>, ApiError> {
        let Ending { session, account, actor, action } = ending;
        match sessions::lock_end(tx, session, account).await? {
            None => return Ok(None),
            Some(Some(event)) => return Ok(Some(event)),
            Some(None) => {}
        }
        let event = announce::session_ended(tx, &self.clock, session, account).await?;
        sessions::end(tx, session, EndReason::LoggedOut, now, event).await?;
        let entry =
            Entry::done(actor, action, account, origin).with(json!({"session_id": session.to_string()}));
        audit::write(tx, now, &entry).await?;
        Ok(Some(event))
    }

    /// Ends the session of a token. Whoever holds it may: that is all the proof there is.
    pub(super) async fn revoke(
        &self,
        call: &Call,
        request: &wire::RevokeTokenRequest,
    ) -> Result<wire::RevokeTokenResponse, ApiError> {
        let token = presented(&request.token)?;
        if token.starts_with(personal::PREFIX) {
            return self.revoke_personal(call, token).await;
        }
        let Some(held) = self.held(token).await? else { return Ok(wire::RevokeTokenResponse {}) };
        let Held { session, account } = held;
        let (now, origin) = (self.now(), self.origin(call));
        let ending = Ending { session, account, actor: Actor::Anybody, action: "REVOKE_TOKEN" };
        let told = self
            .db
            .transaction("revoke_token", |tx| async move { self.end_session(&tx, ending, now, origin).await })
            .await?;
        if let Some(event) = told {
            revocation::told(&self.db, &self.clock, &[event], call.deadline()).await?;
        }
        Ok(wire::RevokeTokenResponse {})
    }

    /// Ends a personal access token.
    async fn revoke_personal(&self, call: &Call, token: &str) -> Result<wire::RevokeTokenResponse, ApiError> {
        let (hash, now, origin) = (&seal::digest(token), self.now(), self.origin(call));
        let told = self
            .db
            .transaction("revoke_personal_token", |tx| async move {
                let found = personal_tokens::lock_shown(&tx, hash, now).await?;
                let Some((account, token_id, ended)) = found else { return Ok(None) };
                if ended.is_some() {
                    return Ok(ended);
                }
                let event = announce::session_ended(&tx, &self.clock, token_id, account).await?;
                personal_tokens::end(&tx, token_id, now, event).await?;
                let entry = Entry::done(Actor::Anybody, "REVOKE_TOKEN", account, origin)
                    .with(json!({"token_id": token_id.to_string()}));
                audit::write(&tx, now, &entry).await?;
                Ok::<_, ApiError>(Some(event))
            })
            .await?;
        if let Some(event) = told {
            revocation::told(&self.db, &self.clock, &[event], call.deadline()).await?;
        }
        Ok(wire::RevokeTokenResponse {})
    }

    /// What a token is. A hint of its type would save nothing: the two kinds cannot be mistaken for each other.
    pub(super) async fn introspect(
        &self,
        request: &wire::IntrospectTokenRequest,
    ) -> Result<wire::IntrospectTokenResponse, ApiError> {
        let token = presented(&request.token)?;
        if is_access_token(token) {
            return self.introspect_access(token).await;
        }
        if token.starts_with(personal::PREFIX) {
            return self.introspect_personal(token).await;
        }
        let (hash, now) = (&seal::digest(token), self.now());
        let chain = self
            .db
            .transaction("introspect_token", |tx| async move { sessions::lock_chain(&tx, hash).await })
            .await?;
        let live = chain.filter(|chain| session::judge(chain.session, chain.token, now) == Verdict::Rotate);
        let Some(chain) = live else { return Ok(wire::IntrospectTokenResponse::default()) };
        Ok(wire::IntrospectTokenResponse {
            active: true,
            token_type: "refresh_token".to_owned(),
            scope: chain.scope,
            sub: chain.account_id.to_string(),
            exp: chain.session.expires_at.as_second(),
            sid: chain.session_id.to_string(),
            ..self.of_ours()
        })
    }

    async fn introspect_access(&self, token: &str) -> Result<wire::IntrospectTokenResponse, ApiError> {
        let Some(caller) = self.verified(token).await? else {
            return Ok(wire::IntrospectTokenResponse::default());
        };
        match self.access.decide(&caller, &Target::Session, None).await {
            Ok(_) => Ok(wire::IntrospectTokenResponse {
                active: true,
                token_type: "access_token".to_owned(),
                scope: caller.scopes().join(" "),
                roles: caller.roles().to_vec(),
                sub: caller.subject(),
                exp: caller.expires_at().as_second(),
                sid: caller.session_id().to_string(),
                pet_id: caller.device().map(|(_, pet)| pet.to_string()),
                ..self.of_ours()
            }),
            Err(error) if error.code == Code::Unauthenticated => Ok(wire::IntrospectTokenResponse::default()),
            Err(error) => Err(error),
        }
    }

    async fn introspect_personal(&self, token: &str) -> Result<wire::IntrospectTokenResponse, ApiError> {
        let (hash, now) = (&seal::digest(token), self.now());
        let good = self
            .db
            .transaction("introspect_personal_token", |tx| async move {
                personal_tokens::used(&tx, hash, now, domain::minute(now)).await
            })
            .await?;
        let Some((account, token)) = good else { return Ok(wire::IntrospectTokenResponse::default()) };
        Ok(wire::IntrospectTokenResponse {
            active: true,
            token_type: "personal_access_token".to_owned(),
            scope: token.scope,
            sub: account.to_string(),
            exp: token.expires_at.as_second(),
            sid: token.token_id.to_string(),
            ..self.of_ours()
        })
    }

    /// What is the same of all tokens.
    fn of_ours(&self) -> wire::IntrospectTokenResponse {
        wire::IntrospectTokenResponse {
            aud: self.tokens.audience.clone(),
            iss: self.tokens.issuer.clone(),
            ..Default::default()
        }
    }

    /// Whose session a token is of; `None` where it is no token of ours, or not any more.
    async fn held(&self, token: &str) -> Result<Option<Held>, ApiError> {
        if is_access_token(token) {
            let Some(caller) = self.verified(token).await? else { return Ok(None) };
            if caller.is_device() {
                let text = "a collar's token ends with its secret, or with its pairing";
                return Err(ApiError::new(Code::InvalidArgument, "UNSUPPORTED_TOKEN_TYPE", text));
            }
            return Ok(Some(Held { session: caller.session_id(), account: caller.account_id() }));
        }
        // One that was used up too: whoever has it should not, and ends the session either way.
        let hash = &seal::digest(token);
        let chain = self
            .db
            .transaction("revoked_chain", |tx| async move { sessions::lock_chain(&tx, hash).await })
            .await?;
        Ok(chain.map(|chain| Held { session: chain.session_id, account: chain.account_id }))
    }

    /// Who an access token stands for, if it is valid.
    async fn verified(&self, token: &str) -> Result<Option<std::sync::Arc<Caller>>, ApiError> {
        match self.verifier.verify(token).await {
            Ok(caller) => Ok(Some(caller)),
            Err(error) if error.code == Code::Unauthenticated => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Refresh tokens have no dots.
fn is_access_token(token: &str) -> bool {
    token.contains('.')
}

fn presented(token: &str) -> Result<&str, ApiError> {
    match token.len() {
        0 => Err(FieldError::required("token").into()),
        1..=LONGEST_TOKEN => Ok(token),
        _ => Err(FieldError::out_of_range("token", "is longer than any that was given out").into()),
    }
}

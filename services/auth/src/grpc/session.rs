//! SessionService; and the ends of all sessions of an account.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{Call, SessionServiceHandler};
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::{Error as StoreError, Tx};
use petty_chassis::types::{AccountId, EventId, SessionId};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::Grpc;
use super::errors::Fields;
use crate::domain::Error;
use crate::domain::session::MOST;
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::session_list::{self, Listed};
use crate::store::sessions::{self, EndReason};
use crate::{announce, revocation};

/// Whoever sends a revocation again within this time waits for what was told of the first.
pub(super) const SENT_AGAIN: SignedDuration = SignedDuration::from_mins(10);

impl Grpc {
    /// Ends the sessions of an account that stand, but for one; what was told of each.
    pub(super) async fn end_sessions(
        &self,
        tx: &Tx,
        account: AccountId,
        except: Option<SessionId>,
        reason: EndReason,
        now: Timestamp,
    ) -> Result<Vec<EventId>, StoreError> {
        let mut told = Vec::new();
        for session in session_list::lock_standing(tx, account, except, now).await? {
            let event = announce::session_ended(tx, &self.clock, session, account).await?;
            sessions::end(tx, session, reason, now, event).await?;
            told.push(event);
        }
        Ok(told)
    }

    /// Makes room for another session of an account that is locked: those that were not used for longest end, if there are as many as
    /// may be. Whoever signs in does not wait until every service knows.
    pub(super) async fn make_room(
        &self,
        tx: &Tx,
        account: AccountId,
        now: Timestamp,
        origin: Origin<'_>,
    ) -> Result<(), StoreError> {
        for session in session_list::lock_surplus(tx, account, i64::from(MOST) - 1, now).await? {
            let event = announce::session_ended(tx, &self.clock, session, account).await?;
            sessions::end(tx, session, EndReason::Surplus, now, event).await?;
            let entry = Entry::done(Actor::Account(account), "END_SURPLUS_SESSION", account, origin)
                .with(json!({"session_id": session.to_string()}));
            audit::write(tx, now, &entry).await?;
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl SessionServiceHandler for Grpc {
    async fn list_sessions(
        &self,
        call: Call,
        request: wire::ListSessionsRequest,
    ) -> Result<wire::ListSessionsResponse, ApiError> {
        let page = &Page::read("me/sessions".to_owned(), request.page_size, &request.page_token)?;
        let caller = call.caller().await?;
        let (account, current, now) = (caller.account_id(), caller.session_id(), self.now());
        let mut found: Vec<Listed> = self
            .db
            .read("list_sessions", |tx| async move { session_list::list(&tx, account, now, page).await })
            .await?;
        let next_page_token =
            page.cut(&mut found, |session| Place { time: session.created_at, id: session.session_id.0 });
        let sessions = found.into_iter().map(|session| wire::Session {
            session_id: session.session_id.to_string(),
            create_time: Some(session.created_at.into()),
            last_used_time: Some(session.used_at.into()),
            expire_time: Some(session.expires_at.into()),
            current: session.session_id == current,
            client: session.client,
        });
        Ok(wire::ListSessionsResponse { sessions: sessions.collect(), next_page_token })
    }

    async fn end_session(
        &self,
        call: Call,
        request: wire::EndSessionRequest,
    ) -> Result<wire::EndSessionResponse, ApiError> {
        let mut fields = Fields::default();
        let session: Option<SessionId> = fields.parse("session_id", &request.session_id);
        let Some(session) = session else { return Err(fields.into_error()) };
        // As with a log-out: whoever ended their own waits again; one that is not there was never theirs.
        let (caller, missing) = match call.claimed_caller()? {
            own if own.session_id() == session => (own, Error::SessionEnded),
            _ => (call.caller().await?, Error::SessionNotFound),
        };
        let (account, now, origin) = (caller.account_id(), self.now(), self.origin(&call));
        let told = self
            .db
            .transaction("end_session", |tx| async move {
                let ended = sessions::lock_end(&tx, session, account).await?;
                if let Some(event) = ended.ok_or(missing)? {
                    return Ok(event);
                }
                let event = announce::session_ended(&tx, &self.clock, session, account).await?;
                sessions::end(&tx, session, EndReason::Ended, now, event).await?;
                let entry = Entry::done(Actor::Account(account), "END_SESSION", account, origin)
                    .with(json!({"session_id": session.to_string()}));
                audit::write(&tx, now, &entry).await?;
                Ok::<_, ApiError>(event)
            })
            .await?;
        revocation::told(&self.db, &self.clock, &[told], call.deadline()).await?;
        Ok(wire::EndSessionResponse { success: true })
    }

    async fn end_other_sessions(
        &self,
        call: Call,
        _request: wire::EndOtherSessionsRequest,
    ) -> Result<wire::EndOtherSessionsResponse, ApiError> {
        let caller = call.caller().await?;
        let (account, current) = (caller.account_id(), caller.session_id());
        let (now, origin) = (self.now(), self.origin(&call));
        let told = self
            .db
            .transaction("end_other_sessions", |tx| async move {
                let ended = self.end_sessions(&tx, account, Some(current), EndReason::Ended, now).await?;
                if ended.is_empty() {
                    return session_list::told_ends(&tx, account, EndReason::Ended, now - SENT_AGAIN).await;
                }
                let entry = Entry::done(Actor::Account(account), "END_OTHER_SESSIONS", account, origin)
                    .with(json!({"sessions": ended.len()}));
                audit::write(&tx, now, &entry).await?;
                Ok::<_, StoreError>(ended)
            })
            .await?;
        revocation::told(&self.db, &self.clock, &told, call.deadline()).await?;
        Ok(wire::EndOtherSessionsResponse { success: true })
    }
}

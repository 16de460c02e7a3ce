//! CredentialService: what is proved by mail, and what proves an account.

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{Call, CredentialServiceHandler};
use petty_chassis::postgres::{Error as StoreError, Tx};
use petty_chassis::types::{AccountId, EventId, SessionId};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::Grpc;
use super::errors::{Fields, field_error};
use super::link::Issue;
use super::session::SENT_AGAIN;
use crate::domain::Error;
use crate::domain::account::{Account, Email, Passphrase};
use crate::domain::letter::Letter;
use crate::domain::link::Purpose;
use crate::domain::passphrase::{ContextWords, Factors};
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::links::{self, Link};
use crate::store::sessions::EndReason;
use crate::store::{account_changes, accounts, personal_tokens, second_factors, session_list};
use crate::throttle::Throttle;
use crate::{announce, revocation, seal};

/// A change of passphrase, in the audit log.
const CHANGE: &str = "CHANGE_PASSWORD";

impl Grpc {
    async fn account(&self, account: AccountId) -> Result<Option<Account>, StoreError> {
        self.db.read("get_account", |tx| async move { accounts::get(&tx, &self.vault, account).await }).await
    }

    /// How many factors an account proves itself by.
    async fn factors(&self, account: AccountId) -> Result<Factors, StoreError> {
        let active = self
            .db
            .read("second_factor", |tx| async move { second_factors::active_since(&tx, account).await })
            .await?;
        Ok(Factors::of(active.is_some()))
    }

    /// Writes another passphrase, with all that follows but the ends of sessions.
    async fn write_password(
        &self,
        tx: &Tx,
        (account, hash): (&Account, &str),
        action: &'static str,
        (origin, ended): (Origin<'_>, serde_json::Value),
    ) -> Result<(), ApiError> {
        let now = self.now();
        account_changes::set_password(tx, account.account_id, hash).await?;
        self.passphrase_changed(tx, account.account_id, &account.email).await?;
        links::void(tx, account.account_id).await?;
        self.post.send(tx, now, &account.email, &Letter::PasswordChanged).await?;
        let entry =
            Entry::done(Actor::Account(account.account_id), action, account.account_id, origin).with(ended);
        Ok(audit::write(tx, now, &entry).await?)
    }

    /// Ends an account's personal access tokens that are good; what was told of each.
    async fn end_tokens(
        &self,
        tx: &Tx,
        account: AccountId,
        now: Timestamp,
    ) -> Result<Vec<EventId>, StoreError> {
        let mut told = Vec::new();
        for token in personal_tokens::lock_good(tx, account, now).await? {
            let event = announce::session_ended(tx, &self.clock, token, account).await?;
            personal_tokens::end(tx, token, now, event).await?;
            told.push(event);
        }
        Ok(told)
    }

    async fn find_link(&self, token: &[u8; 32]) -> Result<Option<Link>, StoreError> {
        let now = self.now();
        self.db.read("find_link", |tx| async move { links::find(&tx, token, now).await }).await
    }
}

#[tonic::async_trait]
impl CredentialServiceHandler for Grpc {
    async fn verify_email(
        &self,
        call: Call,
        request: wire::VerifyEmailRequest,
    ) -> Result<wire::VerifyEmailResponse, ApiError> {
        let mut fields = Fields::default();
        let token = fields.secret("token", &request.token);
        let password = fields.take("password", Passphrase::attempt(&request.password));
        let (Some(token), Some(password)) = (token, password) else { return Err(fields.into_error()) };
        let token = &seal::digest(token);
        self.passwords.expect_room()?;
        let mut counted = self.count_source(&call).await?;
        let found = self.find_link(token).await?.filter(|link| link.purpose != Purpose::Reset);
        let Some(link) = &found else { return Err(Error::LinkInvalid.into()) };
        if let Some(account) = link.account_id {
            counted.push(self.count_confirmation(account).await?);
        }
        // Whoever has the mailbox alone is not who asked: they must not give their address to somebody else's account.
        let verified =
            match self.passwords.verify(password, link.password_hash.clone(), call.deadline()).await {
                Ok(verified) => verified,
                Err(error) => {
                    self.take_back(&counted).await?;
                    return Err(error);
                }
            };
        if !verified.is_right() {
            let subject = link.account_id.map(|account| account.to_string()).unwrap_or_default();
            return Err(self.refused_credentials("FOLLOW_LINK", subject, self.origin(&call)).await);
        }
        let (now, origin, counted) = (self.now(), self.origin(&call), &counted);
        self.db
            .transaction("verify_email", |tx| async move {
                if !links::use_up(&tx, token, now).await? {
                    return Err(Error::LinkInvalid.into());
                }
                self.follow(&tx, now, link, origin).await?;
                // Last: whoever changes a passphrase locks the account before its counts, too.
                Throttle::succeeded(&tx, counted, now).await
            })
            .await?;
        Ok(wire::VerifyEmailResponse { success: true })
    }

    async fn resend_verification(
        &self,
        call: Call,
        request: wire::ResendVerificationRequest,
    ) -> Result<wire::ResendVerificationResponse, ApiError> {
        let mut fields = Fields::default();
        let Some(email) = fields.take("email", Email::parse(&request.email)) else {
            return Err(fields.into_error());
        };
        self.count_source(&call).await?;
        let (email, now, origin) = (&email, self.now(), self.origin(&call));
        self.db
            .transaction("ask_again", |tx| async move { self.ask_again(&tx, now, email, origin).await })
            .await?;
        Ok(wire::ResendVerificationResponse {})
    }

    async fn request_reset(
        &self,
        call: Call,
        request: wire::RequestResetRequest,
    ) -> Result<wire::RequestResetResponse, ApiError> {
        let mut fields = Fields::default();
        let Some(email) = fields.take("email", Email::parse(&request.email)) else {
            return Err(fields.into_error());
        };
        self.count_source(&call).await?;
        let (email, now, origin) = (&email, self.now(), self.origin(&call));
        self.db
            .transaction("request_reset", |tx| async move {
                let known =
                    account_changes::holder(&tx, &self.vault, email).await?.map(|(account, _)| account);
                let subject = known.map(|account| account.to_string()).unwrap_or_default();
                let entry = Entry::done(Actor::Anybody, "ASK_TO_RESET", subject, origin);
                audit::write(&tx, now, &entry).await?;
                if self.post.is_flooded(&tx, now, email).await? {
                    return Ok(());
                }
                let Some(account) = known else { return self.pretend(&tx, now, email).await };
                let subject = accounts::email_index(&self.vault, email);
                let issue = Issue { account: Some(account), ..Issue::default() };
                let token = self.issue_link(&tx, now, (Purpose::Reset, &subject), issue).await?;
                self.post.send(&tx, now, email, &Letter::Reset { token }).await
            })
            .await?;
        Ok(wire::RequestResetResponse {})
    }

    async fn confirm_reset(
        &self,
        call: Call,
        request: wire::ConfirmResetRequest,
    ) -> Result<wire::ConfirmResetResponse, ApiError> {
        let mut fields = Fields::default();
        let token = fields.secret("token", &request.token);
        // Whether it is long enough is the account's matter.
        let password = fields.take("password", Passphrase::parse(&request.password, Factors::Two));
        let (Some(token), Some(password)) = (token, password) else { return Err(fields.into_error()) };
        let token = &seal::digest(token);
        let found = self.find_link(token).await?.filter(|link| link.purpose == Purpose::Reset);
        let Some(account_id) = found.and_then(|link| link.account_id) else {
            self.wrong_secret(&call).await?;
            return Err(Error::LinkInvalid.into());
        };
        let account = &self.account(account_id).await?.ok_or(Error::LinkInvalid)?;
        let factors = self.factors(account_id).await?;
        let words = ContextWords::of(&account.email, account.name.as_deref());
        let enough = password.is_enough_alone();
        let hash = &self.chosen(&call, "password", password, factors, words).await?;
        let (now, origin) = (self.now(), self.origin(&call));
        let told = self
            .db
            .transaction("confirm_reset", |tx| async move {
                accounts::lock_password_hash(&tx, account_id).await?.ok_or(Error::LinkInvalid)?;
                not_alone(&tx, account_id, enough, "password").await?;
                if !links::use_up(&tx, token, now).await? {
                    return Err(ApiError::from(Error::LinkInvalid));
                }
                let mut told =
                    self.end_sessions(&tx, account_id, None, EndReason::PasswordReset, now).await?;
                let tokens = self.end_tokens(&tx, account_id, now).await?;
                // The link went to that address.
                account_changes::confirm_email(&tx, account_id, now).await?;
                let ended = json!({"sessions": told.len(), "personal_tokens": tokens.len()});
                self.write_password(&tx, (account, hash), "RESET_PASSWORD", (origin, ended)).await?;
                told.extend(tokens);
                Ok(told)
            })
            .await?;
        revocation::told(&self.db, &self.clock, &told, call.deadline()).await?;
        Ok(wire::ConfirmResetResponse { success: true })
    }

    async fn change_password(
        &self,
        call: Call,
        request: wire::ChangePasswordRequest,
    ) -> Result<wire::ChangePasswordResponse, ApiError> {
        let mut fields = Fields::default();
        let current = fields.take("current_password", Passphrase::attempt(&request.current_password));
        let new = fields.take("new_password", Passphrase::parse(&request.new_password, Factors::Two));
        let (Some(current), Some(new)) = (current, new) else { return Err(fields.into_error()) };
        let caller = call.caller().await?;
        let (account_id, session) = (caller.account_id(), caller.session_id());
        let told = match self.confirm_passphrase(&call, account_id, current, CHANGE).await {
            Ok(proved) => self.change_proved(&call, (account_id, session), (proved, new)).await?,
            Err(refusal) if refusal.reason == "PASSWORD_WRONG" => {
                // Sent again, it is done already. An attempt like any other: it is counted.
                if self.confirm_passphrase(&call, account_id, new, CHANGE).await.is_err() {
                    return Err(refusal);
                }
                let since = self.now() - SENT_AGAIN;
                let ends = |tx: Tx| async move {
                    session_list::told_ends(&tx, account_id, EndReason::PasswordChanged, since).await
                };
                self.db.read("told_ends", ends).await?
            }
            Err(refusal) => return Err(refusal),
        };
        revocation::told(&self.db, &self.clock, &told, call.deadline()).await?;
        Ok(wire::ChangePasswordResponse { success: true })
    }

    async fn change_email(
        &self,
        call: Call,
        request: wire::ChangeEmailRequest,
    ) -> Result<wire::ChangeEmailResponse, ApiError> {
        let mut fields = Fields::default();
        let email = fields.take("email", Email::parse(&request.email));
        let current = fields.take("current_password", Passphrase::attempt(&request.current_password));
        let (Some(email), Some(current)) = (email, current) else { return Err(fields.into_error()) };
        let account_id = call.caller().await?.account_id();
        self.confirm_passphrase(&call, account_id, current, "ASK_TO_CHANGE_EMAIL").await?;
        let account = &self.account(account_id).await?.ok_or(Error::SessionEnded)?;
        let (email, now, origin) = (&email, self.now(), self.origin(&call));
        self.db
            .transaction("change_email", |tx| async move {
                let entry =
                    Entry::done(Actor::Account(account_id), "ASK_TO_CHANGE_EMAIL", account_id, origin);
                audit::write(&tx, now, &entry).await?;
                self.post.send(&tx, now, &account.email, &Letter::EmailChanging).await?;
                let taken = account_changes::holder(&tx, &self.vault, email).await?.is_some();
                if self.post.is_flooded(&tx, now, email).await? {
                    return Ok(());
                }
                // The one before is void in any case.
                let issue = Issue { account: Some(account_id), text: email.address(), password_hash: None };
                let subject = account_id.0.as_bytes().as_slice();
                let token = self.issue_link(&tx, now, (Purpose::ChangeEmail, subject), issue).await?;
                let letter = if taken { Letter::NewEmailTried } else { Letter::ConfirmNewEmail { token } };
                self.post.send(&tx, now, email, &letter).await
            })
            .await?;
        Ok(wire::ChangeEmailResponse {})
    }
}

impl Grpc {
    /// Changes the passphrase of somebody who has proved the one of now.
    async fn change_proved(
        &self,
        call: &Call,
        (account_id, session): (AccountId, SessionId),
        (proved, new): (String, Passphrase),
    ) -> Result<Vec<EventId>, ApiError> {
        let account = &self.account(account_id).await?.ok_or(Error::SessionEnded)?;
        let factors = self.factors(account_id).await?;
        let words = ContextWords::of(&account.email, account.name.as_deref());
        let enough = new.is_enough_alone();
        let hash = &self.chosen(call, "new_password", new, factors, words).await?;
        let proved = &proved;
        let (now, origin) = (self.now(), self.origin(call));
        self.db
            .transaction("change_password", |tx| async move {
                // Not where another change, or a reset, was faster.
                if accounts::lock_password_hash(&tx, account_id).await?.as_ref() != Some(proved) {
                    return Err(ApiError::from(Error::PasswordWrong));
                }
                not_alone(&tx, account_id, enough, "new_password").await?;
                let reason = EndReason::PasswordChanged;
                let told = self.end_sessions(&tx, account_id, Some(session), reason, now).await?;
                let ended = json!({"sessions": told.len()});
                self.write_password(&tx, (account, hash), CHANGE, (origin, ended)).await?;
                Ok(told)
            })
            .await
    }
}

/// Refuses a new passphrase that is not enough alone of an account that is locked, unless there still is a second factor: it
/// was judged beside one that somebody may have removed meanwhile. What there is stays until the transaction ends.
async fn not_alone(tx: &Tx, account: AccountId, enough: bool, field: &'static str) -> Result<(), ApiError> {
    if enough || second_factors::keep_active(tx, account).await? {
        return Ok(());
    }
    Err(field_error(field, Factors::PassphraseOnly.out_of_bounds()).into())
}

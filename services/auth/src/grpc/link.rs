//! Links that are sent by mail, and what becomes of them.

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::postgres::{Error as StoreError, Tx};
use petty_chassis::types::{AccountId, EventId};
use serde::{Deserialize, Serialize};

use super::errors::refused;
use super::{Grpc, share};
use crate::domain::Error;
use crate::domain::account::{self, Account, Email};
use crate::domain::letter::Letter;
use crate::domain::link::Purpose;
use crate::domain::text::TimeZoneName;
use crate::seal;
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::links::{self, Link, NewLink};
use crate::store::{account_changes, accounts};
use crate::vault::Field;

const SEALED: Field = Field { table: "one_time_links", column: "sealed" };

/// What a link keeps of an account to be.
#[derive(Serialize, Deserialize)]
struct Wanted {
    email: String,
    name: Option<String>,
    time_zone: String,
}

/// A link to be issued.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Issue<'a> {
    pub(super) account: Option<AccountId>,
    pub(super) text: &'a str,
    pub(super) password_hash: Option<&'a str>,
}

impl Grpc {
    /// Issues a link in place of the one before; its token.
    pub(super) async fn issue_link(
        &self,
        tx: &Tx,
        now: Timestamp,
        (purpose, subject): (Purpose, &[u8]),
        issue: Issue<'_>,
    ) -> Result<String, StoreError> {
        let token = self.entropy.token::<32>();
        let link_id = EventId::new(&self.clock).0;
        let sealed = self.vault.seal_alone(link_id, SEALED, issue.text)?;
        let link = NewLink {
            link_id,
            token_hash: seal::digest(&token),
            purpose,
            subject,
            account_id: issue.account,
            sealed: Some(&sealed),
            password_hash: issue.password_hash,
            created_at: now,
            expires_at: now + purpose.lifetime(),
        };
        links::issue(tx, &link).await?;
        Ok(token)
    }

    /// In `verified` mode: the same work whether the address has an account or not. Its owner is told by mail alone.
    pub(super) async fn ask_to_sign_up(
        &self,
        tx: &Tx,
        now: Timestamp,
        new: &(Asked<'_>, &str),
        origin: Origin<'_>,
    ) -> Result<(), StoreError> {
        let (Asked { email, name, time_zone }, hash) = new;
        let known = account_changes::holder(tx, &self.vault, email).await?;
        let subject = known.map(|(account, _)| account.to_string()).unwrap_or_default();
        let entry = Entry::done(Actor::Anybody, "ASK_TO_SIGN_UP", subject, origin);
        audit::write(tx, now, &entry).await?;
        if self.post.is_flooded(tx, now, email).await? {
            return Ok(());
        }
        let wanted = Wanted {
            email: email.address().to_owned(),
            name: name.map(str::to_owned),
            time_zone: time_zone.as_str().to_owned(),
        };
        let text = serde_json::to_string(&wanted).map_err(|_| unwritten())?;
        let purpose = if known.is_some() { Purpose::Nothing } else { Purpose::SignUp };
        let issue = Issue { account: None, text: &text, password_hash: Some(*hash) };
        let subject = accounts::email_index(&self.vault, email);
        let token = self.issue_link(tx, now, (purpose, &subject), issue).await?;
        let letter = if known.is_some() { Letter::SignUpTried } else { Letter::ConfirmSignUp { token } };
        self.post.send(tx, now, email, &letter).await
    }

    /// Sends a link to confirm the address of an account that was opened without.
    pub(super) async fn ask_to_confirm(
        &self,
        tx: &Tx,
        now: Timestamp,
        account: AccountId,
        email: &Email,
    ) -> Result<(), StoreError> {
        let issue = Issue { account: Some(account), ..Issue::default() };
        let subject = account.0.as_bytes().as_slice();
        let token = self.issue_link(tx, now, (Purpose::VerifyEmail, subject), issue).await?;
        self.post.send(tx, now, email, &Letter::ConfirmEmail { token }).await
    }

    /// Sends another link, where an address waits to be confirmed; else does as much for nothing.
    pub(super) async fn ask_again(
        &self,
        tx: &Tx,
        now: Timestamp,
        email: &Email,
        origin: Origin<'_>,
    ) -> Result<(), StoreError> {
        let subject = accounts::email_index(&self.vault, email);
        let known = account_changes::holder(tx, &self.vault, email).await?;
        let holder = known.map(|(account, _)| account.to_string()).unwrap_or_default();
        let entry = Entry::done(Actor::Anybody, "ASK_FOR_LINK_AGAIN", holder, origin);
        audit::write(tx, now, &entry).await?;
        let waiting = links::waiting_sign_up(tx, &subject, now).await?;
        if self.post.is_flooded(tx, now, email).await? {
            return Ok(());
        }
        match (known, waiting) {
            (Some((account, false)), _) => self.ask_to_confirm(tx, now, account, email).await,
            (None, Some(Link { link_id, sealed: Some(sealed), password_hash, .. })) => {
                let text = &self.vault.open_alone(link_id, SEALED, &sealed)?;
                let issue = Issue { account: None, text, password_hash: password_hash.as_deref() };
                let token = self.issue_link(tx, now, (Purpose::SignUp, &subject), issue).await?;
                self.post.send(tx, now, email, &Letter::ConfirmSignUp { token }).await
            }
            (Some((_, true)), _) | (None, _) => self.pretend(tx, now, email).await,
        }
    }

    /// As much work as sending a link takes, for nothing.
    pub(super) async fn pretend(&self, tx: &Tx, now: Timestamp, email: &Email) -> Result<(), StoreError> {
        let subject = accounts::email_index(&self.vault, email);
        let token = self.issue_link(tx, now, (Purpose::Nothing, &subject), Issue::default()).await?;
        self.post.pretend(tx, now, email, &Letter::Reset { token }).await
    }

    /// Does what a link is for that was used up in this transaction.
    pub(super) async fn follow(
        &self,
        tx: &Tx,
        now: Timestamp,
        link: &Link,
        origin: Origin<'_>,
    ) -> Result<(), ApiError> {
        match (link.purpose, link.account_id) {
            (Purpose::SignUp, None) => self.open_wanted(tx, now, link, origin).await,
            (Purpose::VerifyEmail, Some(account)) => {
                account_changes::confirm_email(tx, account, now).await?;
                let entry = Entry::done(Actor::Account(account), "CONFIRM_EMAIL", account, origin);
                audit::write(tx, now, &entry).await?;
                let known = accounts::get(tx, &self.vault, account).await?.ok_or(Error::LinkInvalid)?;
                Ok(share::take_up(self, tx, (account, &known.email), now, origin).await?)
            }
            (Purpose::ChangeEmail, Some(account)) => {
                self.change_to_wanted(tx, now, (account, link), origin).await
            }
            (Purpose::SignUp | Purpose::VerifyEmail | Purpose::ChangeEmail, _)
            | (Purpose::Reset | Purpose::Nothing, _) => Err(Error::LinkInvalid.into()),
        }
    }

    async fn open_wanted(
        &self,
        tx: &Tx,
        now: Timestamp,
        link: &Link,
        origin: Origin<'_>,
    ) -> Result<(), ApiError> {
        let wanted: Wanted = serde_json::from_str(&self.text_of(link)?).map_err(ApiError::internal)?;
        let hash = link.password_hash.as_deref().ok_or(Error::LinkInvalid)?;
        let account = Account {
            account_id: AccountId::new(&self.clock),
            email: Email::stored(wanted.email),
            name: wanted.name,
            time_zone: TimeZoneName::stored(wanted.time_zone),
            created_at: now,
            email_verified_at: Some(now),
        };
        let inserted = accounts::insert(tx, &self.vault, &account, hash, account::SCOPE).await;
        // In `open` mode, meanwhile, somebody else did.
        inserted.map_err(|error| refused(error, accounts::EMAIL_TAKEN, Error::LinkInvalid))?;
        let actor = Actor::Account(account.account_id);
        let entry = Entry::done(actor, "OPEN_ACCOUNT", account.account_id, origin);
        audit::write(tx, now, &entry).await?;
        Ok(share::take_up(self, tx, (account.account_id, &account.email), now, origin).await?)
    }

    async fn change_to_wanted(
        &self,
        tx: &Tx,
        now: Timestamp,
        (account, link): (AccountId, &Link),
        origin: Origin<'_>,
    ) -> Result<(), ApiError> {
        let new = Email::stored(self.text_of(link)?);
        let before = accounts::get(tx, &self.vault, account).await?.ok_or(Error::LinkInvalid)?;
        let changed = account_changes::set_email(tx, &self.vault, account, &new, now).await;
        changed.map_err(|error| refused(error, accounts::EMAIL_TAKEN, Error::LinkInvalid))?;
        // What went to the old address opens nothing any more.
        links::void(tx, account).await?;
        self.post.send(tx, now, &before.email, &Letter::EmailChanged).await?;
        let entry = Entry::done(Actor::Account(account), "CHANGE_EMAIL", account, origin);
        audit::write(tx, now, &entry).await?;
        Ok(share::take_up(self, tx, (account, &new), now, origin).await?)
    }

    fn text_of(&self, link: &Link) -> Result<String, ApiError> {
        let sealed = link.sealed.as_deref().ok_or(Error::LinkInvalid)?;
        self.vault.open_alone(link.link_id, SEALED, sealed).map_err(ApiError::internal)
    }
}

/// An account to be, but for its passphrase.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) email: &'a Email,
    pub(super) name: Option<&'a str>,
    pub(super) time_zone: &'a TimeZoneName,
}

fn unwritten() -> StoreError {
    StoreError::Inconsistent { table: "one_time_links", column: "sealed".to_owned() }
}

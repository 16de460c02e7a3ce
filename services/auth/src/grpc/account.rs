//! AccountService.

use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{AccountServiceHandler, Call};
use petty_chassis::types::AccountId;
use petty_proto::auth::v1 as wire;

use super::errors::{Fields, field_error, refused};
use super::link::Asked;
use super::{Grpc, closing, convert, share};
use crate::config::SignUpMode;
use crate::domain::Error;
use crate::domain::account::{self, Account, Email, NewAccount, Passphrase};
use crate::domain::passphrase::{ContextWords, Factors};
use crate::domain::text::{self, TimeZoneName};
use crate::store::audit::{self, Actor, Entry};
use crate::store::{account_changes, accounts, sessions};
use crate::throttle::Throttle;

impl Grpc {
    /// The hash of a passphrase that somebody chooses, where it is a good one.
    pub(super) async fn chosen(
        &self,
        call: &Call,
        field: &'static str,
        passphrase: Passphrase,
        factors: Factors,
        words: ContextWords,
    ) -> Result<String, ApiError> {
        let chosen = self.passwords.choose(passphrase, factors, words, call.deadline()).await?;
        chosen.map_err(|problem| field_error(field, problem).into())
    }
}

#[tonic::async_trait]
impl AccountServiceHandler for Grpc {
    async fn sign_up(
        &self,
        call: Call,
        request: wire::SignUpRequest,
    ) -> Result<wire::TokenResponse, ApiError> {
        let NewAccount { email, password, name, time_zone } = new_account(&request)?;
        if self.sign_up == SignUpMode::Closed {
            return Err(Error::SignUpClosed.into());
        }
        self.passwords.expect_room()?;
        let source = &self.count_source(&call).await?;
        let words = ContextWords::of(&email, name.as_deref());
        let hash = &self.chosen(&call, "password", password, Factors::PassphraseOnly, words).await?;
        let created_at = self.now();
        if self.sign_up == SignUpMode::Verified {
            let asked = Asked { email: &email, name: name.as_deref(), time_zone: &time_zone };
            let (asked, origin) = (&(asked, hash.as_str()), self.origin(&call));
            self.db
                .transaction("ask_to_sign_up", |tx| async move {
                    // It stays counted against its source: it has a stranger mailed.
                    self.ask_to_sign_up(&tx, created_at, asked, origin).await
                })
                .await?;
            call.accept();
            return Ok(wire::TokenResponse::default());
        }
        let account_id = AccountId::new(&self.clock);
        let account = &Account { account_id, email, name, time_zone, created_at, email_verified_at: None };
        let opening = &self.opening(account.account_id);
        let origin = self.origin(&call);
        self.db
            .transaction("sign_up", |tx| async move {
                let inserted = accounts::insert(&tx, &self.vault, account, hash, account::SCOPE).await;
                inserted.map_err(|error| refused(error, accounts::EMAIL_TAKEN, Error::EmailTaken))?;
                Throttle::succeeded(&tx, source, created_at).await?;
                sessions::open(&tx, &opening.session, account::SCOPE, &opening.token_hash).await?;
                let actor = Actor::Account(account.account_id);
                let entry = Entry::done(actor, "OPEN_ACCOUNT", account.account_id, origin);
                audit::write(&tx, created_at, &entry).await?;
                let (id, email) = (account.account_id, &account.email);
                share::take_up(self, &tx, (id, email), created_at, origin).await?;
                self.ask_to_confirm(&tx, created_at, account.account_id, &account.email).await?;
                Ok::<_, ApiError>(())
            })
            .await?;
        self.signed_in(opening, account::SCOPE, &[])
    }

    async fn get_me(&self, call: Call, _request: wire::GetMeRequest) -> Result<wire::Account, ApiError> {
        let account_id = call.caller().await?.account_id();
        let account = self
            .db
            .read("get_me", |tx| async move { accounts::get(&tx, &self.vault, account_id).await })
            .await?;
        Ok(convert::account(&account.ok_or(Error::SessionEnded)?))
    }

    async fn close_account(
        &self,
        call: Call,
        request: wire::CloseAccountRequest,
    ) -> Result<wire::CloseAccountResponse, ApiError> {
        closing::close(self, &call, &request).await
    }

    async fn update_me(&self, call: Call, request: wire::UpdateMeRequest) -> Result<wire::Account, ApiError> {
        let mut fields = Fields::default();
        let name = request.name.as_deref().map(|name| fields.take("name", text::optional(name)));
        let zone = request.time_zone.as_deref();
        let zone = zone.map(|zone| fields.take("time_zone", TimeZoneName::parse(zone)));
        fields.check()?;
        let account_id = call.caller().await?.account_id();
        let (name, zone) = (&name.flatten(), &zone.flatten());
        let (now, origin) = (self.now(), self.origin(&call));
        self.db
            .transaction("update_me", |tx| async move {
                accounts::lock_password_hash(&tx, account_id).await?.ok_or(Error::SessionEnded)?;
                let before = accounts::get(&tx, &self.vault, account_id).await?.ok_or(Error::SessionEnded)?;
                let account = Account {
                    name: name.clone().unwrap_or(before.name.clone()),
                    time_zone: zone.clone().unwrap_or(before.time_zone.clone()),
                    ..before.clone()
                };
                // Sent again, it changes nothing.
                if (&account.name, &account.time_zone) != (&before.name, &before.time_zone) {
                    account_changes::set_profile(&tx, &self.vault, &account).await?;
                    let entry = Entry::done(Actor::Account(account_id), "UPDATE_ACCOUNT", account_id, origin);
                    audit::write(&tx, now, &entry).await?;
                }
                Ok::<_, ApiError>(convert::account(&account))
            })
            .await
    }
}

fn new_account(request: &wire::SignUpRequest) -> Result<NewAccount, ApiError> {
    let mut fields = Fields::default();
    let email = fields.take("email", Email::parse(&request.email));
    let password = fields.take("password", Passphrase::parse(&request.password, Factors::PassphraseOnly));
    let name = fields.take("name", text::optional(request.name.as_deref().unwrap_or_default()));
    let time_zone = match request.time_zone.as_deref() {
        None | Some("") => Some(TimeZoneName::utc()),
        Some(zone) => fields.take("time_zone", TimeZoneName::parse(zone)),
    };
    match (email, password, name, time_zone) {
        (Some(email), Some(password), Some(name), Some(time_zone)) => {
            Ok(NewAccount { email, password, name, time_zone })
        }
        _ => Err(fields.into_error()),
    }
}

//! AccountService.

use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{AccountServiceHandler, Call};
use petty_chassis::types::AccountId;
use petty_proto::auth::v1 as wire;

use super::errors::{Fields, field_error, refused};
use super::{Grpc, closing, convert, share};
use crate::config::SignUpMode;
use crate::domain::Error;
use crate::domain::account::{self, Account, Email, NewAccount, Passphrase};
use crate::domain::passphrase::{ContextWords, Factors};
use crate::domain::text::{self, TimeZoneName};
use crate::store::audit::{self, Actor, Entry};
use crate::store::{accounts, sessions};
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
        let account =
            &Account { account_id: AccountId::new(&self.clock), email, name, time_zone, created_at };
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

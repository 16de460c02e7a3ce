//! PersonalTokenService.

use petty_chassis::caller::personal;
use petty_chassis::grpc::gate::{Call, PersonalTokenServiceHandler};
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::requests;
use petty_chassis::types::{AccountId, SessionId};
use petty_chassis::{ApiError, Code};
use petty_proto::auth::v1 as wire;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::errors::{Fields, field_error};
use super::{Grpc, convert};
use crate::domain::account::Passphrase;
use crate::domain::letter::Letter;
use crate::domain::personal::{self as domain, MOST, PersonalToken};
use crate::domain::second_factor::Code as Otp;
use crate::domain::{Error, Problem, text};
use crate::signer::Granted;
use crate::store::audit::{self, Actor, Entry};
use crate::store::{access, accounts, personal_tokens, second_factors};
use crate::{announce, revocation, seal};

const CREATE: &str = "CREATE_PERSONAL_TOKEN";
const METHOD: &str = "CreatePersonalToken";

impl Grpc {
    /// Asks whoever makes a token for all that a log-in of theirs needs; the hash of the passphrase.
    async fn prove(
        &self,
        call: &Call,
        account: AccountId,
        (password, otp): (Passphrase, Option<&Otp>),
        asked: &wire::CreatePersonalTokenRequest,
    ) -> Result<String, ApiError> {
        let hash = self.confirm_passphrase(call, account, password, CREATE).await?;
        let active = self
            .db
            .read("second_factor", |tx| async move {
                let active = second_factors::active_since(&tx, account).await?;
                if active.is_some() {
                    // Sent again, its code is used up, which says nothing about whoever sends it.
                    requests::unshown(&tx, (&asked.request_id, METHOD), asked).await?;
                }
                Ok::<_, ApiError>(active)
            })
            .await?;
        if active.is_some() {
            let otp = otp.ok_or_else(|| field_error("otp", Problem::REQUIRED))?;
            self.confirm_code(call, account, otp, CREATE).await?;
        }
        Ok(hash)
    }
}

#[tonic::async_trait]
impl PersonalTokenServiceHandler for Grpc {
    async fn create_personal_token(
        &self,
        call: Call,
        request: wire::CreatePersonalTokenRequest,
    ) -> Result<wire::CreatePersonalTokenResponse, ApiError> {
        let now = self.now();
        let mut fields = Fields::default();
        let name = fields.take("name", text::required(&request.name));
        let scope = fields.take("scope", domain::scope(&request.scope, call.claimed_caller()?));
        let expires_at = convert::time(&mut fields, "expire_time", request.expire_time)
            .and_then(|wanted| fields.take("expire_time", domain::expiry(wanted, now)));
        let password = fields.take("password", Passphrase::attempt(&request.password));
        let otp = request.otp.as_deref().filter(|otp| !otp.is_empty());
        let otp = otp.and_then(|otp| fields.take("otp", Otp::parse(otp)));
        convert::request_id(&mut fields, &request.request_id);
        fields.check()?;
        let (Some(name), Some(scope), Some(expires_at), Some(password)) = (name, scope, expires_at, password)
        else {
            return Err(fields.into_error());
        };
        // What tells a request from others of its id is kept, and ids can be short ones: nobody must try passphrases by it. A code
        // is another each time.
        let asked =
            &wire::CreatePersonalTokenRequest { password: String::new(), otp: None, ..request.clone() };
        let caller = call.caller().await?;
        let (account, session) = (caller.account_id(), caller.session_id());
        let secret = personal::generate(self.entropy);
        let hash = &seal::digest(secret.expose_secret());
        let token_id = SessionId::new(&self.clock);
        let token = &PersonalToken { token_id, name, scope, created_at: now, expires_at, last_used_at: None };
        let proved = &self.prove(&call, account, (password, otp.as_ref()), asked).await?;
        let origin = self.origin(&call);
        self.db
            .transaction("create_personal_token", |tx| async move {
                requests::once_shown(&tx, &self.clock, (&asked.request_id, METHOD), asked).await?;
                let hash_now =
                    accounts::lock_password_hash(&tx, account).await?.ok_or(Error::SessionEnded)?;
                if personal_tokens::count(&tx, account, now).await? >= MOST {
                    let text = "this account has 50 tokens; end one first";
                    return Err(ApiError::new(Code::ResourceExhausted, "TOO_MANY_TOKENS", text));
                }
                // The account is locked by now: a reset that ended the session meanwhile has not seen this token.
                let standing = access::session_stands(&tx, session, account, &[], now).await?;
                standing.ok_or(Error::SessionEnded)?;
                // Nor does a token come of a passphrase that was changed meanwhile.
                if &hash_now != proved {
                    return Err(Error::PasswordWrong.into());
                }
                personal_tokens::insert(&tx, &self.vault, account, token, hash).await?;
                let actor = Actor::Account(account);
                let entry = Entry::done(actor, CREATE, account, origin).with(json!({
                    "token_id": token_id.to_string(),
                    "scope": token.scope,
                    "expires_at": token.expires_at.to_string(),
                }));
                audit::write(&tx, now, &entry).await?;
                let known = accounts::get(&tx, &self.vault, account).await?.ok_or(Error::SessionEnded)?;
                self.post.send(&tx, now, &known.email, &Letter::PersonalTokenMade).await?;
                Ok::<_, ApiError>(())
            })
            .await?;
        Ok(wire::CreatePersonalTokenResponse {
            token: secret.expose_secret().to_owned(),
            personal_token: Some(wire_token(token)),
        })
    }

    async fn list_personal_tokens(
        &self,
        call: Call,
        request: wire::ListPersonalTokensRequest,
    ) -> Result<wire::ListPersonalTokensResponse, ApiError> {
        let page = &Page::read("me/tokens".to_owned(), request.page_size, &request.page_token)?;
        let (account, now) = (call.caller().await?.account_id(), self.now());
        let found = self.db.read("list_personal_tokens", |tx| async move {
            personal_tokens::list(&tx, &self.vault, account, now, page).await
        });
        let mut found = found.await?;
        let next_page_token =
            page.cut(&mut found, |token| Place { time: token.created_at, id: token.token_id.0 });
        let personal_tokens = found.iter().map(wire_token).collect();
        Ok(wire::ListPersonalTokensResponse { personal_tokens, next_page_token })
    }

    async fn delete_personal_token(
        &self,
        call: Call,
        request: wire::DeletePersonalTokenRequest,
    ) -> Result<wire::DeletePersonalTokenResponse, ApiError> {
        let mut fields = Fields::default();
        let token: Option<SessionId> = fields.parse("token_id", &request.token_id);
        let Some(token_id) = token else { return Err(fields.into_error()) };
        let account = call.caller().await?.account_id();
        let (now, origin) = (self.now(), self.origin(&call));
        let told = self
            .db
            .transaction("delete_personal_token", |tx| async move {
                let ended = personal_tokens::lock(&tx, account, token_id).await?;
                if let Some(event) = ended.ok_or(Error::TokenNotFound)? {
                    return Ok(event);
                }
                let event = announce::session_ended(&tx, &self.clock, token_id, account).await?;
                personal_tokens::end(&tx, token_id, now, event).await?;
                let actor = Actor::Account(account);
                let entry = Entry::done(actor, "DELETE_PERSONAL_TOKEN", account, origin)
                    .with(json!({"token_id": token_id.to_string()}));
                audit::write(&tx, now, &entry).await?;
                Ok::<_, ApiError>(event)
            })
            .await?;
        revocation::told(&self.db, &self.clock, &[told], call.deadline()).await?;
        Ok(wire::DeletePersonalTokenResponse { success: true })
    }

    async fn exchange_personal_token(
        &self,
        _call: Call,
        request: wire::ExchangePersonalTokenRequest,
    ) -> Result<wire::ExchangePersonalTokenResponse, ApiError> {
        let invalid = || ApiError::unauthenticated("TOKEN_INVALID", "the access token is not valid");
        if !personal::is_well_formed(&request.token) {
            return Err(invalid());
        }
        let now = self.now();
        let (hash, minute) = (&seal::digest(&request.token), domain::minute(now));
        let good = self.db.transaction("exchange_personal_token", |tx| async move {
            personal_tokens::used(&tx, hash, now, minute).await
        });
        let (account, token) = good.await?.ok_or_else(invalid)?;
        let granted = Granted { scope: &token.scope, roles: &[], integration: true };
        let minted = self.minter.account((account, token.token_id), granted, now, token.expires_at)?;
        Ok(wire::ExchangePersonalTokenResponse { access_token: minted.token, expires_in: minted.expires_in })
    }
}

fn wire_token(token: &PersonalToken) -> wire::PersonalToken {
    let PersonalToken { token_id, name, scope, created_at, expires_at, last_used_at } = token;
    wire::PersonalToken {
        token_id: token_id.to_string(),
        name: name.clone(),
        scope: scope.clone(),
        create_time: Some((*created_at).into()),
        expire_time: Some((*expires_at).into()),
        last_use_time: last_used_at.map(Into::into),
    }
}

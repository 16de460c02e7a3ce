//! PersonalTokenService.

use petty_chassis::caller::personal;
use petty_chassis::grpc::gate::{Call, PersonalTokenServiceHandler};
use petty_chassis::postgres::requests::{self, Before};
use petty_chassis::types::SessionId;
use petty_chassis::{ApiError, Code};
use petty_proto::auth::v1 as wire;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::errors::Fields;
use super::{Grpc, convert};
use crate::domain::personal::{self as domain, MOST, PersonalToken};
use crate::domain::{Error, text};
use crate::signer::Granted;
use crate::store::audit::{self, Actor, Entry};
use crate::store::{access, personal_tokens};
use crate::{announce, revocation, seal};

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
        convert::request_id(&mut fields, &request.request_id);
        fields.check()?;
        let (Some(name), Some(scope), Some(expires_at)) = (name, scope, expires_at) else {
            return Err(fields.into_error());
        };
        let caller = call.caller().await?;
        let (account, session) = (caller.account_id(), caller.session_id());
        let secret = personal::generate(self.entropy);
        let hash = &seal::digest(secret.expose_secret());
        let token_id = SessionId::new(&self.clock);
        let token = &PersonalToken { token_id, name, scope, created_at: now, expires_at, last_used_at: None };
        let (request, origin) = (&request, self.origin(&call));
        self.db
            .transaction("create_personal_token", |tx| async move {
                const METHOD: &str = "CreatePersonalToken";
                let before = requests::begin::<_, wire::CreatePersonalTokenResponse>(
                    &tx,
                    &self.clock,
                    &request.request_id,
                    METHOD,
                    request,
                );
                if let Before::Answered(_) = before.await? {
                    return Err(ApiError::internal("an answer with a secret was kept"));
                }
                if personal_tokens::count(&tx, account, now).await? >= MOST {
                    let text = "this account has 50 tokens; end one first";
                    return Err(ApiError::new(Code::ResourceExhausted, "TOO_MANY_TOKENS", text));
                }
                // The account is locked by now: a reset that ended the session meanwhile has not seen this token.
                let standing = access::session_stands(&tx, session, account, &[], now).await?;
                standing.ok_or(Error::SessionEnded)?;
                personal_tokens::insert(&tx, &self.vault, account, token, hash).await?;
                let actor = Actor::Account(account);
                let entry = Entry::done(actor, "CREATE_PERSONAL_TOKEN", account, origin).with(json!({
                    "token_id": token_id.to_string(),
                    "scope": token.scope,
                    "expires_at": token.expires_at.to_string(),
                }));
                audit::write(&tx, now, &entry).await?;
                Ok(())
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
        _request: wire::ListPersonalTokensRequest,
    ) -> Result<wire::ListPersonalTokensResponse, ApiError> {
        let (account, now) = (call.caller().await?.account_id(), self.now());
        let found = self.db.read("list_personal_tokens", |tx| async move {
            personal_tokens::list(&tx, &self.vault, account, now).await
        });
        let personal_tokens = found.await?.iter().map(wire_token).collect();
        Ok(wire::ListPersonalTokensResponse { personal_tokens })
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

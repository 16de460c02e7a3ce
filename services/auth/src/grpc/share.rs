//! PetService: shares.

use petty_chassis::grpc::gate::Call;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::requests;
use petty_chassis::types::ShareId;
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::errors::{Fields, refused};
use super::{Grpc, convert};
use crate::domain::Error;
use crate::domain::access::{self, NewShare, Share};
use crate::domain::account::Email;
use crate::store::audit::{self, Actor, Entry};
use crate::store::{accounts, pets, shares};
use crate::{announce, revocation};

pub(super) async fn create(
    grpc: &Grpc,
    call: &Call,
    request: &wire::CreateShareRequest,
) -> Result<wire::Share, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let email = fields.take("email", Email::parse(&request.email));
    let role = fields.take("role", convert::shared_role(request.role));
    let expires_at = convert::time(&mut fields, "expire_time", request.expire_time)
        .and_then(|wanted| fields.take("expire_time", access::share_expiry(wanted, now)));
    convert::request_id(&mut fields, &request.request_id);
    fields.check()?;
    let (Some(email), Some(role), Some(expires_at)) = (email, role, expires_at) else {
        return Err(fields.into_error());
    };
    let new = &NewShare { email, role, expires_at };

    let pet_id = call.pet().await?.pet_id;
    let account_id = call.claimed_caller()?.account_id();
    let (share_id, request_id) = (ShareId::new(&grpc.clock), call.request_id());
    grpc.db
        .transaction("create_share", |tx| async move {
            let work = async {
                if !pets::hold(&tx, pet_id, account_id).await? {
                    return Err(Error::PetNotFound.into());
                }
                let with =
                    accounts::by_email(&tx, &grpc.vault, &new.email).await?.ok_or(Error::AccountNotFound)?;
                if with.account_id == account_id {
                    return Err(FieldError::malformed("email", "is the owner's own").into());
                }
                let NewShare { role, expires_at, .. } = *new;
                let share = Share {
                    share_id,
                    pet_id,
                    account_id: with.account_id,
                    email: with.email,
                    role,
                    expires_at,
                    created_at: now,
                };
                let inserted = shares::insert(&tx, &share).await;
                inserted.map_err(|error| refused(error, shares::EXISTS, Error::ShareExists))?;
                announce::share_changed(&tx, &grpc.clock, share.account_id, pet_id).await?;
                let entry =
                    Entry::done(Actor::Account(account_id), "SHARE_PET", pet_id, request_id).with(json!({
                        "share_id": share_id.to_string(),
                        "account_id": share.account_id.to_string(),
                        "role": role.as_str(),
                    }));
                audit::write(&tx, now, &entry).await?;
                Ok(convert::share(&share))
            };
            requests::once(&tx, &grpc.clock, (&request.request_id, "CreateShare"), request, work).await
        })
        .await
}

pub(super) async fn list(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ListSharesRequest,
) -> Result<wire::ListSharesResponse, ApiError> {
    let list = format!("pets/{}/shares", request.pet_id);
    let page = &Page::read(list, request.page_size, &request.page_token)?;
    let (pet_id, now) = (call.pet().await?.pet_id, grpc.now());
    let mut found: Vec<Share> = grpc
        .db
        .read("list_shares", |tx| async move { shares::list(&tx, &grpc.vault, pet_id, now, page).await })
        .await?;
    let next_page_token =
        page.cut(&mut found, |share| Place { time: share.created_at, id: share.share_id.0 });
    Ok(wire::ListSharesResponse { shares: found.iter().map(convert::share).collect(), next_page_token })
}

pub(super) async fn delete(
    grpc: &Grpc,
    call: &Call,
    request: &wire::DeleteShareRequest,
) -> Result<wire::DeleteShareResponse, ApiError> {
    let mut fields = Fields::default();
    let share: Option<ShareId> = fields.parse("share_id", &request.share_id);
    let Some(share_id) = share else { return Err(fields.into_error()) };
    let pet_id = call.pet().await?.pet_id;
    let account_id = call.claimed_caller()?.account_id();
    let (now, request_id) = (grpc.now(), call.request_id());
    let told = grpc
        .db
        .transaction("delete_share", |tx| async move {
            let (with, withdrawn) = shares::lock(&tx, pet_id, share_id).await?.ok_or(Error::ShareNotFound)?;
            if let Some(event) = withdrawn {
                return Ok(event);
            }
            let event = announce::share_changed(&tx, &grpc.clock, with, pet_id).await?;
            shares::withdraw(&tx, share_id, now, event).await?;
            let entry = Entry::done(Actor::Account(account_id), "WITHDRAW_SHARE", pet_id, request_id)
                .with(json!({"share_id": share_id.to_string(), "account_id": with.to_string()}));
            audit::write(&tx, now, &entry).await?;
            Ok::<_, ApiError>(event)
        })
        .await?;
    revocation::told(&grpc.db, &grpc.clock, &[told], call.deadline()).await?;
    Ok(wire::DeleteShareResponse { success: true })
}

//! PetService: shares.
//!
//! Invariant: whether an address has an account is not to be learnt here: a share by e-mail is answered, listed, told and
//! written down alike with and without one.

use jiff::Timestamp;
use petty_chassis::grpc::gate::Call;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::Tx;
use petty_chassis::postgres::requests;
use petty_chassis::types::{AccountId, ShareId};
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::errors::{Fields, refused};
use super::token::LONGEST_SECRET;
use super::{Grpc, convert};
use crate::config::SignUpMode;
use crate::domain::Error;
use crate::domain::access::{self, NewShare, Share};
use crate::domain::account::{Account, Email};
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::{accounts, pets, shares};
use crate::{announce, revocation, seal};

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
    let (share_id, origin) = (ShareId::new(&grpc.clock), grpc.origin(call));
    grpc.db
        .transaction("create_share", |tx| async move {
            let work = async {
                if !pets::hold(&tx, pet_id, account_id).await? {
                    return Err(Error::PetNotFound.into());
                }
                let NewShare { role, expires_at, ref email } = *new;
                let with = accounts::by_email(&tx, &grpc.vault, email).await?;
                if with.as_ref().is_some_and(|with| with.account_id == account_id) {
                    return Err(FieldError::malformed("email", "is the owner's own").into());
                }
                let with = with.filter(|with| grpc.owns_its_address(with)).map(|with| with.account_id);
                let share = Share {
                    share_id,
                    pet_id,
                    email: Some(email.clone()),
                    accept_before: None,
                    role,
                    expires_at,
                    created_at: now,
                };
                let given = shares::give(&tx, &grpc.vault, account_id, (&share, email), with).await;
                given.map_err(|error| refused(error, shares::EXISTS, Error::ShareExists))?;
                announce::share_changed(&tx, &grpc.clock, with, pet_id).await?;
                let entry =
                    Entry::done(Actor::Account(account_id), "SHARE_PET", pet_id, origin).with(json!({
                        "share_id": share_id.to_string(),
                        "account_id": with.map(|account| account.to_string()),
                        "role": role.as_str(),
                    }));
                audit::write(&tx, now, &entry).await?;
                Ok(convert::share(&share))
            };
            requests::once(&tx, &grpc.clock, (&request.request_id, "CreateShare"), request, work).await
        })
        .await
}

pub(super) async fn create_link(
    grpc: &Grpc,
    call: &Call,
    request: &wire::CreateShareLinkRequest,
) -> Result<wire::CreateShareLinkResponse, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let role = fields.take("role", convert::shared_role(request.role));
    let expires_at = convert::time(&mut fields, "expire_time", request.expire_time)
        .and_then(|wanted| fields.take("expire_time", access::share_expiry(wanted, now)));
    convert::request_id(&mut fields, &request.request_id);
    fields.check()?;
    let (Some(role), Some(expires_at)) = (role, expires_at) else { return Err(fields.into_error()) };

    let pet_id = call.pet().await?.pet_id;
    let account_id = call.claimed_caller()?.account_id();
    let token = grpc.entropy.token::<32>();
    let hash = &seal::digest(&token);
    let share = &Share {
        share_id: ShareId::new(&grpc.clock),
        pet_id,
        email: None,
        accept_before: Some(access::accept_before(expires_at, now)),
        role,
        expires_at,
        created_at: now,
    };
    let origin = grpc.origin(call);
    grpc.db
        .transaction("create_share_link", |tx| async move {
            let key = (request.request_id.as_str(), "CreateShareLink");
            requests::once_shown(&tx, &grpc.clock, key, request).await?;
            if !pets::hold(&tx, pet_id, account_id).await? {
                return Err(Error::PetNotFound.into());
            }
            shares::offer(&tx, share, hash).await?;
            let entry = Entry::done(Actor::Account(account_id), "OFFER_SHARE", pet_id, origin)
                .with(json!({"share_id": share.share_id.to_string(), "role": role.as_str()}));
            audit::write(&tx, now, &entry).await?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(wire::CreateShareLinkResponse { share: Some(convert::share(share)), token })
}

pub(super) async fn accept(
    grpc: &Grpc,
    call: &Call,
    request: &wire::AcceptShareRequest,
) -> Result<wire::Pet, ApiError> {
    match request.token.len() {
        0 => return Err(FieldError::required("token").into()),
        1..=LONGEST_SECRET => {}
        _ => return Err(FieldError::out_of_range("token", "is longer than any that was given out").into()),
    }
    let account = call.caller().await?.account_id();
    let (hash, now, origin) = (&seal::digest(&request.token), grpc.now(), grpc.origin(call));
    grpc.db
        .transaction("accept_share", |tx| async move {
            let offered = shares::lock_offered(&tx, hash, now).await?.ok_or(Error::ShareLinkInvalid)?;
            if offered.owner == account {
                return Err(Error::PetIsYours.into());
            }
            match offered.taken_by {
                // Sent again, it is taken up already.
                Some(taken_by) if taken_by == account => {}
                Some(_) => return Err(Error::ShareLinkInvalid.into()),
                None => {
                    shares::take(&tx, offered.share_id, account, now).await?;
                    taken_up(grpc, &tx, account, (offered.share_id, offered.pet_id), now, origin).await?;
                }
            }
            let pet = pets::get(&tx, offered.pet_id).await?.ok_or(Error::ShareLinkInvalid)?;
            Ok::<_, ApiError>(convert::pet(&pet, Some(offered.role)))
        })
        .await
}

/// An account that has an address from now on is given the shares that wait for it. To be called in the transaction that makes
/// it so: opening the account where addresses are not verified, verifying the address, changing it.
pub(super) async fn take_up(
    grpc: &Grpc,
    tx: &Tx,
    (account, email): (AccountId, &Email),
    now: Timestamp,
    origin: Origin<'_>,
) -> Result<(), petty_chassis::postgres::Error> {
    for taken in shares::take_up(tx, &grpc.vault, (account, email), now).await? {
        taken_up(grpc, tx, account, taken, now, origin).await?;
    }
    Ok(())
}

async fn taken_up(
    grpc: &Grpc,
    tx: &Tx,
    account: AccountId,
    (share_id, pet_id): (ShareId, petty_chassis::types::PetId),
    now: Timestamp,
    origin: Origin<'_>,
) -> Result<(), petty_chassis::postgres::Error> {
    announce::share_changed(tx, &grpc.clock, Some(account), pet_id).await?;
    let entry = Entry::done(Actor::Account(account), "TAKE_UP_SHARE", pet_id, origin)
        .with(json!({"share_id": share_id.to_string()}));
    audit::write(tx, now, &entry).await
}

pub(super) async fn list(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ListSharesRequest,
) -> Result<wire::ListSharesResponse, ApiError> {
    let list = format!("pets/{}/shares", request.pet_id);
    let page = &Page::read(list, request.page_size, &request.page_token)?;
    let (pet_id, now) = (call.pet().await?.pet_id, grpc.now());
    let found = grpc
        .db
        .read("list_shares", |tx| async move { shares::list(&tx, &grpc.vault, pet_id, now, page).await });
    let mut found: Vec<Share> = found.await?;
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
    let (now, origin) = (grpc.now(), grpc.origin(call));
    let told = grpc
        .db
        .transaction("delete_share", |tx| async move {
            let (with, withdrawn) = shares::lock(&tx, pet_id, share_id).await?.ok_or(Error::ShareNotFound)?;
            if let Some(event) = withdrawn {
                return Ok(event);
            }
            let event = announce::share_changed(&tx, &grpc.clock, with, pet_id).await?;
            shares::withdraw(&tx, share_id, now, event).await?;
            let entry =
                Entry::done(Actor::Account(account_id), "WITHDRAW_SHARE", pet_id, origin).with(json!({
                    "share_id": share_id.to_string(),
                    "account_id": with.map(|account| account.to_string()),
                }));
            audit::write(&tx, now, &entry).await?;
            Ok::<_, ApiError>(event)
        })
        .await?;
    revocation::told(&grpc.db, &grpc.clock, &[told], call.deadline()).await?;
    Ok(wire::DeleteShareResponse { success: true })
}

impl Grpc {
    /// Whether an account that has an address is known to be its owner's. Where anybody may open an account without
    /// confirming its address, no address is, and none is asked to be.
    fn owns_its_address(&self, account: &Account) -> bool {
        self.sign_up != SignUpMode::Verified || account.email_verified_at.is_some()
    }
}

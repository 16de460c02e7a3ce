//! AccountService: the end of an account.
//!
//! Invariant: all of it is one transaction: after it the account, its data key and its pets are gone, and every service is
//! told; before it nothing is. What is left is ids: in the audit log, and so that the closing can be sent again.

use jiff::Timestamp;
use petty_chassis::ApiError;
use petty_chassis::grpc::gate::Call;
use petty_chassis::postgres::Tx;
use petty_chassis::types::{AccountId, EventId};
use petty_proto::auth::v1 as wire;

use super::errors::Fields;
use super::{Grpc, collar};
use crate::domain::Error;
use crate::domain::account::Passphrase;
use crate::domain::pet::Pet;
use crate::domain::staff::{PlatformRole, may_withdraw};
use crate::store::audit::{self, Actor, Entry};
use crate::store::{accounts, pairings, pets, staff};
use crate::{announce, revocation};

pub(super) async fn close(
    grpc: &Grpc,
    call: &Call,
    request: &wire::CloseAccountRequest,
) -> Result<wire::CloseAccountResponse, ApiError> {
    let mut fields = Fields::default();
    let password = fields.take("password", Passphrase::attempt(&request.password));
    let Some(password) = password else { return Err(fields.into_error()) };
    // Not whether the session stands: sent again, it waits again for what was told of the end.
    let account_id = call.claimed_caller()?.account_id();
    let closed =
        grpc.db.read("closed_account", |tx| async move { accounts::closing(&tx, account_id).await }).await?;
    let told = match closed {
        Some(event) => vec![event],
        None => {
            call.caller().await?;
            grpc.confirm_passphrase(call, account_id, password, "CLOSE_ACCOUNT").await?;
            let (now, origin) = (grpc.now(), grpc.origin(call));
            grpc.db
                .transaction("close_account", |tx| async move {
                    may_leave(&tx, account_id).await?;
                    if !accounts::lock(&tx, account_id).await? {
                        // Somebody closed it meanwhile.
                        let closed = accounts::closing(&tx, account_id).await?;
                        return Ok(vec![closed.ok_or(Error::SessionEnded)?]);
                    }
                    let told = end(grpc, &tx, account_id, now).await?;
                    let entry = Entry::done(Actor::Account(account_id), "CLOSE_ACCOUNT", account_id, origin);
                    audit::write(&tx, now, &entry).await?;
                    Ok::<_, ApiError>(told)
                })
                .await?
        }
    };
    revocation::told(&grpc.db, &grpc.clock, &told, call.deadline()).await?;
    Ok(wire::CloseAccountResponse { success: true })
}

/// Somebody must be left who gives roles.
async fn may_leave(tx: &Tx, account_id: AccountId) -> Result<(), ApiError> {
    let admin = PlatformRole::Admin;
    let is_admin = |roles: Vec<String>| roles.iter().any(|held| held == admin.as_str());
    if staff::roles(tx, account_id).await?.is_some_and(is_admin) {
        staff::lock(tx).await?;
        may_withdraw(admin, true, staff::admins(tx).await?)?;
    }
    Ok(())
}

/// Ends an account that is locked; the events to wait for.
async fn end(grpc: &Grpc, tx: &Tx, account_id: AccountId, now: Timestamp) -> Result<Vec<EventId>, ApiError> {
    let mut told = Vec::new();
    for pet in pets::lock_all_of(tx, account_id).await? {
        told.extend(forget_pet(grpc, tx, &pet, now).await?);
    }
    // Its sessions, the shares it was given, and whatever else it may do.
    let event = announce::account_changed(tx, &grpc.clock, account_id).await?;
    told.push(event);
    announce::account_erasing(tx, &grpc.clock, grpc.shards, account_id).await?;
    accounts::close(tx, account_id, now, event).await?;
    Ok(told)
}

/// Removes a pet that is locked, with its collars' credentials; the events to wait for.
pub(super) async fn forget_pet(
    grpc: &Grpc,
    tx: &Tx,
    pet: &Pet,
    now: Timestamp,
) -> Result<Vec<EventId>, ApiError> {
    let mut told = Vec::new();
    for pairing in pairings::live_of_pet(tx, pet.pet_id).await? {
        told.push(collar::end_credentials(tx, &grpc.clock, &pairing).await?);
    }
    announce::pet_erasing(tx, &grpc.clock, grpc.shards, pet).await?;
    // The last one in the broadcast: once it is sent, so are those before it.
    let event = announce::pet_gone(tx, &grpc.clock, pet.pet_id).await?;
    told.push(event);
    pets::delete(tx, pet, now, event).await?;
    Ok(told)
}

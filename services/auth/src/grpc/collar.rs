//! PetService: collars.

use jiff::Timestamp;
use petty_chassis::grpc::gate::Call;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::requests;
use petty_chassis::postgres::{Error as StoreError, Tx};
use petty_chassis::types::{Clock, CollarId, EventId, PairingId, SessionId};
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::errors::{Fields, refused};
use super::{Grpc, convert};
use crate::domain::Error;
use crate::domain::pairing::{self, Pairing};
use crate::store::audit::{self, Actor, Entry};
use crate::store::{pairings, pets, secrets};
use crate::{announce, revocation, seal};

/// Ends all that a pairing's secrets got: the last of the events that tell of it. Once it is sent, so are those before it.
pub(super) async fn end_credentials(
    tx: &Tx,
    clock: &Clock,
    pairing: &Pairing,
) -> Result<EventId, StoreError> {
    for credential in secrets::end_all(tx, pairing.pairing_id).await? {
        announce::credential_ended(tx, clock, pairing, credential).await?;
    }
    announce::credential_ended(tx, clock, pairing, pairing.credential_id).await
}

/// Tells that a pet does not wear a collar any more, once that is written.
async fn tell_unpaired(grpc: &Grpc, tx: &Tx, ended: &Pairing, end_at: Timestamp) -> Result<(), StoreError> {
    // Of two that are taken off at once one is the last.
    pairings::lock_worn(tx, ended.pet_id).await?;
    let worn = pairings::live_of_pet(tx, ended.pet_id).await?.len();
    announce::collar_unpaired(tx, &grpc.clock, grpc.shards, ended, (end_at, worn)).await
}

pub(super) async fn pair(
    grpc: &Grpc,
    call: &Call,
    request: &wire::PairCollarRequest,
) -> Result<wire::PairCollarResponse, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let collar: Option<CollarId> = fields.parse("collar_id", &request.collar_id);
    let start_at = convert::time(&mut fields, "start_time", request.start_time)
        .and_then(|wanted| fields.take("start_time", pairing::start(wanted, now)));
    convert::request_id(&mut fields, &request.request_id);
    fields.check()?;
    let (Some(collar_id), Some(start_at)) = (collar, start_at) else { return Err(fields.into_error()) };

    let pet_id = call.pet().await?.pet_id;
    let account_id = call.claimed_caller()?.account_id();
    let secret = grpc.entropy.token::<32>();
    let secret_hash = &seal::digest(&secret);
    let new = &Pairing {
        pairing_id: PairingId::new(&grpc.clock),
        collar_id,
        pet_id,
        account_id,
        start_at,
        end_at: None,
        credential_id: SessionId::new(&grpc.clock),
    };
    let origin = grpc.origin(call);
    let (new, told) = &grpc
        .db
        .transaction("pair_collar", |tx| async move {
            requests::once_shown(&tx, &grpc.clock, (&request.request_id, "PairCollar"), request).await?;
            if !pets::hold(&tx, pet_id, account_id).await? {
                return Err(Error::PetNotFound.into());
            }
            pairings::lock_collar(&tx, &new.collar_id).await?;
            let mut new = new.clone();
            let second = pairing::whole_second(start_at);
            if request.start_time.is_none() && pairings::beyond(&tx, &new.collar_id, second).await?.is_empty()
            {
                new.start_at = second;
            }
            let start_at = new.start_at;
            let others = pairings::beyond(&tx, &new.collar_id, start_at).await?;
            let mut told = Vec::new();
            let moved = pairing::make_room(account_id, start_at, &others)?;
            if let Some(moved) = moved {
                let event = end_credentials(&tx, &grpc.clock, moved).await?;
                pairings::end(&tx, moved.pairing_id, start_at, event).await?;
                told.push(event);
            }
            let inserted = pairings::insert(&tx, &new, secret_hash, now).await;
            inserted.map_err(|error| refused(error, pairings::OVERLAP, Error::CollarPaired))?;
            announce::collar_paired(&tx, &grpc.clock, &new.collar_id, pet_id).await?;
            if let Some(moved) = moved {
                tell_unpaired(grpc, &tx, moved, start_at).await?;
            }
            let entry = Entry::done(Actor::Account(account_id), "PAIR_COLLAR", pet_id, origin)
                .with(json!({"collar_id": new.collar_id.to_string(), "moved": !told.is_empty()}));
            audit::write(&tx, now, &entry).await?;
            Ok::<_, ApiError>((new, told))
        })
        .await?;
    revocation::told(&grpc.db, &grpc.clock, told, call.deadline()).await?;
    Ok(wire::PairCollarResponse { collar: Some(convert::collar(new)), secret })
}

pub(super) async fn list(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ListCollarsRequest,
) -> Result<wire::ListCollarsResponse, ApiError> {
    let list = format!("pets/{}/collars", request.pet_id);
    let page = &Page::read(list, request.page_size, &request.page_token)?;
    let pet_id = call.pet().await?.pet_id;
    let mut found: Vec<Pairing> =
        grpc.db.read("list_collars", |tx| async move { pairings::list(&tx, pet_id, page).await }).await?;
    let next_page_token =
        page.cut(&mut found, |pairing| Place { time: pairing.start_at, id: pairing.pairing_id.0 });
    Ok(wire::ListCollarsResponse { collars: found.iter().map(convert::collar).collect(), next_page_token })
}

pub(super) async fn unpair(
    grpc: &Grpc,
    call: &Call,
    request: &wire::UnpairCollarRequest,
) -> Result<wire::UnpairCollarResponse, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let collar: Option<CollarId> = fields.parse("collar_id", &request.collar_id);
    let end_at = convert::time(&mut fields, "end_time", request.end_time)
        .and_then(|wanted| fields.take("end_time", pairing::end(wanted, now)));
    let (Some(collar_id), Some(end_at)) = (collar, end_at) else { return Err(fields.into_error()) };

    let pet_id = call.pet().await?.pet_id;
    let account_id = call.claimed_caller()?.account_id();
    let (collar_id, origin) = (&collar_id, grpc.origin(call));
    let (ended, told) = grpc
        .db
        .transaction("unpair_collar", |tx| async move {
            let newest = pairings::lock_newest(&tx, pet_id, collar_id).await?;
            let (pairing, ended) = newest.ok_or(Error::CollarNotFound)?;
            if pairing.end_at.is_some() {
                return Ok((pairing, ended));
            }
            let end_at = pairing::end_of(&pairing, end_at, request.end_time.is_some());
            let end_at = end_at.map_err(|problem| FieldError::out_of_range("end_time", problem.reason))?;
            let event = end_credentials(&tx, &grpc.clock, &pairing).await?;
            pairings::end(&tx, pairing.pairing_id, end_at, event).await?;
            tell_unpaired(grpc, &tx, &pairing, end_at).await?;
            let entry = Entry::done(Actor::Account(account_id), "UNPAIR_COLLAR", pet_id, origin)
                .with(json!({"collar_id": collar_id.to_string()}));
            audit::write(&tx, now, &entry).await?;
            Ok::<_, ApiError>((Pairing { end_at: Some(end_at), ..pairing }, Some(event)))
        })
        .await?;
    revocation::told(&grpc.db, &grpc.clock, told.as_slice(), call.deadline()).await?;
    Ok(wire::UnpairCollarResponse { collar: Some(convert::collar(&ended)) })
}

pub(super) async fn rotate_secret(
    grpc: &Grpc,
    call: &Call,
    request: &wire::RotateCollarSecretRequest,
) -> Result<wire::PairCollarResponse, ApiError> {
    let now = grpc.now();
    let mut fields = Fields::default();
    let collar: Option<CollarId> = fields.parse("collar_id", &request.collar_id);
    let overlap = fields.take("overlap_seconds", pairing::overlap(request.overlap_seconds));
    convert::request_id(&mut fields, &request.request_id);
    fields.check()?;
    let (Some(collar_id), Some(overlap)) = (collar, overlap) else { return Err(fields.into_error()) };

    let pet_id = call.pet().await?.pet_id;
    let account_id = call.claimed_caller()?.account_id();
    let secret = grpc.entropy.token::<32>();
    let (secret_hash, credential) = (&seal::digest(&secret), SessionId::new(&grpc.clock));
    let (collar_id, origin) = (&collar_id, grpc.origin(call));
    let (pairing, told) = grpc
        .db
        .transaction("rotate_collar_secret", |tx| async move {
            requests::once_shown(&tx, &grpc.clock, (&request.request_id, "RotateCollarSecret"), request)
                .await?;
            let newest = pairings::lock_newest(&tx, pet_id, collar_id).await?;
            let (pairing, _) =
                newest.filter(|(pairing, _)| pairing.end_at.is_none()).ok_or(Error::CollarNotFound)?;
            let told = match overlap {
                None => Some(end_credentials(&tx, &grpc.clock, &pairing).await?),
                // Nothing ends yet; that it will is to be asked for, and not to be remembered otherwise.
                Some(overlap) => {
                    secrets::keep(&tx, &pairing, now, now + overlap).await?;
                    announce::credential_ended(&tx, &grpc.clock, &pairing, pairing.credential_id).await?;
                    None
                }
            };
            pairings::present_secret(&tx, pairing.pairing_id, credential, secret_hash).await?;
            let overlap = overlap.map_or(0, |overlap| overlap.as_secs());
            let entry = Entry::done(Actor::Account(account_id), "ROTATE_COLLAR_SECRET", pet_id, origin)
                .with(json!({"collar_id": collar_id.to_string(), "overlap_seconds": overlap}));
            audit::write(&tx, now, &entry).await?;
            Ok::<_, ApiError>((pairing, told))
        })
        .await?;
    revocation::told(&grpc.db, &grpc.clock, told.as_slice(), call.deadline()).await?;
    Ok(wire::PairCollarResponse { collar: Some(convert::collar(&pairing)), secret })
}

impl Grpc {
    /// The pairing of a collar whose secret this is, and the credential that the secret stands for: the present one, or one
    /// that was replaced and is still good.
    pub(super) async fn credential(
        &self,
        collar: &CollarId,
        secret: &str,
    ) -> Result<Option<(Pairing, SessionId)>, ApiError> {
        let now = self.now();
        let live = self
            .db
            .read("live_pairing", |tx| async move {
                let Some((pairing, present)) = pairings::live(&tx, collar).await? else { return Ok(None) };
                let mut good = vec![present];
                good.extend(secrets::good(&tx, pairing.pairing_id, now).await?);
                Ok::<_, StoreError>(Some((pairing, good)))
            })
            .await?;
        let Some((pairing, good)) = live else {
            // Compared for unknown collars too, with a hash that nothing has.
            seal::matches(secret, &[0; 32]);
            return Ok(None);
        };
        let right = good.iter().find(|kept| seal::matches(secret, &kept.hash));
        Ok(right.map(|right| (pairing.clone(), right.credential_id)))
    }
}

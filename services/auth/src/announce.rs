//! What auth tells the mesh, written in the transaction that made it true.

use jiff::Timestamp;
use petty_chassis::events::{Outgoing, outbox, topics};
use petty_chassis::postgres::{Error, Tx};
use petty_chassis::types::{AccountId, Clock, CollarId, EventId, PetId, SessionId};
use petty_proto::events::v1 as wire;
use uuid::Uuid;

use crate::domain::pairing::Pairing;
use crate::domain::pet::Pet;
use crate::grpc::convert;

/// The one shard of the broadcast: its changes are heard in their order.
const BROADCAST_SHARD: i16 = 0;

/// A session ended.
pub(crate) async fn session_ended(
    tx: &Tx,
    clock: &Clock,
    session: SessionId,
    account: AccountId,
) -> Result<EventId, Error> {
    let change = wire::AccessChanged {
        session_id: session.to_string(),
        account_id: account.to_string(),
        ..wire::AccessChanged::default()
    };
    access_changed(tx, clock, session.0, &change).await
}

/// One of a collar's credentials is dead, or will be, or its pairing has ended.
pub(crate) async fn credential_ended(
    tx: &Tx,
    clock: &Clock,
    pairing: &Pairing,
    credential: SessionId,
) -> Result<EventId, Error> {
    let change = wire::AccessChanged {
        session_id: credential.to_string(),
        pet_id: pairing.pet_id.to_string(),
        collar_id: pairing.collar_id.to_string(),
        pairing_id: pairing.pairing_id.to_string(),
        ..wire::AccessChanged::default()
    };
    access_changed(tx, clock, pairing.pairing_id.0, &change).await
}

/// A collar was paired with a pet.
pub(crate) async fn collar_paired(
    tx: &Tx,
    clock: &Clock,
    collar: &CollarId,
    pet: PetId,
) -> Result<EventId, Error> {
    let change = wire::AccessChanged {
        pet_id: pet.to_string(),
        collar_id: collar.to_string(),
        ..wire::AccessChanged::default()
    };
    access_changed(tx, clock, pet.0, &change).await
}

/// What an account may do with a pet is more, or less, than it was; without an account, what somebody unknown may.
pub(crate) async fn share_changed(
    tx: &Tx,
    clock: &Clock,
    account: Option<AccountId>,
    pet: PetId,
) -> Result<EventId, Error> {
    let change = wire::AccessChanged {
        account_id: account.map(|account| account.to_string()).unwrap_or_default(),
        pet_id: pet.to_string(),
        ..wire::AccessChanged::default()
    };
    access_changed(tx, clock, pet.0, &change).await
}

/// What an account may do on the platform is more, or less, than it was; or nothing any more.
pub(crate) async fn account_changed(tx: &Tx, clock: &Clock, account: AccountId) -> Result<EventId, Error> {
    let change = wire::AccessChanged { account_id: account.to_string(), ..wire::AccessChanged::default() };
    access_changed(tx, clock, account.0, &change).await
}

/// Nobody may see a pet any more.
pub(crate) async fn pet_gone(tx: &Tx, clock: &Clock, pet: PetId) -> Result<EventId, Error> {
    let change = wire::AccessChanged { pet_id: pet.to_string(), ..wire::AccessChanged::default() };
    access_changed(tx, clock, pet.0, &change).await
}

async fn access_changed(
    tx: &Tx,
    clock: &Clock,
    subject: Uuid,
    change: &wire::AccessChanged,
) -> Result<EventId, Error> {
    let event = Outgoing {
        topic: &topics::ACCESS_CHANGED,
        subject,
        version: 0,
        shard: BROADCAST_SHARD,
        payload: change,
    };
    outbox::write(tx, clock, &event).await
}

/// A pet is new, or has changed.
pub(crate) async fn pet_changed(tx: &Tx, clock: &Clock, shards: i16, pet: &Pet) -> Result<(), Error> {
    let payload = wire::PetChanged {
        pet: Some(convert::pet(pet, None)),
        account_id: pet.account_id.to_string(),
        deleted: false,
    };
    let event = Outgoing::of_pet(&topics::PET_CHANGED, pet.pet_id, i64::from(pet.version), shards, &payload);
    outbox::write(tx, clock, &event).await.map(|_| ())
}

/// A pet does not wear a collar any more; how many others it wears.
pub(crate) async fn collar_unpaired(
    tx: &Tx,
    clock: &Clock,
    shards: i16,
    ended: &Pairing,
    (end_at, worn): (Timestamp, usize),
) -> Result<(), Error> {
    let payload = wire::CollarUnpaired {
        pet_id: ended.pet_id.to_string(),
        collar_id: ended.collar_id.to_string(),
        end_time: Some(end_at.into()),
        worn: i32::try_from(worn).unwrap_or(i32::MAX),
    };
    let event = Outgoing::of_pet(&topics::COLLAR_UNPAIRED, ended.pet_id, 0, shards, &payload);
    outbox::write(tx, clock, &event).await.map(|_| ())
}

/// An account is gone, and those who keep something of its own are to forget it. It travels as a pet's events do, by its id.
pub(crate) async fn account_erasing(
    tx: &Tx,
    clock: &Clock,
    shards: i16,
    account: AccountId,
) -> Result<(), Error> {
    let payload = wire::AccountErasing { account_id: account.to_string() };
    let event = Outgoing::of_pet(&topics::ACCOUNT_ERASING, PetId(account.0), 1, shards, &payload);
    outbox::write(tx, clock, &event).await.map(|_| ())
}

/// A pet is gone, and everybody is to forget it. Its last version is one higher than any before.
pub(crate) async fn pet_erasing(tx: &Tx, clock: &Clock, shards: i16, pet: &Pet) -> Result<(), Error> {
    let pet_id = pet.pet_id.to_string();
    let gone = petty_proto::auth::v1::Pet { pet_id: pet_id.clone(), ..petty_proto::auth::v1::Pet::default() };
    let payload = wire::PetChanged { pet: Some(gone), account_id: pet.account_id.to_string(), deleted: true };
    let version = i64::from(pet.version) + 1;
    let event = Outgoing::of_pet(&topics::PET_CHANGED, pet.pet_id, version, shards, &payload);
    outbox::write(tx, clock, &event).await?;
    let payload = wire::PetErasing { pet_id, account_id: pet.account_id.to_string() };
    let event = Outgoing::of_pet(&topics::PET_ERASING, pet.pet_id, version, shards, &payload);
    outbox::write(tx, clock, &event).await.map(|_| ())
}

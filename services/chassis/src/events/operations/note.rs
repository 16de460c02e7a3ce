//! Who did what: one row for each change, in its transaction.

use jiff::Timestamp;
use uuid::Uuid;

use crate::events::dead_letters::Letter;
use crate::postgres::{Error, Tx};
use crate::types::{AccountId, Clock, EventId};

/// Who does it.
#[derive(Debug)]
pub(in crate::events) struct Note {
    clock: Clock,
    account: AccountId,
    request_id: String,
}

/// What is done.
#[derive(Debug)]
pub(in crate::events) struct Action<'a> {
    pub(super) name: &'static str,
    pub(super) outcome: &'a str,
    pub(super) topic: &'a str,
    pub(super) letter: Option<&'a Letter>,
    pub(super) replayed: Option<(Timestamp, i64)>,
}

impl<'a> Action<'a> {
    /// Something is done with a dead letter.
    pub(in crate::events) fn of_letter(name: &'static str, outcome: &'a str, letter: &'a Letter) -> Self {
        Self { name, outcome, topic: &letter.topic, letter: Some(letter), replayed: None }
    }
}

impl Note {
    pub(super) fn new(clock: &Clock, account: AccountId, request_id: &str) -> Self {
        Self { clock: clock.clone(), account, request_id: request_id.to_owned() }
    }

    /// Writes it down.
    pub(in crate::events) async fn write(&self, tx: &Tx, action: &Action<'_>) -> Result<(), Error> {
        let sql = "-- note_operation\nINSERT INTO event_operations
                   (id, created_at, account_id, request_id, action, outcome, topic, event_id, pet_id, since, events)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let id = EventId::new(&self.clock).0;
        let Action { name, outcome, topic, letter, replayed } = action;
        let event: Option<Uuid> = letter.map(|letter| letter.event_id);
        let pet: Option<Uuid> = letter.map(|letter| letter.pet.0);
        let (since, events) = (replayed.map(|replay| replay.0), replayed.map(|replay| replay.1));
        let (now, account, request_id) = (self.clock.now(), self.account.0, &self.request_id);
        tx.execute(
            sql,
            &[&id, &now, &account, request_id, name, outcome, topic, &event, &pet, &since, &events],
        )
        .await
        .map(|_| ())
    }
}

//! Dead letters, handled again.
//!
//! Invariant: a dead letter's effects and its end are committed together, under its row's lock. Its inbox row, taken when it
//! was buried, keeps the stream from applying it meanwhile. What the inbox refused was buried without one: it is whoever takes the
//! row later who applies it, the stream or a redrive. So it is
//! applied once, however often and by however many it is redriven. The other parts of an event that could not be split are handled as from the stream, each once by its inbox row.
//!
//! Order: a redriven part comes later than its number says, as a repaired one does. What consumers do tolerates
//! that: readings are a set, entities apply higher versions alone, the forgotten stay forgotten.

use petty_proto::events::v1::redrive_dead_letter_response::Outcome;
use uuid::Uuid;

use super::{Consumer, Failure, Part};
use crate::error::ApiError;
use crate::events::dead_letters::{self, Letter, Reason};
use crate::events::operations::{Action, Note};
use crate::events::{Event, decode, inbox};
use crate::postgres::{Error, Tx};
use crate::types::PetId;

/// What became of a dead letter.
pub(in crate::events) struct Redriven {
    pub(in crate::events) outcome: Outcome,
    /// Why it failed again.
    pub(in crate::events) error: String,
}

impl From<Outcome> for Redriven {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, error: String::new() }
    }
}

impl Consumer {
    /// Handles a dead letter again.
    pub(in crate::events) async fn redrive(
        &self,
        (event_id, pet): (Uuid, PetId),
        note: &Note,
    ) -> Result<Redriven, ApiError> {
        let Some(letter) = dead_letters::find(&self.db, event_id, pet).await? else {
            return Ok(Outcome::NotThere.into());
        };
        match self.try_again(&letter, note).await {
            Ok(outcome) => Ok(outcome.into()),
            Err(Failure::Poison(error)) => self.fail_again(&letter, note, error).await,
            Err(Failure::Store(error)) => Err(error.into()),
            Err(Failure::Away(error)) => {
                Err(ApiError { source: Some(error), ..ApiError::unavailable("REDRIVE_LATER", Away) })
            }
        }
    }

    async fn try_again(&self, letter: &Letter, note: &Note) -> Result<Outcome, Failure> {
        let event = decode(letter.envelope.as_slice()).map_err(Failure::Poison)?;
        let parts = self.split(&event).map_err(Failure::Poison)?;
        let (own, others): (Vec<Part>, Vec<Part>) = match letter.reason {
            // Nothing of it was ever taken: all of it is handled as from the stream.
            Reason::BadEnvelope => (Vec::new(), parts),
            Reason::Unreadable => parts.into_iter().partition(|part| part.pet == letter.pet),
            Reason::Poison => (parts.into_iter().filter(|part| part.pet == letter.pet).collect(), Vec::new()),
        };
        if own.is_empty() && letter.reason == Reason::Poison {
            return Err(Failure::Poison("the event has no such part".to_owned()));
        }
        for part in &others {
            self.handle_part(&event, part).await?;
        }
        self.db
            .transaction("redrive", |tx| {
                let (own, event) = (&own, &event);
                async move { self.redrive_own(&tx, letter, (event, own), note).await }
            })
            .await
    }

    async fn redrive_own(
        &self,
        tx: &Tx,
        letter: &Letter,
        (event, own): (&Event, &[Part]),
        note: &Note,
    ) -> Result<Outcome, Failure> {
        if !dead_letters::hold(tx, letter.event_id, letter.pet).await? {
            return Ok(Outcome::NotThere);
        }
        let mut outcome = Outcome::Applied;
        let alone = dead_letters::is_alone(event, letter.created_at);
        for part in own {
            // One that was buried without its inbox row gets it now; where it has one by now, it came again once it was refused no
            // more, and was applied.
            if !inbox::take(tx, event, part.pet).await? && alone {
                outcome = Outcome::NotThere;
                continue;
            }
            if !self.effects(tx, event, part).await? {
                outcome = Outcome::Forgotten;
            }
        }
        // The erasure of a pet has ended its dead letters already, this one among them.
        dead_letters::delete(tx, letter.event_id, letter.pet).await?;
        note.write(tx, &Action::of_letter("REDRIVE", outcome.as_str_name(), letter)).await?;
        Ok(outcome)
    }

    async fn fail_again(&self, letter: &Letter, note: &Note, error: String) -> Result<Redriven, ApiError> {
        let (clock, error) = (&self.context.clock, &error);
        let there = self
            .db
            .transaction("fail_again", |tx| async move {
                let key = (letter.event_id, letter.pet);
                let there = dead_letters::failed_again(&tx, clock, key, error).await?;
                if there {
                    let failed = Outcome::Failed.as_str_name();
                    note.write(&tx, &Action::of_letter("REDRIVE", failed, letter)).await?;
                }
                Ok::<bool, Error>(there)
            })
            .await?;
        if !there {
            return Ok(Outcome::NotThere.into());
        }
        Ok(Redriven { outcome: Outcome::Failed, error: error.clone() })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("what it depends on is away")]
struct Away;

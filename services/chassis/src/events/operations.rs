//! What an operator does with a service's events: dead letters listed, shown, redriven and dropped, and events sent again.
//!
//! Invariant: what changes something is written down in the same transaction, with who did it.

mod note;
mod replay;

use std::sync::{Arc, OnceLock};

use petty_proto::events::v1 as wire;
use petty_proto::wkt;
use uuid::Uuid;

pub(super) use note::{Action, Note};

use super::consumer::Consumer;
use super::dead_letters::{self, Letter, Reason};
use super::{decode, topics};
use crate::error::{ApiError, FieldError};
use crate::grpc::gate::{Call, EventOperationsServiceHandler};
use crate::page::{Page, Place};
use crate::postgres::{Db, Error};
use crate::service::Context;
use crate::types::PetId;

/// Answers `petty.events.v1.EventOperationsService` for a service's own events.
#[derive(Debug)]
pub struct OperationsHandler {
    context: Context,
    db: Db,
    /// There once the service consumes.
    consumer: Arc<OnceLock<Arc<Consumer>>>,
}

impl OperationsHandler {
    pub(super) fn new(context: &Context, db: &Db, consumer: Arc<OnceLock<Arc<Consumer>>>) -> Self {
        Self { context: context.clone(), db: db.clone(), consumer }
    }

    async fn note(&self, call: &Call) -> Result<Note, ApiError> {
        let account = call.caller().await?.account_id();
        Ok(Note::new(&self.context.clock, account, call.request_id()))
    }
}

#[tonic::async_trait]
impl EventOperationsServiceHandler for OperationsHandler {
    async fn list_dead_letters(
        &self,
        call: Call,
        request: wire::ListDeadLettersRequest,
    ) -> Result<wire::ListDeadLettersResponse, ApiError> {
        let wire::ListDeadLettersRequest { topic, pet_id, page_size, page_token } = request;
        let mut faults = Vec::new();
        if !topic.is_empty() && topics::named(&topic).is_none() {
            faults.push(FieldError::malformed("topic", "is none"));
        }
        let pet = if pet_id.is_empty() { None } else { read_pet(&pet_id, &mut faults) };
        let list = format!("dead-letters/{topic}/{pet_id}");
        let page = match Page::<(Uuid, Uuid)>::read(list, page_size, &page_token) {
            Ok(page) if faults.is_empty() => page,
            Ok(_) => return Err(ApiError::invalid(faults)),
            Err(more) => {
                faults.extend(more);
                return Err(ApiError::invalid(faults));
            }
        };
        call.caller().await?;
        let topic = (!topic.is_empty()).then_some(topic.as_str());
        let mut letters = dead_letters::list(&self.db, &page, topic, pet).await?;
        let place = |letter: &Letter| Place { time: letter.created_at, id: (letter.event_id, letter.pet.0) };
        let next_page_token = page.cut(&mut letters, place);
        Ok(wire::ListDeadLettersResponse { letters: letters.iter().map(shown).collect(), next_page_token })
    }

    async fn get_dead_letter(
        &self,
        call: Call,
        request: wire::GetDeadLetterRequest,
    ) -> Result<wire::GetDeadLetterResponse, ApiError> {
        let (event, pet) = key(&request.event_id, &request.pet_id)?;
        call.caller().await?;
        let letter = dead_letters::find(&self.db, event, pet).await?;
        let letter = letter.ok_or_else(|| {
            ApiError::not_found("DEAD_LETTER_NOT_FOUND", "there is no such dead letter (any more)")
        })?;
        Ok(outlined(&letter))
    }

    async fn redrive_dead_letter(
        &self,
        call: Call,
        request: wire::RedriveDeadLetterRequest,
    ) -> Result<wire::RedriveDeadLetterResponse, ApiError> {
        let key = key(&request.event_id, &request.pet_id)?;
        let note = self.note(&call).await?;
        let consumer = self.consumer.get();
        let consumer = consumer.ok_or_else(|| ApiError::unavailable("REDRIVE_LATER", NotYet))?;
        let redriven = consumer.redrive(key, &note).await?;
        tracing::info!(event.id = %key.0, outcome = redriven.outcome.as_str_name(), "redrove a dead letter");
        Ok(wire::RedriveDeadLetterResponse { outcome: redriven.outcome.into(), error: redriven.error })
    }

    async fn drop_dead_letter(
        &self,
        call: Call,
        request: wire::DropDeadLetterRequest,
    ) -> Result<wire::DropDeadLetterResponse, ApiError> {
        let (event, pet) = key(&request.event_id, &request.pet_id)?;
        let note = &self.note(&call).await?;
        let Some(letter) = &dead_letters::find(&self.db, event, pet).await? else {
            return Ok(wire::DropDeadLetterResponse { dropped: false });
        };
        let dropped = self
            .db
            .transaction("drop_dead_letter", |tx| async move {
                let dropped = dead_letters::delete(&tx, event, pet).await?;
                if dropped {
                    note.write(&tx, &Action::of_letter("DROP", "DROPPED", letter)).await?;
                }
                Ok::<bool, Error>(dropped)
            })
            .await?;
        Ok(wire::DropDeadLetterResponse { dropped })
    }

    async fn replay_events(
        &self,
        call: Call,
        request: wire::ReplayEventsRequest,
    ) -> Result<wire::ReplayEventsResponse, ApiError> {
        let asked = replay::Asked::read(self.context.service, &request, self.context.clock.now())?;
        let note = self.note(&call).await?;
        replay::replay(&self.db, &asked, &note).await
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the service does not consume events yet")]
struct NotYet;

fn read_pet(text: &str, faults: &mut Vec<FieldError>) -> Option<PetId> {
    let read = text.parse::<PetId>().map_err(|error| error.to_string());
    read.map_err(|reason| faults.push(FieldError::malformed("pet_id", reason))).ok()
}

fn key(event_id: &str, pet_id: &str) -> Result<(Uuid, PetId), ApiError> {
    let mut faults = Vec::new();
    let event = event_id.parse::<crate::types::EventId>();
    if let Err(error) = &event {
        faults.push(FieldError::malformed("event_id", error.to_string()));
    }
    match (event, read_pet(pet_id, &mut faults)) {
        (Ok(event), Some(pet)) => Ok((event.0, pet)),
        _ => Err(ApiError::invalid(faults)),
    }
}

fn shown(letter: &Letter) -> wire::DeadLetter {
    let reason = match letter.reason {
        Reason::Poison => wire::dead_letter::Reason::Poison,
        Reason::Unreadable => wire::dead_letter::Reason::Unreadable,
        Reason::BadEnvelope => wire::dead_letter::Reason::BadEnvelope,
    };
    wire::DeadLetter {
        event_id: letter.event_id.to_string(),
        pet_id: letter.pet.to_string(),
        topic: letter.topic.clone(),
        source: letter.source.clone(),
        shard: letter.shard.into(),
        number: letter.number,
        reason: reason.into(),
        error: letter.error.clone(),
        create_time: Some(letter.created_at.into()),
        expire_time: letter.created_at.checked_add(dead_letters::KEPT).ok().map(Into::into),
        redrives: letter.redrives,
        redrive_time: letter.redriven_at.map(wkt::Timestamp::from),
        size_bytes: i32::try_from(letter.envelope.len()).unwrap_or(i32::MAX),
    }
}

fn outlined(letter: &Letter) -> wire::GetDeadLetterResponse {
    let mut answer = wire::GetDeadLetterResponse { letter: Some(shown(letter)), ..Default::default() };
    let event = match decode(letter.envelope.as_slice()) {
        Ok(event) => event,
        Err(error) => return wire::GetDeadLetterResponse { unreadable: error, ..answer },
    };
    answer.event_time = Some(event.time.into());
    answer.version = event.version;
    answer.traceparent.clone_from(&event.traceparent);
    match dead_letters::outline::outline(event.topic, &event.payload) {
        Ok(fields) => answer.fields = fields,
        Err(error) => answer.unreadable = error,
    }
    answer
}

//! What the feedback service answers.
//!
//! Invariant: whose an event is decides who may speak of it; to everybody else it is an event that does not exist, answered
//! in the same words.

pub(crate) mod convert;

use jiff::Timestamp;
use petty_chassis::access::session_ended;
use petty_chassis::events::{Outgoing, outbox, topics};
use petty_chassis::grpc::gate::{Call, FeedbackServiceHandler};
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::requests;
use petty_chassis::postgres::{Db, Tx};
use petty_chassis::types::{AccountId, Clock, FeedbackId, PetId, TimelineEventId, micros};
use petty_chassis::{ApiError, Foundation};
use petty_proto::feedback::v1 as wire;
use prost::Message;
use uuid::Uuid;

use crate::archive::Archive;
use crate::domain::{Episode, Feedback, Words};
use crate::episodes::EpisodeSource;
use crate::store::{self, episodes, feedback, objects};

/// Answers `FeedbackService`.
pub struct Grpc {
    db: Db,
    clock: Clock,
    shards: i16,
    episodes: Box<dyn EpisodeSource>,
    archive: Archive,
}

impl std::fmt::Debug for Grpc {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Grpc").field("archive", &self.archive).finish_non_exhaustive()
    }
}

impl Grpc {
    /// From the service's own database, and behavior where that does not know an event.
    #[must_use]
    pub fn new(base: &Foundation, episodes: Box<dyn EpisodeSource>, archive: Archive) -> Self {
        let (db, clock) = (base.db.clone(), base.context.clock.clone());
        Self { db, clock, shards: base.events.shards(), episodes, archive }
    }
}

#[tonic::async_trait]
impl FeedbackServiceHandler for Grpc {
    async fn submit_feedback(
        &self,
        call: Call,
        request: wire::SubmitFeedbackRequest,
    ) -> Result<wire::SubmitFeedbackResponse, ApiError> {
        let (event, words) = convert::submitted(&request, self.clock.now())?;
        let said = Said { method: "SubmitFeedback", request_id: &request.request_id, request: &request };
        self.say(&call, event, &words, &said, |feedback| wire::SubmitFeedbackResponse {
            success: true,
            feedback_id: FeedbackId(feedback.id).to_string(),
        })
        .await
    }

    async fn create_feedback(
        &self,
        call: Call,
        request: wire::CreateFeedbackRequest,
    ) -> Result<wire::Feedback, ApiError> {
        let (event, words) = convert::created(&request, self.clock.now())?;
        let said = Said { method: "CreateFeedback", request_id: &request.request_id, request: &request };
        self.say(&call, event, &words, &said, |feedback| {
            let account = feedback.account;
            convert::feedback(feedback, account)
        })
        .await
    }

    async fn list_feedback(
        &self,
        call: Call,
        request: wire::ListFeedbackRequest,
    ) -> Result<wire::ListFeedbackResponse, ApiError> {
        let event = convert::event(&request.event_id);
        let list = format!("events/{}/feedback", request.event_id);
        let page = Page::read(list, request.page_size, &request.page_token);
        let (event, page) = &convert::both(event.map_err(|fault| vec![fault]), page)?;
        let episode = self.event(&call, *event).await?;
        let account = self.allowed(&call, &episode).await?;
        let mut found = self
            .db
            .read("list_feedback", |tx| async move {
                feedback::list(&tx, *event, page).await.map_err(ApiError::from)
            })
            .await?;
        let next_page_token = page.cut(&mut found, |said| Place { time: said.said_at, id: said.id });
        let feedback = found.into_iter().map(|said| convert::feedback(said, account)).collect();
        Ok(wire::ListFeedbackResponse { feedback, next_page_token })
    }

    async fn get_feedback_stats(
        &self,
        call: Call,
        request: wire::GetFeedbackStatsRequest,
    ) -> Result<wire::GetFeedbackStatsResponse, ApiError> {
        let (start, end) = convert::span(&request)?;
        call.caller().await?;
        let version = request.rule_version.as_str();
        let stats = self
            .db
            .read("get_feedback_stats", |tx| async move {
                feedback::stats(&tx, start, end, version).await.map_err(ApiError::from)
            })
            .await?;
        Ok(wire::GetFeedbackStatsResponse { rules: stats.into_iter().map(convert::stats).collect() })
    }
}

/// A request to say something.
struct Said<'a, R> {
    method: &'static str,
    request_id: &'a str,
    request: &'a R,
}

impl Grpc {
    /// Keeps what somebody says of an event, and tells of it.
    async fn say<R: Message, T: Message + Default>(
        &self,
        call: &Call,
        event: Uuid,
        words: &Words,
        said: &Said<'_, R>,
        answer: impl Fn(Feedback) -> T,
    ) -> Result<T, ApiError> {
        let known = &self.event(call, event).await?;
        let account = self.allowed(call, known).await?;
        let answer = &answer;
        self.db
            .transaction("say_feedback", |tx| async move {
                if !store::lock(&tx, known.pet).await? {
                    return Err(event_not_found());
                }
                // Beside the forgetting of the account nothing is written of it.
                if !store::lock(&tx, PetId(account.0)).await? {
                    return Err(session_ended());
                }
                let Said { method, request_id, request } = said;
                let work = async {
                    let episode = self.as_it_is_now(&tx, known).await?;
                    Ok(answer(self.keep(&tx, account, &episode, words).await?))
                };
                requests::once(&tx, &self.clock, (request_id, method), *request, work).await
            })
            .await
    }

    /// The event as it was told here, or as behavior knows it.
    async fn event(&self, call: &Call, id: Uuid) -> Result<Episode, ApiError> {
        let told = self
            .db
            .read("find_episode", |tx| async move { episodes::find(&tx, id).await.map_err(ApiError::from) })
            .await?;
        if let Some(told) = told {
            return Ok(told);
        }
        // Nobody has behavior asked whose session has ended.
        call.caller().await?;
        let event_id = TimelineEventId(id).to_string();
        let described = self.episodes.describe(&event_id).await?.ok_or_else(event_not_found)?;
        convert::described(described, id).map_err(|unusable| ApiError::unavailable("EVENT_UNKNOWN", unusable))
    }

    /// The account that calls, if it may do this with what is the pet's.
    async fn allowed(&self, call: &Call, episode: &Episode) -> Result<AccountId, ApiError> {
        call.pet_of(episode.pet, event_not_found()).await?;
        Ok(call.claimed_caller()?.account_id())
    }

    /// Under the pet's lock: what is told of the event by now, and not what was looked up before. What behavior said first
    /// is as good as told.
    async fn as_it_is_now(&self, tx: &Tx, known: &Episode) -> Result<Episode, ApiError> {
        if let Some(told) = episodes::find(tx, known.id).await? {
            return Ok(told);
        }
        if !known.secondhand {
            episodes::keep(tx, &self.clock, known).await?;
        }
        Ok(known.clone())
    }

    async fn keep(
        &self,
        tx: &Tx,
        account: AccountId,
        episode: &Episode,
        words: &Words,
    ) -> Result<Feedback, ApiError> {
        let FeedbackId(id) = FeedbackId::new(&self.clock);
        // Not before what was said: two replicas' clocks may differ.
        let created_at: Timestamp = micros(self.clock.now()).max(words.said_at);
        let new = feedback::New { id, account, words, created_at, episode };
        if let Some(object) = feedback::insert(tx, &new).await? {
            objects::change(tx, &self.clock, &[object].into()).await?;
        }
        let kept = Feedback {
            id,
            event: episode.id,
            pet: episode.pet,
            account,
            verdict: words.opinion.verdict,
            actual_behavior: words.actual_behavior,
            comment: words.opinion.comment.clone(),
            said_at: words.said_at,
            behavior: episode.told.behavior,
            rule: episode.told.rule.clone(),
            rule_version: episode.told.rule_version.clone(),
        };
        let payload = convert::submitted_event(&kept);
        let told = Outgoing::of_pet(&topics::FEEDBACK_SUBMITTED, episode.pet, 0, self.shards, &payload);
        outbox::write(tx, &self.clock, &told).await?;
        self.archive.wake_after(tx);
        Ok(kept)
    }
}

/// There is no such event, as far as the caller may know.
fn event_not_found() -> ApiError {
    ApiError::not_found("EVENT_NOT_FOUND", "no such event")
}

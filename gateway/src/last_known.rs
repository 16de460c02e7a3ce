//! The newest readings that callers were answered, for when the service that knows newer ones is away.
//!
//! Old is honest here, and nowhere else: the answer says itself when it was true and that it is stale. Invariants: what is kept
//! is given to the session it was answered to, for the same question, within [`KEPT`]; a change of access, or one that may
//! have been missed, ends it; where the broadcast of such changes is not heard nothing old is given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{AGE, HeaderName, HeaderValue};
use moka::sync::Cache;
use opentelemetry::metrics::Counter;
use petty_chassis::access::Broadcast;
use petty_chassis::caller::Caller;
use petty_chassis::telemetry;
use petty_proto::events::v1::AccessChanged;
use petty_proto::policy;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::problem::Problem;
use crate::routes::Route;
use crate::upstream::Answer;

/// So long an old answer is better than none.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// The most bytes of all that is kept.
const MOST_BYTES: u64 = 32 << 20;

/// What is remembered by: who asked what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    account: String,
    session: String,
    query: String,
}

#[derive(Clone, Debug)]
struct Kept {
    body: Bytes,
    at: Instant,
    /// Whose readings they are.
    pet: String,
    collar: String,
}

/// Of whom an answer is.
#[derive(Deserialize)]
struct Subject {
    pet_id: String,
    collar_id: String,
}

/// Last answers. Cheap to clone.
#[derive(Clone)]
pub struct LastKnown {
    inner: Option<Arc<Inner>>,
}

struct Inner {
    answers: Cache<Question, Kept>,
    broadcast: Broadcast,
    /// Counts changes: an answer that was on its way while one came is not kept.
    epoch: AtomicU64,
    given: Counter<u64>,
}

impl std::fmt::Debug for LastKnown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LastKnown").finish_non_exhaustive()
    }
}

/// A question that is being answered.
#[derive(Debug)]
pub(crate) struct Asked {
    question: Question,
    epoch: u64,
}

impl LastKnown {
    /// Nothing is kept.
    #[must_use]
    pub fn nothing() -> Self {
        Self { inner: None }
    }

    /// What was answered, until the broadcast says otherwise.
    #[must_use]
    pub fn heard_of(broadcast: &Broadcast) -> Self {
        let answers = Cache::builder()
            .max_capacity(MOST_BYTES)
            .weigher(|question: &Question, kept: &Kept| {
                u32::try_from(kept.body.len() + question.query.len() + 256).unwrap_or(u32::MAX)
            })
            .time_to_live(KEPT)
            .support_invalidation_closures()
            .build();
        let given = telemetry::meter()
            .u64_counter("petty_http_stale_answers")
            .with_description("Old answers that were given because the service was away")
            .build();
        let inner =
            Arc::new(Inner { answers, broadcast: broadcast.clone(), epoch: AtomicU64::new(0), given });
        let listener = Arc::downgrade(&inner);
        broadcast.subscribe(move |change| {
            if let Some(inner) = listener.upgrade() {
                inner.forget(change);
            }
        });
        Self { inner: Some(inner) }
    }

    /// A question of this route; `None` where an old answer would not do.
    pub(crate) fn ask(&self, route: &Route, caller: Option<&Caller>, query: Option<&str>) -> Option<Asked> {
        let inner = self.inner.as_ref()?;
        let caller = caller.filter(|caller| !caller.is_device() && !caller.is_staff())?;
        if route.policy != &policy::READING_SERVICE_GET_REALTIME {
            return None;
        }
        let question = Question {
            account: caller.account_id().to_string(),
            session: caller.session_id().to_string(),
            query: query.unwrap_or_default().to_owned(),
        };
        Some(Asked { question, epoch: inner.epoch.load(Ordering::Acquire) })
    }

    /// The answer: this one, which is kept, or where the service is away the last.
    pub(crate) fn answer(
        &self,
        asked: Option<Asked>,
        answer: Result<Answer, Problem>,
    ) -> Result<(Answer, Option<Old>), Problem> {
        let (Some(inner), Some(asked)) = (&self.inner, asked) else { return Ok((answer?, None)) };
        match answer {
            Ok(answer) => {
                inner.keep(asked, &answer.body);
                Ok((answer, None))
            }
            Err(problem) => match inner.old(&asked.question, &problem) {
                Some((answer, old)) => Ok((answer, Some(old))),
                None => Err(problem),
            },
        }
    }
}

/// What an old answer says of itself besides.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Old(Duration);

impl Old {
    /// For how long it is known (RFC 9111, 5.1).
    pub(crate) fn age(self) -> (HeaderName, HeaderValue) {
        (AGE, HeaderValue::from(self.0.as_secs()))
    }
}

impl Inner {
    fn keep(&self, asked: Asked, body: &Bytes) {
        let Ok(Subject { pet_id, collar_id }) = serde_json::from_slice(body) else { return };
        let kept = Kept { body: body.clone(), at: Instant::now(), pet: pet_id, collar: collar_id };
        self.answers.insert(asked.question.clone(), kept);
        // A change that came meanwhile may be one that this answer did not know of.
        if self.epoch.load(Ordering::Acquire) != asked.epoch {
            self.answers.invalidate(&asked.question);
        }
    }

    fn old(&self, question: &Question, problem: &Problem) -> Option<(Answer, Old)> {
        let is_away = matches!(problem.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        // Who may be let in is not known to the service either then.
        if !is_away || problem.code == "ACCESS_UNKNOWN" || !self.broadcast.is_heard() {
            return None;
        }
        let kept = self.answers.get(question)?;
        let mut body: Value = serde_json::from_slice(&kept.body).ok()?;
        *body.get_mut("stale")? = Value::Bool(true);
        let body = Bytes::from(serde_json::to_vec(&body).ok()?);
        self.given.add(1, &[]);
        let answer = Answer { status: StatusCode::OK, body, replayed: false };
        Some((answer, Old(kept.at.elapsed())))
    }

    fn forget(&self, change: Option<&AccessChanged>) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        let Some(change) = change.cloned() else { return self.answers.invalidate_all() };
        let concerned = move |question: &Question, kept: &Kept| {
            let AccessChanged { account_id, session_id, pet_id, collar_id, pairing_id } = &change;
            let named = [account_id, session_id, pet_id, collar_id, pairing_id];
            // Nothing named, or a pairing alone: perhaps everything.
            let names_all = named[..4].iter().all(|id| id.is_empty());
            names_all
                || *account_id == question.account
                || *session_id == question.session
                || *pet_id == kept.pet
                || *collar_id == kept.collar
        };
        if self.answers.invalidate_entries_if(concerned).is_err() {
            self.answers.invalidate_all();
        }
    }
}

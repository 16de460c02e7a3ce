//! Decisions, remembered.
//!
//! What many ask for at first at the same time would be forgotten at the same time: a second of nothing but questions to auth, which
//! everybody waits for. So what is still asked for is renewed beforehand, each at a time of its own, while it is answered from memory.
//! Invariant: nothing is answered from memory that auth said longer ago than it may be remembered, renewed or not.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use moka::sync::Cache;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Histogram;
use petty_proto::events::v1::AccessChanged;
use petty_proto::policy::Need;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::flights::{Answer, Failure, Flights, Owned};
use super::{
    AccessReason, AccessSource, Broadcast, CollarAccess, Decision, PetAccess, Target, allows,
    collar_not_found, not_allowed, pet_not_found,
};
use crate::caller::Caller;
use crate::error::ApiError;
use crate::grpc::{CallScope, Deadline, RequestId};
use crate::telemetry::{self, CacheMeasures};
use crate::types::{AccountId, Clock, CollarId, PetId, SessionId};

/// Nothing is remembered longer than this, whatever the broadcast says.
const TIME_TO_LIVE: Duration = Duration::from_secs(60);
/// What is asked for is renewed from a third of that on, and until three quarters of it have passed.
const RENEWED: (f64, f64) = (1.0 / 3.0, 0.75);

/// Who asks, with what another service needs to ask on their behalf.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The verified caller.
    pub caller: &'a Caller,
    /// Their token, to be forwarded.
    pub token: &'a secrecy::SecretString,
    /// The request's id.
    pub request_id: &'a str,
    /// When the call must be done.
    pub deadline: tokio::time::Instant,
    /// Where the client at the edge is, where that is known.
    pub client_address: Option<crate::grpc::ClientAddress>,
    /// Why staff asks; nobody else has one.
    pub reason: Option<&'a AccessReason>,
}

/// Decides on access. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    source: Box<dyn AccessSource>,
    clock: Clock,
    /// `None`: nothing is remembered (auth, whose own tables are as near).
    memory: Option<Memory>,
}

struct Memory {
    broadcast: Broadcast,
    decisions: Cache<Key, Remembered>,
    time_to_live: Duration,
    /// Draws when each is renewed.
    spread: RandomState,
    /// Counts changes: a decision that was on its way while one came is not remembered.
    epoch: AtomicU64,
    flights: Flights,
    measures: CacheMeasures,
    /// How long asking auth took: what a decision that is not remembered adds to a call.
    duration: Histogram<f64>,
}

/// What a decision is remembered by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    session: SessionId,
    /// Whose session that is. auth says it is one account's; but nobody is answered by what another may do, whatever their
    /// token says.
    account: AccountId,
    collar: Option<CollarId>,
    target: Target,
    /// Of what staff claims and says: what was decided for one role or reason is decided anew for another. `None`: neither.
    staff: Option<[u8; 32]>,
}

impl Key {
    fn of(asker: &Asker<'_>, target: Target) -> Self {
        let roles = asker.caller.roles();
        let staff = (!roles.is_empty() || asker.reason.is_some()).then(|| {
            let mut hash = Sha256::new();
            hash.update(asker.reason.map(AccessReason::digest).unwrap_or_default());
            for role in roles {
                hash.update((role.len() as u64).to_be_bytes());
                hash.update(role.as_bytes());
            }
            hash.finalize().into()
        });
        let collar = asker.caller.device().map(|(collar, _)| collar.clone());
        Self { session: asker.caller.session_id(), account: asker.caller.account_id(), collar, target, staff }
    }
}

#[derive(Clone)]
struct Remembered {
    account: String,
    decision: Arc<Decision>,
    /// From then on it is renewed.
    due: Instant,
    /// Whether it is, or was in vain: auth is asked once beforehand.
    renewed: Arc<AtomicBool>,
}

impl Memory {
    /// Remembers what was decided after so many changes.
    fn remember(&self, key: Key, account: AccountId, decision: Arc<Decision>, (heard, epoch): (bool, u64)) {
        let (least, most) = RENEWED;
        // Of the hash the upper half: 0 to 1.
        let part = (self.spread.hash_one(&key) >> 32) as f64 / f64::from(u32::MAX);
        let due = Instant::now() + self.time_to_live.mul_f64(least + (most - least) * part);
        let remembered = Remembered { account: account.to_string(), decision, due, renewed: Arc::default() };
        self.decisions.insert(key.clone(), remembered);
        // A change that came meanwhile may be one this answer did not know of.
        if !heard || self.epoch.load(Ordering::Acquire) != epoch {
            self.decisions.invalidate(&key);
        }
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Access").finish_non_exhaustive()
    }
}

impl Access {
    /// Access that asks each time.
    #[must_use]
    pub fn direct(source: Box<dyn AccessSource>, clock: Clock) -> Self {
        Self { inner: Arc::new(Inner { source, clock, memory: None }) }
    }

    /// Access that remembers while the broadcast is heard, and forgets what the broadcast says.
    #[must_use]
    pub fn remembering(source: Box<dyn AccessSource>, clock: Clock, broadcast: Broadcast) -> Self {
        Self::remembering_for(TIME_TO_LIVE, source, clock, broadcast)
    }

    /// The same, for so long at most instead of a minute.
    #[must_use]
    pub fn remembering_for(
        time_to_live: Duration,
        source: Box<dyn AccessSource>,
        clock: Clock,
        broadcast: Broadcast,
    ) -> Self {
        let decisions = Cache::builder()
            .max_capacity(50_000)
            .time_to_live(time_to_live)
            .support_invalidation_closures()
            .build();
        let memory = Memory {
            measures: CacheMeasures::new("decisions", broadcast.service()),
            broadcast: broadcast.clone(),
            decisions,
            time_to_live,
            spread: RandomState::new(),
            epoch: AtomicU64::new(0),
            flights: Flights::default(),
            duration: telemetry::meter()
                .f64_histogram("petty_access_check_duration")
                .with_unit("s")
                .with_description("How long auth took to decide on access")
                .build(),
        };
        let access = Self { inner: Arc::new(Inner { source, clock, memory: Some(memory) }) };
        let weak = Arc::downgrade(&access.inner);
        broadcast.subscribe(move |change| {
            if let Some(inner) = weak.upgrade() {
                inner.forget(change);
            }
        });
        access
    }

    /// The session still stands.
    ///
    /// # Errors
    /// `SESSION_ENDED`, or unavailable.
    pub async fn session(&self, asker: &Asker<'_>) -> Result<(), ApiError> {
        self.decide(asker, Target::Session).await.map(|_| ())
    }

    /// Access to a pet.
    ///
    /// # Errors
    /// `PET_NOT_FOUND` where the caller may not see it, `PERMISSION_DENIED` where they may not do this, or unavailable.
    pub async fn pet(&self, asker: &Asker<'_>, pet_id: PetId, need: Need) -> Result<PetAccess, ApiError> {
        let decision = self.decide(asker, Target::Pet(pet_id)).await?;
        let role = decision.role.ok_or_else(pet_not_found)?;
        if allows(role, need) { Ok(PetAccess { pet_id, role }) } else { Err(not_allowed()) }
    }

    /// Access to a collar: enough for one of its pairings is enough for the call; which pairings a reading or an answer
    /// may touch is in the pairings' own roles.
    ///
    /// # Errors
    /// `COLLAR_NOT_FOUND` where the caller may see none of its pairings, `PERMISSION_DENIED`, or unavailable.
    pub async fn collar(
        &self,
        asker: &Asker<'_>,
        collar_id: &CollarId,
        need: Need,
    ) -> Result<CollarAccess, ApiError> {
        let decision = self.decide(asker, Target::Collar(collar_id.clone())).await?;
        if decision.pairings.is_empty() {
            return Err(collar_not_found());
        }
        if !decision.pairings.iter().any(|pairing| allows(pairing.role, need)) {
            return Err(not_allowed());
        }
        Ok(CollarAccess { collar_id: collar_id.clone(), pairings: decision.pairings.clone() })
    }

    async fn decide(&self, asker: &Asker<'_>, target: Target) -> Result<Arc<Decision>, ApiError> {
        let inner = &self.inner;
        let Some(memory) = &inner.memory else {
            return inner.source.check(asker, &target).await.map(Arc::new);
        };
        let key = Key::of(asker, target);
        let heard = memory.broadcast.is_heard();
        if heard && let Some(remembered) = memory.decisions.get(&key) {
            let expired = remembered.decision.expires.is_some_and(|time| time <= inner.clock.now());
            if !expired {
                memory.measures.hit();
                self.renew(memory, asker, key, &remembered);
                return Ok(remembered.decision);
            }
        }
        let epoch = memory.epoch.load(Ordering::Acquire);
        let flight = (key.clone(), epoch);
        let (answer, joined) = memory.flights.join(flight, || fly(inner.clone(), asker, key.target.clone()));
        if joined {
            memory.measures.joined();
            return match answer.await {
                Err(failure) if failure.is_of_the_token() => {
                    inner.source.check(asker, &key.target).await.map(Arc::new)
                }
                answer => Ok(answer?),
            };
        }
        memory.measures.missed();
        let decision = answer.await?;
        memory.remember(key, asker.caller.account_id(), decision.clone(), (heard, epoch));
        Ok(decision)
    }

    /// Asks auth anew, beside the call that is answered from memory, where it is time.
    fn renew(&self, memory: &Memory, asker: &Asker<'_>, key: Key, remembered: &Remembered) {
        // That staff asked is written down: nobody has, here.
        if Instant::now() < remembered.due || key.staff.is_some() {
            return;
        }
        if remembered.renewed.swap(true, Ordering::Relaxed) {
            return;
        }
        let epoch = memory.epoch.load(Ordering::Acquire);
        let start = || fly(self.inner.clone(), asker, key.target.clone());
        let (answer, joined) = memory.flights.join((key.clone(), epoch), start);
        // Who is under way remembers it.
        if joined {
            return;
        }
        let (inner, account) = (self.inner.clone(), asker.caller.account_id());
        drop(memory.broadcast.tasks().spawn("access-renewal", async move {
            let answer = answer.await;
            let Some(memory) = &inner.memory else { return };
            match answer {
                Ok(decision) => {
                    let heard = memory.broadcast.is_heard();
                    memory.remember(key, account, decision, (heard, epoch));
                }
                Err(failure) if failure.says_nothing() => {}
                Err(_) => memory.decisions.invalidate(&key),
            }
        }));
    }
}

/// Asks auth, for all who want to know the same.
fn fly(inner: Arc<Inner>, asker: &Asker<'_>, target: Target) -> BoxFuture<'static, Answer> {
    let owned = Owned::of(asker);
    async move {
        let (asker, since) = (owned.asker(), Instant::now());
        let deadline = Some(Deadline(asker.deadline));
        let request_id = RequestId(asker.request_id.to_owned());
        let traceparent = telemetry::traceparent();
        let scope = CallScope { request_id, traceparent, deadline, client_address: None };
        let answer = scope.run(inner.source.check(&asker, &target)).await;
        if let Some(memory) = &inner.memory {
            let attributes = [KeyValue::new("service", memory.broadcast.service())];
            memory.duration.record(since.elapsed().as_secs_f64(), &attributes);
        }
        answer.map(Arc::new).map_err(Failure::from)
    }
    .boxed()
}

impl Inner {
    fn forget(&self, change: Option<&AccessChanged>) {
        let Some(memory) = &self.memory else { return };
        memory.measures.forgot();
        memory.epoch.fetch_add(1, Ordering::AcqRel);
        let Some(change) = change.cloned() else {
            memory.decisions.invalidate_all();
            return;
        };
        let closure = move |key: &Key, value: &Remembered| concerns(&change, key, value);
        if memory.decisions.invalidate_entries_if(closure).is_err() {
            memory.decisions.invalidate_all();
        }
    }
}

/// Whether a change concerns a remembered decision. Nothing named: everything is concerned.
fn concerns(change: &AccessChanged, Key { session, target, .. }: &Key, value: &Remembered) -> bool {
    let AccessChanged { account_id, session_id, pet_id, collar_id, pairing_id } = change;
    let named = [account_id, session_id, pet_id, collar_id, pairing_id];
    if named.iter().all(|id| id.is_empty()) {
        return true;
    }
    let by_target = match target {
        Target::Session => false,
        Target::Pet(pet) => *pet_id == pet.to_string(),
        Target::Collar(collar) => {
            collar_id == collar.as_str()
                || value.decision.pairings.iter().any(|pairing| *pet_id == pairing.pet_id.to_string())
        }
    };
    // A change of an account's and a pet's standing names both, and concerns decisions about either.
    by_target || *account_id == value.account || *session_id == session.to_string()
}

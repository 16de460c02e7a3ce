//! From what is known of a pet to its plan, and to the news that it is another.
//!
//! Invariant: a plan's versions are given under the pet's lock, each with one `plan.changed` in the same transaction, and
//! only where the plan differs from the one told before by what is worth telling.

use std::fmt;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::ApiError;
use petty_chassis::access::pet_not_found;
use petty_chassis::calendar::{self, Bounds};
use petty_chassis::events::{Outgoing, outbox, topics, versions};
use petty_chassis::pets::PetSource;
use petty_chassis::postgres::{Db, Error, Tx};
use petty_chassis::types::{Clock, PetId, micros};
use petty_proto::auth::v1 as auth;
use petty_proto::events::v1::PlanChanged;

use crate::domain::{self, Inputs, Peers, activity};
use crate::grpc::convert;
use crate::store::pets::Pet;
use crate::store::plans::Told;
use crate::store::profiles::Filled;
use crate::store::{self, days, foods, pets, plans, profiles, weights};

/// So many weights say how a pet's weight goes: more than one for each day of a year.
const WEIGHTS: i64 = 400;
/// Plans of one zone are due within this time after midnight, so that not all are at once.
const SPREAD_MINUTES: i64 = 60;

/// Why a plan is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its owner said something of the pet's body or diet.
    ProfileChanged,
    /// A weight was noted.
    WeightNoted,
    /// A weight was removed.
    WeightRemoved,
    /// A food it eats was changed.
    FoodChanged,
    /// A food it eats was removed.
    FoodRemoved,
    /// The account that described a food it eats was closed.
    AccountClosed,
    /// The pet itself is described otherwise.
    PetChanged,
    /// It is known how active it was on a day.
    DayClosed,
    /// A day passed: it is older.
    DayPassed,
}

impl Cause {
    /// In words.
    fn text(self) -> &'static str {
        match self {
            Self::ProfileChanged => "the feeding profile was changed",
            Self::WeightNoted => "a weight was noted",
            Self::WeightRemoved => "a weight was removed",
            Self::FoodChanged => "a food was changed",
            Self::FoodRemoved => "a food was removed",
            Self::AccountClosed => "the account that described a food was closed",
            Self::PetChanged => "what is said of the pet was changed",
            Self::DayClosed => "a day of the pet was closed",
            Self::DayPassed => "a day has passed",
        }
    }
}

/// Makes plans.
#[derive(Clone)]
pub struct Planner {
    clock: Clock,
    shards: i16,
    source: Arc<dyn PetSource>,
}

impl fmt::Debug for Planner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Planner").field("shards", &self.shards).finish_non_exhaustive()
    }
}

/// All that is known of a pet.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// What nobody filled in is `None`.
    pub(crate) filled: Option<Filled>,
    /// The plan last told.
    pub(crate) told: Option<Told>,
    /// What a plan is made of, as of now.
    pub(crate) inputs: Inputs,
}

impl Planner {
    /// One that emits into so many shards, and asks `source` about pets it was told nothing of.
    #[must_use]
    pub fn new(clock: Clock, shards: i16, source: Arc<dyn PetSource>) -> Self {
        Self { clock, shards, source }
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn shards(&self) -> i16 {
        self.shards
    }

    /// Makes sure that the pet is known here: asks auth where it is not.
    ///
    /// # Errors
    /// `PET_NOT_FOUND` where it is gone; unavailable, where nobody could be asked.
    pub(crate) async fn know(&self, db: &Db, pet: PetId) -> Result<(), ApiError> {
        if db.read("is_pet_known", |tx| async move { pets::is_known(&tx, pet).await }).await? {
            return Ok(());
        }
        let described = &self.source.describe(pet).await?.ok_or_else(pet_not_found)?;
        db.transaction("learn_pet", |tx| async move {
            if store::lock(&tx, pet).await? && self.learn(&tx, pet, described).await? {
                Ok(())
            } else {
                Err(pet_not_found())
            }
        })
        .await
    }

    /// Asks auth about a pet that nothing is known of here. Before the pet's lock: nobody should wait for another
    /// service's answer.
    pub(crate) async fn ask(&self, tx: &Tx, pet: PetId) -> Result<Option<auth::Pet>, ApiError> {
        if pets::is_known(tx, pet).await? { Ok(None) } else { self.source.describe(pet).await }
    }

    /// Keeps what auth said of a locked pet, unless something newer was heard meanwhile. False where the pet is gone.
    pub(crate) async fn learn(&self, tx: &Tx, pet: PetId, described: &auth::Pet) -> Result<bool, ApiError> {
        if pets::is_known(tx, pet).await? {
            return Ok(true);
        }
        let about = convert::pet(described).map_err(ApiError::internal)?;
        // So that an older `pet.changed`, still on its way, does not undo what auth said by now.
        if !versions::advance(tx, "pet", pet.0, described.version.into(), false).await? {
            return Ok(false);
        }
        pets::put(tx, pet, &about, micros(self.clock.now())).await?;
        Ok(true)
    }

    /// All that is known of a pet; `None` where it is not known here.
    pub(crate) async fn known(&self, tx: &Tx, pet: PetId) -> Result<Option<Known>, Error> {
        let Some(Pet { animal, time_zone }) = pets::get(tx, pet).await? else { return Ok(None) };
        let (zone, now) = (calendar::zone(&time_zone), micros(self.clock.now()));
        let today = calendar::date(now, &zone);
        let filled = profiles::get(tx, pet).await?;
        let profile = filled.as_ref().map(|filled| filled.profile.clone()).unwrap_or_default();
        let weights: Vec<_> =
            weights::newest(tx, pet, WEIGHTS).await?.into_iter().map(weights::Weight::point).collect();
        let foods = foods::of_pet(tx, pet).await?;
        let group = activity::peer_group(&animal, &profile, &weights, now, today);
        let medians = match group {
            Some(group) => days::peers(tx, pet, &group.key(), now).await?,
            None => Vec::new(),
        };
        let days = days::list(tx, pet).await?;
        let peers = Peers { medians };
        let inputs = Inputs { animal, profile, weights, foods, days, peers, now, today, zone };
        Ok(Some(Known { filled, told: plans::get(tx, pet).await?, inputs }))
    }

    /// Makes a locked pet's plan anew, and tells of it where that is worth it.
    pub(crate) async fn replan(&self, tx: &Tx, pet: PetId, cause: Cause) -> Result<(), Error> {
        let Some(known) = self.known(tx, pet).await? else { return Ok(()) };
        self.compare(tx, pet, &known).await?;
        if !known.is_filled_in() {
            return Ok(());
        }
        let plan = domain::plan(&known.inputs);
        let due_at = known.due_at(pet);
        let before = known.told.as_ref();
        let told_of = before.and_then(|told| told.plan.as_ref());
        let reason = match told_of.map(|told| domain::differs(told, &plan)) {
            None if before.is_none() => "the first plan".to_owned(),
            None => "plans are written otherwise now".to_owned(),
            Some(Some(difference)) => format!("{}: {difference}", cause.text()),
            // What was told before has the names that the account gave its foods, and is not to be kept.
            Some(None) if cause == Cause::AccountClosed => cause.text().to_owned(),
            Some(None) => return plans::postpone(tx, pet, due_at).await,
        };
        let version = before.map_or(0, |told| told.version) + 1;
        let kcal_per_day = plan.kcal_per_day();
        let changed = PlanChanged {
            pet_id: pet.to_string(),
            plan_version: version,
            kcal_per_day,
            previous_kcal_per_day: before.and_then(|told| told.kcal_per_day),
            life_stage: plan.life_stage.name().to_owned(),
            reason,
            rule_version: plan.rule_version.clone(),
        };
        // Times of one plan go forward, whatever the clocks of two replicas say.
        let updated_at = before.map_or(known.inputs.now, |told| told.updated_at.max(known.inputs.now));
        plans::put(tx, pet, &Told { version, kcal_per_day, plan: Some(plan), updated_at }, due_at).await?;
        let outgoing = Outgoing::of_pet(&topics::PLAN_CHANGED, pet, version.into(), self.shards, &changed);
        outbox::write(tx, &self.clock, &outgoing).await?;
        Ok(())
    }

    /// Keeps how active the pet is, for others to be held against.
    async fn compare(&self, tx: &Tx, pet: PetId, known: &Known) -> Result<(), Error> {
        let Inputs { animal, profile, weights, days, now, today, .. } = &known.inputs;
        let group =
            activity::peer_group(animal, profile, weights, *now, *today).map(activity::PeerGroup::key);
        let own = group.as_deref().zip(activity::own_median(days, *today));
        days::put_peer(tx, pet, own, *now).await
    }
}

impl Known {
    /// Whether anybody ever said anything that a plan could be made of.
    fn is_filled_in(&self) -> bool {
        self.filled.is_some() || self.told.is_some() || !self.inputs.weights.is_empty()
    }

    /// When the plan is to be made anew though nothing was said.
    fn due_at(&self, pet: PetId) -> Timestamp {
        let minute = i64::from(pet.0.as_bytes()[15]) * SPREAD_MINUTES / 256;
        Bounds::of(self.inputs.today, &self.inputs.zone)
            .map_or_else(|| self.inputs.now + SignedDuration::from_hours(24), |today| today.end)
            + SignedDuration::from_mins(minute)
    }
}

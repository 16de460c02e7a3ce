//! Plans are made anew once a day though nobody said anything: pets grow up, grow old, and near the end of a pregnancy.
//!
//! Invariant: when a plan is due stands in its row, and whoever makes it anew moves that on in the same transaction, under
//! the pet's lock. So of any number of replicas one does it, and what one leaves undone another does.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::error::chain;
use petty_chassis::periodic;
use petty_chassis::postgres::{Class, Db, Error};
use petty_chassis::service::Context;
use petty_chassis::types::{PetId, micros};

use crate::planning::{Cause, Planner};
use crate::store::{self, foods, plans};

/// So many are looked up at once.
const BATCH: i64 = 100;
/// A plan that cannot be made is tried again after this.
const PAUSE: SignedDuration = SignedDuration::from_hours(1);
/// A removed food that no profile names is kept this long.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Makes due plans anew.
#[derive(Clone, Debug)]
pub struct Daily {
    db: Db,
    planner: Planner,
}

impl Daily {
    /// Of the plans in this database.
    #[must_use]
    pub fn new(db: Db, planner: Planner) -> Self {
        Self { db, planner }
    }

    /// Makes due plans anew every `interval`, until the service drains.
    pub fn keep_on(self, context: &Context, interval: Duration) {
        periodic::every(context, "daily-plans", interval, move || {
            let daily = self.clone();
            async move {
                let plans = daily.run_once().await?;
                if plans > 0 {
                    tracing::info!(plans, "plans were made anew");
                }
                Ok::<_, Error>(())
            }
        });
    }

    /// Makes anew what is due now; how many it were.
    ///
    /// # Errors
    /// Where the database is away.
    pub async fn run_once(&self) -> Result<usize, Error> {
        self.tidy().await?;
        let mut done = 0;
        loop {
            let now = micros(self.planner.clock().now());
            let due =
                self.db.read("due_plans", |tx| async move { plans::due(&tx, now, BATCH).await }).await?;
            let before = done;
            for pet in due {
                match self.renew(pet).await {
                    Ok(renewed) => done += usize::from(renewed),
                    Err(error) if error.class() == Class::Lasting => self.give_up(pet, &error).await?,
                    Err(error) => return Err(error),
                }
            }
            // Nothing is due, or others are at it.
            if done == before {
                return Ok(done);
            }
        }
    }

    /// Removed foods stay only as long as somebody may send their removal again.
    async fn tidy(&self) -> Result<(), Error> {
        let before = micros(self.planner.clock().now()) - KEPT;
        self.db
            .transaction("forget_foods", |tx| async move { foods::forget_removed(&tx, before).await })
            .await
            .map(|_| ())
    }

    /// True where it was this one's to do.
    async fn renew(&self, pet: PetId) -> Result<bool, Error> {
        self.db
            .transaction("renew_plan", |tx| async move {
                let now = micros(self.planner.clock().now());
                // Whoever was quicker has moved it on, and let go of the lock after that.
                if !store::lock(&tx, pet).await? || !plans::is_due(&tx, pet, now).await? {
                    return Ok(false);
                }
                self.planner.replan(&tx, pet, Cause::DayPassed).await?;
                Ok(true)
            })
            .await
    }

    /// A plan that cannot be made must not keep the others waiting.
    async fn give_up(&self, pet: PetId, error: &Error) -> Result<(), Error> {
        tracing::error!(pet.id = %pet, error = chain(error), "a plan cannot be made anew; it is tried again in an hour");
        self.db
            .transaction("postpone_plan", |tx| async move {
                let until = micros(self.planner.clock().now()) + PAUSE;
                store::lock(&tx, pet).await?;
                plans::postpone(&tx, pet, until).await
            })
            .await
    }
}

//! From readings to changed episodes, with what is kept of a pet.
//!
//! Invariant: head, slices, quarters and episodes change together, under the pet's lock; the episodes are a function of the set
//! of readings, so it does not matter in which order, or how often, these arrive.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use futures::future::try_join_all;
use petty_chassis::error::chain;
use petty_chassis::events::Failure;
use petty_chassis::postgres::Tx;
use petty_chassis::types::PetId;

use crate::domain::v1::{self, Came, Head, Kept, Resume, Rules, Slice, SliceError, Touched};
use crate::domain::{Changes, Params, Reading};
use crate::pets::Pet;
use crate::store::{episodes, windows};

/// The rules that come with this version of Petty.
pub(crate) static RULES: LazyLock<Rules> = LazyLock::new(|| {
    // They are part of the program, and its tests read them.
    Rules::built_in().expect("the built-in rules hold together")
});

/// A locked pet, its head, which is the caller's to keep, and readings of it.
#[derive(Debug)]
pub(crate) struct Take<'a> {
    pub(crate) pet: PetId,
    pub(crate) about: &'a Pet,
    pub(crate) head: Head,
    pub(crate) readings: &'a [Reading],
}

/// Where computing them led to.
struct Computed {
    slices: BTreeMap<i64, Slice>,
    episodes: Vec<v1::Episode>,
    since: i64,
}

/// Takes readings into locked pets' windows; what that, or what is now known of each pet, changed. What is usual is read and written for
/// all of them at once.
pub(crate) async fn take_all(tx: &Tx, takes: &mut [Take<'_>]) -> Result<Vec<Changes>, Failure> {
    let came: Vec<(Came, Option<i64>)> = takes.iter_mut().map(Take::sort).collect();
    let usual = takes.iter().zip(&came).filter_map(|(take, (_, usual))| Some((take.pet, (*usual)?)));
    let usual: Vec<(PetId, i64)> = usual.collect();
    let mut read = windows::slices_from(tx, &usual).await?;
    // A pet whose slices begin here has none yet.
    let mut of = |pet, usual: Option<i64>| usual.map(|from| (from, read.remove(&pet).unwrap_or_default()));
    let computing =
        takes.iter_mut().zip(came).map(|(take, (came, usual))| take.compute(tx, came, of(take.pet, usual)));
    let computed = try_join_all(computing.collect::<Vec<_>>()).await?;
    let pets = || takes.iter().zip(&computed).filter_map(|(take, done)| Some((take.pet, done.as_ref()?)));
    let slices: Vec<(PetId, i64, &Slice)> = pets()
        .flat_map(|(pet, done)| done.slices.iter().map(move |(number, slice)| (pet, *number, slice)))
        .collect();
    windows::put_slices(tx, &slices).await?;
    let since: Vec<(PetId, i64)> = pets().map(|(pet, done)| (pet, done.since)).collect();
    let mut told = episodes::known_since(tx, &since).await?;
    let change = |(take, done): (&mut Take<'_>, Option<Computed>)| {
        let told = told.remove(&take.pet).unwrap_or_default();
        done.map_or_else(Changes::default, |done| {
            v1::revise(take.pet.0, &told, &done.episodes, &mut take.head.serial)
        })
    };
    Ok(takes.iter_mut().zip(computed).map(change).collect())
}

impl Take<'_> {
    /// The readings by slice, and where all that they touch lies in what is usually computed with, from where on that is.
    fn sort(&mut self) -> (Came, Option<i64>) {
        let late = self.head.late();
        let came = self.head.sort(self.readings);
        if self.head.late() > late {
            let count = self.head.late() - late;
            tracing::info!(pet.id = %self.pet, count, "readings came too late to count");
        }
        let earliest = came.numbers().first().copied();
        let usual = self.head.usual().filter(|first| earliest.is_some_and(|number| number >= *first));
        (came, usual)
    }

    /// `None` where nothing changed.
    async fn compute(
        &mut self,
        tx: &Tx,
        came: Came,
        usual: Option<(i64, BTreeMap<i64, Slice>)>,
    ) -> Result<Option<Computed>, Failure> {
        let Self { pet, about, head, .. } = self;
        let pet = *pet;
        let numbers = came.numbers();
        let read = match &usual {
            Some((_, read)) => Cow::Borrowed(read),
            None if numbers.is_empty() => Cow::default(),
            None => Cow::Owned(windows::slices(tx, pet, &numbers).await?),
        };
        let before = numbers.iter().filter_map(|number| Some((*number, read.get(number)?.clone()))).collect();
        let touched = Touched::of(before, came);
        let around = usual.as_ref().map(|(_, read)| read);
        let Some(resume) = head.resume(about.kin(), &touched, around) else { return Ok(None) };
        let kept_from = head.dropped_to().unwrap_or(i64::MIN);
        let found = match resume {
            Resume::Head => None,
            Resume::Before(quarter) => windows::last_carry(tx, pet, &(kept_from..quarter)).await?,
            Resume::Oldest if head.dropped_to().is_some() => windows::first_carry(tx, pet, kept_from).await?,
            Resume::Oldest => None,
        };
        let found = found.as_ref().map(|(quarter, carry)| (*quarter, carry.as_slice()));
        let wants = head.wants(about.kin(), &touched, &resume, found)?;
        let slices = match usual {
            Some((first, mut read)) if first <= wants.slices_from => read.split_off(&wants.slices_from),
            _ => {
                let all = windows::slices_from(tx, &[(pet, wants.slices_from)]).await?;
                all.into_values().next().unwrap_or_default()
            }
        };
        let rests = windows::rests(tx, pet, &wants.rests).await?;
        let params = Params::of_kin(about.kin());
        let done = head.revise((&RULES, &params), &touched, wants, Kept { slices, rests })?;
        windows::put_quarters(tx, pet, &done.quarters).await?;
        if let Some(before) = done.drop_before {
            windows::drop_before(tx, pet, before).await?;
        }
        Ok(Some(Computed { slices: touched.slices, episodes: done.episodes, since: done.since }))
    }
}

impl From<SliceError> for Failure {
    fn from(error: SliceError) -> Self {
        Self::Poison(chain(&error))
    }
}

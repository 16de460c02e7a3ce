//! From readings to changed episodes, with what is kept of a pet.
//!
//! Invariant: head, slices, quarters and episodes change together, under the pet's lock; the episodes are a function of the set
//! of readings, so it does not matter in which order, or how often, these arrive.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use petty_chassis::error::chain;
use petty_chassis::events::Failure;
use petty_chassis::postgres::Tx;
use petty_chassis::types::PetId;

use crate::domain::v1::{self, Head, Kept, Resume, Rules, SliceError, Touched};
use crate::domain::{Changes, Params, Reading};
use crate::pets::Pet;
use crate::store::{episodes, windows};

/// The rules that come with this version of Petty.
pub(crate) static RULES: LazyLock<Rules> = LazyLock::new(|| {
    // They are part of the program, and its tests read them.
    Rules::built_in().expect("the built-in rules hold together")
});

/// Takes readings into a locked pet's window; what that, or what is now known of the pet, changed. The head is the caller's to keep.
pub(crate) async fn take(
    tx: &Tx,
    pet: PetId,
    about: &Pet,
    head: &mut Head,
    readings: &[Reading],
) -> Result<Changes, Failure> {
    let late = head.late();
    let came = head.sort(readings);
    if head.late() > late {
        tracing::info!(pet.id = %pet, count = head.late() - late, "readings came too late to count");
    }
    let numbers = came.numbers();
    // Readings that come in order touch slices of those that are computed with: these are read once.
    let usual = head.usual().filter(|first| numbers.first().is_some_and(|number| number >= first));
    let mut read = match usual {
        Some(first) => windows::slices_from(tx, pet, first).await?,
        None if numbers.is_empty() => BTreeMap::new(),
        None => windows::slices(tx, pet, &numbers).await?,
    };
    let before = numbers.iter().filter_map(|number| Some((*number, read.get(number)?.clone()))).collect();
    let touched = Touched::of(before, came);
    let Some(resume) = head.resume(about.kin(), &touched, usual.map(|_| &read)) else { return Ok(Changes::default()) };
    let kept_from = head.dropped_to().unwrap_or(i64::MIN);
    let found = match resume {
        Resume::Head => None,
        Resume::Before(quarter) => windows::last_carry(tx, pet, &(kept_from..quarter)).await?,
        Resume::Oldest if head.dropped_to().is_some() => windows::first_carry(tx, pet, kept_from).await?,
        Resume::Oldest => None,
    };
    let found = found.as_ref().map(|(quarter, carry)| (*quarter, carry.as_slice()));
    let wants = head.wants(about.kin(), &touched, &resume, found)?;
    let kept = Kept {
        slices: match usual {
            Some(first) if first <= wants.slices_from => read.split_off(&wants.slices_from),
            _ => windows::slices_from(tx, pet, wants.slices_from).await?,
        },
        rests: windows::rests(tx, pet, &wants.rests).await?,
    };
    let done = head.revise((&RULES, &Params::of_kin(about.kin())), &touched, wants, kept)?;
    if !touched.slices.is_empty() {
        windows::put_slices(tx, pet, &touched.slices).await?;
    }
    windows::put_quarters(tx, pet, &done.quarters).await?;
    if let Some(before) = done.drop_before {
        windows::drop_before(tx, pet, before).await?;
    }
    let told = episodes::known_since(tx, pet, done.since).await?;
    Ok(v1::revise(pet.0, &told, &done.episodes, &mut head.serial))
}

impl From<SliceError> for Failure {
    fn from(error: SliceError) -> Self {
        Self::Poison(chain(&error))
    }
}

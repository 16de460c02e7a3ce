//! What other services tell.

use jiff::civil::Date;
use petty_chassis::events::Unusable;
use petty_chassis::events::payload::same_pet;
use petty_chassis::types::{Behavior, PetId};
use petty_proto::auth::v1 as auth;
use petty_proto::events::v1::DayClosed;

use crate::domain::{Animal, DayActivity, Sex, Species};
use crate::store::pets::Pet;

/// No local day has more minutes: that on which summer time ends has 25 hours, and some zone may move by more.
const MOST_MINUTES: f64 = 48.0 * 60.0;

/// A day, as far as feeding goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Day {
    pub(crate) activity: DayActivity,
    /// Higher each time the day is closed.
    pub(crate) version: i32,
}

/// What is known of a pet.
pub(crate) fn pet(pet: &auth::Pet) -> Result<Pet, Unusable> {
    let species = match pet.species() {
        auth::pet::Species::Unspecified => return Err(Unusable("species")),
        auth::pet::Species::Dog => Species::Dog,
        auth::pet::Species::Cat => Species::Cat,
    };
    let sex = match pet.sex() {
        auth::pet::Sex::Unspecified => None,
        auth::pet::Sex::Female => Some(Sex::Female),
        auth::pet::Sex::Male => Some(Sex::Male),
    };
    let birth_date = pet.birth_date.as_deref().map(|text| date(text, "birth_date")).transpose()?;
    let animal = Animal { species, birth_date, breed: pet.breed.clone(), sex, neutered: pet.neutered };
    Ok(Pet { animal, time_zone: pet.time_zone.clone() })
}

/// A day that was closed.
pub(crate) fn day(closed: &DayClosed, of: PetId) -> Result<Day, Unusable> {
    same_pet(&closed.pet_id, of)?;
    if closed.version < 1 {
        return Err(Unusable("version"));
    }
    let (mut active_minutes, mut known_minutes, mut tells_of_movement) = (0.0, 0.0, false);
    for share in &closed.behaviors {
        // What is not heard of here is nothing to go by.
        let Some(behavior) = Behavior::from_wire(share.behavior) else { continue };
        let length = minutes(share.minutes, "behaviors")?;
        if behavior.moves() {
            active_minutes += length;
            tells_of_movement = true;
        }
        if behavior.is_known() {
            known_minutes += length;
        }
    }
    known_minutes = match closed.motion_minutes {
        Some(told) => minutes(told, "motion_minutes")?.min(known_minutes),
        // Before that was told: a collar that tells of heart rates alone tells of rest and of nothing else, and no minute of such a day
        // says how active the pet was.
        None if !tells_of_movement => 0.0,
        None => known_minutes,
    };
    let activity = DayActivity {
        date: date(&closed.date, "date")?,
        active_minutes: minutes(active_minutes, "behaviors")?,
        covered_minutes: minutes(closed.covered_minutes, "covered_minutes")?,
        known_minutes: minutes(known_minutes, "behaviors")?,
    };
    Ok(Day { activity, version: closed.version })
}

fn minutes(value: f64, field: &'static str) -> Result<f64, Unusable> {
    if (0.0..=MOST_MINUTES).contains(&value) { Ok(value) } else { Err(Unusable(field)) }
}

fn date(text: &str, field: &'static str) -> Result<Date, Unusable> {
    Date::strptime("%Y-%m-%d", text).map_err(|_| Unusable(field))
}

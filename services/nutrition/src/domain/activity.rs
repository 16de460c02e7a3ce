//! How active a pet is, as its collar measured it, and where that puts it within a factor's range.
//!
//! Invariant: with fewer than [`ENOUGH_DAYS`] days that say enough the position is the middle, 0.5.

use std::collections::BTreeMap;

use jiff::Span;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::animal::{Animal, LifeStage, Profile, Species, WeightPoint};
use super::plan::Reason;
use super::stages::{self, SizeClass};
use super::{fine, rounded};

/// Fewer days leave the middle of the range (domain.md, "Energy": less than 7 days of activity).
pub const ENOUGH_DAYS: usize = 7;
/// A pet's own days (domain.md, "Energy": its own 30 days).
pub const WINDOW_DAYS: i32 = 30;
/// A day counts where behaviours are known over half of it; ours. Days of a collar that was mostly off, or lay on its charger and told
/// of nothing, would look lazy.
pub const KNOWN_MINUTES: f64 = 720.0;
/// Fewer pets make no distribution; ours.
pub const ENOUGH_PEERS: usize = 20;
/// A pet's last 7 days that are half as active again as its 30, or half as active, move it a quarter of the range; ours.
const TREND_AT_MOST: f64 = 0.5;
const TREND_WEIGHT: f64 = 0.5;

/// One closed day of a pet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayActivity {
    /// The day, where the pet lives.
    pub date: Date,
    /// Minutes of Walking, Running, Playing Fetch and Anxious Pacing.
    pub active_minutes: f64,
    /// Minutes with readings, whether they say anything or not.
    pub covered_minutes: f64,
    /// Minutes that say how active it was: of known behaviours, in which the collar told whether it moved.
    pub known_minutes: f64,
}

/// Pets of the same kind: the medians that [`own_median`] gives for each, in any order, this pet's own not among them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Peers {
    /// Active minutes a day.
    pub medians: Vec<f64>,
}

/// Which pets a pet is held against: the same species, size class and age class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PeerGroup {
    /// Dog or cat.
    pub species: Species,
    /// Cats are all of one size.
    pub size: Option<SizeClass>,
    /// Growing, adult or senior.
    pub age: LifeStage,
}

impl PeerGroup {
    /// To keep and to look up by: "dog/medium/adult".
    #[must_use]
    pub fn key(self) -> String {
        let size = self.size.map_or("any", SizeClass::noun);
        format!("{}/{size}/{}", self.species.noun(), self.age.name().to_lowercase())
    }
}

/// How sure the measured activity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ActivityStatus {
    /// Too few days: the middle of the range.
    Calibrating,
    /// Measured.
    Measured,
    /// The owner said how active the pet is.
    Stated,
}

/// What the collar measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeasuredActivity {
    /// How sure that is.
    pub status: ActivityStatus,
    /// Days with enough readings among the last 30.
    pub days: u8,
    /// Median of the active minutes of these days.
    pub active_minutes: Option<f64>,
    /// Median of the last 7 of them; absent with fewer.
    pub recent_active_minutes: Option<f64>,
    /// Where in the factor's range the pet stands, 0 to 1.
    pub position: f64,
    /// How many pets it was held against.
    pub peers: u32,
}

/// That, and why.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) told: MeasuredActivity,
    /// Its position by its own days alone, whoever its peers are.
    pub(crate) unranked: f64,
    pub(crate) reasons: Vec<Reason>,
}

/// Which pets this one is held against; `None` for those that carry, nurse or work, and for dogs of unknown weight.
#[must_use]
pub fn peer_group(
    animal: &Animal,
    profile: &Profile,
    weights: &[WeightPoint],
    now: jiff::Timestamp,
    today: Date,
) -> Option<PeerGroup> {
    let kg = super::weight::latest(weights, now).map(|point| point.kg);
    let stage = stages::stage(animal, profile, kg, today);
    let age = match stage.life_stage {
        LifeStage::Growth | LifeStage::Adult | LifeStage::Senior => stage.life_stage,
        LifeStage::Gestation | LifeStage::Lactation => return None,
    };
    if profile.work.is_some() {
        return None;
    }
    let size = match animal.species {
        Species::Dog => Some(stage.size?),
        Species::Cat => None,
    };
    Some(PeerGroup { species: animal.species, size, age })
}

/// The median of a pet's active minutes, to hold others against; `None` with too few days.
#[must_use]
pub fn own_median(days: &[DayActivity], today: Date) -> Option<f64> {
    let minutes = counted(days, today);
    if minutes.len() < ENOUGH_DAYS { None } else { median(&minutes) }
}

pub(crate) fn measured(days: &[DayActivity], peers: &Peers, is_stated: bool, today: Date) -> Found {
    let minutes = counted(days, today);
    let own = median(&minutes);
    // The last ones: they are in order of their dates.
    let recent = minutes.len().checked_sub(ENOUGH_DAYS).and_then(|from| median(&minutes[from..]));
    let mut told = MeasuredActivity {
        status: ActivityStatus::Calibrating,
        days: u8::try_from(minutes.len()).unwrap_or(u8::MAX),
        active_minutes: own.map(rounded),
        recent_active_minutes: recent.map(rounded),
        position: 0.5,
        peers: 0,
    };
    let mut unranked = 0.5;
    let mut reasons = Vec::new();
    if let (Some(own), Some(recent)) = (own, recent) {
        told.status = ActivityStatus::Measured;
        let rank = percentile(own, &peers.medians);
        if let Some((_, count)) = rank {
            told.peers = count;
        }
        let shift = own_shift(own, recent);
        unranked += shift;
        told.position = fine((rank.map_or(0.5, |(rank, _)| rank) + shift).clamp(0.0, 1.0));
        reasons.push(position_reason(own, recent, rank, told.position));
    } else {
        let text = format!(
            "Calibrating: {} of {ENOUGH_DAYS} days with readings enough; until then the middle of the range applies.",
            minutes.len()
        );
        reasons.push(Reason::new(text, ""));
    }
    if is_stated {
        told.status = ActivityStatus::Stated;
        reasons.clear();
    }
    Found { told, unranked, reasons }
}

fn position_reason(own: f64, recent: f64, rank: Option<(f64, u32)>, position: f64) -> Reason {
    let against = match rank {
        Some((rank, count)) => {
            format!("more than {:.0} % of {count} pets of its kind here", rank * 100.0)
        }
        None => "too few pets of its kind here to hold it against, so from the middle".to_owned(),
    };
    let text = format!(
        "Measured: {own:.0} active minutes a day over its 30 days, {recent:.0} over the last 7: {against}; it stands at \
         {position:.2} of the range."
    );
    // The placement within the range is this rule set's own; that activity places it is the literature's.
    Reason::new(text, "AAHA 2021; Merck Veterinary Manual")
}

/// The active minutes of the days that count, in order of their dates.
fn counted(days: &[DayActivity], today: Date) -> Vec<f64> {
    let first = today.saturating_sub(Span::new().days(WINDOW_DAYS));
    let counts = |day: &&DayActivity| {
        (first..today).contains(&day.date)
            && day.known_minutes >= KNOWN_MINUTES
            && day.active_minutes.is_finite()
    };
    let by_date: BTreeMap<Date, f64> =
        days.iter().filter(counts).map(|day| (day.date, day.active_minutes.max(0.0))).collect();
    by_date.into_values().collect()
}

/// Which part of the peers is less active, those that are just as active counting half; and how many peers there are.
fn percentile(own: f64, medians: &[f64]) -> Option<(f64, u32)> {
    let (mut below, mut same, mut count) = (0.0, 0.0, 0_u32);
    for median in medians.iter().filter(|median| median.is_finite()) {
        count += 1;
        if *median < own {
            below += 1.0;
        } else if *median <= own {
            same += 1.0;
        }
    }
    let enough = usize::try_from(count).is_ok_and(|count| count >= ENOUGH_PEERS);
    enough.then(|| ((below + same / 2.0) / f64::from(count), count))
}

/// How far its own last days move it, at most a quarter of the range.
fn own_shift(own: f64, recent: f64) -> f64 {
    if own < 1.0 {
        return 0.0;
    }
    TREND_WEIGHT * ((recent - own) / own).clamp(-TREND_AT_MOST, TREND_AT_MOST)
}

pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = values.get(middle.checked_sub(1)?)?;
    Some((lower + upper) / 2.0)
}

//! What is compared: the first system's rules, and Petty's interpreters.
//!
//! Invariant: a claim is of a behaviour over a span of time; Unknown is no claim.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use petty_behavior::domain::{self, Behavior, Params, Position, Reading, Species};
use petty_scenarios::{Fix, Recording, Species as Kind};

use crate::first;

/// The rules that come with Petty; a test of theirs reads them, so they can be read.
pub(crate) static RULES: LazyLock<domain::v1::Rules> =
    LazyLock::new(|| domain::v1::Rules::built_in().expect("the built-in rules hold together"));

/// One of those compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Classifier {
    /// The first system, asked for so many minutes at a time.
    First(u32),
    /// Petty's rules `spine/1`, which the service ran.
    Today,
    /// Petty's rules `v1`, of collars that count no breaths: of the signals that the first system had.
    Breathless,
    /// Petty's rules `v1`, which the service runs.
    Next,
}

/// Something that a pet is said to have done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim {
    /// What.
    pub behavior: Behavior,
    /// From, microseconds since 1970.
    pub start_us: i64,
    /// To.
    pub end_us: i64,
    /// 0 to 1.
    pub confidence: f64,
}

/// What a classifier gets to see.
#[derive(Debug, Clone)]
pub struct Input {
    /// The pet's species and the collar's interval.
    pub params: Params,
    /// By time.
    pub readings: Vec<Reading>,
}

/// Where a made-up collar says it is.
pub(crate) fn position(fix: Fix) -> Position {
    Position { latitude: fix.latitude, longitude: fix.longitude, accuracy_m: Some(fix.accuracy_m) }
}

impl Input {
    /// Of a made-up pet.
    #[must_use]
    pub fn of(recording: &Recording) -> Self {
        let readings = recording.readings.iter().filter_map(|reading| {
            Some(Reading {
                at: Timestamp::from_microsecond(reading.at_us).ok()?,
                heart_rate: reading.heart_rate,
                activity_level: reading.level,
                respiratory_rate: reading.respiratory_rate,
                position: reading.fix.map(position),
            })
        });
        let species = match recording.pet.species {
            Kind::Dog => Species::Dog,
            Kind::Cat => Species::Cat,
        };
        let declared = SignedDuration::from_secs(i64::from(recording.interval_s));
        Self {
            params: Params { sampling_interval: Some(declared), ..Params::of(species) },
            readings: readings.collect(),
        }
    }
}

/// What the service's interpreter says of a pet.
#[must_use]
pub fn episodes(input: &Input) -> Vec<domain::v1::Episode> {
    domain::v1::interpret(&RULES, &input.params, &input.readings)
}

impl Classifier {
    /// All, the judged one last.
    pub const ALL: [Self; 6] =
        [Self::First(10), Self::First(60), Self::First(1_440), Self::Today, Self::Breathless, Self::Next];

    /// Whether it is one of the first system's.
    #[must_use]
    pub const fn is_first(self) -> bool {
        match self {
            Self::First(_) => true,
            Self::Today | Self::Breathless | Self::Next => false,
        }
    }

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::First(1_440) => "first system, by day".to_owned(),
            Self::First(60) => "first system, by hour".to_owned(),
            Self::First(minutes) => format!("first system, by {minutes} min"),
            Self::Today => domain::rules::RULE_SET.to_owned(),
            Self::Breathless => format!("{} without breaths", domain::v1::rules::VERSION),
            Self::Next => domain::v1::rules::VERSION.to_owned(),
        }
    }

    /// What it says of a pet.
    #[must_use]
    pub fn claims(self, input: &Input) -> Vec<Claim> {
        match self {
            Self::First(minutes) => first::claims(&input.readings, minutes),
            Self::Today => domain::interpret(&input.params, &input.readings)
                .into_iter()
                .filter(|episode| episode.behavior.is_known())
                .map(|episode| Claim {
                    behavior: episode.behavior,
                    start_us: episode.start.as_microsecond(),
                    end_us: episode.end.as_microsecond(),
                    confidence: episode.confidence,
                })
                .collect(),
            Self::Breathless => {
                let mut input = input.clone();
                input.readings.iter_mut().for_each(|reading| reading.respiratory_rate = None);
                told(&episodes(&input))
            }
            Self::Next => told(&episodes(input)),
        }
    }
}

fn told(episodes: &[domain::v1::Episode]) -> Vec<Claim> {
    let known = episodes.iter().filter(|episode| episode.behavior.is_known());
    let claim = |episode: &domain::v1::Episode| Claim {
        behavior: episode.behavior,
        start_us: episode.start.as_microsecond(),
        end_us: episode.end.as_microsecond(),
        confidence: episode.confidence,
    };
    known.map(claim).collect()
}

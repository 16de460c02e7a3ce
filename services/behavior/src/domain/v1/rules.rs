//! The rules as data: how often each doing looks so, how long it lasts, and what a raw chance has turned out to be worth.
//!
//! Invariant: rules that do not hold together are refused when they are loaded, each fault named: every share between 0 and 1,
//! every row summing to 1, a source with every table, the version this code was written for.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::{Behavior, Species};
use super::features::{CHANNELS, COUNT, SPACINGS};
use super::smooth;

/// Name and version of the rules, kept with each episode.
pub const VERSION: &str = "v1/5";
/// The rules that come with this version of Petty.
const TEXT: &str = include_str!("../../../rules/v1.toml");

/// What is told apart inside; several make one behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doing {
    /// A bout of sleep.
    Asleep,
    /// Lying awake.
    Lying,
    /// Still, aroused.
    Watching,
    /// Up and down at home, aroused.
    Excited,
    /// About the house.
    About,
    /// At the bowl.
    Eating,
    /// A walk.
    Walking,
    /// A slow one.
    Strolling,
    /// A steady run.
    Running,
    /// Wild play.
    Romping,
    /// Fetch.
    Fetching,
    /// To and fro, uneasy.
    Pacing,
    /// The collar is not on the pet.
    OffCollar,
    /// The first minute and a half of a bout of sleep: the heart sinks.
    Nodding,
    /// The three minutes after that: it has sunk most of the way.
    Dozing,
}

/// How many there are.
pub const DOINGS: usize = 15;
/// Nodding is left for dozing alone, and that for sleep: nobody falls asleep at once.
pub(super) const SINKING: [(Doing, Doing); 2] =
    [(Doing::Nodding, Doing::Dozing), (Doing::Dozing, Doing::Asleep)];
/// How long both last, seconds (~).
pub const SINKING_S: [i64; 2] = [90, 180];
/// As many as a vector of the machine holds, padded.
pub(super) const LANES: usize = 16;
/// A figure for each doing; what is left is padding.
pub(super) type Lanes = [f32; LANES];
/// A figure for each behaviour.
pub(super) type Spoken = [f32; Behavior::ALL.len()];
/// In a table of all symbols, where each channel's first one stands.
#[expect(clippy::cast_possible_truncation, reason = "they are fewer than 256 in all")]
pub(super) const FIRST_ROWS: [u8; COUNT] = {
    let (mut rows, mut nth) = ([0; COUNT], 1);
    while nth < COUNT {
        rows[nth] = rows[nth - 1] + CHANNELS[nth - 1].1 as u8;
        nth += 1;
    }
    rows
};
/// Rows of such a table: as many as a byte tells apart, so that no place needs to be checked; those beyond the symbols are padding.
pub(super) const ROWS: usize = 256;
const _: () = assert!(FIRST_ROWS[COUNT - 1] as usize + CHANNELS[COUNT - 1].1 <= ROWS);

impl Doing {
    /// All, in the order of the tables.
    pub const ALL: [Self; DOINGS] = [
        Self::Asleep,
        Self::Lying,
        Self::Watching,
        Self::Excited,
        Self::About,
        Self::Eating,
        Self::Walking,
        Self::Strolling,
        Self::Running,
        Self::Romping,
        Self::Fetching,
        Self::Pacing,
        Self::OffCollar,
        Self::Nodding,
        Self::Dozing,
    ];

    /// What is said where it is found. Arousal, meals and a collar on a table are told apart so that they are not taken for
    /// something else; heart rate, level and position do not tell them well enough to be claimed.
    #[must_use]
    pub const fn behavior(self) -> Behavior {
        match self {
            Self::Asleep | Self::Nodding | Self::Dozing => Behavior::DeepSleep,
            Self::Lying => Behavior::Resting,
            Self::About | Self::Walking | Self::Strolling => Behavior::Walking,
            Self::Running | Self::Romping => Behavior::Running,
            Self::Fetching => Behavior::PlayingFetch,
            Self::Pacing => Behavior::AnxiousPacing,
            Self::Watching | Self::Excited | Self::Eating | Self::OffCollar => Behavior::Unknown,
        }
    }
}

/// A file of rules.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// [`VERSION`].
    pub version: String,
    /// Where the shares come from.
    pub source: String,
    /// By spacing ([`SPACINGS`]) and channel, how much it counts: neighbouring windows say the same again, so each says less.
    pub weights: Vec<Vec<f32>>,
    /// Where the weights come from.
    pub weights_source: String,
    /// By spacing and behaviour, what its chance counts for when it is weighed against the others': more than 1 claims it more easily.
    /// The confidence stated is of the chance itself.
    pub leans: Vec<Vec<f32>>,
    /// Where the leans come from.
    pub leans_source: String,
    /// By doing.
    pub doings: Vec<Row>,
    /// What a raw chance is worth: for each twentieth, the share that was so.
    pub confidence: Vec<f32>,
    /// Where that comes from.
    pub confidence_source: String,
}

/// A doing's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Which.
    pub doing: Doing,
    /// How it comes and goes in a dog's days.
    pub dog: Course,
    /// The same, in a cat's.
    pub cat: Course,
    /// By spacing and channel, the share of its epochs with each symbol but the first, "nothing seen".
    pub looks: Vec<Vec<Vec<f32>>>,
}

/// How a doing comes and goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Course {
    /// Mean seconds from its begin to its end.
    pub lasts_s: f32,
    /// Of all begins, the share that is its.
    pub begins: f32,
    /// What comes after it, by doing: shares.
    pub next: Vec<f32>,
}

impl Row {
    /// Of a species.
    const fn course(&self, species: Species) -> &Course {
        match species {
            Species::Dog => &self.dog,
            Species::Cat => &self.cat,
        }
    }
}

/// Rules do not hold together.
#[derive(Debug, Error)]
pub enum RulesError {
    /// Not such a file.
    #[error("the rules cannot be read: {0}")]
    Text(#[from] toml::de::Error),
    /// It can be read, and cannot be so.
    #[error("the rules do not hold together: {}", .0.join("; "))]
    Faults(Vec<String>),
}

/// Rules ready to be used.
#[derive(Debug, Clone)]
pub struct Rules {
    /// By spacing, and by channel and symbol ([`FIRST_ROWS`]): how likely each doing makes it look so, its weight applied.
    pub(super) looks: Vec<[Lanes; ROWS]>,
    pub(super) dog: Days,
    pub(super) cat: Days,
    /// By spacing and behaviour.
    pub(super) leans: Vec<Spoken>,
    /// By the signals at hand and doing, what behaviour it may be said to be.
    pub(super) says: [[u8; DOINGS]; 8],
    /// The last one twice.
    pub(super) confidence: [f32; CONFIDENCES + 1],
}

/// A species' days.
#[derive(Debug, Clone)]
pub(super) struct Days {
    /// By spacing and behaviour, and by channel and symbol ([`FIRST_ROWS`]): how much that speaks for it against the rest, nats.
    pub(super) speaks: Vec<[[f32; ROWS]; Behavior::ALL.len()]>,
    /// By whole seconds: the chance of still being at it.
    pub(super) stays: Vec<Lanes>,
    /// By doing, what comes after it.
    pub(super) next: [Lanes; LANES],
    /// The same, by what comes after.
    pub(super) comes_after: [Lanes; LANES],
    /// How common each is: what is likely before anything was seen.
    pub(super) common: Lanes,
}

impl Rules {
    /// The rules that come with this version.
    ///
    /// # Errors
    /// Never, once its tests have passed.
    pub fn built_in() -> Result<Self, RulesError> {
        Self::read(TEXT)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn read(text: &str) -> Result<Self, RulesError> {
        Self::of(&toml::from_str(text)?)
    }

    /// Of a file that was read.
    ///
    /// # Errors
    /// Every fault at once.
    pub fn of(file: &File) -> Result<Self, RulesError> {
        let faults = faults(file);
        if !faults.is_empty() {
            return Err(RulesError::Faults(faults));
        }
        let looks = |(spacing, weights): (usize, &Vec<f32>)| {
            // Of what was not seen every doing is as likely.
            let mut looks = [[1.0; LANES]; ROWS];
            for (nth, (_, symbols, _)) in CHANNELS.iter().enumerate() {
                for symbol in 1..*symbols {
                    looks[usize::from(FIRST_ROWS[nth]) + symbol] =
                        lanes(file, &|row| row.looks[spacing][nth][symbol - 1].powf(weights[nth]));
                }
            }
            looks
        };
        let looks: Vec<[Lanes; ROWS]> = file.weights.iter().enumerate().map(looks).collect();
        let leans = |leans: &[f32]| {
            let mut all = [1.0; Behavior::ALL.len()];
            all.iter_mut().zip(leans).for_each(|(all, lean)| *all = *lean);
            all
        };
        Ok(Self {
            dog: days(file, &looks, Species::Dog),
            cat: days(file, &looks, Species::Cat),
            looks,
            leans: file.leans.iter().map(|of| leans(of)).collect(),
            says: std::array::from_fn(smooth::says),
            confidence: std::array::from_fn(|nth| file.confidence[nth.min(CONFIDENCES - 1)]),
        })
    }

    /// A species' days.
    pub(super) const fn days(&self, species: Species) -> &Days {
        match species {
            Species::Dog => &self.dog,
            Species::Cat => &self.cat,
        }
    }
}

fn lanes(file: &File, figure: &dyn Fn(&Row) -> f32) -> Lanes {
    let mut lanes = [0.0; LANES];
    lanes.iter_mut().zip(&file.doings).for_each(|(lane, row)| *lane = figure(row));
    lanes
}

fn days(file: &File, looks: &[[Lanes; ROWS]], species: Species) -> Days {
    let common = lanes(file, &|row| common(file, row, species));
    let speaks = |looks: &[Lanes; ROWS]| {
        let mut all = [[0.0; ROWS]; Behavior::ALL.len()];
        for (row, look) in looks.iter().enumerate() {
            let spoken = speaks(file, &common, look);
            all.iter_mut().zip(spoken).for_each(|(of, spoken)| of[row] = spoken);
        }
        all
    };
    let speaks = looks.iter().map(speaks).collect();
    let (mut next, mut comes_after) = ([[0.0; LANES]; LANES], [[0.0; LANES]; LANES]);
    for (from, row) in file.doings.iter().enumerate() {
        for (to, share) in row.course(species).next.iter().enumerate() {
            (next[from][to], comes_after[to][from]) = (*share, *share);
        }
    }
    let stays = |s: u16| lanes(file, &|row| (-f32::from(s) / row.course(species).lasts_s).exp());
    Days { speaks, stays: (0..=LONGEST_S).map(stays).collect(), next, comes_after, common }
}

/// The share of all time, but for a factor that all have.
fn common(file: &File, row: &Row, species: Species) -> f32 {
    let mut first = row;
    // What is entered from one doing alone begins as often as that.
    for (from, to) in SINKING.iter().rev() {
        if first.doing == *to {
            first = file.doings.iter().find(|row| row.doing == *from).unwrap_or(first);
        }
    }
    first.course(species).begins * row.course(species).lasts_s
}

/// How much likelier a behaviour's doings look so than the others', each as common as it is.
fn speaks(file: &File, common: &Lanes, look: &Lanes) -> Spoken {
    let mut spoken = [0.0; Behavior::ALL.len()];
    for behavior in Behavior::ALL {
        let (mut own, mut rest) = ((0.0, 0.0), (0.0, 0.0));
        for (row, (common, look)) in file.doings.iter().zip(common.iter().zip(look)) {
            let sums = if row.doing.behavior() == behavior { &mut own } else { &mut rest };
            *sums = (sums.0 + common * look, sums.1 + common);
        }
        // Every share is above 0, and so is every sum.
        spoken[behavior as usize] = ((own.0 / own.1) / (rest.0 / rest.1)).ln();
    }
    spoken
}

fn faults(file: &File) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |right: bool, fault: String| {
        if !right {
            faults.push(fault);
        }
    };
    check(file.version == VERSION, format!("version is {:?}, this code reads {VERSION:?}", file.version));
    for (name, source) in [
        ("source", &file.source),
        ("weights_source", &file.weights_source),
        ("leans_source", &file.leans_source),
        ("confidence_source", &file.confidence_source),
    ] {
        check(!source.trim().is_empty(), format!("{name} names none"));
    }
    for (name, count) in [("weights", file.weights.len()), ("leans", file.leans.len())] {
        check(count == SPACINGS.len(), format!("{name} are for {count} spacings, not {}", SPACINGS.len()));
    }
    for weights in &file.weights {
        check(weights.len() == COUNT, format!("{} weights for {COUNT} channels", weights.len()));
        check(weights.iter().all(|weight| (0.0..=2.0).contains(weight)), "a weight is not 0 to 2".to_owned());
    }
    for leans in &file.leans {
        check(leans.len() == Behavior::ALL.len(), format!("{} leans", leans.len()));
        check(leans.iter().all(|lean| (0.1..=10.0).contains(lean)), "a lean is not 0.1 to 10".to_owned());
    }
    check(
        file.confidence.len() == CONFIDENCES,
        format!("{} confidences, not {CONFIDENCES}", file.confidence.len()),
    );
    check(
        file.confidence.iter().all(|share| (0.0..=1.0).contains(share)),
        "a confidence is not 0 to 1".to_owned(),
    );
    check(file.confidence.is_sorted(), "confidences do not rise".to_owned());
    let doings: Vec<Doing> = file.doings.iter().map(|row| row.doing).collect();
    check(doings == Doing::ALL, format!("doings are {doings:?}, not all in order"));
    for species in [Species::Dog, Species::Cat] {
        let begins: f32 = file.doings.iter().map(|row| row.course(species).begins).sum();
        check((begins - 1.0).abs() < 0.01, format!("{species:?}: begins sum to {begins}"));
        for row in &file.doings {
            let (name, Course { lasts_s, begins, next }) = (row.doing, row.course(species));
            check(*lasts_s >= 5.0 && lasts_s.is_finite(), format!("{species:?} {name:?} lasts {lasts_s} s"));
            check((0.0..=1.0).contains(begins), format!("{species:?} {name:?} begins {begins}"));
            let sum: f32 = next.iter().sum();
            let shares = next.iter().all(|share| (0.0..=1.0).contains(share));
            check(
                shares && next.len() == DOINGS && (sum - 1.0).abs() < 0.01,
                format!("{species:?} {name:?}: what comes next is {} shares that sum to {sum}", next.len()),
            );
        }
    }
    for row in &file.doings {
        let name = row.doing;
        check(row.looks.len() == SPACINGS.len(), format!("{name:?} looks at {} spacings", row.looks.len()));
        for (kind, tables) in SPACINGS.iter().zip(&row.looks) {
            check(tables.len() == COUNT, format!("{name:?} {kind}: {} channels", tables.len()));
            for (table, (channel, symbols, _)) in tables.iter().zip(CHANNELS) {
                check(
                    table.len() + 1 == symbols,
                    format!("{name:?} {kind} {channel}: {} symbols", table.len()),
                );
                let sum: f32 = table.iter().sum();
                let shares = table.iter().all(|share| *share > 0.0 && *share <= 1.0);
                check(
                    shares && (sum - 1.0).abs() < 0.01,
                    format!("{name:?} {kind} {channel}: sums to {sum}"),
                );
            }
        }
    }
    faults
}

/// No epoch reaches back further: readings further apart are not adjacent.
const LONGEST_S: u16 = 600;
/// Steps of the confidence table.
pub const CONFIDENCES: usize = 20;

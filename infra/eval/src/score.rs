//! Right and wrong, by time.
//!
//! Invariant: a second counts once, and only where the collar covered it: between two readings at most three intervals, or 60 s,
//! apart. What a classifier claims beyond that time is neither held for nor against it.

use petty_behavior::domain::Behavior;
use petty_scenarios::{EPOCH_S, Label, Recording};

use crate::classifier::Claim;

/// How many behaviours there are.
pub const BEHAVIORS: usize = Behavior::ALL.len();
/// The last column of a confusion matrix: nothing was claimed.
pub const NOTHING: usize = BEHAVIORS - 1;
/// Bins of a reliability curve, each a tenth wide.
pub const BINS: usize = 10;

/// Seconds of some animals.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Tally {
    /// Covered.
    pub scored_s: f64,
    /// By behaviour: claimed rightly.
    pub right_s: [f64; BEHAVIORS],
    /// Claimed at all.
    pub claimed_s: [f64; BEHAVIORS],
    /// True.
    pub true_s: [f64; BEHAVIORS],
    /// By label and, where several were claimed, the claim that ranks first.
    pub confusion: [[f64; BEHAVIORS]; Label::ALL.len()],
    /// By stated confidence: seconds, confidence and right ones summed.
    pub bins: [(f64, f64, f64); BINS],
    /// Squared errors of stated confidences, summed.
    pub squares: f64,
}

impl Tally {
    /// Together.
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.add(tally);
        }
        sum
    }

    fn add(&mut self, other: &Self) {
        self.scored_s += other.scored_s;
        self.squares += other.squares;
        for (own, its) in [
            (&mut self.right_s, &other.right_s),
            (&mut self.claimed_s, &other.claimed_s),
            (&mut self.true_s, &other.true_s),
        ] {
            own.iter_mut().zip(its).for_each(|(own, its)| *own += its);
        }
        for (own, its) in self.confusion.iter_mut().flatten().zip(other.confusion.iter().flatten()) {
            *own += its;
        }
        for (own, its) in self.bins.iter_mut().zip(&other.bins) {
            *own = (own.0 + its.0, own.1 + its.1, own.2 + its.2);
        }
    }

    /// The mean squared error of stated confidences (Brier), over all that was claimed; `None` where nothing was.
    #[must_use]
    pub fn brier(&self) -> Option<f64> {
        let claimed: f64 = self.bins.iter().map(|bin| bin.0).sum();
        (claimed > 0.0).then(|| self.squares / claimed)
    }
}

/// The label that a behaviour claims.
#[must_use]
pub const fn label(behavior: Behavior) -> Option<Label> {
    match behavior {
        Behavior::DeepSleep => Some(Label::DeepSleep),
        Behavior::Resting => Some(Label::Resting),
        Behavior::Walking => Some(Label::Walking),
        Behavior::Running => Some(Label::Running),
        Behavior::PlayingFetch => Some(Label::PlayingFetch),
        Behavior::AnxiousPacing => Some(Label::AnxiousPacing),
        Behavior::Unknown => None,
    }
}

/// Where a behaviour stands in the tables.
#[must_use]
pub fn index(behavior: Behavior) -> usize {
    Behavior::ALL.iter().position(|other| *other == behavior).unwrap_or(NOTHING)
}

/// Holds claims against the truth.
#[must_use]
pub fn score(recording: &Recording, claims: &[Claim]) -> Tally {
    let end_s = recording.truth.last().map_or(EPOCH_S, |last| last.end_s);
    let seconds = place(end_s, end_s);
    let mut claimed = vec![0_u8; seconds];
    let mut confidences = vec![0_f32; seconds];
    // By rank, the first last: Fetch, Pacing, Deep Sleep, then the rest.
    let mut ranked: Vec<&Claim> = claims.iter().filter(|claim| claim.behavior.is_known()).collect();
    ranked.sort_by_key(|claim| std::cmp::Reverse(rank(claim.behavior)));
    let mut first = vec![NOTHING; seconds];
    for claim in ranked {
        let (behavior, span) = (index(claim.behavior), span(claim.start_us, claim.end_us, end_s));
        claimed[span.clone()].iter_mut().for_each(|mask| *mask |= 1 << behavior);
        first[span.clone()].fill(behavior);
        #[expect(clippy::cast_possible_truncation, reason = "a confidence of three digits")]
        confidences[span].fill(claim.confidence as f32);
    }
    let covered = covered(recording, end_s);
    let mut tally = Tally::default();
    for stretch in &recording.truth {
        let label = stretch.doing.label();
        let row = Label::ALL.iter().position(|other| *other == label).unwrap_or_default();
        for second in place(stretch.start_s, end_s)..place(stretch.end_s, end_s) {
            if !covered[second] {
                continue;
            }
            tally.scored_s += 1.0;
            tally.confusion[row][first[second]] += 1.0;
            for (nth, behavior) in Behavior::ALL.into_iter().enumerate() {
                let (said, is) = (claimed[second] & (1 << nth) != 0, self::label(behavior) == Some(label));
                tally.claimed_s[nth] += f64::from(u8::from(said));
                tally.true_s[nth] += f64::from(u8::from(is));
                tally.right_s[nth] += f64::from(u8::from(said && is));
            }
            if first[second] != NOTHING {
                let right = f64::from(u8::from(self::label(Behavior::ALL[first[second]]) == Some(label)));
                tally.believe(f64::from(confidences[second]), right);
            }
        }
    }
    tally
}

impl Tally {
    fn believe(&mut self, confidence: f64, right: f64) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
        let bin = ((confidence * BINS as f64).clamp(0.0, 9.0)) as usize;
        let (seconds, stated, found) = self.bins[bin];
        self.bins[bin] = (seconds + 1.0, stated + confidence, found + right);
        self.squares += (confidence - right).powi(2);
    }
}

const fn rank(behavior: Behavior) -> u8 {
    match behavior {
        Behavior::PlayingFetch => 0,
        Behavior::AnxiousPacing => 1,
        Behavior::DeepSleep => 2,
        Behavior::Running => 3,
        Behavior::Walking => 4,
        Behavior::Resting => 5,
        Behavior::Unknown => 6,
    }
}

/// For each second, whether it lies between two readings near each other.
fn covered(recording: &Recording, end_s: i64) -> Vec<bool> {
    let mut covered = vec![false; place(end_s, end_s)];
    let most_us = (3 * i64::from(recording.interval_s)).max(60) * 1_000_000;
    for pair in recording.readings.windows(2) {
        if pair[1].at_us - pair[0].at_us <= most_us {
            covered[span(pair[0].at_us, pair[1].at_us, end_s)].fill(true);
        }
    }
    covered
}

/// The seconds of a span, as indices.
fn span(start_us: i64, end_us: i64, end_s: i64) -> std::ops::Range<usize> {
    let to = |us: i64| place(us.div_euclid(1_000_000), end_s);
    to(start_us)..to(end_us)
}

/// A second's index, within the recording.
fn place(second: i64, end_s: i64) -> usize {
    usize::try_from(second.clamp(EPOCH_S, end_s) - EPOCH_S).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use petty_scenarios::{Doing, Setup, record};

    use super::*;

    fn truth_as_claims(recording: &Recording) -> Vec<Claim> {
        let behavior =
            |doing: Doing| Behavior::ALL.into_iter().find(|one| label(*one) == Some(doing.label()));
        let claims = recording.truth.iter().filter_map(|stretch| {
            Some(Claim {
                behavior: behavior(stretch.doing)?,
                start_us: stretch.start_s * 1_000_000,
                end_us: stretch.end_s * 1_000_000,
                confidence: 1.0,
            })
        });
        claims.collect()
    }

    #[test]
    fn the_truth_scores_in_full_and_silence_scores_nothing() {
        let recording = record(&Setup { days: 2, ..Setup::default() }, 0);
        let tally = score(&recording, &truth_as_claims(&recording));
        assert!(tally.scored_s > 1.5 * 86_400.0 && tally.scored_s <= 2.0 * 86_400.0);
        assert_eq!(tally.right_s, tally.true_s);
        assert_eq!(tally.right_s, tally.claimed_s);
        assert_eq!(tally.brier(), Some(0.0));
        let silent = score(&recording, &[]);
        assert_eq!((silent.claimed_s, silent.true_s, silent.brier()), ([0.0; BEHAVIORS], tally.true_s, None));
        let sum: f64 = silent.confusion.iter().map(|row| row[NOTHING]).sum();
        assert!((sum - silent.scored_s).abs() < 1e-6);
    }

    #[test]
    fn a_claim_of_sleep_all_day_is_right_for_the_share_of_sleep_and_pays_for_the_rest() {
        let recording = record(&Setup { days: 2, ..Setup::default() }, 0);
        let all = Claim {
            behavior: Behavior::DeepSleep,
            start_us: i64::MIN / 2,
            end_us: i64::MAX / 2,
            confidence: 0.9,
        };
        let tally = score(&recording, &[all]);
        let share = tally.true_s[0] / tally.scored_s;
        assert_eq!((tally.right_s[0], tally.claimed_s[0]), (tally.true_s[0], tally.scored_s));
        let brier = share * 0.01 + (1.0 - share) * 0.81;
        assert!((tally.brier().unwrap() - brier).abs() < 1e-4);
        assert!(
            (tally.bins[9].0 - tally.scored_s).abs() < 1e-6
                || (tally.bins[8].0 - tally.scored_s).abs() < 1e-6
        );
    }
}

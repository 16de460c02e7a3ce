//! Rules fitted on made-up pets: how often each doing looks so, how long it lasts, and what a chance is worth.
//!
//! Invariant: the pets that shares are counted on, those that confidence is fitted on and those that judge are of different
//! seeds; a file that is fitted again with the same seeds is the same file.

use petty_behavior::domain::v1::rules::{CONFIDENCES, Course, DOINGS, File, Row, SINKING_S, VERSION};
use petty_behavior::domain::v1::{self, CHANNELS, Doing, Judged, Rules, RulesError, SPACINGS};
use petty_scenarios::{Recording, Setup, Species, record};

use crate::INTERVALS_S;
use crate::classifier::Input;
use crate::score::{BEHAVIORS, label};

/// Seeds, pets and days to fit on.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    /// Whose shares are counted.
    pub shares_seed: u64,
    /// Whose chances are held against what was so.
    pub confidence_seed: u64,
    /// Pets of each.
    pub pets: u32,
    /// Days of each.
    pub days: u32,
}

/// By spacing, how much each channel counts.
pub type Weights = [[f32; CHANNELS.len()]; SPACINGS.len()];

/// What each behaviour's chance counts for, likewise.
pub type Leans = [[f32; BEHAVIORS]; SPACINGS.len()];

/// Who the rules that come with Petty are counted on.
pub const FIT: Fit = Fit { shares_seed: 1, confidence_seed: 2, pets: 240, days: 10 };

/// Those of the rules that come with Petty: tried on petty-scenarios seeds 3 to 8, 60 pets of each over 8 days (`tune`). In the order of
/// [`CHANNELS`].
pub const WEIGHTS: Weights = [
    [1.254, 0.07045, 0.09772, 0.3, 0.32, 0.0527, 0.04493, 0.2121, 0.02842],
    [1.254, 0.0553, 0.09772, 0.2301, 0.32, 0.0527, 0.04493, 0.2121, 0.0239],
    [0.7366, 0.3498, 0.3127, 0.5128, 0.4034, 0.0752, 0.08745, 0.3109, 0.4807],
    [0.7366, 0.3127, 0.3127, 0.4234, 0.4034, 0.0752, 0.08745, 0.2379, 0.4807],
];

/// Likewise; behaviours in the order of `Behavior::ALL`.
pub const LEANS: Leans = [
    [1.62, 1.874, 1.991, 3.044, 0.45, 1.2, 0.8444],
    [1.62, 1.963, 1.694, 2.937, 0.3921, 0.7504, 0.7264],
    [0.75, 1.268, 1.096, 0.7239, 1.1, 0.9, 1.077],
    [0.75, 1.259, 1.045, 0.7239, 1.1, 1.069, 1.053],
];

impl Fit {
    /// The fitted file.
    ///
    /// # Errors
    /// Where what was counted does not make rules that hold together.
    pub fn file(&self, weights: Weights, leans: Leans) -> Result<File, RulesError> {
        let mut file = self.shares(weights, leans);
        let rules = Rules::of(&file)?;
        let mut bins = [(0.0_f64, 0.0_f64); CONFIDENCES];
        for recording in self.recordings(self.confidence_seed) {
            let input = Input::of(&recording);
            for judged in v1::judge(&rules, &input.params, &input.readings) {
                let Judged { from, to, behavior, chance, .. } = judged;
                let Some(said) = label(behavior) else { continue };
                let right = doing_at(&recording, from, to).map(|(doing, _)| doing.label()) == Some(said);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 19")]
                let bin =
                    (f64::from(chance) * CONFIDENCES as f64).clamp(0.0, (CONFIDENCES - 1) as f64) as usize;
                let seconds = (to - from) as f64 / 1e6;
                bins[bin].0 += seconds;
                bins[bin].1 += if right { seconds } else { 0.0 };
            }
        }
        file.confidence = rising(&bins);
        Ok(file)
    }

    /// Recordings of a seed, each interval for each species alike.
    pub fn recordings(&self, seed: u64) -> impl Iterator<Item = Recording> {
        let setup = Setup { seed, days: self.days, ..Setup::default() };
        (0..self.pets).map(move |number| {
            let interval = INTERVALS_S[(number + number / 5) as usize % INTERVALS_S.len()];
            record(&Setup { interval_s: Some(interval), ..setup.clone() }, number)
        })
    }

    /// What is counted, before chances are held against anything.
    #[must_use]
    pub fn shares(&self, weights: Weights, leans: Leans) -> File {
        // By spacing, doing, channel and symbol.
        let empty = || CHANNELS.map(|(_, symbols, _)| vec![0.0_f64; symbols]);
        let mut counts = SPACINGS.map(|_| (0..DOINGS).map(|_| empty()).collect::<Vec<_>>());
        let [mut dogs, mut cats] = [Bouts::default(), Bouts::default()];
        for recording in self.recordings(self.shares_seed) {
            match recording.pet.species {
                Species::Dog => dogs.count(&recording),
                Species::Cat => cats.count(&recording),
            }
            let input = Input::of(&recording);
            for (from, to, seen) in v1::observe(&input.params, &input.readings).into_iter().flatten() {
                let Some((doing, since_s)) = doing_at(&recording, from, to) else { continue };
                let tables = &mut counts[usize::from(seen.spacing)][stage(doing, since_s) as usize];
                for (table, symbol) in tables.iter_mut().zip(seen.symbols) {
                    table[usize::from(symbol)] += 1.0;
                }
            }
        }
        let [dogs, cats] = [dogs.with_some_of(&cats), cats.with_some_of(&dogs)].map(Bouts::courses);
        let rows = Doing::ALL.into_iter().enumerate().map(|(nth, doing)| Row {
            doing,
            dog: dogs[nth].clone(),
            cat: cats[nth].clone(),
            looks: counts.iter().map(|of| of[nth].iter().map(|table| row(table)).collect()).collect(),
        });
        let source = |seed: u64| {
            format!(
                "counted on {} made-up pets over {} days, petty-scenarios seed {seed}",
                self.pets, self.days
            )
        };
        File {
            version: VERSION.to_owned(),
            source: source(self.shares_seed),
            weights: weights.map(|of| of.to_vec()).to_vec(),
            leans: leans.map(|of| of.to_vec()).to_vec(),
            leans_source: "tried on made-up pets, petty-scenarios seeds 3 to 8".to_owned(),
            weights_source: "tried on made-up pets, petty-scenarios seeds 3 to 8".to_owned(),
            doings: rows.collect(),
            confidence: (0..CONFIDENCES).map(|nth| (nth as f32 + 0.5) / CONFIDENCES as f32).collect(),
            confidence_source: source(self.confidence_seed),
        }
    }
}

/// How often each doing began, for how long it lasted, and what followed it.
#[derive(Debug, Clone, Default)]
struct Bouts {
    lasted_s: [f64; DOINGS],
    begun: [f64; DOINGS],
    followed: [[f64; DOINGS]; DOINGS],
}

/// What one species was seen to do, the other does too, so much more seldom: cats that fetch were never met, and there are some (~).
const OTHERS: f64 = 0.02;

impl Bouts {
    fn count(&mut self, recording: &Recording) {
        let mut last: Option<usize> = None;
        for same in recording.truth.chunk_by(|a, b| a.doing == b.doing) {
            let doing = same[0].doing as usize;
            self.lasted_s[doing] += (same[same.len() - 1].end_s - same[0].start_s) as f64;
            self.begun[doing] += 1.0;
            if let Some(before) = last.replace(doing) {
                self.followed[before][doing] += 1.0;
            }
        }
    }

    fn with_some_of(&self, other: &Self) -> Self {
        let mut both = self.clone();
        for doing in 0..DOINGS {
            both.lasted_s[doing] += OTHERS * other.lasted_s[doing];
            both.begun[doing] += OTHERS * other.begun[doing];
            for next in 0..DOINGS {
                both.followed[doing][next] += OTHERS * other.followed[doing][next];
            }
        }
        both
    }

    fn courses(mut self) -> Vec<Course> {
        let all: f64 = self.begun.iter().sum();
        // A bout of sleep has three stages, of which the first is what begins.
        let stages = [Doing::Asleep, Doing::Nodding, Doing::Dozing].map(|doing| doing as usize);
        let sunk: f64 = SINKING_S.iter().map(|seconds| *seconds as f64).sum();
        self.lasted_s[stages[0]] -= sunk * self.begun[stages[0]];
        for (stage, seconds) in stages[1..].iter().zip(SINKING_S) {
            self.lasted_s[*stage] = seconds as f64 * self.begun[stages[0]];
            self.begun[*stage] = self.begun[stages[0]];
        }
        let begins =
            |nth: usize| if nth == stages[0] || nth == stages[2] { 0.0 } else { self.begun[nth] / all };
        let course = |nth: usize| {
            let lasts_s = self.lasted_s[nth] / self.begun[nth].max(f64::MIN_POSITIVE);
            Course {
                lasts_s: rounded(lasts_s.max(20.0), 1.0),
                next: next_row(nth, &self.followed[nth], &begins),
                begins: if begins(nth) > 0.0 { rounded(begins(nth), 1e5) } else { 0.0 },
            }
        };
        (0..DOINGS).map(course).collect()
    }
}

/// What was going on in the middle of a span, and for how long, seconds.
fn doing_at(recording: &Recording, from: i64, to: i64) -> Option<(petty_scenarios::Doing, i64)> {
    let middle_s = i64::midpoint(from, to).div_euclid(1_000_000);
    let index = recording.truth.partition_point(|stretch| stretch.end_s <= middle_s);
    let doing = recording.truth.get(index)?.doing;
    let before = recording.truth[..=index].iter().rev().take_while(|stretch| stretch.doing == doing);
    Some((doing, middle_s - before.last()?.start_s))
}

/// The doing that rules tell apart.
fn stage(doing: petty_scenarios::Doing, since_s: i64) -> Doing {
    let [nodding, dozing] = SINKING_S;
    match Doing::ALL[doing as usize] {
        Doing::Asleep if since_s < nodding => Doing::Nodding,
        Doing::Asleep if since_s < nodding + dozing => Doing::Dozing,
        other => other,
    }
}

/// Shares of what came after, as if everything had come after it a little, as often as it begins.
fn next_row(from: usize, followed: &[f64; DOINGS], begins: &dyn Fn(usize) -> f64) -> Vec<f32> {
    let [nodding, dozing, asleep] =
        [Doing::Nodding, Doing::Dozing, Doing::Asleep].map(|doing| doing as usize);
    let only = |to: usize| (0..DOINGS).map(|nth| if nth == to { 1.0 } else { 0.0 }).collect();
    if from == nodding {
        return only(dozing);
    }
    if from == dozing {
        return only(asleep);
    }
    const LITTLE: f64 = 2.0;
    let all: f64 = followed.iter().sum::<f64>() + LITTLE;
    let share = |to: usize| {
        let came = if to == nodding {
            followed[asleep]
        } else if to == asleep {
            0.0
        } else {
            followed[to]
        };
        ((came + LITTLE * begins(to)) / all * 1e5).round() / 1e5
    };
    #[expect(clippy::cast_possible_truncation, reason = "five digits")]
    (0..DOINGS).map(|to| share(to) as f32).collect()
}

/// Shares of the symbols but the first, as if each had been seen a little.
fn row(counts: &[f64]) -> Vec<f32> {
    let counts = &counts[1..];
    let little = 0.5 + counts.iter().sum::<f64>() * 1e-4;
    let all: f64 = counts.iter().map(|count| count + little).sum();
    counts.iter().map(|count| rounded((count + little) / all, 1e6)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "six digits")]
fn rounded(number: f64, parts: f64) -> f32 {
    ((number * parts).round().max(1.0) / parts) as f32
}

/// Shares that rise with the chance: neighbours that fall are taken together (pool adjacent violators).
#[expect(clippy::cast_possible_truncation, reason = "three digits")]
fn rising(bins: &[(f64, f64); CONFIDENCES]) -> Vec<f32> {
    let mut pools: Vec<(f64, f64, usize)> = Vec::new();
    for (nth, (seconds, right)) in bins.iter().enumerate() {
        // Where nothing was seen the chance is taken at its word.
        let prior = 60.0;
        let stated = (nth as f64 + 0.5) / CONFIDENCES as f64;
        pools.push((seconds + prior, right + prior * stated, 1));
        while let [.., a, b] = pools.as_slice() {
            if a.1 / a.0 <= b.1 / b.0 {
                break;
            }
            let merged = (a.0 + b.0, a.1 + b.1, a.2 + b.2);
            pools.truncate(pools.len() - 2);
            pools.push(merged);
        }
    }
    let share = |pool: &(f64, f64, usize)| ((pool.1 / pool.0 * 1e3).round() / 1e3) as f32;
    pools.iter().flat_map(|pool| std::iter::repeat_n(share(pool), pool.2)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_is_taken_together() {
        let mut bins = [(1_000.0, 0.0); CONFIDENCES];
        for (nth, bin) in bins.iter_mut().enumerate() {
            bin.1 = if nth == 10 { 100.0 } else { 50.0 * nth as f64 };
        }
        let worth = rising(&bins);
        assert_eq!(worth.len(), CONFIDENCES);
        assert!(worth.is_sorted(), "{worth:?}");
        assert!((worth[15] - 0.75).abs() < 0.02);
    }

    #[test]
    fn what_is_fitted_holds_together_and_comes_out_the_same_again() {
        let fit = Fit { shares_seed: 1, confidence_seed: 2, pets: 3, days: 2 };
        let file = fit.file([[1.0; CHANNELS.len()]; 4], [[1.0; BEHAVIORS]; 4]).unwrap();
        assert!(Rules::of(&file).is_ok());
        assert_eq!(fit.file([[1.0; CHANNELS.len()]; 4], [[1.0; BEHAVIORS]; 4]).unwrap(), file);
    }
}

//! Tries the leans of `v1`'s behaviours and the weights of its channels, up to three at a time and by smaller and smaller steps where that is
//! no use, on pets of seeds of their own, and prints what was better: `cargo run --profile petty -p petty-eval --example tune [tries] [pets]
//! [seed…]`.

use std::io::Write as _;

use petty_behavior::domain::Behavior;
use petty_behavior::domain::v1::rules::File;
use petty_behavior::domain::v1::{self, CHANNELS, Rules, SPACINGS};
use petty_eval::classifier::{Claim, Input};
use petty_eval::fit::{FIT, Fit, LEANS, Leans, WEIGHTS, Weights};
use petty_eval::{Measure, Tally, measure, score};
use petty_scenarios::Recording;

/// Precision and recall wanted, a little beyond the goals.
const WANTED: [(Behavior, f64, f64); 3] = [
    (Behavior::DeepSleep, 0.955, 0.934),
    (Behavior::AnxiousPacing, 0.91, 0.885),
    (Behavior::PlayingFetch, 0.93, 0.905),
];

struct Tried {
    animals: Vec<(Recording, Input)>,
    file: File,
}

impl Tried {
    fn tallies(&self, (weights, leans): &(Weights, Leans)) -> Result<Vec<(u32, Tally)>, v1::RulesError> {
        let file = File {
            weights: weights.map(|of| of.to_vec()).to_vec(),
            leans: leans.map(|of| of.to_vec()).to_vec(),
            ..self.file.clone()
        };
        let rules = Rules::of(&file)?;
        let tally = |(recording, input): &(Recording, Input)| {
            let judged = v1::judge(&rules, &input.params, &input.readings);
            let claims: Vec<Claim> = judged
                .iter()
                .map(|judged| Claim {
                    behavior: judged.behavior,
                    start_us: judged.from,
                    end_us: judged.to,
                    confidence: f64::from(judged.chance),
                })
                .collect();
            (recording.interval_s, score::score(recording, &claims))
        };
        // On two cores, the tallies in the animals' order.
        let halves = self.animals.split_at(self.animals.len() / 2);
        Ok(std::thread::scope(|scope| {
            let first = scope.spawn(|| halves.0.iter().map(tally).collect::<Vec<_>>());
            let second: Vec<_> = halves.1.iter().map(tally).collect();
            let mut all = first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            all.extend(second);
            all
        }))
    }

    fn worth(&self, tried: &(Weights, Leans)) -> Result<(f64, Vec<Measure>), v1::RulesError> {
        let tallies = self.tallies(tried)?;
        let of = |behavior: Behavior| {
            let most = if behavior == Behavior::PlayingFetch { 15 } else { 60 };
            let some: Vec<&Tally> =
                tallies.iter().filter(|(s, _)| *s <= most).map(|(_, tally)| tally).collect();
            measure(&some, behavior)
        };
        let known = Behavior::ALL.into_iter().filter(|behavior| behavior.is_known());
        let mut worth: f64 = known.map(|behavior| of(behavior).f1.at).sum::<f64>() / 6.0;
        let mut measures = Vec::new();
        for (behavior, precision, recall) in WANTED {
            let measure = of(behavior);
            worth -= (precision - measure.precision.at).max(0.0) * 2.0
                + (recall - measure.recall.at).max(0.0) * 2.0;
            measures.push(measure);
        }
        Ok((worth, measures))
    }
}

/// What is changed, and by how much, comes from here: the same each time.
struct Chance(u64);

impl Chance {
    /// From 0 to 1 (splitmix64).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of so many one.
    fn of(&mut self, count: usize) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the count")]
        let one = (self.next() * count as f64) as usize;
        one
    }

    /// About 0, mostly within 1.
    fn normal(&mut self) -> f64 {
        ((0..6).map(|_| self.next()).sum::<f64>() - 3.0) * 1.4
    }
}

const EACH: usize = CHANNELS.len() + LEANS[0].len();

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let tries = arguments.next().map_or(Ok(400), |tries| tries.parse::<u32>())?;
    let pets = arguments.next().map_or(Ok(60), |pets| pets.parse::<u32>())?;
    let seeds: Vec<u64> = arguments.map(|seed| seed.parse()).collect::<Result<_, _>>()?;
    let seeds = if seeds.is_empty() { vec![3, 4] } else { seeds };
    let tried = Fit { pets, days: 8, ..FIT };
    let animals = seeds.iter().flat_map(|seed| tried.recordings(*seed)).map(|recording| {
        let input = Input::of(&recording);
        (recording, input)
    });
    let tried = Tried { animals: animals.collect(), file: FIT.shares(WEIGHTS, LEANS) };
    let mut out = std::io::stdout().lock();
    let mut best = (WEIGHTS, LEANS);
    let (mut worth, measures) = tried.worth(&best)?;
    let mut say = |nth: u32, worth: f64, best: &(Weights, Leans), measures: &[Measure]| {
        let figures = measures.iter().map(|m| format!("{:.4}/{:.4}", m.precision.at, m.recall.at));
        writeln!(out, "{nth} {worth:.5} {} {best:?}", figures.collect::<Vec<_>>().join(" "))?;
        out.flush()
    };
    say(0, worth, &best, &measures)?;
    let (mut chance, mut steps) = (Chance(0), [0.15_f64; SPACINGS.len() * EACH]);
    for nth in 1..=tries {
        let mut next = best;
        let changed: Vec<usize> = (0..=chance.of(3)).map(|_| chance.of(SPACINGS.len() * EACH)).collect();
        for at in &changed {
            #[expect(clippy::cast_possible_truncation, reason = "about 1")]
            let factor = (chance.normal() * steps[*at]).exp() as f32;
            let (which, at) = (at / EACH, at % EACH);
            match at.checked_sub(CHANNELS.len()) {
                Some(lean) => next.1[which][lean] = (next.1[which][lean] * factor).clamp(0.1, 10.0),
                None => next.0[which][at] = (next.0[which][at] * factor).clamp(0.005, 3.0),
            }
        }
        let (its, measures) = tried.worth(&next)?;
        let is_better = its > worth + 1e-6;
        for at in &changed {
            steps[*at] = (steps[*at] * if is_better { 1.3 } else { 0.95 }).clamp(0.02, 0.4);
        }
        if is_better {
            (worth, best) = (its, next);
            say(nth, worth, &best, &measures)?;
        }
    }
    Ok(())
}

//! Tries the leans of `v1`'s behaviours and the weights of its channels one at a time on pets of their own seed, and prints what was best:
//! `cargo run --profile petty -p petty-eval --example tune [rounds]`.

use std::io::Write as _;

use petty_behavior::domain::Behavior;
use petty_behavior::domain::v1::rules::File;
use petty_behavior::domain::v1::{self, CHANNELS, Rules};
use petty_eval::classifier::{Claim, Input};
use petty_eval::fit::{Fit, Leans, Weights};
use petty_eval::{Measure, Tally, measure, score};
use petty_scenarios::Recording;

/// Where it begins: where it ended before.
const START: Weights = [
    [1.5, 0.076, 0.1, 0.0125, 0.32, 0.0475, 0.041, 0.186, 0.0328],
    [0.96, 0.48, 0.256, 0.06, 0.375, 0.1, 0.078, 0.384, 0.41],
];
/// Likewise, of the behaviours' leans.
const LEANS: Leans =
    [[1.5625, 2.024, 0.894, 2.024, 0.625, 1.28, 0.625], [0.8, 1.2, 1.0, 1.0, 1.265, 1.0, 1.0]];
/// Precision and recall wanted, a hundredth beyond the goals.
const WANTED: [(Behavior, f64, f64); 3] = [
    (Behavior::DeepSleep, 0.96, 0.94),
    (Behavior::AnxiousPacing, 0.91, 0.89),
    (Behavior::PlayingFetch, 0.93, 0.91),
];

struct Tried {
    animals: Vec<(Recording, Input)>,
    file: File,
}

impl Tried {
    fn tallies(&self, (weights, leans): &(Weights, Leans)) -> Result<Vec<(u32, Tally)>, v1::RulesError> {
        let [dense, sparse] = weights.map(|weights| weights.to_vec());
        let [dense_leans, sparse_leans] = leans.map(|leans| leans.to_vec());
        let file = File {
            dense_weights: dense,
            sparse_weights: sparse,
            dense_leans,
            sparse_leans,
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
        Ok(self.animals.iter().map(tally).collect())
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds = std::env::args().nth(1).map_or(Ok(2), |rounds| rounds.parse::<u32>())?;
    let fit = Fit { shares_seed: 1, confidence_seed: 2, pets: 60, days: 10 };
    let tried = Fit { pets: 60, days: 8, ..fit };
    let animals = tried.recordings(3).map(|recording| {
        let input = Input::of(&recording);
        (recording, input)
    });
    let tried = Tried { animals: animals.collect(), file: fit.shares(START, LEANS) };
    let mut out = std::io::stdout().lock();
    let mut best = (START, LEANS);
    let (mut worth, measures) = tried.worth(&best)?;
    let mut say = |worth: f64, best: &(Weights, Leans), measures: &[Measure]| -> std::io::Result<()> {
        let figures = measures.iter().map(|m| format!("{:.3}/{:.3}", m.precision.at, m.recall.at));
        writeln!(out, "{worth:.4} {} {best:?}", figures.collect::<Vec<_>>().join(" "))?;
        out.flush()
    };
    say(worth, &best, &measures)?;
    for round in 0..rounds {
        let factor: f32 = if round == 0 { 1.25 } else { 1.12 };
        for (which, nth) in
            (0..2).flat_map(|which| (0..CHANNELS.len() + LEANS[0].len()).map(move |nth| (which, nth)))
        {
            for step in [factor, 1.0 / factor] {
                loop {
                    let mut next = best;
                    let (weights, leans) = (&mut next.0[which], &mut next.1[which]);
                    if let Some(lean) = nth.checked_sub(CHANNELS.len()) {
                        leans[lean] = (leans[lean] * step.sqrt()).clamp(0.1, 10.0);
                    } else {
                        weights[nth] = (weights[nth] * step).clamp(0.01, 2.0);
                    }
                    let (its, measures) = tried.worth(&next)?;
                    if its <= worth + 1e-5 {
                        break;
                    }
                    (worth, best) = (its, next);
                    say(worth, &best, &measures)?;
                }
            }
        }
    }
    Ok(())
}

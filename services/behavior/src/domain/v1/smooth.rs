//! What each epoch of a run most likely was, given the others: a hidden Markov model, forward and backward.
//!
//! A doing is left after `lasts_s` on average, for another by what comes after it. Forward is from the run's begin on, or from where a
//! [`Forward`] was kept. Time is cut into quarters of an hour of the clock: each is looked back upon from a quarter of an hour after it.
//! Invariant: what is said of a quarter of an hour follows from the run's epochs up to a quarter of an hour after it, to the bit.

use serde::{Deserialize, Serialize};

use super::super::canon::SECOND;
use super::super::{Behavior, Species};
use super::epochs::Epoch;
use super::features::{COUNT, SPEED, Seen};
use super::rules::{CONFIDENCES, DOINGS, Days, Doing, FIRST_ROWS, LANES, Lanes, Rules, Spoken};

/// What is looked back upon together.
pub(super) const BLOCK_US: i64 = 900 * SECOND;
/// What comes later than this hardly speaks of now.
pub(super) const AFTER_US: i64 = 900 * SECOND;

/// Deep Sleep told by heart rate alone (domain.md: 0.6 at most).
const RATE_ALONE: f32 = 0.6;

/// Walking and Running told by sparse fixes alone, as `spine/1` does: below what any other evidence is worth.
const WAY_ALONE: f32 = 0.4;

/// What is said of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Said {
    pub(super) behavior: Behavior,
    /// Its raw chance.
    pub(super) chance: f32,
    /// What such a chance is worth.
    pub(super) confidence: f32,
    /// By channel, what it says for the behaviour against the rest, nats.
    pub(super) weights: [f32; COUNT],
}

/// How likely each doing is at an epoch's end, given everything of its run until then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Forward {
    /// The epoch's end.
    at: i64,
    lanes: Lanes,
}

/// Says it of the epochs of runs, one run after the other.
#[derive(Debug)]
pub(super) struct Smoother<'a> {
    rules: &'a Rules,
    days: &'a Days,
    /// Of the last epoch.
    forward: Option<Forward>,
    /// Of a quarter of an hour and what comes after it: how its epochs look, and how long each is, whole seconds.
    looks: Vec<Lanes>,
    spans: Vec<u16>,
    /// Of the quarter of an hour's epochs: what is likely given what came until then, and given all.
    alphas: Vec<Lanes>,
    chances: Vec<Lanes>,
}

impl<'a> Smoother<'a> {
    /// One that goes on from what was kept, where a run goes on from there.
    pub(super) fn from(rules: &'a Rules, species: Species, forward: Option<Forward>) -> Self {
        let days = rules.days(species);
        let (looks, spans, alphas, chances) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { rules, days, forward, looks, spans, alphas, chances }
    }

    /// Says it of each epoch of a run, but the first `skipped`, to `each`: with its number, and what is known of its end.
    pub(super) fn smooth(
        &mut self,
        run: &[Epoch],
        seen: &[Seen],
        skipped: usize,
        mut each: impl FnMut(&Epoch, &Said, Forward),
    ) {
        let Some(first) = run.get(skipped) else { return };
        let mut alpha = match self.forward.filter(|forward| forward.at == first.from) {
            Some(forward) => forward.lanes,
            None => self.days.common,
        };
        let mut start = skipped;
        self.looks.clear();
        self.spans.clear();
        while start < run.len() {
            let block = run[start].to.div_euclid(BLOCK_US);
            let upto = |from: usize, at: i64| from + run[from..].partition_point(|epoch| epoch.to < at);
            let end = upto(start, (block + 1) * BLOCK_US);
            let until = upto(end, (block + 1) * BLOCK_US + AFTER_US);
            let new = start + self.looks.len()..until;
            self.looks.extend(seen[new.clone()].iter().map(|seen| looks(self.rules, seen)));
            self.spans.extend(run[new].iter().map(|epoch| span(self.days, epoch)));
            self.onward(end - start, &mut alpha);
            self.back(end - start);
            let known = self.alphas.iter().zip(self.chances.iter().rev());
            for ((epoch, seen), (lanes, chances)) in run[start..end].iter().zip(&seen[start..end]).zip(known)
            {
                let said = say((self.rules, self.days), seen, chances);
                each(epoch, &said, Forward { at: epoch.to, lanes: *lanes });
            }
            self.looks.drain(..end - start);
            self.spans.drain(..end - start);
            start = end;
        }
        self.forward = run.last().map(|last| Forward { at: last.to, lanes: alpha });
    }

    fn onward(&mut self, block: usize, alpha: &mut Lanes) {
        self.alphas.clear();
        for (looks, span) in self.looks[..block].iter().zip(&self.spans) {
            *alpha = onward(alpha, looks, &self.days.stays[usize::from(*span)], &self.days.next);
            self.alphas.push(*alpha);
        }
    }

    /// The last epoch first.
    fn back(&mut self, block: usize) {
        self.chances.clear();
        let mut beta = [1.0_f32; LANES];
        for (nth, (looks, span)) in self.looks.iter().zip(&self.spans).enumerate().rev() {
            if nth < block {
                let alpha = &self.alphas[nth];
                self.chances.push(std::array::from_fn(|lane| alpha[lane] * beta[lane]));
            }
            beta = back(&beta, looks, &self.days.stays[usize::from(*span)], &self.days.comes_after);
        }
    }
}

/// How long an epoch is, as the chances of staying are numbered: to the second, what a tenth more would change nobody can see.
fn span(days: &Days, epoch: &Epoch) -> u16 {
    let seconds = (epoch.to - epoch.from + SECOND / 2) / SECOND;
    // No epoch is longer than they reach.
    u16::try_from(seconds.clamp(0, days.stays.len() as i64 - 1)).unwrap_or_default()
}

/// How likely each doing makes an epoch look as it does.
fn looks(rules: &Rules, seen: &Seen) -> Lanes {
    let table = &rules.looks[usize::from(seen.spacing)];
    let mut product = table[usize::from(seen.symbols[0])];
    for (first, symbol) in FIRST_ROWS.iter().zip(seen.symbols).skip(1) {
        let row = &table[usize::from(first.wrapping_add(symbol))];
        for lane in 0..LANES {
            product[lane] *= row[lane];
        }
    }
    product
}

fn onward(alpha: &Lanes, looks: &Lanes, stays: &Lanes, next: &[Lanes; LANES]) -> Lanes {
    let mut staying = [0.0_f32; LANES];
    let mut leaving = [0.0_f32; LANES];
    for lane in 0..LANES {
        staying[lane] = alpha[lane] * stays[lane];
        leaving[lane] = alpha[lane] - staying[lane];
    }
    let mut onward = spread_out(&staying, &leaving, next);
    for lane in 0..LANES {
        onward[lane] *= looks[lane];
    }
    held(onward)
}

fn back(beta: &Lanes, looks: &Lanes, stays: &Lanes, comes_after: &[Lanes; LANES]) -> Lanes {
    let mut ahead = [0.0_f32; LANES];
    for lane in 0..LANES {
        ahead[lane] = beta[lane] * looks[lane];
    }
    let entered = spread_out(&[0.0; LANES], &ahead, comes_after);
    let mut behind = [0.0_f32; LANES];
    for lane in 0..LANES {
        behind[lane] = entered[lane] + stays[lane] * (ahead[lane] - entered[lane]);
    }
    held(behind)
}

/// Adds each part, by its row, to what there is. Every other row is added by itself: half as many additions wait for one another.
#[expect(
    clippy::inline_always,
    reason = "so that what is added stays in registers, here and where it is called"
)]
#[inline(always)]
fn spread_out(known: &Lanes, parts: &Lanes, rows: &[Lanes; LANES]) -> Lanes {
    let (mut sum, mut other) = (*known, [0.0_f32; LANES]);
    for nth in (0..DOINGS - 1).step_by(2) {
        for lane in 0..LANES {
            sum[lane] += parts[nth] * rows[nth][lane];
        }
        for lane in 0..LANES {
            other[lane] += parts[nth + 1] * rows[nth + 1][lane];
        }
    }
    for lane in 0..LANES {
        sum[lane] += parts[DOINGS - 1] * rows[DOINGS - 1][lane];
    }
    for lane in 0..LANES {
        sum[lane] += other[lane];
    }
    sum
}
const _: () = assert!(DOINGS % 2 == 1);

/// So that products of many shares stay within what a number holds: once they sum to little or much, all are doubled or halved, so often
/// that they sum to about 1. That rounds nothing: what is said does not depend on when it is done.
fn held(mut lanes: Lanes) -> Lanes {
    const EXPONENT: u32 = 0xFF << 23;
    let mut sums: [f32; 4] = std::array::from_fn(|nth| lanes[nth] + lanes[nth + 4]);
    for nth in 0..4 {
        sums[nth] += lanes[nth + 8] + lanes[nth + 12];
    }
    let sum = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    if !(1.0 / 65_536.0..65_536.0).contains(&sum) {
        // Two to the power that takes the sum's to one.
        let power = f32::from_bits((0xFE_u32 << 23).saturating_sub(sum.to_bits() & EXPONENT).max(1 << 23));
        lanes.iter_mut().for_each(|lane| *lane *= power);
    }
    lanes
}

fn say((rules, days): (&Rules, &Days), seen: &Seen, chances: &Lanes) -> Said {
    let by_behavior = by_behavior(rules, seen, chances);
    let all: f32 = by_behavior.iter().sum();
    // What is claimed too easily, or too rarely, is leant upon: precision against recall is stated in the rules.
    let leans = &rules.leans[usize::from(seen.spacing)];
    let mut best = Behavior::Unknown;
    let mut most = by_behavior[best as usize] * leans[best as usize];
    for behavior in Behavior::ALL {
        let weighed = by_behavior[behavior as usize] * leans[behavior as usize];
        if weighed > most {
            (best, most) = (behavior, weighed);
        }
    }
    let chance = by_behavior[best as usize] / all;
    let table = &days.speaks[usize::from(seen.spacing)][best as usize];
    let mut weights = [0.0; COUNT];
    for (weight, (first, symbol)) in weights.iter_mut().zip(FIRST_ROWS.iter().zip(seen.symbols)) {
        *weight = table[usize::from(first.wrapping_add(symbol))];
    }
    let mut confidence = worth(rules, chance);
    if best == Behavior::DeepSleep && !seen.levels {
        confidence = confidence.min(RATE_ALONE);
    }
    if !seen.rates
        && !seen.levels
        && seen.symbols[SPEED] == 0
        && let Some(gait) = seen.gait
    {
        return Said { behavior: gait, chance, confidence: WAY_ALONE, weights };
    }
    Said { behavior: best, chance, confidence, weights }
}

/// The chances of doings as those of behaviours.
fn by_behavior(rules: &Rules, seen: &Seen, chances: &Lanes) -> Spoken {
    if !seen.levels {
        let mut spoken = Spoken::default();
        for (says, chance) in rules.says[signals(seen)].iter().zip(chances) {
            spoken[usize::from(*says)] += chance;
        }
        return spoken;
    }
    // With levels each doing may be said to be what it is (see `says`): what goes where is known beforehand.
    Behavior::ALL.map(|behavior| {
        let mut spoken = 0.0;
        for (doing, chance) in Doing::ALL.into_iter().zip(chances) {
            if doing.behavior() as u8 == behavior as u8 {
                spoken += chance;
            }
        }
        spoken
    })
}

/// Which signals are at hand, as `Rules::says` numbers them.
fn signals(seen: &Seen) -> usize {
    usize::from(seen.rates) | usize::from(seen.levels) << 1 | usize::from(seen.symbols[SPEED] > 0) << 2
}

/// What each doing may be said to be by such signals (domain.md): fixes alone tell Walking and Running, heart rates alone rest and sleep; games
/// and pacing need levels.
pub(super) fn says(signals: usize) -> [u8; DOINGS] {
    let [rates, levels, speed] = [0, 1, 2].map(|bit| signals >> bit & 1 == 1);
    Doing::ALL.map(|doing| {
        let behavior = doing.behavior();
        let may = match behavior {
            Behavior::DeepSleep | Behavior::Resting => rates || levels,
            Behavior::Walking | Behavior::Running => levels || speed,
            Behavior::PlayingFetch | Behavior::AnxiousPacing => levels,
            Behavior::Unknown => true,
        };
        (if may { behavior } else { Behavior::Unknown }) as u8
    })
}

/// Between the steps of the table, in proportion.
fn worth(rules: &Rules, chance: f32) -> f32 {
    const STEPS: f32 = CONFIDENCES as f32;
    let place = (chance * STEPS - 0.5).clamp(0.0, STEPS - 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the table")]
    let below = (place as u32).min(CONFIDENCES as u32 - 1);
    let part = place - below as f32;
    let below = below as usize;
    rules.confidence[below] * (1.0 - part) + rules.confidence[below + 1] * part
}

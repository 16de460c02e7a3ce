//! What each epoch of a run most likely was, given the others: a hidden Markov model, forward and backward.
//!
//! A doing is left after `lasts_s` on average, for another by what comes after it. Time is cut into hours of the clock: each hour
//! is read from half an hour before it to a quarter after it, so that no reading further away matters.
//! Invariant: what is said of an hour follows from the readings of that span alone, to the bit.

use super::super::Behavior;
use super::super::canon::SECOND;
use super::epochs::Epoch;
use super::features::{COUNT, SPEED, Seen};
use super::rules::{DOINGS, Doing, LANES, Lanes, Rules};

const HOUR_US: i64 = 3_600 * SECOND;
/// Long enough for what was before to be forgotten: some changes of doing.
const BEFORE_US: i64 = 1_800 * SECOND;
/// What comes later than this hardly speaks of now.
const AFTER_US: i64 = 900 * SECOND;

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

/// Says it of each epoch of a run, but the first `skipped`.
pub(super) fn smooth(rules: &Rules, run: &[Epoch], seen: &[Seen], skipped: usize) -> Vec<Said> {
    let mut said = Vec::with_capacity(run.len() - skipped);
    let mut scratch = Vec::new();
    while skipped + said.len() < run.len() {
        let start = skipped + said.len();
        let hour = run[start].to.div_euclid(HOUR_US);
        let end = start + run[start..].partition_point(|epoch| epoch.to.div_euclid(HOUR_US) == hour);
        let from = run[..start].partition_point(|epoch| epoch.to < hour * HOUR_US - BEFORE_US);
        let until = end + run[end..].partition_point(|epoch| epoch.to < (hour + 1) * HOUR_US + AFTER_US);
        hour_of(rules, run, seen, [from, start, end, until], &mut scratch, &mut said);
    }
    said
}

fn hour_of(
    rules: &Rules,
    run: &[Epoch],
    seen: &[Seen],
    [from, start, end, until]: [usize; 4],
    forward: &mut Vec<(Lanes, Lanes)>,
    said: &mut Vec<Said>,
) {
    forward.clear();
    let mut alpha = rules.common;
    for (epoch, seen) in run[from..end].iter().zip(&seen[from..end]) {
        let stays = stays(rules, epoch.to - epoch.from);
        let looks = looks(rules, seen);
        alpha = onward(&alpha, stays, &rules.next);
        alpha.iter_mut().zip(&looks).for_each(|(lane, look)| *lane *= look);
        scale(&mut alpha);
        forward.push((alpha, looks));
    }
    let mut beta = [1.0_f32; LANES];
    for index in (end..until).rev() {
        let span = run[index].to - run[index].from;
        beta = back(&beta, &looks(rules, &seen[index]), stays(rules, span), &rules.comes_after);
    }
    let first = said.len();
    for index in (start..end).rev() {
        let (alpha, looks) = &forward[index - from];
        let span = run[index].to - run[index].from;
        said.push(say(rules, &seen[index], alpha, &beta));
        beta = back(&beta, looks, stays(rules, span), &rules.comes_after);
    }
    said[first..].reverse();
}

/// The chances of staying, for a time: to the second, what a tenth more would change nobody can see.
fn stays(rules: &Rules, span: i64) -> &Lanes {
    let seconds = usize::try_from((span + SECOND / 2).div_euclid(SECOND)).unwrap_or_default();
    &rules.stays[seconds.min(rules.stays.len() - 1)]
}

/// How likely each doing makes an epoch look as it does.
fn looks(rules: &Rules, seen: &Seen) -> Lanes {
    let tables = &rules.looks[usize::from(seen.sparse)];
    let mut product = [1.0_f32; LANES];
    for (table, symbol) in tables.iter().zip(seen.symbols) {
        product.iter_mut().zip(&table[usize::from(symbol)]).for_each(|(lane, look)| *lane *= look);
    }
    product
}

fn onward(alpha: &Lanes, stays: &Lanes, next: &[Lanes; LANES]) -> Lanes {
    let mut onward = [0.0_f32; LANES];
    let mut leaving = [0.0_f32; LANES];
    for lane in 0..LANES {
        onward[lane] = alpha[lane] * stays[lane];
        leaving[lane] = alpha[lane] - onward[lane];
    }
    spread_out(&mut onward, &leaving, next);
    onward
}

fn back(beta: &Lanes, looks: &Lanes, stays: &Lanes, comes_after: &[Lanes; LANES]) -> Lanes {
    let mut ahead = [0.0_f32; LANES];
    for lane in 0..LANES {
        ahead[lane] = beta[lane] * looks[lane];
    }
    let mut entered = [0.0_f32; LANES];
    spread_out(&mut entered, &ahead, comes_after);
    let mut behind = [0.0_f32; LANES];
    for lane in 0..LANES {
        behind[lane] = stays[lane] * ahead[lane] + (1.0 - stays[lane]) * entered[lane];
    }
    scale(&mut behind);
    behind
}

/// Adds each part, by its row.
fn spread_out(sum: &mut Lanes, parts: &Lanes, rows: &[Lanes; LANES]) {
    for (part, row) in parts.iter().zip(rows).take(DOINGS) {
        sum.iter_mut().zip(row).for_each(|(sum, share)| *sum += part * share);
    }
}

/// So that products of many shares stay within what a number holds.
fn scale(lanes: &mut Lanes) {
    let sum: f32 = lanes.iter().sum();
    if sum > 0.0 {
        lanes.iter_mut().for_each(|lane| *lane /= sum);
    }
}

fn say(rules: &Rules, seen: &Seen, alpha: &Lanes, beta: &Lanes) -> Said {
    let mut chances = [0.0_f32; DOINGS];
    chances.iter_mut().zip(alpha.iter().zip(beta)).for_each(|(chance, (a, b))| *chance = a * b);
    let all: f32 = chances.iter().sum();
    let mut by_behavior = [0.0_f32; Behavior::ALL.len()];
    for (chance, doing) in chances.iter().zip(Doing::ALL) {
        by_behavior[may_say(doing.behavior(), seen) as usize] += chance / all;
    }
    // What is claimed too easily, or too rarely, is leant upon: precision against recall is stated in the rules.
    let leans = &rules.leans[usize::from(seen.sparse)];
    let mut best = Behavior::Unknown;
    for behavior in Behavior::ALL {
        let weighed = |one: Behavior| by_behavior[one as usize] * leans[one as usize];
        if weighed(behavior) > weighed(best) {
            best = behavior;
        }
    }
    let chance = by_behavior[best as usize];
    let mut weights = [0.0; COUNT];
    let tables = &rules.speaks[usize::from(seen.sparse)];
    for ((weight, table), symbol) in weights.iter_mut().zip(tables).zip(seen.symbols) {
        *weight = table[usize::from(symbol)][best as usize];
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

/// What the signals at hand may be said to tell (domain.md): fixes alone Walking and Running, heart rates alone rest and sleep; games
/// and pacing need levels.
fn may_say(behavior: Behavior, seen: &Seen) -> Behavior {
    let may = match behavior {
        Behavior::DeepSleep | Behavior::Resting => seen.rates || seen.levels,
        Behavior::Walking | Behavior::Running => seen.levels || seen.symbols[SPEED] > 0,
        Behavior::PlayingFetch | Behavior::AnxiousPacing => seen.levels,
        Behavior::Unknown => true,
    };
    if may { behavior } else { Behavior::Unknown }
}

/// Between the steps of the table, in proportion.
fn worth(rules: &Rules, chance: f32) -> f32 {
    let steps = rules.confidence.len();
    let place = (chance * steps as f32 - 0.5).clamp(0.0, (steps - 1) as f32);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of the table")]
    let below = place.floor() as usize;
    let part = place - place.floor();
    let above = (below + 1).min(steps - 1);
    rules.confidence[below] * (1.0 - part) + rules.confidence[above] * part
}

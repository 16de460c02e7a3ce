//! How fast behaviours are told: of readings that are all there, and as they arrive.
//!
//! As they arrive, by two replicas of the service on PostgreSQL and Redis ([`replicas`]). Beside that, as what the same work costs where
//! nothing is written, on one thread: through the service's own head, slices and quarters, encoded and decoded as the database keeps
//! them, with a map in the database's place.

mod replicas;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use petty_behavior::domain::v1::{Head, Kept, Quarter, Resume, Rules, Slice, Touched, interpret, revise};
use petty_behavior::domain::{Params, Reading};
use petty_eval::classifier::Input;
use petty_eval::made_up;
use serde_json::{Map, Value, json};

use super::{Check, Report, Spread};
use crate::cli::BehaviorBench;
use crate::progress;

/// Evidence and confidence on, one core (the goal).
const STATELESS_GOAL: f64 = 10e6;
/// Two replicas on two cores, five readings a collar and entry, and one.
const STREAMING_GOALS: [(usize, f64); 2] = [(5, 150_000.0), (1, 60_000.0)];
/// Stateless analysis is timed for so long.
const STATELESS_FOR: Duration = Duration::from_secs(2);
/// The bound of a pet's row.
const ROW_BYTES: f64 = 2_000.0;

/// Rates by round, readings a second.
#[derive(Default)]
struct Rates {
    stateless: Vec<f64>,
    alone: BTreeMap<usize, Vec<f64>>,
    replicas: BTreeMap<usize, Vec<f64>>,
    details: Vec<Value>,
    environment: Value,
    largest: usize,
}

/// So many made-up pets over so many days, in so many rounds.
pub(super) async fn run(args: BehaviorBench) -> anyhow::Result<Report> {
    let BehaviorBench { pets, days, fleet, rounds } = args;
    let rules = Rules::built_in()?;
    let inputs: Vec<Input> = (0..pets).map(|number| made_up(number, days)).collect();
    let readings: usize = inputs.iter().map(|input| input.readings.len()).sum();
    let bar = progress::bar(u64::from(rounds) * 5)?;
    let mut rates = Rates::default();
    for _ in 0..rounds {
        rates.stateless.push(stateless(&rules, &inputs));
        bar.inc(1);
        for (chunk, _) in STREAMING_GOALS {
            alone(&rules, &inputs, chunk, &mut rates)?;
            bar.inc(1);
            let round = replicas::round(&inputs, usize::try_from(fleet)?, chunk).await?;
            rates.replicas.entry(chunk).or_default().push(round.rate);
            rates.details.push(round.details);
            rates.environment = round.environment;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let middle = |figures: &[f64]| Spread::of(figures.iter().copied()).map_or(0.0, |spread| spread.median);
    let mut checks = vec![Check::at_least(
        "stateless analysis, one core",
        middle(&rates.stateless),
        "readings/s",
        STATELESS_GOAL,
    )];
    let mut details = Map::new();
    for (chunk, goal) in STREAMING_GOALS {
        let name = format!("as they arrive, {chunk} an entry, two replicas");
        checks.push(Check::at_least(&name, middle(&rates.replicas[&chunk]), "readings/s", goal));
        let name = format!("as they arrive, {chunk} an entry, one thread that writes nothing, by round");
        details.insert(name, json!(rates.alone[&chunk]));
    }
    checks.push(Check::at_most("largest head", rates.largest as f64, "bytes", ROW_BYTES));
    details.insert("readings".to_owned(), json!(readings));
    details.insert("stateless, by round".to_owned(), json!(rates.stateless));
    details.insert("two replicas, by round".to_owned(), json!(rates.replicas));
    details.insert("two replicas".to_owned(), json!(rates.details));
    let mut environment = rates.environment;
    for (name, value) in [("pets", pets), ("days", days), ("fleet", fleet), ("rounds", rounds)] {
        environment[name] = value.into();
    }
    Ok(Report { name: "behavior", environment, checks, details })
}

/// Readings a second, over and over for at least so long.
fn stateless(rules: &Rules, inputs: &[Input]) -> f64 {
    let (began, mut readings) = (Instant::now(), 0);
    while began.elapsed() < STATELESS_FOR {
        for input in inputs {
            black_box(interpret(rules, &input.params, &input.readings));
            readings += input.readings.len();
        }
    }
    readings as f64 / began.elapsed().as_secs_f64()
}

/// One thread, nothing written.
fn alone(rules: &Rules, inputs: &[Input], chunk: usize, rates: &mut Rates) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut taken = 0;
    for input in inputs {
        let mut shelf = Shelf::default();
        // A day of each: what comes before is read, not computed.
        for some in input.readings.chunks(chunk).take(17_280 / chunk) {
            shelf.take(rules, &input.params, some)?;
            taken += some.len();
        }
        rates.largest = rates.largest.max(shelf.largest);
    }
    rates.alone.entry(chunk).or_default().push(taken as f64 / began.elapsed().as_secs_f64());
    Ok(())
}

/// The database's place.
#[derive(Default)]
struct Shelf {
    head: Vec<u8>,
    slices: BTreeMap<i64, Vec<u8>>,
    quarters: BTreeMap<i64, Quarter>,
    largest: usize,
}

impl Shelf {
    fn take(&mut self, rules: &Rules, params: &Params, readings: &[Reading]) -> anyhow::Result<()> {
        let mut head = if self.head.is_empty() { Head::default() } else { Head::decode(&self.head)? };
        let came = head.sort(readings);
        let numbers = came.numbers();
        // As the service does: what is computed with is read once.
        let usual = head.usual().filter(|first| numbers.first().is_some_and(|number| number >= first));
        let mut read = match usual {
            Some(first) => self.slices(self.slices.range(first..))?,
            None => self.slices(numbers.iter().filter_map(|number| self.slices.get_key_value(number)))?,
        };
        let before = numbers.iter().filter_map(|number| Some((*number, read.get(number)?.clone()))).collect();
        let touched = Touched::of(before, came);
        let Some(resume) = head.resume(params.species, &touched, usual.map(|_| &read)) else { return Ok(()) };
        ensure!(resume != Resume::Oldest || self.head.is_empty(), "in order nothing begins anew");
        let wants = head.wants(params.species, &touched, &resume, None)?;
        let slices = match usual {
            Some(first) if first <= wants.slices_from => read.split_off(&wants.slices_from),
            _ => self.slices(self.slices.range(wants.slices_from..))?,
        };
        let rests = self.quarters.range(wants.rests.start.min(wants.rests.end)..wants.rests.end);
        let rests = rests.filter_map(|(at, kept)| Some((*at, kept.rest.clone()?))).collect();
        let done = head.revise((rules, params), &touched, wants, Kept { slices, rests })?;
        for (number, slice) in &touched.slices {
            self.slices.insert(*number, slice.encode()?);
        }
        for (number, quarter) in done.quarters {
            let kept = self.quarters.entry(number).or_default();
            kept.rest = quarter.rest.or(kept.rest.take());
            kept.carry = quarter.carry.or(kept.carry.take());
        }
        black_box(revise(uuid::Uuid::nil(), &[], &done.episodes, &mut head.serial));
        self.head = head.encode()?;
        self.largest = self.largest.max(self.head.len());
        Ok(())
    }

    fn slices<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a i64, &'a Vec<u8>)>,
    ) -> anyhow::Result<BTreeMap<i64, Slice>> {
        let read = |(number, bytes): (&i64, &Vec<u8>)| {
            Ok((*number, Slice::decode(*number, bytes).context("a slice does not decode")?))
        };
        wanted.map(read).collect()
    }
}

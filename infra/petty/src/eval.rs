//! `petty eval`: how good Petty is, by figures with goals. A missed goal is reported as missed.
//!
//! Invariant: what is judged is what the services run, linked from their own crates.

mod gateway;

use std::fs::{self, File};
use std::io::{BufReader, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use petty_behavior::domain::Species as Kind;
use petty_eval::{Animal, Options, Outcome, card, evaluate};
use serde_json::{Map, Value, json};

use crate::bench::{Check, Report};
use crate::cli::{BehaviorArgs, Eval, EvalArgs};
use crate::replay::{ReadError, Recorded, Signal, Species, heartbeats, positions};

/// Of recordings.
type Reader = fn(BufReader<File>) -> Result<Vec<Recorded>, ReadError>;

/// Judges, and tells what it found. The exit code is 1 where a goal was missed.
///
/// # Errors
/// Where recordings cannot be read, or the outcome cannot be written.
pub async fn run(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    match &args.eval {
        Eval::Behavior(behavior) => judge(behavior, args.json.as_deref()),
        Eval::Gateway(gateway) => gateway::run(gateway, args.json.as_deref()).await,
    }
}

fn judge(behavior: &BehaviorArgs, json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let options = Options {
        seed: behavior.seed,
        pets: behavior.pets,
        days: behavior.days,
        missing: f64::from(behavior.missing) / 100.0,
    };
    let animals = recorded(&behavior.data)?;
    // A card without one of the species would leave out what is known of it.
    let complete =
        [Kind::Dog, Kind::Cat].iter().all(|kind| animals.iter().any(|animal| animal.species == *kind));
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pets, {eta} left")?;
    let bar = ProgressBar::new(u64::from(options.pets)).with_style(style);
    let outcome = evaluate(options, &animals, |_| bar.inc(1));
    bar.finish_and_clear();

    let text = card(&outcome);
    let mut out = std::io::stdout().lock();
    // Its tables are this command's too; the goals come last, as every report has them.
    let tables = text.split_once("\n## Side by side\n").map_or(text.as_str(), |(_, tables)| tables);
    writeln!(out, "{tables}")?;
    drop(out);
    let report = report(&outcome, &text, animals.len());
    report.print_as("eval")?;
    if let Some(path) = json {
        report.write(path)?;
    }
    if let Some(path) = behavior.card(options, complete) {
        fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(if report.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(outcome: &Outcome, card: &str, animals: usize) -> Report {
    let options = outcome.options;
    let checks = outcome.goals.iter().map(|goal| Check {
        name: goal.name.clone(),
        value: goal.value,
        unit: "",
        goal: format!("{} {:.3}", if goal.at_least { "at least" } else { "at most" }, goal.bound),
        pass: goal.met(),
    });
    let mut details = Map::new();
    for results in &outcome.results {
        let total = results.total();
        let brier = total.brier().map_or(Value::Null, |brier| json!(brier));
        details.insert(format!("{}: Brier", results.classifier.name()), brier);
        details
            .insert(format!("{}: hours scored", results.classifier.name()), json!(total.scored_s / 3_600.0));
    }
    details.insert("recorded animals".to_owned(), json!(animals));
    let rates = outcome.alarms.by_kind.iter().map(|(kind, rate)| {
        let rate = json!({ "pet-months": rate.months, "raised": rate.raised, "false": rate.wrong });
        (kind.slug().to_owned(), rate)
    });
    details.insert("alerts of healthy pets, by kind".to_owned(), Value::Object(rates.collect()));
    let exits = outcome.outings.outings.iter().map(|exit| {
        json!({
            "cat": exit.animal, "reason": exit.reason().words(), "fixes": exit.fixes, "minutes": exit.minutes,
            "minutes at most": exit.at_most_minutes, "furthest, m": exit.furthest_m, "fastest, m/s": exit.fastest_mps,
            "longest without a fix, min": exit.longest_gap_minutes,
        })
    });
    details.insert("exits of the real cats".to_owned(), exits.collect());
    details.insert("model card, lines".to_owned(), json!(card.lines().count()));
    Report {
        name: "behavior",
        environment: json!({
            "pets": options.pets, "days": options.days, "seed": options.seed, "heart rate missing": options.missing,
        }),
        checks: checks.collect(),
        details,
    }
}

/// The real animals, as far as their recordings are there.
fn recorded(data: &Path) -> anyhow::Result<Vec<Animal>> {
    let mut animals = Vec::new();
    let readers: [(&str, Reader); 2] =
        [("dog-heartbeats/dogs.csv", heartbeats::read), ("cats-gps/cats_uk.csv", positions::read)];
    for (name, read) in readers {
        let path = data.join(name);
        if !path.exists() {
            writeln!(std::io::stderr(), "skipped: there is no {}", path.display())?;
            continue;
        }
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let found = read(BufReader::new(file)).with_context(|| path.display().to_string())?;
        animals.extend(found.iter().map(animal));
    }
    Ok(animals)
}

fn animal(recorded: &Recorded) -> Animal {
    let mut animal = Animal::new(match recorded.species {
        Species::Dog => Kind::Dog,
        Species::Cat => Kind::Cat,
    });
    for sample in &recorded.samples {
        match sample.signal {
            Signal::HeartRate(bpm) => animal.heart_rate(sample.at_us, bpm),
            Signal::Position { lon, lat } => animal.position(sample.at_us, lat, lon),
        }
    }
    animal
}

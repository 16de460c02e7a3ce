//! `petty replay`: real recordings through REST, as collars would send them.
//!
//! Nothing is made up: a dog gets heart rates, a cat positions, and neither anything else. Times are moved so that each
//! animal's last reading ends now. A reading counts as sent only once the gateway has acknowledged it.

pub mod heartbeats;
pub mod plan;
pub mod positions;
pub mod send;
mod summary;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufReader, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::Context;
use jiff::Timestamp;

use crate::cli::ReplayArgs;
use crate::progress;

pub use crate::client::{self, Species};

/// What a collar would have measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signal {
    /// Beats per minute.
    HeartRate(f64),
    /// Degrees, WGS 84.
    Position {
        /// Longitude.
        lon: f64,
        /// Latitude.
        lat: f64,
    },
}

/// One measurement, at its time within the recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Microseconds since some moment of the animal's own.
    pub at_us: i64,
    /// What was measured.
    pub signal: Signal,
}

/// Why something in the file is not sent, and how often.
pub type LeftOut = BTreeMap<&'static str, usize>;

/// One animal of a file of recordings.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// What the file calls it.
    pub key: String,
    /// What to call the pet.
    pub name: String,
    /// Its species.
    pub species: Species,
    /// Its breed, where the file says it.
    pub breed: Option<String>,
    /// In order of time.
    pub samples: Vec<Sample>,
    /// What of the file is not among them.
    pub left_out: LeftOut,
}

/// A file of recordings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not CSV, or a column is missing.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// A value cannot be read.
    #[error("line {line}: {column}: cannot read {value:?}")]
    Value {
        /// From 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
    },
}

/// Does it, and tells about it on stdout. Exits with 0 only if every reading was acknowledged.
///
/// # Errors
///
/// Unreadable recordings, no gateway, refused log-in; what became of the readings is in the exit code.
pub async fn run(args: ReplayArgs, now: Timestamp) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout();
    let recorded = read(&args)?;
    let plan = plan::plan(recorded, now, args.pets.map(|pets| pets as usize));
    let gateway = args.gateway.url()?;
    writeln!(out, "{}", summary::of_plan(&plan, &gateway, args.speed))?;

    let client = client::Client::new(&gateway)?;
    let account = client::Account { email: args.email.clone(), password: args.password.clone().into() };
    let bar = progress::bar(plan.readings() as u64)?;
    let outcome = send::send(&client, &account, &plan, args.speed, &|news| progress::show(&bar, news)).await;
    bar.finish_and_clear();
    let outcome = outcome?;
    writeln!(out, "{}", outcome.summary(&args.email))?;
    Ok(if outcome.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn read(args: &ReplayArgs) -> anyhow::Result<Vec<Recorded>> {
    let open = |path: &Path| {
        File::open(path).map(BufReader::new).with_context(|| format!("cannot open {}", path.display()))
    };
    match (&args.heartbeats, &args.positions) {
        (Some(path), _) => heartbeats::read(open(path)?).with_context(|| path.display().to_string()),
        (None, Some(path)) => positions::read(open(path)?).with_context(|| path.display().to_string()),
        (None, None) => anyhow::bail!("name a file with --heartbeats or --positions"),
    }
}

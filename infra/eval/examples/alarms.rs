//! Lists what alerts did over made-up pets, one a line: `cargo run --profile petty -p petty-eval --example alarms [seed]`.

use std::io::Write as _;

use petty_eval::Options;
use petty_eval::alarms::{Alarms, alarms};
use petty_scenarios::Setup;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(3), |seed| seed.parse())?;
    let options = Options { seed, ..Options::default() };
    let setup = Setup { seed, days: options.days, missing: options.missing, ..Setup::default() };
    let Alarms { all, late, by_kind, found, notes, .. } =
        alarms(&setup, options.pets, petty_eval::interval_of);
    let mut out = std::io::stdout().lock();
    notes.iter().try_for_each(|note| writeln!(out, "{note}"))?;
    writeln!(out, "all: {all:?}\nlate: {late:?}")?;
    by_kind.iter().try_for_each(|(kind, rate)| writeln!(out, "{}: {rate:?}", kind.slug()))?;
    for found in &found {
        let (count, median) = (found.delays.len(), found.median());
        writeln!(
            out,
            "{:?}: {count} of {}, {median:?} min, {} unseen",
            found.injection, found.pets, found.unseen
        )?;
    }
    Ok(())
}

//! Fits `services/behavior/rules/v1.toml` anew: `cargo run --profile petty -p petty-eval --example fit > rules.toml`.

use std::io::Write as _;

use petty_eval::fit::Fit;

/// Tried on petty-scenarios seed 3, 30 pets over 6 days, one channel at a time, for the sum of the F1s; channels in the order of
/// `v1::CHANNELS`, dense readings first.
const WEIGHTS: [[f32; 9]; 2] =
    [[1.2, 0.19, 0.125, 0.3, 0.06, 0.03, 0.08, 0.19, 0.1], [1.5, 0.3, 0.2, 0.3, 0.1, 0.1, 0.1, 0.12, 0.16]];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = Fit { shares_seed: 1, confidence_seed: 2, pets: 60, days: 10 }.file(WEIGHTS)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# Written by infra/eval/examples/fit.rs; what each table means: services/behavior/src/domain/v1/rules.rs."
    )?;
    write!(out, "{}", toml::to_string(&file)?)?;
    Ok(())
}

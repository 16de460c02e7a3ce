//! Fits `services/behavior/rules/v1.toml` anew: `cargo run --profile petty -p petty-eval --example fit > rules.toml`.

use std::io::Write as _;

use petty_eval::fit::Fit;

/// Tried on petty-scenarios seed 3, 60 pets over 8 days, one channel at a time (`tune`); channels in the order of `v1::CHANNELS`, dense
/// readings first.
const WEIGHTS: [[f32; 9]; 2] = [
    [1.5, 0.076, 0.1, 0.0125, 0.32, 0.0475, 0.041, 0.186, 0.0328],
    [0.96, 0.48, 0.256, 0.06, 0.375, 0.1, 0.078, 0.384, 0.41],
];

/// Likewise, before the weights; behaviours in the order of `Behavior::ALL`.
const LEANS: [[f32; 7]; 2] =
    [[1.5625, 2.024, 0.894, 2.024, 0.625, 1.28, 0.625], [0.8, 1.2, 1.0, 1.0, 1.265, 1.0, 1.0]];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = Fit { shares_seed: 1, confidence_seed: 2, pets: 60, days: 10 }.file(WEIGHTS, LEANS)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# Written by infra/eval/examples/fit.rs; what each table means: services/behavior/src/domain/v1/rules.rs."
    )?;
    write!(out, "{}", toml::to_string(&file)?)?;
    Ok(())
}

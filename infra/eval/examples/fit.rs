//! Fits `services/behavior/rules/v1.toml` anew: `cargo run --profile petty -p petty-eval --example fit > rules.toml`.

use std::io::Write as _;

use petty_eval::fit::Fit;

/// Tried on petty-scenarios seeds 3 to 8, 60 pets of each over 8 days (`tune`); channels in the order of `v1::CHANNELS`, dense readings
/// first.
const WEIGHTS: [[f32; 9]; 2] = [
    [1.254, 0.06392, 0.09772, 0.3, 0.32, 0.0527, 0.04493, 0.2121, 0.0239],
    [0.7366, 0.3764, 0.3127, 0.4234, 0.4034, 0.0752, 0.08745, 0.3109, 0.4807],
];

/// Likewise; behaviours in the order of `Behavior::ALL`.
const LEANS: [[f32; 7]; 2] =
    [[1.62, 1.963, 1.851, 2.937, 0.45, 0.915, 0.7264], [0.75, 1.268, 1.096, 0.7239, 1.1, 0.9, 1.077]];

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

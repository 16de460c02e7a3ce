//! Fits `services/behavior/rules/v1.toml` anew: `cargo run --profile petty -p petty-eval --example fit > rules.toml`.

use std::io::Write as _;

use petty_eval::fit::Fit;

/// Tried on petty-scenarios seeds 3 and 4, 60 pets of each over 8 days (`tune`); channels in the order of `v1::CHANNELS`, dense readings
/// first.
const WEIGHTS: [[f32; 9]; 2] = [
    [1.254, 0.06392, 0.09772, 0.3, 0.32, 0.0475, 0.04687, 0.1593, 0.02727],
    [0.8527, 0.3764, 0.3063, 0.4, 0.4034, 0.1024, 0.078, 0.3109, 0.4223],
];

/// Likewise, and that of Playing Fetch on seeds 3 to 8; behaviours in the order of `Behavior::ALL`.
const LEANS: [[f32; 7]; 2] =
    [[1.51, 1.963, 0.9412, 2.937, 0.4, 1.376, 0.6429], [0.9378, 1.268, 1.096, 0.7239, 1.109, 1.0, 1.132]];

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

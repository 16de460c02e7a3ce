//! Fits `services/behavior/rules/v1.toml` anew: `cargo run --profile petty -p petty-eval --example fit > rules.toml`.

use std::io::Write as _;

use petty_eval::fit::Fit;

/// Tried on petty-scenarios seeds 3 to 8, 60 pets of each over 8 days (`tune`); by `v1::SPACINGS`, channels in the order of
/// `v1::CHANNELS`.
const WEIGHTS: [[f32; 9]; 4] = [
    [1.254, 0.07045, 0.09772, 0.3, 0.32, 0.0527, 0.04493, 0.2121, 0.02842],
    [1.254, 0.0553, 0.09772, 0.2301, 0.32, 0.0527, 0.04493, 0.2121, 0.0239],
    [0.7366, 0.3498, 0.3127, 0.5128, 0.4034, 0.0752, 0.08745, 0.3109, 0.4807],
    [0.7366, 0.3127, 0.3127, 0.4234, 0.4034, 0.0752, 0.08745, 0.2379, 0.4807],
];

/// Likewise; behaviours in the order of `Behavior::ALL`.
const LEANS: [[f32; 7]; 4] = [
    [1.62, 1.874, 1.991, 3.044, 0.45, 1.2, 0.8444],
    [1.62, 1.963, 1.694, 2.937, 0.3921, 0.7504, 0.7264],
    [0.75, 1.268, 1.096, 0.7239, 1.1, 0.9, 1.077],
    [0.75, 1.259, 1.045, 0.7239, 1.1, 1.069, 1.053],
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = Fit { shares_seed: 1, confidence_seed: 2, pets: 240, days: 10 }.file(WEIGHTS, LEANS)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# Written by infra/eval/examples/fit.rs; what each table means: services/behavior/src/domain/v1/rules.rs."
    )?;
    write!(out, "{}", toml::to_string(&file)?)?;
    Ok(())
}

//! Fits `services/behavior/rules/v1.toml` anew: `cargo run --profile petty -p petty-eval --example fit > rules.toml`.

use std::io::Write as _;

use petty_eval::fit::{FIT, LEANS, WEIGHTS};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = FIT.file(WEIGHTS, LEANS)?;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# Written by infra/eval/examples/fit.rs; what each table means: services/behavior/src/domain/v1/rules.rs."
    )?;
    write!(out, "{}", toml::to_string(&file)?)?;
    Ok(())
}

//! `petty up`: the whole mesh in one process.

use std::process::ExitCode;

use crate::cli::UpArgs;

/// Starts everything and runs until told to stop.
///
/// # Errors
///
/// Always, for now.
pub async fn run(args: UpArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("`petty up` on {} is not available yet", args.data_dir.display())
}

//! The `petty` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    petty::cli::main()
}

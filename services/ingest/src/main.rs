//! `petty-ingest`: readings in, on disk, out again.

fn main() -> std::process::ExitCode {
    petty_chassis::main::<petty_ingest::Ingest>()
}

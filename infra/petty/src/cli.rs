//! The command line: what may be typed, and what becomes of it.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{ArgGroup, Args, Parser, Subcommand};

use crate::{replay, up};

/// Petty on one machine.
#[derive(Debug, Parser)]
#[command(name = "petty", bin_name = "cargo petty", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole mesh, with its own PostgreSQL and Redis, and run until Ctrl-C.
    Up(UpArgs),
    /// Send real recordings through the REST API, as collars would.
    Replay(ReplayArgs),
}

/// `petty up`.
#[derive(Debug, Clone, Args)]
pub struct UpArgs {
    /// Where databases, passwords and logs are kept; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = ".petty")]
    pub data_dir: PathBuf,
    /// The gateway's port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Make a demo account with a pet, unless there is one (the default).
    #[arg(long, overrides_with = "no_demo")]
    pub demo: bool,
    /// Make no demo account.
    #[arg(long, overrides_with = "demo")]
    pub no_demo: bool,
    /// Where to write addresses and credentials once all is ready (mode 0600); DIR/ready.json by default.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Do not install missing servers: say what to install, and exit.
    #[arg(long)]
    pub no_install: bool,
}

impl UpArgs {
    /// Whether to make the demo account.
    #[must_use]
    pub fn wants_demo(&self) -> bool {
        self.demo || !self.no_demo
    }

    /// Where the ready file goes.
    #[must_use]
    pub fn ready_file(&self) -> PathBuf {
        self.ready_file.clone().unwrap_or_else(|| self.data_dir.join("ready.json"))
    }
}

/// `petty replay`.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("recordings").required(true))]
pub struct ReplayArgs {
    /// Dogs' heart beats (CSV: duration, pet_id, breeds, …, ecg_pulses). Sends heart rates only.
    #[arg(long, value_name = "FILE", group = "recordings")]
    pub heartbeats: Option<PathBuf>,
    /// Cats' positions (Movebank CSV: tag_id, timestamp, location_long, location_lat, …). Sends positions only.
    #[arg(long, value_name = "FILE", group = "recordings")]
    pub positions: Option<PathBuf>,
    /// Send at this many times real time; without it, as fast as readings are acknowledged.
    #[arg(long, value_name = "X", value_parser = speed)]
    pub speed: Option<f64>,
    /// Only the first N animals of the file.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub pets: Option<u32>,
    /// The gateway's URL; without it, the one in the ready file of `petty up`.
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// The data directory of `petty up`.
    #[arg(long, value_name = "DIR", default_value = ".petty")]
    pub data_dir: PathBuf,
    /// Its ready file; DIR/ready.json by default.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// The account the animals go to; opened if it is not there.
    #[arg(long, value_name = "ADDRESS", default_value = "replay@example.com")]
    pub email: String,
    /// Its password, 15 characters or more.
    #[arg(
        long,
        value_name = "TEXT",
        env = "PETTY_REPLAY_PASSWORD",
        hide_env_values = true,
        default_value = "recordings of real animals"
    )]
    pub password: String,
}

impl ReplayArgs {
    /// Where the ready file is.
    #[must_use]
    pub fn ready_file(&self) -> PathBuf {
        self.ready_file.clone().unwrap_or_else(|| self.data_dir.join("ready.json"))
    }
}

/// Does what the command line says. Errors go to stderr, and make the exit code 1.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    run(cli).unwrap_or_else(|error| {
        // With nobody to read it, the exit code still says so.
        let _unread = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match cli.command {
        Command::Up(args) => runtime.block_on(up::run(args)),
        Command::Replay(args) => runtime.block_on(replay::run(args, now())),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "read once for a whole replay; everything below takes it as a parameter"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if speed.is_finite() && speed > 0.0 { Ok(speed) } else { Err("must be more than 0".to_owned()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_may_be_typed() {
        for (line, accepted) in [
            ("petty up", true),
            ("petty up --data-dir d --port 0 --no-demo --ready-file f --no-install", true),
            ("petty up --port 70000", false),
            ("petty replay --heartbeats f", true),
            ("petty replay --positions f --pets 10 --speed 60 --gateway http://127.0.0.1:1", true),
            ("petty replay", false),
            ("petty replay --heartbeats f --positions g", false),
            ("petty replay --positions f --speed 0", false),
            ("petty replay --positions f --speed NaN", false),
            ("petty replay --positions f --pets 0", false),
        ] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).is_ok(), accepted, "{line}");
        }
    }

    #[test]
    fn the_demo_is_made_unless_it_is_ruled_out() {
        for (line, wanted) in [
            ("petty up", true),
            ("petty up --demo", true),
            ("petty up --no-demo", false),
            ("petty up --no-demo --demo", true),
            ("petty up --demo --no-demo", false),
        ] {
            let Command::Up(args) = Cli::parse_from(line.split(' ')).command else { panic!("{line}") };
            assert_eq!(args.wants_demo(), wanted, "{line}");
        }
    }
}

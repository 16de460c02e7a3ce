//! The command line: what may be typed, and what becomes of it.

mod audit;
mod bench;
mod control;
mod dlq;
mod eval;
mod help;
mod keys;
mod outbox;
mod replay;
mod simulate;
mod up;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use petty_chassis::types::Clock;

pub use audit::{AuditArgs, AuditCommand};
pub use bench::{
    AuthBench, BehaviorBench, Bench, BenchArgs, EdgeBench, GatewayBench, IdleArgs, IngestBench, Load,
    Neighbour, Part, PartArgs, Trouble, TroubleArgs,
};
pub use control::{DownArgs, StatusArgs};
pub use dlq::{Chosen, DlqArgs, DlqCommand, LetterId, Which};
pub use eval::{BehaviorArgs, Eval, EvalArgs, GatewayEval};
pub use keys::{KeysArgs, KeysCommand, OperatorArgs};
pub use outbox::{OutboxArgs, OutboxCommand, Since};
pub use replay::ReplayArgs;
pub use simulate::SimulateArgs;
pub use up::{Setting, UpArgs};

/// Petty on one machine.
#[derive(Debug, Parser)]
#[command(name = "petty", bin_name = "cargo petty", version, about, max_term_width = 120, after_long_help = help::PETTY)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole mesh, with its own PostgreSQL and Redis, and run until Ctrl-C.
    #[command(after_long_help = help::UP)]
    Up(UpArgs),
    /// Say how the mesh is.
    #[command(after_long_help = help::STATUS)]
    Status(StatusArgs),
    /// Stop the mesh from elsewhere.
    #[command(after_long_help = help::DOWN)]
    Down(DownArgs),
    /// Send believable days of made-up dogs and cats through the REST API, past and live.
    #[command(after_long_help = help::SIMULATE)]
    Simulate(SimulateArgs),
    /// Send real recordings through the REST API, as collars would.
    #[command(after_long_help = help::REPLAY)]
    Replay(ReplayArgs),
    /// See to the keys that tokens are signed with.
    #[command(after_long_help = help::KEYS)]
    Keys(KeysArgs),
    /// See to the audit log.
    #[command(after_long_help = help::AUDIT)]
    Audit(AuditArgs),
    /// See to what consumers could not handle: dead letters.
    #[command(after_long_help = help::DLQ)]
    Dlq(DlqArgs),
    /// See to the events that services sent.
    #[command(after_long_help = help::OUTBOX)]
    Outbox(OutboxArgs),
    /// Measure how fast Petty is here, beside a floor, on a mesh of its own.
    #[command(after_long_help = help::BENCH)]
    Bench(BenchArgs),
    /// Judge how good Petty is, against what is known to be so.
    #[command(after_long_help = help::EVAL)]
    Eval(EvalArgs),
}

/// Which gateway is spoken to.
#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// The gateway's URL; without it, the one in the ready file of `petty up`.
    #[arg(long, value_name = "URL")]
    pub gateway: Option<String>,
    /// The data directory of `petty up`.
    #[arg(long, value_name = "DIR", default_value = ".petty")]
    pub data_dir: PathBuf,
    /// Its ready file; DIR/ready.json by default.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

impl GatewayArgs {
    /// Its URL.
    ///
    /// # Errors
    /// Where none is named and there is no ready file.
    pub fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.gateway {
            return Ok(url.clone());
        }
        let path = self.ready_file.clone().unwrap_or_else(|| self.data_dir.join("ready.json"));
        let ready = crate::ready::read(&path)?.with_context(|| {
            format!(
                "there is no {}: start the mesh with `cargo petty up` first, or name a gateway with --gateway",
                path.display()
            )
        })?;
        // Accounts' passphrases go there. Whoever names a file means it.
        if self.ready_file.is_none() {
            ready.runs_on(&path, &self.data_dir)?;
        }
        Ok(ready.gateway)
    }
}

/// Does what the command line says. Errors go to stderr, and make the exit code 1.
#[must_use]
pub fn main() -> ExitCode {
    petty_chassis::memory::take_small_pages();
    let cli = Cli::parse();
    run(cli).unwrap_or_else(|error| {
        // With nobody to read it, the exit code still says so.
        let _unread = writeln!(std::io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let clock = Clock::system();
    match cli.command {
        Command::Up(args) => runtime.block_on(crate::up::run(args)),
        Command::Status(args) => runtime.block_on(crate::status::run(args)),
        Command::Down(args) => runtime.block_on(crate::down::run(args)),
        Command::Simulate(args) => runtime.block_on(crate::simulate::run(args, clock)),
        Command::Replay(args) => runtime.block_on(crate::replay::run(args, clock.now())),
        Command::Keys(args) => runtime.block_on(crate::keys::run(args)),
        Command::Audit(args) => runtime.block_on(crate::audit::run(args)),
        Command::Dlq(args) => runtime.block_on(crate::dlq::run(args)),
        Command::Outbox(args) => runtime.block_on(crate::outbox::run(args, clock.now())),
        Command::Bench(args) => runtime.block_on(crate::bench::run(args)),
        Command::Eval(args) => runtime.block_on(crate::eval::run(&args)),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use petty_chassis::config::Environment;

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
            ("petty up --set PETTY_RATE_READ=off --set=PETTY_CACHE_REDIS_URL", true),
            ("petty up --set RATE_READ=off", false),
            ("petty up --set PETTY_PUBLIC_URL=https://petty.example", false),
            ("petty up --set PETTY_DATABASE_URL_FILE=f", false),
            ("petty up --set PETTY_ENDPOINT_AUTH=http://127.0.0.1:1", false),
            ("petty up --set PETTY_BOOTSTRAP_PASSWORD", false),
            ("petty replay --heartbeats f", true),
            ("petty replay --positions f --pets 10 --speed 60 --gateway http://127.0.0.1:1", true),
            ("petty replay", false),
            ("petty replay --heartbeats f --positions g", false),
            ("petty replay --positions f --speed 0", false),
            ("petty replay --positions f --speed NaN", false),
            ("petty replay --positions f --pets 0", false),
            ("petty simulate", true),
            ("petty simulate --pets 50 --interval 30 --days 3 --live --seed 7", true),
            ("petty simulate --days 29 --interval 5 --time-zone Europe/Berlin", true),
            ("petty simulate --days 30", false),
            ("petty simulate --days 0", false),
            ("petty simulate --interval 4", false),
            ("petty simulate --interval 61", false),
            ("petty simulate --pets 0", false),
            ("petty simulate --time-zone Mars/Olympus", false),
            ("petty status --json --data-dir d --ready-file f", true),
            ("petty down --data-dir d --timeout 5", true),
            ("petty down --timeout 0", false),
            ("petty keys list", true),
            ("petty keys rotate --compromised --data-dir d", true),
            ("petty keys", false),
            ("petty keys reencrypt", true),
            ("petty audit verify --anchors f", true),
            ("petty audit verify --database-url postgres://auditor@db/petty_auth", true),
            ("petty audit", false),
            ("petty dlq list", true),
            ("petty dlq list --service behavior --topic readings.accepted --limit 5 --json", true),
            ("petty dlq list --service nobody", false),
            ("petty dlq show behavior/e/p", true),
            ("petty dlq show e/p", false),
            ("petty dlq redrive behavior/e/p timeline/e/q --data-dir d", true),
            ("petty dlq redrive --all --service behavior", true),
            ("petty dlq redrive", false),
            ("petty dlq drop", false),
            ("petty dlq drop --all behavior/e/p", false),
            ("petty outbox replay --since 2026-11-28T03:00:00Z --service ingest", true),
            ("petty outbox replay --since 36h --topic readings.accepted", true),
            ("petty outbox replay --since 36h --topic readings.acepted", false),
            ("petty outbox replay --since 36h --topic access.changed", false),
            ("petty outbox replay --since 8d", false),
            ("petty outbox replay --since yesterday", false),
            ("petty outbox replay --since 0h", false),
            ("petty outbox replay", false),
            ("petty bench gateway", true),
            ("petty bench gateway --rounds 2 --seconds 1 --envoy e --json f", true),
            ("petty bench gateway --rounds 0", false),
            ("petty eval behavior", true),
            ("petty eval behavior --pets 5 --days 2 --seed 7 --missing 40 --json f --card c --data d", true),
            ("petty eval behavior --missing 101", false),
            ("petty eval behavior --pets 0", false),
            ("petty eval gateway --page p --envoy e", true),
            ("petty eval", false),
        ] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).is_ok(), accepted, "{line}");
        }
    }

    #[test]
    fn a_refusal_says_why_and_every_help_has_examples_and_exit_codes() {
        let refused = Cli::try_parse_from(["petty", "simulate", "--days", "30"]).unwrap_err().to_string();
        assert!(refused.contains("at most 30 days back"), "{refused}");
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains("Exit codes: 0"), "{help}");
            assert!(help.contains(&format!("cargo petty {}", command.get_name())), "{help}");
        }
    }

    #[test]
    fn a_simulation_is_live_unless_it_only_fills_in_days() {
        for (line, live) in [
            ("petty simulate", true),
            ("petty simulate --days 3", false),
            ("petty simulate --days 3 --live", true),
            ("petty simulate --live", true),
        ] {
            let Command::Simulate(args) = Cli::parse_from(line.split(' ')).command else { panic!("{line}") };
            assert_eq!(args.goes_live(), live, "{line}");
        }
    }

    #[test]
    fn what_is_set_without_a_value_is_in_the_environment_and_no_value_is_shown() {
        let Command::Up(args) =
            Cli::parse_from(["petty", "up", "--set", "PETTY_A=s3=cret", "--set", "PETTY_B"]).command
        else {
            panic!("up")
        };
        let environment: Environment =
            [("PETTY_A", "other"), ("PETTY_B", "of the environment")].into_iter().collect();
        let all: Vec<_> = args.set.iter().map(|setting| setting.look_up(&environment).unwrap()).collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(all, [pair("PETTY_A", "s3=cret"), pair("PETTY_B", "of the environment")]);
        let refused = args.set[1].look_up(&Environment::default()).unwrap_err().to_string();
        assert!(refused.contains("PETTY_B is not set"), "{refused}");
        assert!(!format!("{args:?}").contains("s3=cret"));
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

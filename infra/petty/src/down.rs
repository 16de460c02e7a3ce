//! `petty down`: stops the mesh of a data directory, and waits until nothing of it is left.
//!
//! Invariant: only the process that holds the directory's lock is told to stop; it takes PostgreSQL and Redis along.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use petty_provision::{Owner, owner};

use crate::cli::DownArgs;
use crate::up::tell;

const POLL: Duration = Duration::from_millis(50);
/// It is said this often that it still takes.
const SAID_EVERY: Duration = Duration::from_secs(3);

/// Does it. Exits with 0 once nothing is left, or where nothing ran.
///
/// # Errors
/// Where it cannot be told who holds the directory, or something is left after the time given.
pub async fn run(args: DownArgs) -> anyhow::Result<ExitCode> {
    let dir = args.data_dir.display();
    let Some(holder) = Owner::of(&args.data_dir)? else {
        writeln!(std::io::stdout(), "nothing to stop: no mesh runs on {dir}")?;
        return Ok(ExitCode::SUCCESS);
    };
    // Asked before, because orphans have no parent.
    let servers = holder.servers();
    anyhow::ensure!(
        holder.terminate(),
        "{dir} is held, but not certainly by process {} ({}); nothing was stopped. See who has it open \
         (lsof {dir}/lock), and stop that by hand",
        holder.pid,
        holder.command
    );
    tell(&format!("stopping process {} ({}), running since {}", holder.pid, holder.command, holder.started));
    let began = Instant::now();
    let mut said = began;
    while let Some(left) = left(&args.data_dir, &holder, &servers)? {
        if began.elapsed() >= args.patience() {
            anyhow::bail!(
                "{left} is still there after {} s. Its log, {dir}/petty.log, may say why; wait longer with --timeout, or end \
                 it at once with `kill -9 {}`: acknowledged readings are kept, PostgreSQL and Redis end with it, and the \
                 next start recovers",
                args.timeout,
                holder.pid
            );
        }
        if said.elapsed() >= SAID_EVERY {
            said = Instant::now();
            tell(&format!("waiting for {left} ({} s)", began.elapsed().as_secs()));
        }
        tokio::time::sleep(POLL).await;
    }
    writeln!(
        std::io::stdout(),
        "stopped after {:.1} s; the data stays in {dir}",
        began.elapsed().as_secs_f64()
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What is left of it, in words.
fn left(data_dir: &Path, holder: &Owner, servers: &[i32]) -> anyhow::Result<Option<String>> {
    // Somebody else may hold it by now: that is none of ours.
    if Owner::of(data_dir)?.is_some_and(|now| now == *holder) {
        return Ok(Some(format!("the mesh (process {})", holder.pid)));
    }
    Ok(owner::alive(servers).map(|pid| format!("a server of its (process {pid})")))
}

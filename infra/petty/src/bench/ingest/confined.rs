//! A PostgreSQL that may use less memory than it stores: a control group of Linux counts its processes' memory and what the system
//! keeps of its files alike, so that what does not fit is read from the disk.
//!
//! Invariant: the group holds the server and all its children from before anything was stored, and is gone once they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use petty_provision::Stack;

/// Where Linux has its control groups: of the second kind all below this, of the first those for memory in a directory of it.
const GROUPS: &str = "/sys/fs/cgroup";
const MIB: u64 = 1_048_576;
/// How often is looked for processes outside.
const LOOKS: usize = 20;

/// The limit, while it lasts.
pub(super) struct Confined {
    group: PathBuf,
    most: &'static str,
    limit: u64,
}

impl Confined {
    /// From now on a stack's PostgreSQL may use so many MiB.
    pub(super) fn postgres(stack: &Stack, limit_mib: u32) -> anyhow::Result<Self> {
        let server = stack.postgres().pid().context("PostgreSQL does not run")?;
        let (parent, limited, most) = place(Path::new(GROUPS)).with_context(|| {
            format!("--postgres-memory: no control groups for memory below {GROUPS} (it needs Linux)")
        })?;
        let group = parent.join(format!("petty-bench-{}", std::process::id()));
        fs::create_dir(&group).with_context(|| {
            format!("make the control group {}: --postgres-memory needs the right to (root)", group.display())
        })?;
        let confined = Self { group, most, limit: u64::from(limit_mib) * MIB };
        confined.write(limited, confined.limit)?;
        // Who is born meanwhile is born to one that is in the group already, or is found by looking again; so is who ended meanwhile.
        let mut refused = None;
        for _ in 0..LOOKS {
            let inside = confined.members()?;
            let mut outside = family(server)?;
            outside.retain(|process| !inside.contains(process));
            if outside.is_empty() {
                return Ok(confined);
            }
            for process in outside {
                if let Err(error) = confined.write("cgroup.procs", process) {
                    refused = Some(error);
                }
            }
        }
        Err(refused.unwrap_or_else(|| anyhow::anyhow!("PostgreSQL has new processes all the time")))
    }

    /// What it may use, in MB.
    pub(super) fn limit_mb(&self) -> f64 {
        mb(self.limit)
    }

    /// The most that it used, in MB.
    pub(super) fn most_mb(&self) -> anyhow::Result<f64> {
        let path = self.group.join(self.most);
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok(mb(text.trim().parse()?))
    }

    fn members(&self) -> anyhow::Result<Vec<i32>> {
        let text = fs::read_to_string(self.group.join("cgroup.procs")).context("read the control group")?;
        text.lines().map(|line| line.parse().context("a process of the control group")).collect()
    }

    fn write(&self, name: &str, value: impl ToString) -> anyhow::Result<()> {
        let path = self.group.join(name);
        fs::write(&path, value.to_string()).with_context(|| format!("write {}", path.display()))
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // Where the server still runs it stays, with a name that says whose it was.
        let _removed = fs::remove_dir(&self.group);
    }
}

/// Below which group a new one is to be, the name of its limit, and of the most that it used.
fn place(groups: &Path) -> anyhow::Result<(PathBuf, &'static str, &'static str)> {
    let first = groups.join("memory");
    if first.join("cgroup.procs").exists() {
        return Ok((first, "memory.limit_in_bytes", "memory.max_usage_in_bytes"));
    }
    let handed_down =
        fs::read_to_string(groups.join("cgroup.subtree_control")).context("read what groups hand down")?;
    if !handed_down.split_whitespace().any(|controller| controller == "memory") {
        bail!("{} does not hand memory down to groups below it", groups.display());
    }
    Ok((groups.to_owned(), "memory.max", "memory.peak"))
}

/// A process and those that it started.
fn family(head: i32) -> anyhow::Result<Vec<i32>> {
    let mut family = vec![head];
    for entry in fs::read_dir("/proc").context("list processes")? {
        let Some(process) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // "pid (name) state parent …", where the name may hold anything, brackets too.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        if parent.and_then(|parent| parent.parse().ok()) == Some(head) {
            family.push(process);
        }
    }
    Ok(family)
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a machine's memory, far below 2^53")]
fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_either_kind_are_found_and_others_refused() -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        let groups = root.path();
        assert!(place(groups).is_err(), "no groups at all");
        fs::write(groups.join("cgroup.subtree_control"), "cpu pids\n")?;
        assert!(place(groups).is_err(), "memory is not handed down");
        fs::write(groups.join("cgroup.subtree_control"), "cpu memory pids\n")?;
        assert_eq!(place(groups)?, (groups.to_owned(), "memory.max", "memory.peak"));
        fs::create_dir(groups.join("memory"))?;
        fs::write(groups.join("memory/cgroup.procs"), "")?;
        assert_eq!(place(groups)?.1, "memory.limit_in_bytes");
        Ok(())
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_family_is_a_process_and_its_children() -> anyhow::Result<()> {
        let mut child = std::process::Command::new("sleep").arg("60").spawn()?;
        let found = family(std::process::id().cast_signed())?;
        child.kill()?;
        child.wait()?;
        assert!(found.contains(&child.id().cast_signed()));
        assert!(found.contains(&std::process::id().cast_signed()));
        Ok(())
    }
}

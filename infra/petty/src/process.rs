//! Processes: which cores they run on, what they use, and that they end with whoever started them.
//!
//! Invariant: on Linux a process does not outlive us, however we end: the kernel kills it. Its parent is, for the kernel, the thread
//! that started it; so one thread starts all of them that lives as long as we do.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// Processes must listen within this time.
const LISTENING_WITHIN: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(20);
/// Of a second, what /proc counts processor time in: Linux' USER_HZ, the same on every machine.
const TICKS: f64 = 100.0;

/// The cores of this machine, shared out: the gateway under test has its own, so that what is measured is the gateway, and not
/// what the client and the service behind leave to it.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    pub(crate) gateway: Vec<usize>,
    pub(crate) rest: Vec<usize>,
}

impl Cores {
    pub(crate) fn share_out() -> anyhow::Result<Self> {
        let all = affinity::current()?;
        let (gateway, rest) = all.split_at(all.len() / 2);
        // One core is everybody's.
        let gateway = if gateway.is_empty() { rest } else { gateway };
        Ok(Self { gateway: gateway.to_vec(), rest: rest.to_vec() })
    }
}

/// A process that is ended when it is let go of.
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
}

impl Process {
    /// This program over again, as one part.
    pub(crate) fn of_us<S: AsRef<OsStr>>(
        arguments: impl IntoIterator<Item = S>,
        environment: impl IntoIterator<Item = (String, String)>,
        cores: &[usize],
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let mut command = Command::new(program);
        command.args(["bench", "part"]).args(arguments).envs(environment);
        Self::spawn(command, cores)
    }

    /// A program, on these cores.
    pub(crate) fn spawn(mut command: Command, cores: &[usize]) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        lasting::die_with_us(&mut command);
        let program = command.as_std().get_program().display().to_string();
        let child = lasting::spawn(command, cores)?.with_context(|| format!("start {program}"))?;
        let pid = child.id().context("it has ended already")?;
        Ok(Self { child, pid })
    }

    /// Waits until something listens there.
    pub(crate) async fn listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + LISTENING_WITHIN;
        while TcpStream::connect(address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("a process of the bench ended before it listened on {address}: {status}");
            }
            if Instant::now() > deadline {
                bail!("nothing listens on {address} within {} s", LISTENING_WITHIN.as_secs());
            }
            tokio::time::sleep(AGAIN).await;
        }
        Ok(())
    }

    /// Fails where it has ended already.
    pub(crate) fn runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("a process of the bench ended early: {status}"),
            None => Ok(()),
        }
    }

    /// Asks it to end, and waits until it has: what it holds it gives back.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        ask_to_end(self.pid)?;
        self.child.wait().await?;
        Ok(())
    }

    /// What it wrote, once it has ended well.
    pub(crate) async fn output(self) -> anyhow::Result<Vec<u8>> {
        let output = self.child.wait_with_output().await?;
        if !output.status.success() {
            bail!("a process of the bench failed: {}", output.status);
        }
        Ok(output.stdout)
    }
}

/// The processor time that a process has used.
pub(crate) fn cpu(pid: u32) -> anyhow::Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("a process' figures")?;
    parse_cpu(&text).with_context(|| format!("/proc/{pid}/stat: {text}"))
}

/// Its memory.
pub(crate) fn rss_mib(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("a process' figures")?;
    parse_mib(&text, "VmRSS:").with_context(|| format!("/proc/{pid}/status has no VmRSS"))
}

/// The most memory that it ever had.
pub(crate) fn most_rss_mib(pid: u32) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("a process' figures")?;
    parse_mib(&text, "VmHWM:").with_context(|| format!("/proc/{pid}/status has no VmHWM"))
}

fn parse_cpu(stat: &str) -> Option<Duration> {
    // The name in parentheses may hold anything, parentheses too.
    let (_, figures) = stat.rsplit_once(") ")?;
    let mut figures = figures.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (figures.next()?.ok()?, figures.next()?.ok()?);
    Some(Duration::from_secs_f64((user + system) / TICKS))
}

fn parse_mib(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok()? / 1_024.0)
}

#[cfg(target_os = "linux")]
fn ask_to_end(pid: u32) -> anyhow::Result<()> {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    Ok(kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?)
}

#[cfg(not(target_os = "linux"))]
fn ask_to_end(_: u32) -> anyhow::Result<()> {
    anyhow::bail!("this bench needs Linux")
}

mod lasting {
    use std::io;
    use std::sync::{OnceLock, mpsc};

    use anyhow::Context as _;
    use tokio::process::{Child, Command};
    use tokio::runtime::Handle;

    type Started = anyhow::Result<io::Result<Child>>;

    struct Request {
        command: Command,
        cores: Vec<usize>,
        /// Whose the child is.
        runtime: Handle,
        answer: mpsc::Sender<Started>,
    }

    /// Starts it, on these cores.
    pub(super) fn spawn(command: Command, cores: &[usize]) -> Started {
        static REQUESTS: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
        let requests = REQUESTS.get_or_init(|| {
            let (sender, receiver) = mpsc::channel::<Request>();
            // Should there be no thread, the receiver is gone and the send below says so.
            let _thread = std::thread::Builder::new().name("petty-processes".into()).spawn(move || {
                // Never ends: the sender is static.
                for Request { mut command, cores, runtime, answer } in receiver {
                    let _entered = runtime.enter();
                    let _asker_gone = answer.send(super::affinity::on(&cores, || command.spawn()));
                }
            });
            sender
        });
        let (answer, started) = mpsc::channel();
        let request = Request { command, cores: cores.to_vec(), runtime: Handle::try_current()?, answer };
        let gone = "the thread that starts processes is gone";
        requests.send(request).ok().context(gone)?;
        started.recv().context(gone)?
    }

    #[cfg(target_os = "linux")]
    #[expect(
        unsafe_code,
        reason = "between fork and exec there is no safe way; prctl and getppid are async-signal-safe and touch no memory"
    )]
    pub(super) fn die_with_us(command: &mut Command) {
        use nix::errno::Errno;
        use nix::sys::prctl::set_pdeathsig;
        use nix::sys::signal::Signal;
        use nix::unistd::{Pid, getppid};

        let us = Pid::this();
        unsafe {
            command.pre_exec(move || {
                set_pdeathsig(Signal::SIGKILL)?;
                // We may have died before the call.
                if getppid() == us { Ok(()) } else { Err(Errno::ESRCH.into()) }
            });
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn die_with_us(_: &mut Command) {}
}

#[cfg(target_os = "linux")]
mod affinity {
    use anyhow::Context as _;
    use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
    use nix::unistd::Pid;

    /// This thread.
    const SELF: Pid = Pid::from_raw(0);

    pub(super) fn current() -> anyhow::Result<Vec<usize>> {
        let set = sched_getaffinity(SELF).context("which cores there are")?;
        Ok((0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false)).collect())
    }

    /// What is started in `work` runs there: a process begins on the cores of the thread that starts it.
    pub(super) fn on<T>(cores: &[usize], work: impl FnOnce() -> T) -> anyhow::Result<T> {
        let before = sched_getaffinity(SELF)?;
        let mut set = CpuSet::new();
        for core in cores {
            set.set(*core)?;
        }
        sched_setaffinity(SELF, &set)?;
        let done = work();
        sched_setaffinity(SELF, &before)?;
        Ok(done)
    }
}

#[cfg(not(target_os = "linux"))]
mod affinity {
    pub(super) fn current() -> anyhow::Result<Vec<usize>> {
        anyhow::bail!("processor time is read from /proc: this bench needs Linux")
    }

    pub(super) fn on<T>(_: &[usize], work: impl FnOnce() -> T) -> anyhow::Result<T> {
        Ok(work())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set in the process that a test starts: then it starts one itself, says which, and waits.
    #[cfg(target_os = "linux")]
    const PARENT: &str = "PETTY_PROCESS_TEST_PARENT";

    /// Not a test by itself: what the process below does. Alone it ends at once.
    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread")]
    async fn parent_process() {
        #[expect(
            clippy::disallowed_methods,
            reason = "how the test tells the process that it starts what to do"
        )]
        if std::env::var_os(PARENT).is_none() {
            return;
        }
        // From a thread that ends at once: that is not when its process may be killed.
        let runtime = tokio::runtime::Handle::current();
        let start = std::thread::Builder::new().spawn(move || {
            let _entered = runtime.enter();
            let mut command = Command::new("sleep");
            command.arg("600");
            Process::spawn(command, &affinity::current().unwrap()).unwrap()
        });
        let mut process = start.unwrap().join().unwrap();
        let early = tokio::time::timeout(Duration::from_millis(200), process.child.wait()).await;
        assert!(early.is_err(), "it ended with the thread");
        println!("STARTED {}", process.pid);
        std::future::pending::<()>().await;
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_does_not_outlive_us_even_where_we_are_killed() {
        use std::io::{BufRead as _, BufReader};

        let mut parent = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::tests::parent_process", "--nocapture"])
            .env(PARENT, "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
        let started = said.filter_map(|line| Some(line.split_once("STARTED ")?.1.to_owned())).next();
        let pid = started.expect("it started a process").parse::<u32>().unwrap();
        let is_alive = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.contains("(sleep)") && !stat.contains(") Z ")
        };
        assert!(is_alive());
        parent.kill().unwrap();
        parent.wait().unwrap();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while is_alive() {
            assert!(std::time::Instant::now() < deadline, "it is still there");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn processor_time_is_read_past_any_name() {
        let stat = "42 (a) b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 9 9 9";
        assert_eq!(parse_cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(parse_cpu("42 (a) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_mib() {
        assert_eq!(
            parse_mib("Name:\ta\nVmHWM:\t 4096 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n", "VmRSS:"),
            Some(2.0)
        );
        assert_eq!(parse_mib("Name:\ta\n", "VmRSS:"), None);
    }

    #[test]
    fn the_gateway_under_test_has_cores_of_its_own_where_there_are_two() {
        let Cores { gateway, rest } = Cores::share_out().unwrap();
        assert!(!gateway.is_empty() && !rest.is_empty());
        if std::thread::available_parallelism().unwrap().get() > 1 {
            assert!(gateway.iter().all(|core| !rest.contains(core)), "{gateway:?} {rest:?}");
        }
    }
}

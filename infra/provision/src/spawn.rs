//! Starting a server so that it cannot outlive us, and stopping it again.
//!
//! On Linux the kernel signals a child when its parent dies (`PR_SET_PDEATHSIG`), even by `kill -9`. "Parent" there
//! means the *thread* that forked: a worker thread of a pool that winds down would take the servers with it. So all
//! servers are started from one thread that lives as long as the process. Elsewhere the next start on the same data
//! directory stops what was left.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::{fs::OpenOptionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::{Error, Result, place::RunAs, process};

/// Logs larger than this are put aside at the next start.
const LOG_LIMIT: u64 = 16 * 1024 * 1024;

/// A running server. Dropped without having been stopped, it is killed with its children.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    ended: bool,
}

/// A command for a server or its tools: as the unprivileged user, in `directory`, with an environment of its own
/// (neither `PGPORT` and the like nor our secrets get in).
pub(crate) fn command(program: &Path, run_as: Option<RunAs>, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("LC_ALL", "C").env("TZ", "UTC");
    command.current_dir(directory).stdin(Stdio::null());
    if let Some(user) = run_as {
        // The standard library also drops the supplementary groups, and changes directory only after the user: so
        // a directory the user cannot reach fails here, and not later.
        command.uid(user.uid).gid(user.gid);
    }
    command
}

impl Server {
    /// Starts `command`, its output appended to `log`; `on_death` is what it gets when we die.
    pub(crate) fn start(mut command: Command, log: &Path, on_death: Signal) -> Result<Self> {
        let program = PathBuf::from(command.get_program());
        let out = open_log(log).map_err(Error::io("open", log))?;
        let err = out.try_clone().map_err(Error::io("open", log))?;
        // A process group of its own: Ctrl-C in the terminal is for us, who stop the servers last.
        command.stdout(out).stderr(err).process_group(0);
        die_with_parent(&mut command, on_death);
        let child = from_lasting_thread(command).map_err(Error::io("start", program))?;
        Ok(Self { child, ended: false })
    }

    pub(crate) fn pid(&self) -> i32 {
        // Process ids are positive and fit: the kernel hands them out as a signed int.
        i32::try_from(self.child.id()).unwrap_or(i32::MAX)
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn exited(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => {
                self.ended = true;
                Some(format!("it ended with {status}"))
            }
            Err(error) => Some(format!("it cannot be waited for: {error}")),
        }
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.exited().is_none() {
            process::signal(self.pid(), signal);
        }
    }

    /// Stops server and children in their tracks; they keep their sockets and answer nothing.
    pub(crate) fn pause(&mut self) {
        if self.exited().is_none() {
            // The parent first, so that it makes no more children while we look at them.
            process::signal(self.pid(), Signal::SIGSTOP);
            process::children(self.pid()).into_iter().for_each(|pid| process::signal(pid, Signal::SIGSTOP));
        }
    }

    /// Undoes `pause`.
    pub(crate) fn resume(&mut self) {
        if self.exited().is_none() {
            process::children(self.pid()).into_iter().for_each(|pid| process::signal(pid, Signal::SIGCONT));
            process::signal(self.pid(), Signal::SIGCONT);
        }
    }

    /// Kills server and children, and waits until all are gone.
    pub(crate) fn kill(&mut self) {
        if self.exited().is_some() {
            return;
        }
        process::signal(self.pid(), Signal::SIGSTOP);
        let children = process::children(self.pid());
        process::signal(self.pid(), Signal::SIGKILL);
        children.iter().for_each(|pid| process::signal(*pid, Signal::SIGKILL));
        let _status = self.child.wait();
        self.ended = true;
        let _survivor = process::wait_gone(&children, Duration::from_secs(10));
    }

    /// Waits until it has ended, by itself or after a signal; false if it still runs after `timeout`.
    pub(crate) fn wait_end(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        while self.exited().is_none() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
    }
}

/// The last lines of a log, for an error message.
pub(crate) fn tail(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
}

fn open_log(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_LIMIT) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    // Opened by us and handed over: the unprivileged user need not be able to reach it.
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "between fork and exec there is no safe way; prctl and getppid are async-signal-safe and touch no memory"
)]
fn die_with_parent(command: &mut Command, signal: Signal) {
    let parent = nix::unistd::Pid::this().as_raw();
    // Runs after the change of user, which would clear the setting again.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong) != 0 {
                return Err(io::Error::last_os_error());
            }
            // We may have died before the call.
            if libc::getppid() != parent {
                return Err(io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command, _signal: Signal) {}

type Request = (Command, mpsc::Sender<io::Result<Child>>);

fn from_lasting_thread(command: Command) -> io::Result<Child> {
    static REQUESTS: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let requests = REQUESTS.get_or_init(|| {
        let (sender, receiver) = mpsc::channel::<Request>();
        // Should there be no thread, the receiver is gone and the send below says so.
        let _thread = std::thread::Builder::new().name("petty-provision".into()).spawn(move || {
            // Never ends: the sender is static.
            for (mut command, answer) in receiver {
                let _asker_gone = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, result) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts servers is gone");
    requests.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}

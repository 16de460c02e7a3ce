//! Both servers together, and the data directory they belong to.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;

use crate::{
    Doing, Error, Postgres, Redis, Result, install,
    lock::Lock,
    place::{self, Place},
    postgres::{self, Settings},
    prototype,
    running::Kind,
    state::State,
    temporary::TemporaryDir,
};

/// How long a server may take to stop in good order; PostgreSQL writes a checkpoint.
const GRACE: Duration = Duration::from_secs(10);

/// Told what goes on, a sentence at a time.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Whether a missing server may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Install {
    /// Say so, and install it.
    Auto,
    /// Say what to install, and fail.
    Never,
}

/// How to start a stack.
#[derive(Clone)]
pub struct Options {
    /// Everything is kept below it; made if it is not there.
    pub data_dir: PathBuf,
    /// Whether a missing server may be installed.
    pub install: Install,
    /// Told what takes time.
    pub progress: Progress,
    /// PostgreSQL's cache, MB.
    pub shared_buffers_mb: u32,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("data_dir", &self.data_dir)
            .field("install", &self.install)
            .field("shared_buffers_mb", &self.shared_buffers_mb)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Installing allowed, silent, 128 MB of cache.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            install: Install::Auto,
            progress: Arc::new(|_| {}),
            shared_buffers_mb: 128,
        }
    }
}

/// A private PostgreSQL and a private Redis. Dropping it stops both and waits for them; a temporary one takes its
/// files along.
#[derive(Debug)]
pub struct Stack {
    postgres: Postgres,
    redis: Redis,
    data_dir: PathBuf,
    // Fields are dropped in order: the files go after the servers, the locks last.
    temporary: Option<TemporaryDir>,
    place: Place,
    _lock: Lock,
}

struct Prepared {
    servers: install::Servers,
    state: Arc<State>,
    place: Place,
    lock: Lock,
}

impl Stack {
    /// Takes the data directory, finds or installs the servers, and starts them; answers when both take requests.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; each says what to do next. Nothing keeps running then.
    pub async fn start(options: Options) -> Result<Self> {
        Self::start_in(options, None, None).await
    }

    /// A stack of its own below the system's temporary directory, gone without a trace when dropped or when the
    /// process ends. What processes that were killed left there is cleared first.
    ///
    /// # Errors
    ///
    /// As [`Stack::start`].
    pub async fn temporary() -> Result<Self> {
        Self::temporary_from(None).await
    }

    /// That one, from another's data directory and servers' directory, where there is another.
    pub(crate) async fn temporary_from(from: Option<(PathBuf, PathBuf)>) -> Result<Self> {
        let dir = TemporaryDir::make()?;
        let mut options = Options::new(dir.path());
        options.shared_buffers_mb = 64;
        options.progress = Arc::new(|text| {
            // Installing takes a while, and the person running the tests should know. Nobody reading is fine too.
            let _unread = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{text}\n"));
        });
        Self::start_in(options, Some(dir), from).await
    }

    /// The database server.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    /// The event and cache server.
    #[must_use]
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// The data directory, absolute.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Stops both servers in good order and gives up the data directory.
    ///
    /// # Errors
    ///
    /// Only if the runtime is shutting down; the servers are stopped all the same.
    pub async fn stop(self) -> Result<()> {
        let data_dir = self.data_dir.clone();
        let stopping = tokio::task::spawn_blocking(move || drop(self));
        stopping
            .await
            .map_err(|error| Error::io("stop the servers of", data_dir)(std::io::Error::other(error)))
    }

    /// Stops both servers in good order; they can be started again.
    pub(crate) fn halt(&self) {
        stop_both(self.postgres.running(), self.redis.running());
    }

    /// Where the servers' files are, which may be elsewhere than the data directory.
    pub(crate) fn servers_dir(&self) -> &Path {
        &self.place.servers_dir
    }

    /// Boxed, so that it is compiled here, once, and not where it is awaited.
    fn start_in(
        options: Options,
        temporary: Option<TemporaryDir>,
        from: Option<(PathBuf, PathBuf)>,
    ) -> Doing<'static, Self> {
        Box::pin(Self::prepare_and_start(options, temporary, from))
    }

    async fn prepare_and_start(
        options: Options,
        temporary: Option<TemporaryDir>,
        from: Option<(PathBuf, PathBuf)>,
    ) -> Result<Self> {
        let data_dir = options.data_dir.clone();
        let settings =
            Settings { shared_buffers_mb: options.shared_buffers_mb, disposable: temporary.is_some() };
        let preparing = tokio::task::spawn_blocking(move || prepare(&options, settings, from.as_ref()));
        let Prepared { servers, state, place, lock } = preparing
            .await
            .map_err(|error| Error::io("prepare", data_dir)(std::io::Error::other(error)))??;
        let (postgres, redis) = tokio::try_join!(
            Postgres::start(&servers.postgres, &place, Arc::clone(&state), settings),
            Redis::start(&servers.redis, &place, &state),
        )?;
        let data_dir = place.data_dir.clone();
        Ok(Self { postgres, redis, data_dir, temporary, place, _lock: lock })
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let (postgres, redis) = (self.postgres.running(), self.redis.running());
        if self.temporary.is_some() {
            // The data goes with it, so no checkpoint; but PostgreSQL gives back its shared memory.
            postgres.begin_stop(Signal::SIGQUIT);
            redis.kill();
        } else {
            self.halt();
            return;
        }
        postgres.stop(GRACE);
    }
}

fn stop_both(postgres: &crate::running::Running<impl Kind>, redis: &crate::running::Running<impl Kind>) {
    // At the same time.
    redis.begin_stop(Signal::SIGTERM);
    postgres.stop(GRACE);
    redis.stop(GRACE);
}

/// Everything before the servers run. Blocking: it may install packages.
fn prepare(options: &Options, settings: Settings, from: Option<&(PathBuf, PathBuf)>) -> Result<Prepared> {
    let data_dir = place::make_data_dir(&options.data_dir)?;
    let lock = Lock::take(&data_dir)?;
    let place = Place::find(&data_dir, &options.progress)?;
    if let Some(from) = from {
        prototype::copy(from, &place)?;
    }
    let state = Arc::new(State::open(&data_dir)?);
    let cluster = postgres::cluster_version(&place);
    let servers = install::ensure(
        options.install,
        cluster.as_ref().map(|(version, dir)| (*version, dir.as_path())),
        &data_dir.join("install.log"),
        &options.progress,
    )?;
    if cluster.is_none() {
        (options.progress)("Making the databases' directory (initdb).");
    }
    Postgres::prepare(&servers.postgres, &place, &state, settings)?;
    Redis::prepare(&place, &state)?;
    Ok(Prepared { servers, state, place, lock })
}

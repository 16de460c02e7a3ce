//! Streams of events over TLS on which nothing happens, and what they weigh in the gateway.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures::StreamExt as _;
use petty_chassis::types::{Clock, PetId};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::bench::http;
use crate::cli::IdleArgs;
use crate::process;

/// Whom the certificate names.
const NAME: &str = "bench.invalid";
/// So many are opened at once.
const TOGETHER: usize = 64;
/// A stream says within this time that it is there: its heartbeat is every 15 s.
const HEARTBEAT: Duration = Duration::from_secs(40);
/// What an open stream says while nothing happens: a comment.
const COMMENT: u8 = b':';

/// What streams weigh.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Weighed {
    /// Memory of the gateway without streams, with all of them open and heard of once, and the most meanwhile; MB.
    pub(super) before_mb: f64,
    pub(super) after_mb: f64,
    pub(super) most_mb: f64,
    /// What one adds, kB.
    pub(super) each_kb: f64,
    /// How long opening all took.
    pub(super) opened_in_s: f64,
}

/// Makes a certificate and its key.
pub(super) fn certify(cert: &Path, key: &Path) -> anyhow::Result<()> {
    let CertifiedKey { cert: made, signing_key } = generate_simple_self_signed([NAME.to_owned()])?;
    fs::write(cert, made.pem())?;
    Ok(fs::write(key, signing_key.serialize_pem())?)
}

/// Opens all, waits until each was heard of, and says what they weigh as JSON on standard output.
pub(in crate::bench) async fn run(args: &IdleArgs) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&args.ca)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    // Keys are fetched, and all that a first request does is done.
    drop(Idle::open(&connector, args).await?);
    let before_mb = megabytes(process::rss_mib(args.pid)?);

    let began = Instant::now();
    let opening = futures::stream::iter(0..args.streams).map(|_| Idle::open(&connector, args));
    let mut opening = opening.buffer_unordered(TOGETHER);
    let mut idle = Vec::new();
    while let Some(opened) = opening.next().await {
        idle.push(opened.with_context(|| format!("after {} streams", idle.len()))?);
    }
    drop(opening);
    let opened_in_s = began.elapsed().as_secs_f64();
    let hearing = futures::future::try_join_all(idle.iter_mut().map(Idle::hear));
    tokio::time::timeout(HEARTBEAT, hearing).await.context("a stream said nothing for too long")??;

    let after_mb = megabytes(process::rss_mib(args.pid)?);
    let most_mb = megabytes(process::most_rss_mib(args.pid)?);
    let each_kb = (after_mb - before_mb) * 1e3 / f64::from(args.streams.max(1));
    let weighed = Weighed { before_mb, after_mb, most_mb, each_kb, opened_in_s };
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&weighed)?)?;
    Ok(())
}

/// MB of MiB.
fn megabytes(mib: f64) -> f64 {
    mib * 1.048_576
}

/// An open stream.
struct Idle {
    stream: TlsStream<TcpStream>,
    target: SocketAddr,
}

impl Idle {
    /// Opens a stream of a pet's, and reads the head of its answer and what comes with it.
    async fn open(connector: &TlsConnector, args: &IdleArgs) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(args.target).await?;
        stream.set_nodelay(true)?;
        let mut stream = connector.connect(ServerName::try_from(NAME)?, stream).await?;
        let pet = PetId::new(&Clock::system());
        stream.write_all(&http::get(&format!("/v1/pets/{pet}/stream"), &args.token)).await?;
        stream.flush().await?;
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            let read = stream.read_buf(&mut head).await?;
            ensure!(read > 0, "the gateway closed a connection: {}", String::from_utf8_lossy(&head));
        }
        ensure!(head.starts_with(b"HTTP/1.1 200"), "refused: {}", String::from_utf8_lossy(&head));
        Ok(Self { stream, target: args.target })
    }

    /// Waits for the next comment.
    async fn hear(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 256];
        loop {
            let read = self.stream.read(&mut buffer).await?;
            ensure!(read > 0, "a stream of {} ended", self.target);
            if buffer[..read].contains(&COMMENT) {
                return Ok(());
            }
        }
    }
}

//! Mutual TLS between services, with the certificates that are on disk now.
//!
//! Invariants: files that change are read again within seconds, for connections from then on; those that stand are left alone,
//! until an hour has passed. Files that do not fit together change nothing. No session is resumed: every connection proves anew
//! who is at its ends.

use std::fmt;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge};
use rustls::RootCertStore;
use rustls::client::{ClientConfig, Resumption};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::version::TLS13;
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};
use tokio_stream::wrappers::ReceiverStream;
use tower::Service;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::config::TlsConfig;
use crate::error::chain;
use crate::grpc::client::Gathering;
use crate::periodic;
use crate::service::Context;
use crate::telemetry;

/// A connection proves anew who is at its ends after this long.
pub(super) const CONNECTION_AGE: Duration = Duration::from_secs(60 * 60);
/// How long a peer may take to prove who it is, and how many may at once.
const HANDSHAKE: Duration = Duration::from_secs(5);
const HANDSHAKES: usize = 512;
/// How long to wait when the process has no file descriptor left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("a file of certificates cannot be read")]
    Read(#[from] io::Error),
    /// A file is not what it should be.
    #[error("a file of certificates is not PEM")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// They do not fit together.
    #[error("the certificates do not fit together")]
    Rustls(#[from] rustls::Error),
    /// The authority cannot verify anybody.
    #[error("the authority's certificates cannot be used")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// There is nothing in a file.
    #[error("a file of certificates holds none")]
    Empty,
}

/// The certificates of a process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Certificates {
    current: Arc<RwLock<Arc<Current>>>,
    measures: Measures,
}

struct Current {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    /// Of what was read.
    digest: [u8; 32],
}

#[derive(Clone)]
struct Measures {
    service: &'static str,
    reloads: Counter<u64>,
    not_after: Gauge<i64>,
}

/// What the three files hold.
struct Files {
    cert: Vec<u8>,
    key: secrecy::SecretSlice<u8>,
    ca: Vec<u8>,
}

impl Certificates {
    /// Those that the configuration was read with, watched from then on.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub(super) fn watched(context: &Context, config: &TlsConfig) -> Result<Self, TlsError> {
        crate::service::install_crypto();
        let meter = telemetry::meter();
        let measures = Measures {
            service: context.service,
            reloads: meter
                .u64_counter("petty_tls_reloads")
                .with_description(
                    "How often certificates that changed were read again, and with what outcome",
                )
                .build(),
            not_after: meter
                .i64_gauge("petty_tls_certificate_not_after")
                .with_unit("s")
                .with_description("When the certificate expires, in seconds since 1970")
                .build(),
        };
        let files = Files {
            cert: config.cert.clone().into_bytes(),
            key: config.key.expose_secret().as_bytes().to_vec().into(),
            ca: config.ca.clone().into_bytes(),
        };
        let current = Current::of(&files)?;
        measures.expiry(&files);
        let certificates = Self { current: Arc::new(RwLock::new(Arc::new(current))), measures };
        let (watching, config) = (certificates.clone(), config.clone());
        let refused = Arc::new(RwLock::new([0; 32]));
        periodic::every(context, "certificates", config.check, move || {
            let (certificates, config, refused) = (watching.clone(), config.clone(), refused.clone());
            async move { certificates.look(&config, &refused).await }
        });
        Ok(certificates)
    }

    /// Reads the files again, and uses them where they changed and fit together.
    async fn look(&self, config: &TlsConfig, refused: &RwLock<[u8; 32]>) -> Result<(), TlsError> {
        let files = Files::read(config).await?;
        let digest = files.digest();
        if digest == self.current().digest
            || digest == *refused.read().unwrap_or_else(PoisonError::into_inner)
        {
            return Ok(());
        }
        match Current::of(&files) {
            Ok(current) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
                self.measures.reloaded("ok");
                self.measures.expiry(&files);
                tracing::info!("the certificates were read again");
            }
            Err(error) => {
                // Perhaps one file is there and another not yet. Said once of each state of the files.
                *refused.write().unwrap_or_else(PoisonError::into_inner) = digest;
                self.measures.reloaded("refused");
                tracing::error!(
                    error = chain(&error),
                    "certificates that changed cannot be used; those before still are"
                );
            }
        }
        Ok(())
    }

    fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections that have proved who is at their other end, until the shutdown begins.
    pub(super) fn incoming(
        &self,
        listener: TcpListener,
        context: &Context,
    ) -> ReceiverStream<io::Result<server::TlsStream<TcpStream>>> {
        let (sender, receiver) = mpsc::channel(64);
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        let (certificates, tasks) = (self.clone(), context.tasks.clone());
        let draining = context.shutdown.draining();
        context.tasks.spawn_vital("tls_accept", async move {
            tokio::pin!(draining);
            loop {
                let accepted = tokio::select! {
                    () = &mut draining => return,
                    () = sender.closed() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else { continue };
                let acceptor = TlsAcceptor::from(certificates.current().server.clone());
                let sender = sender.clone();
                tasks.spawn("tls_handshake", async move {
                    let handshake = async {
                        stream.set_nodelay(true)?;
                        acceptor.accept(stream).await
                    };
                    match tokio::time::timeout(HANDSHAKE, handshake).await {
                        // Sent to nobody where the server is gone.
                        Ok(Ok(stream)) => drop(sender.send(Ok(stream)).await),
                        Ok(Err(error)) => tracing::warn!(%error, "a peer did not prove who it is"),
                        Err(_) => tracing::warn!("a peer took too long to prove who it is"),
                    }
                    drop(permit);
                });
            }
        });
        ReceiverStream::new(receiver)
    }

    /// What connects to a service of that name.
    ///
    /// # Errors
    /// Where that is no name.
    pub(super) fn connector(&self, service: &str) -> Result<Connector, TlsError> {
        let name = ServerName::try_from(service.to_owned())
            .map_err(|_| rustls::Error::General("the service's name is no DNS name".to_owned()))?;
        Ok(Connector { certificates: self.clone(), name })
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Measures {
    fn reloaded(&self, outcome: &'static str) {
        self.reloads.add(1, &[KeyValue::new("service", self.service), KeyValue::new("outcome", outcome)]);
    }

    fn expiry(&self, files: &Files) {
        let leaf = CertificateDer::pem_slice_iter(&files.cert).next().and_then(Result::ok);
        let Some(leaf) = leaf else { return };
        if let Ok((_, leaf)) = X509Certificate::from_der(&leaf) {
            let not_after = leaf.validity().not_after.timestamp();
            self.not_after.record(not_after, &[KeyValue::new("service", self.service)]);
        }
    }
}

impl Files {
    async fn read(config: &TlsConfig) -> io::Result<Self> {
        let cert = tokio::fs::read(&config.cert_file).await?;
        let key = tokio::fs::read(&config.key_file).await?.into();
        Ok(Self { cert, key, ca: tokio::fs::read(&config.ca_file).await? })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [&self.cert, self.key.expose_secret(), &self.ca] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

impl Current {
    fn of(files: &Files) -> Result<Self, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&files.cert).collect::<Result<_, _>>()?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&files.ca) {
            roots.add(authority?)?;
        }
        if chain.is_empty() || roots.is_empty() {
            return Err(TlsError::Empty);
        }
        let key = || PrivateKeyDer::from_pem_slice(files.key.expose_secret());
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder(roots.clone()).build()?;
        let mut server = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key()?)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key()?)?;
        client.resumption = Resumption::disabled();
        let protocols = vec![b"h2".to_vec()];
        server.alpn_protocols.clone_from(&protocols);
        client.alpn_protocols = protocols;
        Ok(Self { server: Arc::new(server), client: Arc::new(client), digest: files.digest() })
    }
}

/// Connects to one service, and has it prove that it is that one.
#[derive(Clone)]
pub(super) struct Connector {
    certificates: Certificates,
    name: ServerName<'static>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Gathering<client::TlsStream<TcpStream>>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _context: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = TlsConnector::from(self.certificates.current().client.clone());
        let name = self.name.clone();
        Box::pin(async move {
            let authority =
                uri.authority().ok_or_else(|| io::Error::other("an endpoint without an address"))?;
            let stream = TcpStream::connect(authority.as_str()).await?;
            stream.set_nodelay(true)?;
            let stream = connector.connect(name, stream).await?;
            Ok(TokioIo::new(Gathering::new(stream)))
        })
    }
}

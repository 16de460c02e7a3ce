//! TLS at the edge, with the certificate that is on disk now.
//!
//! Invariants: files that change are read again within seconds, for connections from then on; files that do not fit together
//! change nothing. Where clients must show a certificate, nobody is answered without, and no session is resumed.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use petty_chassis::config::Reader;
use petty_chassis::{Shutdown, Tasks};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::{Digest as _, Sha256};
use tokio_rustls::TlsAcceptor;

/// How HTTP/2 is called in the handshake (RFC 9113, 3.2).
pub(crate) const HTTP2: &[u8] = b"h2";

/// Where certificates are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, PEM: `PETTY_HTTP_TLS_CERT_FILE`.
    pub cert: PathBuf,
    /// The private key, PEM: `PETTY_HTTP_TLS_KEY_FILE`.
    pub key: PathBuf,
    /// The authority of clients, PEM: `PETTY_HTTP_TLS_CLIENT_CA_FILE`. With it each client must show a certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether TLS 1.2 is spoken besides 1.3: `PETTY_HTTP_TLS_OLDEST`, 1.3 (default) or 1.2.
    pub with_tls12: bool,
    /// How often the files are looked at again: `PETTY_HTTP_TLS_CHECK`, 50ms to 1h, default 5s.
    pub check: Duration,
}

impl TlsFiles {
    /// Chain and key, or neither: then there is no TLS here.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        const NAMES: [&str; 2] = ["PETTY_HTTP_TLS_CERT_FILE", "PETTY_HTTP_TLS_KEY_FILE"];
        let [cert, key] = NAMES.map(|name| reader.optional::<PathBuf>(name));
        let client_ca = reader.optional("PETTY_HTTP_TLS_CLIENT_CA_FILE");
        let oldest: String = reader.or("PETTY_HTTP_TLS_OLDEST", "1.3".to_owned());
        if !["1.2", "1.3"].contains(&oldest.as_str()) {
            reader.fault("PETTY_HTTP_TLS_OLDEST", "is neither 1.2 nor 1.3");
        }
        let check = reader.duration("PETTY_HTTP_TLS_CHECK", Duration::from_secs(5));
        if !(Duration::from_millis(50)..=Duration::from_secs(3_600)).contains(&check) {
            reader.fault("PETTY_HTTP_TLS_CHECK", "is not within 50ms to 1h");
        }
        match (cert, key) {
            (Some(cert), Some(key)) => {
                Some(Self { cert, key, client_ca, with_tls12: oldest == "1.2", check })
            }
            (None, None) if client_ca.is_none() => None,
            (cert, _) => {
                let missing = if cert.is_none() { NAMES[0] } else { NAMES[1] };
                reader.fault(missing, "is missing: TLS needs a certificate and its key");
                None
            }
        }
    }
}

/// What connections are accepted with.
pub struct Tls {
    files: TlsFiles,
    current: RwLock<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    digest: [u8; 32],
}

/// What the files hold.
struct Contents {
    cert: Vec<u8>,
    key: SecretSlice<u8>,
    client_ca: Option<Vec<u8>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Where they cannot be read, or do not fit together.
    pub async fn load(files: TlsFiles) -> anyhow::Result<Arc<Self>> {
        let contents = Contents::read(&files).await?;
        let config = contents.config(files.with_tls12)?;
        let current = RwLock::new(Current { config: Arc::new(config), digest: contents.digest() });
        Ok(Arc::new(Self { files, current }))
    }

    /// Looks at the files again and again, until the shutdown begins.
    pub fn watch(self: &Arc<Self>, tasks: &Tasks, shutdown: &Shutdown) {
        let (tls, draining) = (Arc::clone(self), shutdown.draining());
        tasks.spawn_vital("http-certificates", async move {
            tokio::pin!(draining);
            // What cannot be used is said once of each state of the files.
            let mut refused = [0; 32];
            loop {
                tokio::select! {
                    () = &mut draining => return,
                    () = tokio::time::sleep(tls.files.check) => {}
                }
                if let Err(error) = tls.look(&mut refused).await {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "a certificate that changed cannot be used; that before still is"
                    );
                }
            }
        });
    }

    async fn look(&self, refused: &mut [u8; 32]) -> anyhow::Result<()> {
        let contents = Contents::read(&self.files).await?;
        let digest = contents.digest();
        if digest == *refused || digest == self.read().1 {
            return Ok(());
        }
        *refused = digest;
        let config = Arc::new(contents.config(self.files.with_tls12)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { config, digest };
        tracing::info!("the certificate was read again");
        Ok(())
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.read().0)
    }

    fn read(&self) -> (Arc<ServerConfig>, [u8; 32]) {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&current.config), current.digest)
    }
}

impl Contents {
    async fn read(files: &TlsFiles) -> anyhow::Result<Self> {
        let read = async |path: &PathBuf| {
            tokio::fs::read(path).await.with_context(|| format!("cannot read {}", path.display()))
        };
        let client_ca = match &files.client_ca {
            Some(path) => Some(read(path).await?),
            None => None,
        };
        Ok(Self { cert: read(&files.cert).await?, key: read(&files.key).await?.into(), client_ca })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let client_ca = self.client_ca.as_deref().unwrap_or_default();
        for part in [&self.cert, self.key.expose_secret(), client_ca] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    fn config(&self, with_tls12: bool) -> anyhow::Result<ServerConfig> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert).collect::<Result<_, _>>()?;
        anyhow::ensure!(!chain.is_empty(), "the file of the certificate holds none");
        let key = PrivateKeyDer::from_pem_slice(self.key.expose_secret())?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions: &[_] = if with_tls12 { &[&TLS13, &TLS12] } else { &[&TLS13] };
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions)?;
        let mut config = match &self.client_ca {
            None => {
                let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
                config.ticketer = aws_lc_rs::Ticketer::new()?;
                config
            }
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                for authority in CertificateDer::pem_slice_iter(authority) {
                    roots.add(authority?)?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
                let mut config = builder.with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
                config.session_storage = Arc::new(NoServerSessionStorage {});
                config.send_tls13_tickets = 0;
                config
            }
        };
        config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

//! TLS to PostgreSQL.
//!
//! Invariants: no handshake ends well without a certificate that one of our authorities signed for the host that the URL names;
//! files that change are read again for connections from then on, and files that do not fit together change nothing. No session
//! is resumed: every connection proves anew who is at its ends.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::future::BoxFuture;
use rustls::client::{ClientConfig, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, RootCertStore};
use secrecy::{ExposeSecret as _, SecretSlice};
use tokio_postgres::Socket;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::PostgresTls;

/// Whom servers' certificates may be signed by.
pub(crate) const CA_FILE: &str = "PETTY_DATABASE_TLS_CA_FILE";
/// What is shown to servers that ask for a certificate.
pub(crate) const CERT_FILE: &str = "PETTY_DATABASE_TLS_CERT_FILE";
/// Its key.
pub(crate) const KEY_FILE: &str = "PETTY_DATABASE_TLS_KEY_FILE";

/// How PostgreSQL is called in the handshake; it insists where TLS begins at once (`sslnegotiation=direct`).
const PROTOCOL: &[u8] = b"postgresql";

/// What is wrong with a file, by the setting that names it.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {problem}")]
pub(crate) struct Fault {
    pub(crate) setting: &'static str,
    pub(crate) problem: String,
}

/// Everything that is wrong with the files, where any are set.
pub(crate) fn check(files: &PostgresTls) -> Vec<Fault> {
    if *files == PostgresTls::default() {
        return Vec::new();
    }
    match Material::read(files) {
        Ok(material) => material.config().err().into_iter().collect(),
        Err(faults) => faults,
    }
}

/// What the files hold.
#[derive(PartialEq, Eq)]
struct Material {
    /// None: the platform's.
    authorities: Vec<CertificateDer<'static>>,
    proof: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Material {
    fn read(files: &PostgresTls) -> Result<Self, Vec<Fault>> {
        let authorities = files.ca.as_ref().map(|path| certificates(CA_FILE, path)).transpose();
        let (chain, key) = files
            .client
            .as_ref()
            .map(|(chain, key)| (certificates(CERT_FILE, chain), private_key(key)))
            .unzip();
        match (authorities, chain.transpose(), key.transpose()) {
            (Ok(authorities), Ok(chain), Ok(key)) => {
                Ok(Self { authorities: authorities.unwrap_or_default(), proof: chain.zip(key) })
            }
            (authorities, chain, key) => {
                Err([authorities.err(), chain.err(), key.err()].into_iter().flatten().collect())
            }
        }
    }

    fn config(&self) -> Result<ClientConfig, Fault> {
        let roots = if self.authorities.is_empty() {
            platform().ok_or_else(|| {
                let problem =
                    "is not set, and the platform has no authorities to verify PostgreSQL's server by";
                fault(CA_FILE, problem.to_owned())
            })?
        } else {
            let mut own = RootCertStore::empty();
            for authority in &self.authorities {
                own.add(authority.clone())
                    .map_err(|error| fault(CA_FILE, format!("holds what is no certificate: {error}")))?;
            }
            Arc::new(own)
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(CA_FILE, error.to_string()))?
            .with_root_certificates(roots);
        let mut config = match &self.proof {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|error| fault(KEY_FILE, format!("does not fit {CERT_FILE}: {error}")))?,
        };
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn fault(setting: &'static str, problem: String) -> Fault {
    Fault { setting, problem }
}

fn in_one(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, Fault> {
    std::fs::read(path).map_err(|error| fault(setting, format!("{} cannot be read: {error}", path.display())))
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let text = read(setting, path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all {
        Ok(all) if all.is_empty() => {
            Err(fault(setting, format!("{} holds no certificate (PEM)", path.display())))
        }
        Ok(all) => Ok(all),
        Err(error) => Err(fault(setting, format!("{} is not PEM: {error}", path.display()))),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let text: SecretSlice<u8> = read(KEY_FILE, path)?.into();
    PrivateKeyDer::from_pem_slice(text.expose_secret())
        .map_err(|_| fault(KEY_FILE, format!("{} holds no private key (PEM)", path.display())))
}

/// The platform's authorities, read once; `None` where there are none. `SSL_CERT_FILE` and `SSL_CERT_DIR` name others.
fn platform() -> Option<Arc<RootCertStore>> {
    static PLATFORM: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        // What cannot be read or is none is left out: it verifies nobody.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    };
    let roots = PLATFORM.get_or_init(read);
    (!roots.is_empty()).then(|| Arc::clone(roots))
}

/// Begins TLS with servers. Cheap to clone.
#[derive(Clone)]
pub(super) struct Connector(Arc<Shared>);

struct Shared {
    files: PostgresTls,
    current: Mutex<Current>,
}

struct Current {
    material: Material,
    tls: MakeRustlsConnect,
    /// What was last wrong with the files, so that it is said once.
    refused: Option<String>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").field("files", &self.0.files).finish_non_exhaustive()
    }
}

impl Connector {
    /// With these files.
    ///
    /// # Errors
    /// Where they cannot be used, or there are neither authorities among them nor on the platform.
    pub(super) fn new(files: &PostgresTls) -> anyhow::Result<Self> {
        let material = Material::read(files).map_err(|faults| anyhow::Error::msg(in_one(&faults)))?;
        let tls = MakeRustlsConnect::new(material.config()?);
        let current = Mutex::new(Current { material, tls, refused: None });
        Ok(Self(Arc::new(Shared { files: files.clone(), current })))
    }

    /// What the files say now. Connections are few, and the files are small: they are read for each.
    fn current(&self) -> MakeRustlsConnect {
        let mut current = self.0.current.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Material::read(&self.0.files).and_then(|material| {
            if material == current.material {
                return Ok(None);
            }
            let config = material.config().map_err(|fault| vec![fault])?;
            Ok(Some((material, MakeRustlsConnect::new(config))))
        });
        match read {
            Ok(None) => current.refused = None,
            Ok(Some((material, tls))) => {
                *current = Current { material, tls, refused: None };
                tracing::info!("the certificates for PostgreSQL were read again");
            }
            Err(faults) => {
                let text = in_one(&faults);
                if current.refused.as_ref() != Some(&text) {
                    tracing::error!(
                        error = text,
                        "certificates for PostgreSQL that changed cannot be used; those before still are"
                    );
                    current.refused = Some(text);
                }
            }
        }
        current.tls.clone()
    }
}

type Inner = <MakeRustlsConnect as MakeTlsConnect<Socket>>::TlsConnect;
type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

impl MakeTlsConnect<Socket> for Connector {
    type Stream = Stream;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Infallible> {
        let inner = MakeTlsConnect::<Socket>::make_tls_connect(&mut self.current(), host)?;
        Ok(Handshake { inner, own_authorities: self.0.files.ca.is_some() })
    }
}

/// One connection's.
pub(super) struct Handshake {
    inner: Inner,
    own_authorities: bool,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Stream;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Stream>>;

    fn connect(self, socket: Socket) -> Self::Future {
        Box::pin(async move {
            let done = self.inner.connect(socket).await;
            done.map_err(|error| explained(error, self.own_authorities))
        })
    }
}

/// rustls says that the issuer is not known, but not to whom.
fn explained(error: io::Error, own_authorities: bool) -> io::Error {
    let rustls = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
    let foreign = matches!(
        rustls,
        // Another authority of the same name is known by its signature alone.
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer | CertificateError::BadSignature
        ))
    );
    if !foreign {
        return error;
    }
    let signed = if own_authorities {
        format!("no authority in {CA_FILE} signed it")
    } else {
        format!("no authority of the platform signed it; {CA_FILE} may name others")
    };
    io::Error::new(error.kind(), format!("{error}: {signed}"))
}

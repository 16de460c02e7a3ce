//! What every service reads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::Uri;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Reader, Section};
use crate::types::Entropy;

/// What every service reads.
#[derive(Clone, Debug)]
pub struct BaseConfig {
    /// Where gRPC listens: `PETTY_GRPC_LISTEN`, default 127.0.0.1:7001.
    pub grpc_listen: SocketAddr,
    /// Where the admin port listens: `PETTY_ADMIN_LISTEN`, default 127.0.0.1:7002.
    pub admin_listen: SocketAddr,
    /// What is logged, as `info,petty_auth=debug`: `PETTY_LOG`, default info.
    pub log: String,
    /// Where traces and metrics go over OTLP (gRPC): `PETTY_OTLP_ENDPOINT`; nowhere where it is not set.
    pub otlp_endpoint: Option<String>,
    /// How long a drain may take: `PETTY_GRACE_PERIOD`, default 10s.
    pub grace_period: Duration,
    /// What tells this process from its replicas: `PETTY_INSTANCE`, default random.
    pub instance: String,
    /// The most RPCs answered at once: `PETTY_GRPC_CONCURRENCY`, 1 to 100,000, default 1,024. The rest is refused.
    pub grpc_concurrency: usize,
    /// The most streams open at once: `PETTY_GRPC_STREAMS`, 1 to 1,000,000, default 25,000. The rest is refused.
    /// More than any service of its own accord lets open, so that it says in its own words what there is too much of.
    pub grpc_streams: usize,
    /// The Ed25519 key (PKCS #8, PEM) with which the service proves itself where there is no TLS: `PETTY_SERVICE_KEY`.
    pub service_key: Option<SecretString>,
    /// The public keys of the services that may call: `PETTY_SERVICE_KEYS`, a JSON object of name and key (base64).
    pub service_keys: BTreeMap<String, ServicePublicKey>,
    /// Mutual TLS: `PETTY_TLS_CERT_FILE`, `PETTY_TLS_KEY_FILE` and `PETTY_TLS_CA_FILE`.
    pub tls: Option<TlsConfig>,
    /// Where the other services are: `PETTY_ENDPOINT_<SERVICE>`, URIs separated by commas.
    pub endpoints: BTreeMap<String, Vec<Uri>>,
}

/// A service's raw Ed25519 public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServicePublicKey(pub [u8; 32]);

/// Certificate, key and the authority that both sides trust, as they were read first.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The certificate chain's file.
    pub cert_file: PathBuf,
    /// The private key's file.
    pub key_file: PathBuf,
    /// The authority's file.
    pub ca_file: PathBuf,
    /// The certificate chain, PEM.
    pub cert: String,
    /// The private key, PEM.
    pub key: SecretString,
    /// The authority, PEM.
    pub ca: String,
    /// How often the files are looked at again: `PETTY_TLS_CHECK`, 50ms to 1h, default 5s.
    pub check: Duration,
}

impl Section for BaseConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let tls = TlsConfig::read_optional(reader);
        let (service_key, service_keys) = identity(reader, tls.is_some());
        let endpoints = endpoints(reader, tls.is_some());
        let otlp_endpoint: Option<Uri> = reader.optional("PETTY_OTLP_ENDPOINT");
        if otlp_endpoint.as_ref().is_some_and(|uri| uri.scheme().is_none()) {
            reader.fault("PETTY_OTLP_ENDPOINT", "has no scheme, e.g. http://127.0.0.1:4317");
        }
        let log: String = reader.or("PETTY_LOG", "info".to_owned());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&log) {
            reader
                .fault("PETTY_LOG", format!("{log:?} is no log filter: {error}, e.g. info,petty_auth=debug"));
        }
        let instance = reader.optional("PETTY_INSTANCE").unwrap_or_else(|| hex::encode(Entropy.bytes::<4>()));
        Some(Self {
            grpc_listen: reader.or("PETTY_GRPC_LISTEN", SocketAddr::from(([127, 0, 0, 1], 7001))),
            admin_listen: reader.or("PETTY_ADMIN_LISTEN", SocketAddr::from(([127, 0, 0, 1], 7002))),
            log,
            otlp_endpoint: otlp_endpoint.map(|uri| uri.to_string()),
            grace_period: reader.duration("PETTY_GRACE_PERIOD", Duration::from_secs(10)),
            instance,
            grpc_concurrency: reader.in_range("PETTY_GRPC_CONCURRENCY", 1024, 1..=100_000),
            grpc_streams: reader.in_range("PETTY_GRPC_STREAMS", 25_000, 1..=1_000_000),
            service_key,
            service_keys,
            tls,
            endpoints,
        })
    }
}

impl TlsConfig {
    /// All three files, or none.
    fn read_optional(reader: &mut Reader<'_>) -> Option<Self> {
        let names = ["PETTY_TLS_CERT_FILE", "PETTY_TLS_KEY_FILE", "PETTY_TLS_CA_FILE"];
        let paths: Vec<Option<PathBuf>> = names.iter().map(|name| reader.optional(name)).collect();
        if paths.iter().all(Option::is_none) {
            return None;
        }
        let check = reader.duration("PETTY_TLS_CHECK", Duration::from_secs(5));
        if !(Duration::from_millis(50)..=Duration::from_secs(60 * 60)).contains(&check) {
            reader.fault("PETTY_TLS_CHECK", "is not within 50ms to 1h");
        }
        let mut files = Vec::new();
        for (name, path) in names.iter().zip(paths) {
            let Some(path) = path else {
                reader.fault(name, "is not set, but another PETTY_TLS_…_FILE is; set all three or none");
                continue;
            };
            match std::fs::read_to_string(&path) {
                Ok(text) if text.contains("-----BEGIN") => files.push((path, text)),
                Ok(_) => reader.fault(name, format!("{} is not PEM", path.display())),
                Err(error) => reader.fault(name, format!("{} cannot be read: {error}", path.display())),
            }
        }
        let [(cert_file, cert), (key_file, key), (ca_file, ca)] = <[_; 3]>::try_from(files).ok()?;
        Some(Self { cert_file, key_file, ca_file, cert, key: key.into(), ca, check })
    }
}

impl FromStr for ServicePublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const ENGINE: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let standard = text.trim().replace('-', "+").replace('_', "/");
        GeneralPurpose::new(&base64::alphabet::STANDARD, ENGINE)
            .decode(standard)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or("is not an Ed25519 public key of 32 bytes in base64")
    }
}

/// The service's own key and everybody's public ones. With TLS the certificates take their place.
fn identity(
    reader: &mut Reader<'_>,
    tls: bool,
) -> (Option<SecretString>, BTreeMap<String, ServicePublicKey>) {
    const KEY: &str = "PETTY_SERVICE_KEY";
    const KEYS: &str = "PETTY_SERVICE_KEYS";
    let key = if tls { reader.secret_optional(KEY) } else { reader.secret(KEY) };
    if let Some(key) = &key
        && jsonwebtoken::EncodingKey::from_ed_pem(key.expose_secret().as_bytes()).is_err()
    {
        reader.fault(
            KEY,
            "is not an Ed25519 private key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` makes",
        );
    }
    let mut keys = BTreeMap::new();
    let text: Option<String> = if tls { reader.optional(KEYS) } else { reader.required(KEYS) };
    let Some(text) = text else { return (key, keys) };
    match serde_json::from_str::<BTreeMap<String, String>>(&text) {
        Ok(named) => {
            for (service, encoded) in named {
                match encoded.parse() {
                    Ok(parsed) => drop(keys.insert(service, parsed)),
                    Err(problem) => reader.fault(KEYS, format!("the key of {service:?} {problem}")),
                }
            }
        }
        Err(error) => reader.fault(KEYS, format!("is no JSON object of service names and keys: {error}")),
    }
    (key, keys)
}

fn endpoints(reader: &mut Reader<'_>, tls: bool) -> BTreeMap<String, Vec<Uri>> {
    const PREFIX: &str = "PETTY_ENDPOINT_";
    let wanted = if tls { "https" } else { "http" };
    let mut endpoints = BTreeMap::new();
    for service in reader.with_prefix(PREFIX) {
        let name = format!("{PREFIX}{service}");
        let mut uris = Vec::new();
        for item in reader.list(&name) {
            match item.parse::<Uri>() {
                Ok(uri) if uri.scheme_str() == Some(wanted) && uri.port().is_some() => uris.push(uri),
                _ => reader
                    .fault(&name, format!("{item:?} is not an endpoint, e.g. {wanted}://127.0.0.1:7101")),
            }
        }
        if !uris.is_empty() {
            endpoints.insert(service.to_ascii_lowercase(), uris);
        }
    }
    endpoints
}

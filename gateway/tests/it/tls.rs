//! TLS at the edge: what is spoken, with which certificate, and to whom.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use petty_gateway::{Limits, Tls, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::stand_in::StandIn;
use crate::world::World;

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate and its key.
    fn issue(&self, name: &str) -> (String, String) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A gateway with TLS.
struct Secured {
    world: World,
    authority: Authority,
    files: TlsFiles,
}

impl Secured {
    async fn new(name: &str, with_tls12: bool, clients: Option<&Authority>) -> Self {
        Self::within(Limits::default(), name, with_tls12, clients).await
    }

    async fn within(limits: Limits, name: &str, with_tls12: bool, clients: Option<&Authority>) -> Self {
        let authority = Authority::new();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let files = TlsFiles {
            cert: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            client_ca: clients.map(|_| folder.join("clients.pem")),
            with_tls12,
            check: Duration::from_millis(50),
        };
        write(&files, &authority.issue("localhost"));
        if let (Some(path), Some(clients)) = (&files.client_ca, clients) {
            std::fs::write(path, &clients.pem).unwrap();
        }
        let tls = Tls::load(files.clone()).await.unwrap();
        let world = World::behind(limits, StandIn::upstreams, |edge, _, _| edge, Some(tls)).await;
        Self { world, authority, files }
    }

    async fn connect(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[u8],
        identity: Option<&(String, String)>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = TcpStream::connect(self.world.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Whether somebody who shows this is answered: TLS 1.3 tells a client of its refusal with the first answer.
    async fn answers(&self, identity: Option<&(String, String)>) -> bool {
        match self.connect(TLS13, b"http/1.1", identity).await {
            Ok(mut stream) => {
                get(&mut stream).await.is_ok_and(|answer| answer.starts_with("http/1.1 200 ok"))
            }
            Err(_) => false,
        }
    }
}

fn write(files: &TlsFiles, (cert, key): &(String, String)) {
    std::fs::write(&files.cert, cert).unwrap();
    std::fs::write(&files.key, key).unwrap();
}

/// The answer to a request over HTTP/1.1.
async fn get(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await??;
    Ok(answer.to_ascii_lowercase())
}

const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

#[tokio::test]
async fn both_versions_of_http_are_spoken_over_tls_and_browsers_are_told_to_stay() {
    let secured = Secured::new("both", false, None).await;
    let mut stream = secured.connect(TLS13, b"http/1.1", None).await.unwrap();
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let answer = get(&mut stream).await.unwrap();
    assert!(answer.starts_with("http/1.1 200 ok"), "{answer}");
    assert!(answer.contains("strict-transport-security: max-age=63072000; includesubdomains"), "{answer}");

    let mut stream = secured.connect(TLS13, b"h2", None).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut head = [0; 9];
    tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(head[3], 4, "its own SETTINGS come first");

    // Older versions only where the configuration says so, and without TLS nothing at all.
    assert!(secured.connect(TLS12, b"http/1.1", None).await.is_err());
    let older = Secured::new("older", true, None).await;
    let mut stream = older.connect(TLS12, b"http/1.1", None).await.unwrap();
    assert!(get(&mut stream).await.unwrap().starts_with("http/1.1 200 ok"));
    let mut plain = TcpStream::connect(older.world.address).await.unwrap();
    plain.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // An alert, or nothing.
    drop(tokio::time::timeout(Duration::from_secs(10), plain.read_to_end(&mut answer)).await.unwrap());
    assert!(!answer.starts_with(b"HTTP"));
}

#[tokio::test]
async fn a_certificate_that_changed_is_used_and_one_that_does_not_fit_is_not() {
    let mut secured = Secured::new("changed", false, None).await;
    let (old, new) = (Authority::new(), Authority::new());
    let whole = new.issue("localhost");
    // Half of it first: the old one still answers.
    std::fs::write(&secured.files.cert, &whole.0).unwrap();
    for _ in 0..5 {
        assert!(secured.connect(TLS13, b"http/1.1", None).await.is_ok());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    write(&secured.files, &whole);
    let _before = std::mem::replace(&mut secured.authority, new);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while secured.connect(TLS13, b"http/1.1", None).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the new certificate is not used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    secured.authority = old;
    assert!(secured.connect(TLS13, b"http/1.1", None).await.is_err(), "who trusts another is not served");
}

#[tokio::test]
async fn where_clients_must_show_a_certificate_nobody_is_answered_without() {
    let clients = Authority::new();
    let secured = Secured::new("clients", false, Some(&clients)).await;
    assert!(secured.answers(Some(&clients.issue("app"))).await);
    for identity in [None, Some(Authority::new().issue("app"))] {
        assert!(!secured.answers(identity.as_ref()).await);
    }
}

#[tokio::test]
async fn the_authority_of_clients_is_read_again_and_what_is_none_changes_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    let secured = Secured::new("authority", false, Some(&old)).await;
    let path = secured.files.client_ca.clone().unwrap();
    let (before, after) = (old.issue("app"), new.issue("app"));
    let stands = async || {
        // Longer than it takes to be looked at several times.
        for _ in 0..6 {
            assert!(secured.answers(Some(&before)).await);
            assert!(!secured.answers(Some(&after)).await && !secured.answers(None).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    stands().await;
    let half = &new.pem[..new.pem.len() / 2];
    for broken in ["", half, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&path, broken).unwrap();
        stands().await;
    }
    std::fs::remove_file(&path).unwrap();
    stands().await;
    let taken = async |what: &str, identity: &(String, String)| {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while !secured.answers(Some(identity)).await {
            assert!(tokio::time::Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // While certificates are exchanged both are good.
    std::fs::write(&path, format!("{}{}", old.pem, new.pem)).unwrap();
    taken("the new authority is not known", &after).await;
    assert!(secured.answers(Some(&before)).await);
    let third = Authority::new();
    std::fs::write(&path, format!("{}{}", new.pem, third.pem)).unwrap();
    taken("the file is not read again", &third.issue("app")).await;
    assert!(secured.answers(Some(&after)).await);
    assert!(!secured.answers(Some(&before)).await, "of the old authority");
    assert!(!secured.answers(None).await);
}

#[tokio::test]
async fn files_that_are_no_certificate_are_said_at_the_start() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("tls-none");
    std::fs::create_dir_all(&folder).unwrap();
    let files = TlsFiles {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
        client_ca: None,
        with_tls12: false,
        check: Duration::from_secs(5),
    };
    let (cert, _) = Authority::new().issue("localhost");
    let (_, other_key) = Authority::new().issue("localhost");
    for (pair, said) in [((String::new(), other_key.clone()), "holds none"), ((cert, other_key), "")] {
        write(&files, &pair);
        let error = format!("{:#}", Tls::load(files.clone()).await.unwrap_err());
        assert!(error.contains(said), "{error}");
    }
    std::fs::remove_file(&files.key).unwrap();
    let error = format!("{:#}", Tls::load(files).await.unwrap_err());
    assert!(error.contains("cannot read") && error.contains("key.pem"), "{error}");
}

#[tokio::test]
async fn a_connection_that_brings_no_request_is_closed() {
    let limits = Limits { read_timeout: Duration::from_millis(300), ..Limits::default() };
    let secured = Secured::within(limits, "silent", false, None).await;
    let mut silent = secured.connect(rustls::DEFAULT_VERSIONS, b"http/1.1", None).await.unwrap();
    let plain = World::with_limits(limits).await;
    let mut sent = Vec::new();
    // With nothing, and with a beginning of HTTP/2 that could go on.
    for beginning in ["", "PRI * HT"] {
        let mut stream = TcpStream::connect(plain.address).await.unwrap();
        stream.write_all(beginning.as_bytes()).await.unwrap();
        sent.push(stream);
    }
    let mut rest = Vec::new();
    for stream in &mut sent {
        // With or without a good-bye: the connection is over.
        let _over = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest))
            .await
            .expect("it is held open");
    }
    let _over = tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut rest))
        .await
        .expect("it is held open");
    assert!(rest.is_empty(), "{rest:?}");
}

//! Certificates that change while they are used.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use petty_chassis::config::Environment;
use petty_chassis::{Shutdown, Tasks};
use petty_proto::auth::v1::GetMeRequest;
use rcgen::date_time_ymd;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::{Authority, mesh};
use crate::fixture::{Act, Node, Stub, client, eventually};

/// The three files of a service, which are looked at often.
struct Files {
    environment: Environment,
    cert: PathBuf,
    key: PathBuf,
    ca: PathBuf,
    _dir: TempDir,
}

impl Files {
    fn new(authority: &Authority, name: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let mut environment = authority.environment(&[name]).with("PETTY_TLS_CHECK", "50ms");
        let [cert, key, ca] = ["CERT", "KEY", "CA"].map(|part| {
            let (variable, path) = (format!("PETTY_TLS_{part}_FILE"), dir.path().join(part));
            std::fs::copy(environment.get(&variable).unwrap(), &path).unwrap();
            environment.set(variable, path.to_str().unwrap());
            path
        });
        Self { environment, cert, key, ca, _dir: dir }
    }

    /// Another certificate, put where the one before was.
    fn renew(&self, authority: &Authority, name: &str) -> CertificateDer<'static> {
        let (cert, key) = authority.issue(&[name], |_| {});
        std::fs::write(&self.key, &key).unwrap();
        std::fs::write(&self.cert, &cert).unwrap();
        CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()
    }

    fn trust(&self, authorities: &[&Authority]) {
        let all: Vec<&str> = authorities.iter().map(|authority| authority.pem.as_str()).collect();
        std::fs::write(&self.ca, all.join("\n")).unwrap();
    }
}

/// Connects as a client of ours would, with a certificate of `theirs`, trusting `trusted`: the server's certificate, if each
/// takes the other.
async fn shake_hands(
    node: &Node,
    theirs: &Authority,
    trusted: &[&Authority],
) -> Option<CertificateDer<'static>> {
    let mut roots = RootCertStore::empty();
    for authority in trusted {
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    }
    let (cert, key) = theirs.issue(&["gateway"], |_| {});
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(node.address).await.ok()?;
    let mut stream = connector.connect(ServerName::try_from("auth").unwrap(), stream).await.ok()?;
    let certificate = stream.get_ref().1.peer_certificates()?.first()?.clone().into_owned();
    // In TLS 1.3 a client hears of its refusal only once it reads: the server's settings, or an end.
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut byte)).await.ok()?;
    read.ok().map(|_| certificate)
}

/// Calls without a pause, until told to stop; any failure is one.
struct Load {
    over: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Option<()>>>,
}

impl Load {
    fn on(mesh: &petty_chassis::grpc::Mesh) -> Self {
        let (over, calls): (Arc<AtomicBool>, Arc<AtomicUsize>) = Default::default();
        let tasks = Tasks::new(Shutdown::new());
        let callers = (0..4).map(|_| {
            let (mut client, over, calls) = (client(mesh), over.clone(), calls.clone());
            tasks.spawn("caller", async move {
                while !over.load(Ordering::Acquire) {
                    client.get_me(GetMeRequest {}).await.unwrap();
                    calls.fetch_add(1, Ordering::AcqRel);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
        });
        let callers = callers.collect();
        Self { over, calls, callers }
    }

    /// Waits until some more calls were answered.
    async fn goes_on(&self) {
        let enough = self.calls.load(Ordering::Acquire) + 20;
        eventually("calls are answered", || async { self.calls.load(Ordering::Acquire) >= enough }).await;
    }

    async fn end(self) {
        self.over.store(true, Ordering::Release);
        for caller in self.callers {
            assert!(caller.await.unwrap().is_some(), "a caller has failed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_changes_is_read_again_and_no_call_is_lost() {
    let authority = Authority::new();
    let (server, caller) = (Files::new(&authority, "auth"), Files::new(&authority, "gateway"));
    let node = Node::start(&server.environment, vec![Act::Answer]).await;
    let gateway = mesh(caller.environment.clone(), "gateway", &node);
    let load = Load::on(&gateway);
    load.goes_on().await;
    for _ in 0..3 {
        let renewed = server.renew(&authority, "auth");
        caller.renew(&authority, "gateway");
        eventually("the server shows its new certificate", || async {
            shake_hands(&node, &authority, &[&authority]).await.as_ref() == Some(&renewed)
        })
        .await;
        load.goes_on().await;
    }
    load.end().await;
    assert!(node.stub.seen().iter().all(|seen| seen.service == "gateway"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_follow_each_other_with_an_overlap() {
    let (old, new) = (Authority::new(), Authority::new());
    let (server, caller) = (Files::new(&old, "auth"), Files::new(&old, "gateway"));
    let node = Node::start(&server.environment, vec![Act::Answer]).await;
    let gateway = mesh(caller.environment.clone(), "gateway", &node);
    let load = Load::on(&gateway);
    assert!(shake_hands(&node, &old, &[&old]).await.is_some());
    assert!(shake_hands(&node, &new, &[&old]).await.is_none(), "it is not trusted yet");
    // Both are trusted; then certificates of the new one; then it alone.
    for files in [&server, &caller] {
        files.trust(&[&old, &new]);
    }
    eventually("the new authority is trusted too", || async {
        shake_hands(&node, &new, &[&old]).await.is_some() && shake_hands(&node, &old, &[&old]).await.is_some()
    })
    .await;
    load.goes_on().await;
    server.renew(&new, "auth");
    caller.renew(&new, "gateway");
    eventually("the server is of the new authority", || async {
        shake_hands(&node, &new, &[&new]).await.is_some()
    })
    .await;
    for files in [&server, &caller] {
        files.trust(&[&new]);
    }
    eventually("the old authority is trusted no more", || async {
        shake_hands(&node, &old, &[&new]).await.is_none() && shake_hands(&node, &new, &[&new]).await.is_some()
    })
    .await;
    load.goes_on().await;
    load.end().await;

    // Another server in its place, that knows the new authority alone: the caller, which began with the old one, is known.
    let address = node.address.to_string();
    drop(node);
    let environment = server.environment.clone().with("PETTY_GRPC_LISTEN", address.as_str());
    eventually("the port is free again", || async { tokio::net::TcpListener::bind(&address).await.is_ok() })
        .await;
    let node = Node::start_as("auth", &environment, Stub::new(vec![Act::Answer])).await;
    eventually("the caller connects anew", || async {
        client(&gateway).get_me(GetMeRequest {}).await.is_ok()
    })
    .await;
    assert_eq!(node.stub.seen()[0].service, "gateway");
}

#[tokio::test]
async fn files_that_do_not_fit_together_change_nothing() {
    let authority = Authority::new();
    let server = Files::new(&authority, "auth");
    let node = Node::start(&server.environment, vec![Act::Answer]).await;
    let shown = shake_hands(&node, &authority, &[&authority]).await.unwrap();
    let (_, foreign) = authority.issue(&["auth"], |_| {});
    let (cert, key) = (std::fs::read(&server.cert).unwrap(), std::fs::read(&server.key).unwrap());
    for (path, text) in [
        (&server.key, foreign.as_str()),
        (&server.key, "garbage"),
        (&server.cert, ""),
        (&server.cert, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        (&server.ca, ""),
    ] {
        std::fs::write(path, text).unwrap();
        // Looked at several times.
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(shake_hands(&node, &authority, &[&authority]).await.as_ref(), Some(&shown), "{text}");
        std::fs::write(&server.cert, &cert).unwrap();
        std::fs::write(&server.key, &key).unwrap();
        server.trust(&[&authority]);
    }
    let renewed = server.renew(&authority, "auth");
    eventually("what fits is read again", || async {
        shake_hands(&node, &authority, &[&authority]).await.as_ref() == Some(&renewed)
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_not_valid_yet_is_refused_on_either_side() {
    let authority = Authority::new();
    let (good, caller) = (Files::new(&authority, "auth"), Files::new(&authority, "gateway"));
    let node = Node::start(&good.environment, vec![Act::Answer]).await;
    let server = Files::new(&authority, "auth");
    for (from, until) in [((2020, 1), (2021, 1)), ((2090, 1), (2091, 1))] {
        let write = |files: &Files, name: &str| {
            let (cert, key) = authority.issue(&[name], |params| {
                params.not_before = date_time_ymd(from.0, from.1, 1);
                params.not_after = date_time_ymd(until.0, until.1, 1);
            });
            std::fs::write(&files.cert, cert).unwrap();
            std::fs::write(&files.key, key).unwrap();
        };
        write(&caller, "gateway");
        let refused =
            client(&mesh(caller.environment.clone(), "gateway", &node)).get_me(GetMeRequest {}).await;
        assert!(refused.is_err(), "the caller's is refused");
        caller.renew(&authority, "gateway");
        client(&mesh(caller.environment.clone(), "gateway", &node)).get_me(GetMeRequest {}).await.unwrap();

        write(&server, "auth");
        let node = Node::start(&server.environment, vec![Act::Answer]).await;
        let refused =
            client(&mesh(caller.environment.clone(), "gateway", &node)).get_me(GetMeRequest {}).await;
        assert!(refused.is_err(), "the server's is refused");
        assert!(node.stub.seen().is_empty());
    }
}

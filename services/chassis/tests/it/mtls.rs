//! Services that prove themselves by certificate.

mod changing;

use petty_chassis::config::Environment;
use petty_chassis::grpc::Mesh;
use petty_proto::auth::v1::GetMeRequest;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use tonic::Code;

use crate::fixture::{Act, Node, client, context, reason};

/// An authority and where its certificates lie.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
    files: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, files: TempDir::new().unwrap() }
    }

    /// A certificate of these names and its key, PEM.
    pub(crate) fn issue(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// What a service with a certificate of these names needs to be set.
    fn environment(&self, names: &[&str]) -> Environment {
        let (certificate, key) = self.issue(names, |_| {});
        let mut environment = Environment::default()
            .with("PETTY_GRPC_LISTEN", "127.0.0.1:0")
            .with("PETTY_ADMIN_LISTEN", "127.0.0.1:0");
        for (part, text) in [("CERT", certificate), ("KEY", key), ("CA", self.pem.clone())] {
            let path = self.files.path().join(format!("{}-{part}.pem", names.join("_")));
            std::fs::write(&path, text).unwrap();
            environment.set(format!("PETTY_TLS_{part}_FILE"), path.to_str().unwrap());
        }
        environment
    }
}

fn mesh(environment: Environment, service: &'static str, node: &Node) -> Mesh {
    let uri = format!("https://{}", node.address);
    Mesh::new(&context(service, &environment.with("PETTY_ENDPOINT_AUTH", uri))).unwrap()
}

#[tokio::test]
async fn a_certificate_says_which_service_is_calling() {
    let authority = Authority::new();
    let node = Node::start(&authority.environment(&["auth"]), vec![Act::Answer]).await;
    let gateway = mesh(authority.environment(&["gateway.petty.svc"]), "gateway", &node);
    client(&gateway).get_me(GetMeRequest {}).await.unwrap();
    assert_eq!(node.stub.seen()[0].service, "gateway");

    let ingest = mesh(authority.environment(&["ingest"]), "gateway", &node);
    let refused = client(&ingest).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "SERVICE_NOT_ALLOWED"));

    let nobody = mesh(authority.environment(&["example.com"]), "gateway", &node);
    let refused = client(&nobody).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "SERVICE_UNKNOWN"));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_on_either_side() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let node = Node::start(&ours.environment(&["auth"]), vec![Act::Answer]).await;
    // A client that trusts our authority, with a certificate of theirs.
    let mut impostor = theirs.environment(&["gateway"]);
    impostor.set("PETTY_TLS_CA_FILE", ours.files.path().join("auth-CA.pem").to_str().unwrap());
    // And one that does not trust ours.
    let distrustful = theirs.environment(&["gateway"]);
    for environment in [impostor, distrustful] {
        let refused = client(&mesh(environment, "gateway", &node)).get_me(GetMeRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    }
    assert!(node.stub.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_is_another_service_is_not_called() {
    let authority = Authority::new();
    let node = Node::start(&authority.environment(&["timeline"]), vec![Act::Answer]).await;
    let gateway = mesh(authority.environment(&["gateway"]), "gateway", &node);
    let refused = client(&gateway).get_me(GetMeRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    assert!(node.stub.seen().is_empty());
}

#[tokio::test]
async fn without_tls_nothing_is_understood() {
    let authority = Authority::new();
    let node = Node::start(&authority.environment(&["auth"]), vec![Act::Answer]).await;
    let plain =
        tonic::transport::Endpoint::from_shared(format!("http://{}", node.address)).unwrap().connect_lazy();
    let mut plain = petty_proto::auth::v1::account_service_client::AccountServiceClient::new(plain);
    assert!(plain.get_me(GetMeRequest {}).await.is_err());
    assert!(node.stub.seen().is_empty());
}

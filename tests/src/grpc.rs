//! gRPC as any service could speak it: straight to another one, with whatever service token and user token a test likes.

use std::collections::BTreeMap;
use std::time::Duration;

use petty::mesh::{Keys, Plan, SERVICES};
use petty_chassis::grpc::identity::Minter;
use petty_chassis::types::Clock;
use petty_gateway::AsBytes;
use petty_proto::policy::MethodPolicy;
use prost_reflect::prost::bytes::Bytes;
use secrecy::SecretString;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::mesh::Mesh;

/// The metadata key of a service's token.
const SERVICE_TOKEN: &str = "petty-service-token";

/// Connections to every service.
#[derive(Clone, Debug)]
pub struct Grpc {
    channels: BTreeMap<&'static str, Channel>,
}

/// What a call was answered.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The status' code.
    pub code: Code,
    /// The reason that its `ErrorInfo` names.
    pub reason: String,
    /// Its text.
    pub message: String,
    /// The answer's bytes; of a stream nothing, and of one that answers a stream its first message.
    pub answer: Bytes,
}

/// What a call says of who it is from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The calling service's proof.
    pub service: Option<&'a str>,
    /// The whole `authorization`.
    pub authorization: Option<&'a str>,
}

impl Grpc {
    /// Connects when first called.
    ///
    /// # Panics
    /// Where an address is none.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let channel = |service: &'static str| {
            let uri = format!("http://{}", plan.replicas[service][0].grpc);
            (service, Endpoint::from_shared(uri).expect("an address").connect_lazy())
        };
        Self { channels: SERVICES.into_iter().map(channel).collect() }
    }

    /// As [`Grpc::call`], again and again where it could not be answered just now.
    pub async fn call_patiently(
        &self,
        method: (&'static str, &MethodPolicy),
        credentials: Credentials<'_>,
        message: Bytes,
    ) -> Outcome {
        let mut outcome = self.call(method, credentials, &[], message.clone()).await;
        for _ in 0..20 {
            if !matches!(outcome.code, Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
            outcome = self.call(method, credentials, &[], message.clone()).await;
        }
        outcome
    }

    /// Calls a method with a message that is encoded already. A stream is opened and let go; where messages are sent by stream,
    /// this is the one there is.
    pub async fn call(
        &self,
        (target, policy): (&'static str, &MethodPolicy),
        credentials: Credentials<'_>,
        metadata: &[(&'static str, &str)],
        message: Bytes,
    ) -> Outcome {
        let mut request = Request::new(message);
        for (name, value) in credentials
            .service
            .map(|token| (SERVICE_TOKEN, token))
            .into_iter()
            .chain(credentials.authorization.map(|value| ("authorization", value)))
            .chain(metadata.iter().copied())
        {
            // What no header can hold, no attacker can send.
            let Ok(value) = MetadataValue::try_from(value) else {
                return outcome(Err(Status::unauthenticated("not a header")));
            };
            request.metadata_mut().insert(name, value);
        }
        let mut client = tonic::client::Grpc::new(self.channels[target].clone());
        if let Err(error) = client.ready().await {
            return outcome(Err(Status::unavailable(error.to_string())));
        }
        let path = PathAndQuery::from_static(policy.path);
        if policy.takes_stream {
            let request = request.map(|message| futures::stream::iter([message]));
            return outcome(first(client.streaming(request, path, AsBytes).await).await);
        }
        if policy.streams {
            let opened = client.server_streaming(request, path, AsBytes).await;
            return outcome(opened.map(|_stream| Bytes::new()));
        }
        outcome(client.unary(request, path, AsBytes).await.map(tonic::Response::into_inner))
    }
}

/// The first answer of a stream, or why there is none.
async fn first(opened: Result<tonic::Response<tonic::Streaming<Bytes>>, Status>) -> Result<Bytes, Status> {
    Ok(opened?.into_inner().message().await?.unwrap_or_default())
}

fn outcome(answer: Result<Bytes, Status>) -> Outcome {
    use tonic_types::StatusExt as _;
    match answer {
        Ok(answer) => Outcome { code: Code::Ok, reason: String::new(), message: String::new(), answer },
        Err(status) => {
            let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
            Outcome {
                code: status.code(),
                reason,
                message: status.message().to_owned(),
                answer: Bytes::new(),
            }
        }
    }
}

/// The private key, PEM, of a service of the mesh, or of its operator.
///
/// # Panics
/// Where it has none.
#[must_use]
pub fn service_key(mesh: &Mesh, service: &str) -> SecretString {
    let keys = Keys::load_or_make(&mesh.stack.data_dir().join("keys.json")).expect("keys");
    keys.private(service).expect("a key")
}

/// The proof that a service of the mesh, or its operator, is calling another.
///
/// # Panics
/// Where there is no key of it.
#[must_use]
pub fn service_token(mesh: &Mesh, service: &'static str, target: &str) -> String {
    let minter = Minter::new(service, &service_key(mesh, service), Clock::system()).expect("a key");
    minter.token(target).expect("a token").to_str().expect("a header").to_owned()
}

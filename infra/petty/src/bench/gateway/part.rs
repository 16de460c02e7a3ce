//! The processes that `bench gateway` is made of, each this program over again: so that the processor time and the memory
//! of each are its own.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Json, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::serve::ListenerExt as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use petty_chassis::{Shutdown, Tasks};
use petty_gateway::{Bare, Gateway, Upstreams};
use petty_proto::auth::v1::{GetJwksRequest, Jwk, Jwks};
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::ingest_service_client::IngestServiceClient;
use petty_proto::ingest::v1::ingest_service_server::{IngestService, IngestServiceServer};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::transport::{Channel, Server};

use crate::bench::edge;
use crate::cli::Part;
use crate::mesh::SERVICES;

/// Is this part, until it is ended, or the bench is that it is a part of.
pub(super) async fn run(part: &Part) -> anyhow::Result<ExitCode> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    match part {
        Part::Backend { listen, jwk } => backend(*listen, serde_json::from_str(jwk)?).await?,
        // The very service, with its own runtime, configured by the environment as everywhere.
        Part::Gateway => return Ok(tokio::task::spawn_blocking(petty_chassis::main::<Gateway>).await?),
        Part::Ingest => {
            return Ok(tokio::task::spawn_blocking(petty_chassis::main::<petty_ingest::Ingest>).await?);
        }
        Part::Behavior => {
            return Ok(tokio::task::spawn_blocking(petty_chassis::main::<petty_behavior::Behavior>).await?);
        }
        Part::Bare { listen, upstream } => bare(*listen, upstream).await?,
        Part::ByHand { listen, upstream } => by_hand(*listen, upstream).await?,
        Part::Load(load) => super::load::run(load).await?,
        Part::Still { listen } => edge::still(*listen).await?,
        Part::Neighbour(neighbour) => edge::neighbour(neighbour).await?,
        Part::Trouble(trouble) => edge::trouble(trouble).await?,
        Part::Idle(idle) => edge::idle(idle).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The service behind all ways: it decodes and answers. And what the gateway needs of auth: the keys.
async fn backend(listen: SocketAddr, jwk: Jwk) -> anyhow::Result<()> {
    Server::builder()
        .tcp_nodelay(true)
        .add_service(IngestServiceServer::new(Backend))
        .add_service(KeysAlone(Arc::new(Jwks { keys: vec![jwk] })))
        .serve(listen)
        .await?;
    Ok(())
}

struct Backend;

#[tonic::async_trait]
impl IngestService for Backend {
    async fn ingest_reading(
        &self,
        _: tonic::Request<wire::IngestReadingRequest>,
    ) -> Result<tonic::Response<wire::IngestReadingResponse>, tonic::Status> {
        let answer = wire::IngestReadingResponse { success: true, accepted: 1, duplicates: 0 };
        Ok(tonic::Response::new(answer))
    }

    async fn ingest_readings(
        &self,
        request: tonic::Request<wire::IngestReadingsRequest>,
    ) -> Result<tonic::Response<wire::IngestReadingsResponse>, tonic::Status> {
        let accepted = i32::try_from(request.get_ref().readings.len()).unwrap_or(i32::MAX);
        let answer = wire::IngestReadingsResponse { accepted, ..wire::IngestReadingsResponse::default() };
        Ok(tonic::Response::new(answer))
    }
}

/// `TokenService`, of which only the keys are asked for.
#[derive(Clone)]
struct KeysAlone(Arc<Jwks>);

impl tonic::server::NamedService for KeysAlone {
    const NAME: &'static str = "petty.auth.v1.TokenService";
}

impl tower::Service<axum::http::Request<Body>> for KeysAlone {
    type Response = axum::http::Response<Body>;
    type Error = Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<Body>) -> Self::Future {
        let keys = self.clone();
        Box::pin(async move {
            if !request.uri().path().ends_with("/GetJwks") {
                return Ok(tonic::Status::unimplemented("only the keys").into_http());
            }
            let codec = tonic_prost::ProstCodec::<Jwks, GetJwksRequest>::default();
            Ok(tonic::server::Grpc::new(codec).unary(keys, request).await)
        })
    }
}

impl tonic::server::UnaryService<GetJwksRequest> for KeysAlone {
    type Response = Jwks;
    type Future = Ready<Result<tonic::Response<Jwks>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<GetJwksRequest>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.as_ref().clone())))
    }
}

/// The gateway's translation, with nothing around it.
async fn bare(listen: SocketAddr, upstream: &str) -> anyhow::Result<()> {
    let channel = connect(upstream).await?;
    let upstreams = SERVICES
        .into_iter()
        .fold(Upstreams::default(), |upstreams, service| upstreams.with(service, channel.clone()));
    let bare = Arc::new(Bare::new(upstreams)?);
    let listener = TcpListener::bind(listen).await?;
    let tasks = Tasks::new(Shutdown::new());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let bare = Arc::clone(&bare);
        let service = service_fn(move |request| {
            let bare = Arc::clone(&bare);
            async move { Ok::<_, Infallible>(bare.answer(request).await) }
        });
        drop(
            tasks.spawn("connection", http1::Builder::new().serve_connection(TokioIo::new(stream), service)),
        );
    }
}

/// What somebody writes who needs these two routes and no more.
async fn by_hand(listen: SocketAddr, upstream: &str) -> anyhow::Result<()> {
    let client = IngestServiceClient::new(connect(upstream).await?);
    let router = Router::new()
        .route("/v1/ingest", post(one))
        .route("/v1/ingest:batch", post(many))
        .layer(DefaultBodyLimit::max(4 << 20))
        .with_state(client);
    let listener = TcpListener::bind(listen).await?.tap_io(|stream| {
        // Without it, answers are late and not wrong.
        let _late = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, router).await?)
}

type Ingest = State<IngestServiceClient<Channel>>;

async fn one(
    State(mut client): Ingest,
    headers: HeaderMap,
    Json(reading): Json<wire::IngestReadingRequest>,
) -> Response {
    match client.ingest_reading(forward(&headers, reading)).await {
        Ok(answer) => (StatusCode::CREATED, Json(answer.into_inner())).into_response(),
        Err(status) => (StatusCode::BAD_GATEWAY, status.message().to_owned()).into_response(),
    }
}

async fn many(
    State(mut client): Ingest,
    headers: HeaderMap,
    Json(readings): Json<wire::IngestReadingsRequest>,
) -> Response {
    match client.ingest_readings(forward(&headers, readings)).await {
        Ok(answer) => Json(answer.into_inner()).into_response(),
        Err(status) => (StatusCode::BAD_GATEWAY, status.message().to_owned()).into_response(),
    }
}

fn forward<M>(headers: &HeaderMap, message: M) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()?.parse().ok());
    if let Some(authorization) = authorization {
        request.metadata_mut().insert("authorization", authorization);
    }
    request
}

async fn connect(upstream: &str) -> anyhow::Result<Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(upstream.to_owned())?.tcp_nodelay(true);
    endpoint.connect().await.with_context(|| format!("connect to {upstream}"))
}

//! A gateway on a port of its own, who may call it, and a client.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use petty_chassis::admin::{AdminServer, Readiness, Surface};
use petty_chassis::caller::{Claims, DeviceClaims, KeySource, TOKEN_TYPE, Verifier};
use petty_chassis::types::{AccountId, Clock, PetId, SessionId};
use petty_chassis::{ApiError, Shutdown, Tasks};
use petty_gateway::{Door, Edge, Limits, Process, Tls, Upstreams, offer_to_staff, serve};
use petty_proto::auth::v1::{Jwk, Jwks};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::reader::Reader;
use crate::stand_in::StandIn;

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(so: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let place = std::panic::Location::caller();
    let mut so = so;
    async move {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while !so() {
            assert!(tokio::time::Instant::now() < deadline, "{place}: it did not come to be so");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A gateway, and what it needs.
pub(crate) struct World {
    pub(crate) address: std::net::SocketAddr,
    /// The admin port.
    pub(crate) admin: std::net::SocketAddr,
    pub(crate) services: StandIn,
    pub(crate) shutdown: Shutdown,
    pub(crate) tasks: Tasks,
    pub(crate) readiness: Readiness,
    client: Client<HttpConnector, Full<Bytes>>,
    key: EncodingKey,
    pub(crate) clock: Clock,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {:?}", self.bytes))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The status and the code of a problem, which must be whole.
    #[track_caller]
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let body = self.json();
        assert_eq!(body["type"], "about:blank");
        assert_eq!(body["status"], self.status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_eq!(body["error"], body["detail"], "the older clients' text");
        assert!(body["title"].is_string() && body["errors"].is_array());
        (self.status, body["code"].as_str().unwrap().to_owned())
    }
}

struct Keys(Jwks);

#[async_trait]
impl KeySource for Keys {
    async fn keys(&self) -> Result<Jwks, ApiError> {
        Ok(self.0.clone())
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::before(limits, StandIn::upstreams).await
    }

    /// Before upstreams that are reached another way than directly.
    pub(crate) async fn before(limits: Limits, upstreams: impl FnOnce(&StandIn) -> Upstreams) -> Self {
        Self::dressed(limits, upstreams, |edge, _, _| edge).await
    }

    /// With an edge that has more to it.
    pub(crate) async fn dressed(
        limits: Limits,
        upstreams: impl FnOnce(&StandIn) -> Upstreams,
        dress: impl FnOnce(Edge, &Tasks, &Shutdown) -> Edge,
    ) -> Self {
        Self::behind(limits, upstreams, dress, None).await
    }

    /// And with TLS.
    pub(crate) async fn behind(
        limits: Limits,
        upstreams: impl FnOnce(&StandIn) -> Upstreams,
        dress: impl FnOnce(Edge, &Tasks, &Shutdown) -> Edge,
        tls: Option<Arc<Tls>>,
    ) -> Self {
        let clock = Clock::manual("2026-11-21T12:00:00Z".parse().unwrap());
        let document = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        let jwk = Jwk {
            kty: "OKP".to_owned(),
            kid: "k1".to_owned(),
            r#use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(pair.public_key().as_ref())),
            ..Jwk::default()
        };
        let keys = Keys(Jwks { keys: vec![jwk] });
        let verifier = Verifier::new(Box::new(keys), "petty", "petty", clock.clone());
        let services = StandIn::default();
        let shutdown = Shutdown::new();
        let readiness = Readiness::new(shutdown.clone());
        let tasks = Tasks::new(shutdown.clone());
        let process = Process {
            readiness: readiness.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        let edge = Edge::new(upstreams(&services), verifier, process, limits).unwrap();
        let edge = dress(edge, &tasks, &shutdown);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let edge = Arc::new(edge);
        let surface = Surface::default();
        offer_to_staff(&surface, &edge);
        let admin = AdminServer::bind("127.0.0.1:0".parse().unwrap(), readiness.clone()).await.unwrap();
        let admin_address = admin.address();
        let admin = admin.with(surface);
        drop(tasks.spawn("admin", admin.serve(shutdown.draining())));
        if let Some(tls) = &tls {
            tls.watch(&tasks, &shutdown);
        }
        let (inner_tasks, inner_shutdown) = (tasks.clone(), shutdown.clone());
        drop(tasks.spawn("gateway", async move {
            serve(Door { listener, tls }, edge, &inner_tasks, &inner_shutdown).await;
        }));
        readiness.started();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let key = EncodingKey::from_ed_der(document.as_ref());
        Self { address, admin: admin_address, services, shutdown, tasks, readiness, client, key, clock }
    }

    /// The header of an account's token.
    pub(crate) fn account(&self, scope: &str) -> String {
        self.bearer(self.claims(scope))
    }

    /// The header of this account's token.
    pub(crate) fn account_of(&self, account: AccountId, scope: &str) -> String {
        self.bearer(Claims { sub: account.to_string(), ..self.claims(scope) })
    }

    /// The header of an account's token that has expired.
    pub(crate) fn expired(&self) -> String {
        let exp = self.clock.now().as_second() - 60;
        self.bearer(Claims { exp, ..self.claims("read write") })
    }

    /// The header of an access token that was made from a personal one.
    pub(crate) fn integration(&self, scope: &str) -> String {
        self.bearer(Claims { integration: true, ..self.claims(scope) })
    }

    /// The header of a token of somebody who has platform roles.
    pub(crate) fn staff(&self, scope: &str, roles: &[&str]) -> String {
        let roles = roles.iter().map(|&role| role.to_owned()).collect();
        self.bearer(Claims { roles, ..self.claims(scope) })
    }

    /// The header of a collar's token.
    pub(crate) fn collar(&self, scope: &str) -> String {
        self.collar_named("SN-1A4B7C-9Z", scope)
    }

    /// The header of the token of a collar with this id.
    pub(crate) fn collar_named(&self, id: &str, scope: &str) -> String {
        let device = DeviceClaims { pet: PetId::new(&self.clock), account: AccountId::new(&self.clock) };
        self.bearer(Claims { sub: id.to_owned(), device: Some(device), ..self.claims(scope) })
    }

    /// What an account's token says.
    fn claims(&self, scope: &str) -> Claims {
        let now = self.clock.now().as_second();
        Claims {
            iss: "petty".to_owned(),
            aud: "petty".to_owned(),
            sub: AccountId::new(&self.clock).to_string(),
            exp: now + 900,
            nbf: now - 120,
            iat: now - 120,
            jti: "j1".to_owned(),
            scope: scope.to_owned(),
            roles: Vec::new(),
            sid: SessionId::new(&self.clock),
            integration: false,
            device: None,
        }
    }

    fn bearer(&self, claims: Claims) -> String {
        let header = Header {
            typ: Some(TOKEN_TYPE.to_owned()),
            kid: Some("k1".to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        format!("Bearer {}", jsonwebtoken::encode(&header, &claims, &self.key).unwrap())
    }

    /// A request with these headers; a body is JSON unless they say otherwise.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.send_with((&self.client, self.address), method, target, headers, body).await
    }

    /// The status over a connection of its own, where one is accepted.
    pub(crate) async fn send_fresh(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Option<u16> {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = client.request(request.body(Full::default()).unwrap()).await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// Sends to the admin port.
    pub(crate) async fn send_to_admin(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        self.send_with((&self.client, self.admin), method, target, headers, body).await
    }

    /// Sends over HTTP/2 by prior knowledge.
    pub(crate) async fn send_h2(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        self.send_with((&client, self.address), method, target, headers, "").await
    }

    /// Opens a stream, which must succeed.
    pub(crate) async fn stream(&self, target: &str, headers: &[(&str, &str)]) -> Reader {
        self.stream_with(&self.client, target, headers).await
    }

    /// The same over HTTP/2.
    pub(crate) async fn stream_h2(&self, target: &str, headers: &[(&str, &str)]) -> Reader {
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        self.stream_with(&client, target, headers).await
    }

    async fn stream_with(
        &self,
        client: &Client<HttpConnector, Full<Bytes>>,
        target: &str,
        headers: &[(&str, &str)],
    ) -> Reader {
        let mut request = Request::builder().uri(format!("http://{}{target}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sent = client.request(request.body(Full::default()).unwrap());
        let response =
            tokio::time::timeout(Duration::from_secs(10), sent).await.expect("a head in time").unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, 200);
        Reader::new(parts.headers, body)
    }

    async fn send_with(
        &self,
        (client, address): (&Client<HttpConnector, Full<Bytes>>, std::net::SocketAddr),
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let body: Bytes = body.into();
        let mut request = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(format!("http://{address}{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_empty() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let sent = client.request(request.body(Full::new(body)).unwrap());
        let response =
            tokio::time::timeout(Duration::from_secs(20), sent).await.expect("an answer in time").unwrap();
        let (parts, body) = response.into_parts();
        let whole = tokio::time::timeout(Duration::from_secs(20), body.collect());
        let bytes = whole.await.expect("the whole answer in time").unwrap().to_bytes();
        for name in
            ["x-request-id", "x-correlation-id", "x-content-type-options", "cache-control", "x-frame-options"]
        {
            assert!(parts.headers.contains_key(name), "{method} {target}: no {name}");
        }
        Reply { status: StatusCode::as_u16(&parts.status), headers: parts.headers, bytes }
    }
}

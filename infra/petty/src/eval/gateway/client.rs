//! One request, one connection, one answer.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use axum::http::{Request, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::requests::Case;

/// An answer must be there within this time.
const WITHIN: Duration = Duration::from_secs(20);

/// What was answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The verbs that `Allow` names.
    pub(super) allow: String,
    pub(super) body: Bytes,
}

impl Reply {
    /// Its JSON, where it is some.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Sends it.
pub(super) async fn send(address: SocketAddr, case: &Case, token: &str) -> anyhow::Result<Reply> {
    tokio::time::timeout(WITHIN, exchange(address, case, token)).await.context("no answer in time")?
}

async fn exchange(address: SocketAddr, case: &Case, token: &str) -> anyhow::Result<Reply> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::builder()
        .method(case.verb)
        .uri(&case.target)
        .header(header::HOST, "petty.example")
        .header(header::AUTHORIZATION, format!("Bearer {token}"));
    if let Some(kind) = case.content_type {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let request = request.body(Full::new(Bytes::from(case.body.clone())))?;
    let asking = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        let allow =
            parts.headers.get(header::ALLOW).and_then(|value| value.to_str().ok()).unwrap_or_default();
        anyhow::Ok(Reply { status: parts.status.as_u16(), allow: allow.to_owned(), body })
    };
    // The connection is driven for as long as somebody waits for its answer.
    tokio::pin!(connection);
    tokio::pin!(asking);
    let mut open = true;
    loop {
        tokio::select! {
            reply = &mut asking => return reply,
            ended = &mut connection, if open => {
                open = false;
                ended.context("the connection failed")?;
            }
        }
    }
}

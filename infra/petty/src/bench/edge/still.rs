//! A service whose streams stay open without a word, and that answers nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response, header};
use tonic::transport::Server;

pub(in crate::bench) async fn run(listen: SocketAddr) -> anyhow::Result<()> {
    let router = Router::new().fallback(answer);
    Ok(Server::builder().tcp_nodelay(true).add_routes(router.into()).serve(listen).await?)
}

async fn answer(request: Request<Body>) -> Response<Body> {
    if !request.uri().path().ends_with("/StreamTimeline") {
        std::future::pending::<()>().await;
    }
    let nothing = Body::from_stream(futures::stream::pending::<Result<Bytes, Infallible>>());
    let mut response = Response::new(nothing);
    let grpc = header::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

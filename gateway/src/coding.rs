//! Answers in fewer bytes: gzip, br or zstd, whichever the client takes.
//!
//! Invariant: nothing that holds a secret is packed together with what a client sent: how small it gets would tell of both.

use http::Response;
use http_body::Body;
use petty_proto::policy::{MethodPolicy, RateClass, Repeat};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::Predicate;

/// Below this a packed answer costs more than it saves: all of it fits in a segment.
const LEAST: u64 = 1_024;

/// What packs the answers that are worth it.
pub(crate) fn layer() -> CompressionLayer<Worth> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(Worth)
}

/// An extension of an answer that holds a secret.
#[derive(Clone, Copy, Debug)]
struct Secret;

/// Marks the answer of a method that answers secrets.
pub(crate) fn mark<B>(policy: &MethodPolicy, response: &mut Response<B>) {
    if policy.rate_class == RateClass::Credentials
        || matches!(policy.repeat, Repeat::RequestIdSecret | Repeat::NewSession)
    {
        response.extensions_mut().insert(Secret);
    }
}

/// Which answers are packed. Of a stream, whose size nobody knows, each event is to arrive when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Worth;

impl Predicate for Worth {
    fn should_compress<B: Body>(&self, response: &Response<B>) -> bool {
        response.body().size_hint().exact().is_some_and(|size| size >= LEAST)
            && response.extensions().get::<Secret>().is_none()
    }
}

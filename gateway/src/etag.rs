//! Whether a client has what it asks for already.
//!
//! Invariant: a tag is made of the answer's own bytes, which are what this caller may see of this state: two callers who see
//! different things never share one, and nobody is told that nothing changed before the service has let them read.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Response, StatusCode};
use sha2::{Digest as _, Sha256};

use crate::answer::AnswerBody;
use crate::upstream::Answer;

/// So much of the hash tells two states of one resource apart.
const KEPT: usize = 16;

/// The tag of an answer to a read.
pub(crate) fn of(answer: &Answer) -> Option<HeaderValue> {
    if answer.status != StatusCode::OK {
        return None;
    }
    of_bytes(&answer.body)
}

/// The tag of what these bytes say.
pub(crate) fn of_bytes(bytes: &[u8]) -> Option<HeaderValue> {
    let digest = Sha256::digest(bytes);
    HeaderValue::try_from(format!("W/\"{}\"", hex::encode(digest.get(..KEPT)?))).ok()
}

/// The answer with its tag: 304 and no body where the client has it.
pub(crate) fn stamp(
    headers: &HeaderMap,
    tag: Option<HeaderValue>,
    mut response: Response<AnswerBody>,
) -> Response<AnswerBody> {
    let Some(tag) = tag else { return response };
    if is_known(headers, &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = AnswerBody::default();
        response.headers_mut().remove(CONTENT_TYPE);
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response.headers_mut().insert(ETAG, tag);
    response
}

/// Whether one of the client's tags is this one; weak or strong makes no difference here (RFC 9110, 13.1.2).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let ours = opaque(tag.to_str().unwrap_or_default());
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    // Tags of ours hold no comma: what of others is cut at one is none of ours.
    lines.flat_map(|line| line.split(',')).map(str::trim).any(|one| one == "*" || opaque(one) == ours)
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

//! A request's body: whole, of the right kind, and no larger than may be, packed or unpacked.

mod room;

use std::io::Read as _;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue,
};
use http::{HeaderMap, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::problem::Problem;
pub(crate) use room::{Held, Room};

/// How much of a body that is too large is still read and thrown away, so that the client gets to read the answer.
const MOST_DISCARDED: usize = 8 << 20;

/// How much of a body that nobody asked for is read and thrown away, for how long, and how long a silence ends that, so that a
/// client which still writes it gets to read the answer.
const MOST_UNREAD: usize = 1 << 20;
const UNREAD_TIME: Duration = Duration::from_secs(10);
const UNREAD_SILENCE: Duration = Duration::from_secs(1);

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The most bytes, as sent and as unpacked.
    pub(crate) bytes: usize,
    /// The longest time that it may take to arrive.
    pub(crate) time: Duration,
}

/// What a body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// JSON, or nothing.
    Json(Bytes),
    /// `application/x-www-form-urlencoded`, which reads like a query.
    Form(Bytes),
}

impl Default for Content {
    fn default() -> Self {
        Self::Json(Bytes::new())
    }
}

/// Reads a body of JSON or, where `forms` may be, of a form, into the room that it gets. It holds that for as long as its request
/// lasts.
pub(crate) async fn read<'a, B>(
    headers: &HeaderMap,
    body: B,
    bounds: Bounds,
    forms: bool,
    mut held: Held<'a>,
) -> Result<(Content, Held<'a>), Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let packed = packed(headers)?;
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_large = declared.is_some_and(|length| length > bounds.bytes as u64);
    let expected = declared.and_then(|length| usize::try_from(length).ok()).unwrap_or(bounds.bytes);
    let (awaited, caller) = held.awaited();
    let collected = {
        let mut collecting = pin!(collect(body, bounds.bytes, too_large, |bytes| {
            if bytes > held.bytes() {
                // Twice what it was, so that there are few steps, but no more than will come.
                held.grow(bytes.max(expected.min(2 * held.bytes())))?;
            }
            Ok(held.bytes().min(expected.max(bytes)))
        }));
        match futures::poll!(collecting.as_mut()) {
            // Most come with their heads.
            Poll::Ready(collected) => collected?,
            Poll::Pending => {
                let Some(_part) = awaited.one(caller) else {
                    return Err(Problem::caller_busy(
                        "The bodies of too many of your other requests are still to come; try again once they have.",
                    ));
                };
                match tokio::time::timeout(bounds.time, collecting).await {
                    Ok(collected) => collected?,
                    Err(_) if too_large => return Err(too_large_problem(bounds.bytes)),
                    Err(_) => {
                        return Err(Problem::new(
                            StatusCode::REQUEST_TIMEOUT,
                            "REQUEST_TIMEOUT",
                            "The body took too long to arrive.",
                        ));
                    }
                }
            }
        }
    };
    let is_form = forms && is_form(headers);
    if !collected.is_empty() && !is_form {
        expect_json(headers)?;
    }
    let whole = if packed { unpack(&collected, bounds.bytes)? } else { collected };
    held.grow(whole.len())?;
    Ok((if is_form { Content::Form(whole) } else { Content::Json(whole) }, held))
}

/// Throws away what is left of a body.
pub(crate) async fn discard<B>(body: &mut B)
where
    B: Body<Data = Bytes> + Unpin,
{
    let discarding = async {
        let mut discarded = 0;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(UNREAD_SILENCE, body.frame()).await {
            discarded += frame.data_ref().map_or(0, Bytes::len);
            if discarded > MOST_UNREAD {
                break;
            }
        }
    };
    // Whoever is slower than that is not waited for.
    drop(tokio::time::timeout(UNREAD_TIME, discarding).await);
}

/// The body's bytes; `grow` is told how many there will be before there are, and says how many there is room for.
async fn collect<B>(
    mut body: B,
    most: usize,
    mut too_large: bool,
    mut grow: impl FnMut(usize) -> Result<usize, Problem>,
) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut whole = BytesMut::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "BODY_BROKEN",
                "The body ended before it was complete.",
            ));
        };
        let Ok(data) = frame.into_data() else { continue };
        too_large |= whole.len() + data.len() > most;
        if too_large {
            whole.clear();
            discarded += data.len();
            if discarded > MOST_DISCARDED {
                break;
            }
        } else {
            let room = grow(whole.len() + data.len())?;
            if room > whole.capacity() {
                whole.reserve(room - whole.len());
            }
            whole.extend_from_slice(&data);
        }
    }
    if too_large { Err(too_large_problem(most)) } else { Ok(whole.freeze()) }
}

/// Whether it is packed with gzip, the one packing that is read.
pub(crate) fn packed(headers: &HeaderMap) -> Result<bool, Problem> {
    let mut packed = false;
    let values = headers.get_all(CONTENT_ENCODING).iter();
    for coding in values.flat_map(|value| value.to_str().unwrap_or("?").split(',')) {
        match coding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            "gzip" | "x-gzip" if !packed => packed = true,
            _ => return Err(unsupported("Only gzip is unpacked.", ACCEPT_ENCODING, "gzip, identity")),
        }
    }
    Ok(packed)
}

fn is_form(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let kind = kind.trim().to_ascii_lowercase();
    let is_json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    let charset = parameters.split(';').filter_map(|parameter| parameter.trim().split_once('=')).find_map(
        |(name, value)| {
            name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"').to_ascii_lowercase())
        },
    );
    if is_json && charset.is_none_or(|charset| charset == "utf-8" || charset == "utf8") {
        return Ok(());
    }
    Err(unsupported("The body must be application/json in UTF-8.", ACCEPT, "application/json"))
}

fn unsupported(detail: &'static str, name: HeaderName, value: &'static str) -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
        .with(name, HeaderValue::from_static(value))
}

fn unpack(packed: &[u8], most: usize) -> Result<Bytes, Problem> {
    if packed.is_empty() {
        return Ok(Bytes::new());
    }
    let mut whole = Vec::new();
    let broken = |_| Problem::new(StatusCode::BAD_REQUEST, "BODY_BROKEN", "The body is not valid gzip.");
    MultiGzDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut whole).map_err(broken)?;
    if whole.len() > most { Err(too_large_problem(most)) } else { Ok(Bytes::from(whole)) }
}

pub(crate) fn too_large_problem(most: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "BODY_TOO_LARGE",
        format!("The body has more than the {most} bytes that it may have, packed or unpacked."),
    )
}

#[cfg(test)]
mod tests;

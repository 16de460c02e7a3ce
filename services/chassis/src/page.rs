//! Pages of lists, newest first by time and id, and the tokens that lead from one to the next.
//!
//! Invariant: a token names the last item of its page and the list that the page is of, with the span the first page
//! settled on; it is refused for any other list. So pages are stable while items are added, and neither skip nor repeat
//! what stayed. A token grants nothing: anybody could have written it, so what it names is checked like a request's own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use petty_proto::wkt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::FieldError;
use crate::types::micros;

/// Where `page_size` is absent.
const DEFAULT_SIZE: usize = 50;
const LARGEST: i32 = 1_000;

/// A place in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place<I = Uuid> {
    /// The item's time.
    #[serde(with = "instant")]
    pub time: Timestamp,
    /// What orders items of one time.
    pub id: I,
}

/// The span of time that a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// From then on.
    #[serde(with = "instant")]
    pub start: Timestamp,
    /// Until before then.
    #[serde(with = "instant")]
    pub end: Timestamp,
}

/// What a request for a page of a span says.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its `start_time`.
    pub start_time: Option<wkt::Timestamp>,
    /// Its `end_time`.
    pub end_time: Option<wkt::Timestamp>,
    /// Its `page_size`.
    pub page_size: i32,
    /// Its `page_token`.
    pub page_token: &'a str,
}

/// A page of a list: of all there is, or of a [`Span`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<I = Uuid, S = ()> {
    list: String,
    /// The span that the list is of.
    pub span: S,
    size: usize,
    /// Behind which item; from the start where absent.
    pub after: Option<Place<I>>,
}

/// What a token says.
#[derive(Serialize, Deserialize)]
struct Token<'a, I, S> {
    list: &'a str,
    span: S,
    last: Place<I>,
}

impl<I: Serialize + DeserializeOwned> Page<I> {
    /// Reads which page of a list is wanted. `list` names the list and what it is of, `pets/{id}/shares`.
    ///
    /// # Errors
    /// Everything that is wrong with `page_size` and `page_token`.
    pub fn read(list: String, page_size: i32, page_token: &str) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let size = size(page_size, &mut faults);
        let after = token(&list, page_token, &mut faults).map(|(after, ())| after);
        if faults.is_empty() { Ok(Self { list, span: (), size, after }) } else { Err(faults) }
    }
}

impl<I: Serialize + DeserializeOwned> Page<I, Span> {
    /// Reads which page of a list of a span is wanted. An absent end is now, an absent start `default` before the end.
    ///
    /// # Errors
    /// Everything that is wrong with `start_time`, `end_time`, `page_size` and `page_token`.
    pub fn read_span(
        list: String,
        asked: &Asked<'_>,
        default: SignedDuration,
        now: Timestamp,
    ) -> Result<Self, Vec<FieldError>> {
        let mut faults = Vec::new();
        let start = time("start_time", asked.start_time, &mut faults);
        let end = time("end_time", asked.end_time, &mut faults);
        let first = token::<I, Span>(&list, asked.page_token, &mut faults);
        let span = match &first {
            None => {
                let end = end.unwrap_or_else(|| micros(now));
                let before =
                    || end.checked_sub(default).ok().filter(|time| can_be_named(*time)).unwrap_or(end);
                Span { start: start.unwrap_or_else(before), end }
            }
            Some((_, span)) => *span,
        };
        let other = |asked: Option<Timestamp>, first: Timestamp| asked.is_some_and(|asked| asked != first);
        // What follows from a time or a token that could not be read says nothing.
        if faults.is_empty() {
            if other(start, span.start) || other(end, span.end) {
                let reason = "is of a list with another start_time or end_time";
                faults.push(FieldError::malformed("page_token", reason));
            } else if span.start > span.end {
                faults.push(FieldError::out_of_range("start_time", "must not be after end_time"));
            }
        }
        let size = size(asked.page_size, &mut faults);
        let after = first.map(|(after, _)| after);
        if faults.is_empty() { Ok(Self { list, span, size, after }) } else { Err(faults) }
    }
}

impl<I: Serialize, S: Serialize + Copy> Page<I, S> {
    /// How many items to look up: one more than the page holds, to know whether there is a next one.
    #[must_use]
    pub fn limit(&self) -> i64 {
        // At most 1,001.
        i64::try_from(self.size + 1).unwrap_or(i64::MAX)
    }

    /// Cuts what was found to the page; the token of the next one, empty where there is none.
    pub fn cut<T>(&self, found: &mut Vec<T>, place: impl Fn(&T) -> Place<I>) -> String {
        if found.len() <= self.size {
            return String::new();
        }
        found.truncate(self.size);
        found.last().map(|last| self.token(place(last))).unwrap_or_default()
    }

    fn token(&self, last: Place<I>) -> String {
        let token = Token { list: &self.list, span: self.span, last };
        // Only a map or a sequence of unknown length has no encoding, and an id is neither.
        URL_SAFE_NO_PAD.encode(postcard::to_stdvec(&token).expect("a token can be written"))
    }
}

fn size(asked: i32, faults: &mut Vec<FieldError>) -> usize {
    match asked {
        0 => DEFAULT_SIZE,
        1..=LARGEST => usize::try_from(asked).unwrap_or(DEFAULT_SIZE),
        _ => {
            faults.push(FieldError::out_of_range("page_size", format!("must be within 1 to {LARGEST}")));
            DEFAULT_SIZE
        }
    }
}

fn token<I: DeserializeOwned, S: DeserializeOwned>(
    list: &str,
    asked: &str,
    faults: &mut Vec<FieldError>,
) -> Option<(Place<I>, S)> {
    if asked.is_empty() {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(asked).unwrap_or_default();
    match postcard::take_from_bytes::<Token<'_, I, S>>(&bytes) {
        Ok((token, [])) if token.list == list => Some((token.last, token.span)),
        _ => {
            let reason = "must be next_page_token of the page before, of the same list";
            faults.push(FieldError::malformed("page_token", reason));
            None
        }
    }
}

/// A time as Postgres keeps it: the microsecond at or after it, so that the same items are at or after both, or before.
fn time(
    field: &'static str,
    asked: Option<wkt::Timestamp>,
    faults: &mut Vec<FieldError>,
) -> Option<Timestamp> {
    let read = Timestamp::try_from(asked?).ok().and_then(|time| {
        let cut = micros(time);
        if cut < time { cut.checked_add(SignedDuration::from_micros(1)).ok() } else { Some(cut) }
    });
    if read.is_none() {
        faults.push(FieldError::out_of_range(field, "must be a time between the years 1 and 9999"));
    }
    read
}

/// Whether a request could name the time. Others are in no token of ours, and may be more than the database can take.
fn can_be_named(time: Timestamp) -> bool {
    Timestamp::try_from(wkt::Timestamp::from(time)).is_ok()
}

/// Times in tokens: microseconds since 1970.
mod instant {
    use jiff::Timestamp;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(time.as_microsecond())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let time = Timestamp::from_microsecond(i64::deserialize(deserializer)?).map_err(D::Error::custom)?;
        if super::can_be_named(time) { Ok(time) } else { Err(D::Error::custom("out of range")) }
    }
}

#[cfg(test)]
mod tests;

//! Pages of a list, newest first.
//!
//! Invariant: a page token carries the span of its first page and the place it ended at, so that pages are stable while
//! episodes are added, and neither skip nor repeat what stayed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::FieldError;
use petty_chassis::types::micros;
use petty_proto::wkt;
use uuid::Uuid;

use crate::store::episodes::{Cursor, Window};

/// Where `page_size` is absent.
const DEFAULT_SIZE: usize = 50;
const MOST: i32 = 1_000;
/// Where `start_time` is absent.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The first byte of a token: raised when its layout changes.
const FORMAT: u8 = 1;
const TOKEN_BYTES: usize = 1 + 8 + 8 + 8 + 16;

/// What a request says of the page it wants.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) start_time: Option<wkt::Timestamp>,
    pub(super) end_time: Option<wkt::Timestamp>,
    pub(super) page_size: i32,
    pub(super) page_token: &'a str,
}

/// A page, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) size: usize,
    pub(super) after: Option<Cursor>,
}

impl Page {
    /// What to read for it, and so many more.
    pub(super) fn window(&self, more: usize) -> Window {
        // At most 1,000 and a few.
        let limit = i64::try_from(self.size + more).unwrap_or(i64::MAX);
        Window { start: self.start, end: self.end, after: self.after, limit }
    }

    /// The token of the page that goes on after `last`.
    pub(super) fn token(&self, last: Cursor) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(FORMAT);
        for time in [self.start, self.end, last.start_at] {
            bytes.extend(time.as_microsecond().to_be_bytes());
        }
        bytes.extend(last.id.as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

/// Understands what is asked, or says everything that is wrong with it.
pub(super) fn parse(asked: &Asked<'_>, now: Timestamp) -> Result<Page, Vec<FieldError>> {
    let mut faults = Vec::new();
    let start = time("start_time", asked.start_time, &mut faults);
    let end = time("end_time", asked.end_time, &mut faults);
    if let (Some(start), Some(end)) = (start, end)
        && start > end
    {
        faults.push(FieldError::out_of_range("start_time", "must not be after end_time"));
    }
    let size = match asked.page_size {
        0 => DEFAULT_SIZE,
        size @ 1..=MOST => usize::try_from(size).unwrap_or(DEFAULT_SIZE),
        _ => {
            faults.push(FieldError::out_of_range("page_size", format!("must be within 1 to {MOST}")));
            DEFAULT_SIZE
        }
    };
    let first = (!asked.page_token.is_empty()).then(|| decode(asked.page_token));
    let page = match first {
        None => {
            let end = end.unwrap_or_else(|| micros(now));
            let start = start.unwrap_or_else(|| end.checked_sub(DEFAULT_SPAN).unwrap_or(end));
            if start > end && faults.is_empty() {
                faults.push(FieldError::out_of_range("start_time", "must not be after end_time"));
            }
            Page { start, end, size, after: None }
        }
        Some(None) => {
            faults.push(FieldError::malformed("page_token", "must be next_page_token of the page before"));
            return Err(faults);
        }
        Some(Some((first_start, first_end, after))) => {
            let other = |asked: Option<Timestamp>, first| asked.is_some_and(|asked| asked != first);
            if other(start, first_start) || other(end, first_end) {
                faults.push(FieldError::malformed(
                    "page_token",
                    "is of a list with another start_time or end_time",
                ));
            }
            Page { start: first_start, end: first_end, size, after: Some(after) }
        }
    };
    if faults.is_empty() { Ok(page) } else { Err(faults) }
}

fn time(
    field: &'static str,
    asked: Option<wkt::Timestamp>,
    faults: &mut Vec<FieldError>,
) -> Option<Timestamp> {
    match Timestamp::try_from(asked?) {
        Ok(time) => Some(micros(time)),
        Err(error) => {
            faults.push(FieldError::out_of_range(field, error.to_string()));
            None
        }
    }
}

fn decode(token: &str) -> Option<(Timestamp, Timestamp, Cursor)> {
    let bytes: [u8; TOKEN_BYTES] = URL_SAFE_NO_PAD.decode(token).ok()?.try_into().ok()?;
    let (format, rest) = bytes.split_first()?;
    let (times, id) = rest.split_at(3 * 8);
    let mut times = times.chunks_exact(8).map(|bytes| {
        let time = Timestamp::from_microsecond(i64::from_be_bytes(bytes.try_into().ok()?)).ok()?;
        // What a request cannot name is in no token of ours, and may be more than the database can take.
        Timestamp::try_from(wkt::Timestamp::from(time)).ok()
    });
    let (start, end, start_at) = (times.next()??, times.next()??, times.next()??);
    let cursor = Cursor { start_at, id: Uuid::from_slice(id).ok()? };
    (*format == FORMAT && start <= end).then_some((start, end, cursor))
}

#[cfg(test)]
mod tests;

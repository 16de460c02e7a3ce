//! Pages of readings, and the tokens that lead from one to the next.
//!
//! Invariant: a token belongs to one pet, span and resolution; the span that the first page settled on holds for all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::PetId;
use petty_chassis::{ApiError, FieldError};
use petty_proto::ingest::v1::ListReadingsRequest;
use petty_proto::ingest::v1::list_readings_request::Resolution;
use petty_proto::wkt;
use uuid::Uuid;

use crate::store::{ListQuery, Place, Stored};

const DEFAULT_SIZE: i32 = 50;
const MOST: i32 = 1_000;
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(24);
/// The form of tokens; another one is another form.
const VERSION: u8 = 1;
/// No span that a request can name begins before: a day before the year 1.
const EARLIEST_SECOND: i64 = -62_135_596_800 - 86_400;
const TOKEN_BYTES: usize = 1 + 1 + 16 + 8 + 8 + 8 + 4;

/// A page that is asked for.
#[derive(Debug)]
pub(super) struct Page {
    pet: Uuid,
    resolution: Resolution,
    start: Timestamp,
    end: Timestamp,
    below: Place,
    size: usize,
}

impl Page {
    /// What a request asks for.
    pub(super) fn read(request: &ListReadingsRequest, now: Timestamp) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let start = time(&mut faults, "start_time", request.start_time);
        let end = time(&mut faults, "end_time", request.end_time);
        let resolution = match Resolution::try_from(request.resolution) {
            Ok(Resolution::Unspecified | Resolution::Raw) => Resolution::Raw,
            Ok(resolution) => resolution,
            Err(_) => {
                faults.push(FieldError::malformed("resolution", "must be RAW, MINUTE or HOUR"));
                Resolution::Raw
            }
        };
        let size = match request.page_size {
            0 => DEFAULT_SIZE,
            size if (1..=MOST).contains(&size) => size,
            _ => {
                faults.push(FieldError::out_of_range("page_size", "must be 1 to 1000"));
                DEFAULT_SIZE
            }
        };
        // The gate has let through only what is one.
        let pet = Uuid::try_parse(&request.pet_id).unwrap_or_default();
        let token = if request.page_token.is_empty() {
            None
        } else {
            let token = Token::read(&request.page_token).filter(|token| {
                token.pet == pet
                    && token.resolution == resolution
                    && start.is_none_or(|start| start == token.start)
                    && end.is_none_or(|end| end == token.end)
            });
            if token.is_none() {
                let reason = "must be the next_page_token of the same list";
                faults.push(FieldError::malformed("page_token", reason));
            }
            token
        };
        let end = token.as_ref().map(|token| token.end).or(end).unwrap_or(now);
        let start = token.as_ref().map(|token| token.start).or(start);
        let start = start.unwrap_or_else(|| end.checked_sub(DEFAULT_SPAN).unwrap_or(Timestamp::MIN));
        if faults.is_empty() && start >= end {
            faults.push(FieldError::out_of_range("start_time", "must be before end_time"));
        }
        if !faults.is_empty() {
            return Err(faults.into());
        }
        let below = token.map_or(Place::before(end), |token| token.below);
        Ok(Self { pet, resolution, start, end, below, size: usize::try_from(size).unwrap_or_default() })
    }

    /// How long a point's span is; `None`: every reading is a point.
    pub(super) fn seconds(&self) -> Option<i32> {
        match self.resolution {
            Resolution::Unspecified | Resolution::Raw => None,
            Resolution::Minute => Some(60),
            Resolution::Hour => Some(3_600),
        }
    }

    /// What is asked of the store: one more than the page, to know whether there is a next one.
    pub(super) fn query(&self, pet: PetId) -> ListQuery {
        let limit = i64::try_from(self.size + 1).unwrap_or(i64::MAX);
        ListQuery { pet, start: self.start, below: self.below, limit }
    }

    /// Cuts what was found to the page; the next one's token, empty where there is none.
    pub(super) fn cut(&mut self, found: &mut Vec<(Stored, Place)>) -> String {
        if found.len() <= self.size {
            return String::new();
        }
        found.truncate(self.size);
        let Some((_, below)) = found.last() else { return String::new() };
        let Self { pet, resolution, start, end, .. } = *self;
        Token { pet, resolution, start, end, below: *below }.written()
    }
}

/// A time as Postgres keeps it, such that the same readings are at or after it, and before it.
fn time(
    faults: &mut Vec<FieldError>,
    field: &'static str,
    time: Option<wkt::Timestamp>,
) -> Option<Timestamp> {
    let read = Timestamp::try_from(time?).ok().and_then(|time| {
        let up = i64::from(time.subsec_nanosecond().rem_euclid(1_000) != 0);
        let cut = time.as_nanosecond().div_euclid(1_000);
        Timestamp::from_microsecond(i64::try_from(cut).ok()?.checked_add(up)?).ok()
    });
    if read.is_none() {
        faults.push(FieldError::malformed(field, "must be a time between the years 1 and 9999"));
    }
    read
}

#[derive(Debug, PartialEq)]
struct Token {
    pet: Uuid,
    resolution: Resolution,
    start: Timestamp,
    end: Timestamp,
    below: Place,
}

impl Token {
    fn written(&self) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(VERSION);
        bytes.push(match self.resolution {
            Resolution::Unspecified | Resolution::Raw => 1,
            Resolution::Minute => 2,
            Resolution::Hour => 3,
        });
        bytes.extend(self.pet.as_bytes());
        for time in [self.start, self.end, self.below.time] {
            bytes.extend(time.as_microsecond().to_be_bytes());
        }
        bytes.extend(self.below.collar_key.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(text: &str) -> Option<Self> {
        let bytes: [u8; TOKEN_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (head, rest) = bytes.split_at_checked(2)?;
        let resolution = match head {
            [VERSION, 1] => Resolution::Raw,
            [VERSION, 2] => Resolution::Minute,
            [VERSION, 3] => Resolution::Hour,
            _ => return None,
        };
        let (pet, rest) = rest.split_first_chunk::<16>()?;
        let (start, rest) = rest.split_first_chunk::<8>()?;
        let (end, rest) = rest.split_first_chunk::<8>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let moment = |bytes: &[u8; 8]| Timestamp::from_microsecond(i64::from_be_bytes(*bytes)).ok();
        let below = Place { time: moment(time)?, collar_key: i32::from_be_bytes(rest.try_into().ok()?) };
        let (start, end) = (moment(start)?, moment(end)?);
        // A point's span may begin before the whole does.
        let point = SignedDuration::from_secs(if resolution == Resolution::Raw { 0 } else { 3_600 });
        let within = start.as_second() >= EARLIEST_SECOND
            && start < end
            && below.time <= end
            && start.duration_since(below.time) <= point;
        within.then_some(Self { pet: Uuid::from_bytes(*pet), resolution, start, end, below })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is_one() {
        let token = Token {
            pet: Uuid::from_u128(7),
            resolution: Resolution::Minute,
            start: at(1_000),
            end: at(9_000),
            below: Place { time: at(5_000), collar_key: -3 },
        };
        let text = token.written();
        assert_eq!(Token::read(&text), Some(token));
        for bad in
            ["", "x", "AAAA", &text[1..], &format!("{text}AA"), &text.replace('A', "B"), &"A".repeat(10_000)]
        {
            assert_eq!(Token::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn spans_end_and_begin_at_the_next_microsecond() {
        for (nanos, micros) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
            let sent = wkt::Timestamp { seconds: 5, nanos };
            let read = time(&mut Vec::new(), "start_time", Some(sent)).unwrap();
            assert_eq!(read.as_microsecond(), 5_000_000 + micros, "{nanos}");
        }
    }
}

//! Which pet a collar is on, and when: pairings of one collar never overlap.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::{AccountId, CollarId, PairingId, PetId, SessionId};

use super::{Error, Problem};

/// A pairing may begin this long ago: as long as readings may be late.
const EARLIEST: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A client's clock may be ahead by this much; such a time is taken for now.
const AHEAD: SignedDuration = SignedDuration::from_secs(5);
/// How long a secret that was replaced stays good where nothing else is asked for: a collar that is charged overnight is
/// online within a day.
const OVERLAP: SignedDuration = SignedDuration::from_hours(24);
/// How long it may stay good at most.
const LONGEST_OVERLAP: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A collar's pairing with a pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// Its id.
    pub pairing_id: PairingId,
    /// The collar.
    pub collar_id: CollarId,
    /// The pet.
    pub pet_id: PetId,
    /// The account that paired it.
    pub account_id: AccountId,
    /// From then on.
    pub start_at: Timestamp,
    /// Until then; `None`: still.
    pub end_at: Option<Timestamp>,
    /// What its device tokens hang on.
    pub credential_id: SessionId,
}

/// A secret of a pairing that lasts.
#[derive(Clone, Debug)]
pub struct Secret {
    /// What the device tokens hang on that it gets.
    pub credential_id: SessionId,
    /// Its SHA-256.
    pub hash: Vec<u8>,
}

/// How long a secret that is replaced stays good, with its device tokens; nothing: not at all.
///
/// # Errors
/// Where that is not within 0 to 7 days.
pub fn overlap(wanted_seconds: Option<i32>) -> Result<Option<SignedDuration>, Problem> {
    let Some(seconds) = wanted_seconds else { return Ok(Some(OVERLAP)) };
    let overlap = SignedDuration::from_secs(i64::from(seconds));
    if overlap.is_negative() || overlap > LONGEST_OVERLAP {
        return Err(Problem::out_of_range("must be 0 to 604,800 (7 days)"));
    }
    Ok((!overlap.is_zero()).then_some(overlap))
}

/// When a pairing begins.
///
/// # Errors
/// Where it is in the future, or more than 30 days back.
pub fn start(wanted: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Problem> {
    let start = not_in_the_future(wanted, now)?;
    if start < now - EARLIEST {
        return Err(Problem::out_of_range("must be at most 30 days back"));
    }
    Ok(start)
}

/// When a pairing ends; that it is after its start is decided when that is known.
///
/// # Errors
/// Where it is in the future.
pub fn end(wanted: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Problem> {
    not_in_the_future(wanted, now)
}

fn not_in_the_future(wanted: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Problem> {
    match wanted {
        None => Ok(now),
        Some(time) if time > now + AHEAD => Err(Problem::out_of_range("must not be in the future")),
        Some(time) => Ok(time.min(now)),
    }
}

/// The second that a pairing without a stated start begins in: many collars tell time in whole seconds, and what one
/// measures in that second is its pet's.
pub(crate) fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_microsecond().div_euclid(1_000_000)).unwrap_or(time)
}

/// What must happen to the collar's pairings that reach beyond `start_at`, so that a new one may begin then.
///
/// `others` are those that end after `start_at`, or not at all. The caller's own that still lasts is ended; anything else
/// stands in the way.
///
/// # Errors
/// `CollarPaired`.
pub fn make_room(
    account_id: AccountId,
    start_at: Timestamp,
    others: &[Pairing],
) -> Result<Option<&Pairing>, Error> {
    match others {
        [] => Ok(None),
        [live] if live.end_at.is_none() && live.account_id == account_id && live.start_at < start_at => {
            Ok(Some(live))
        }
        _ => Err(Error::CollarPaired),
    }
}

/// When a pairing that lasts ends. Where no time was asked for it is now, which another replica's clock may put before
/// the start.
///
/// # Errors
/// Where the time asked for is not after the pairing's start.
pub fn end_of(pairing: &Pairing, end_at: Timestamp, asked_for: bool) -> Result<Timestamp, Problem> {
    let earliest = pairing.start_at + SignedDuration::from_micros(1);
    if asked_for && end_at < earliest {
        return Err(Problem::out_of_range("must be after the pairing's start"));
    }
    Ok(end_at.max(earliest))
}

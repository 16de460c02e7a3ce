//! Who may do what.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::access::Role;
use petty_chassis::types::{AccountId, EventId, PetId, ShareId};

use super::Problem;
use super::account::Email;
use super::pairing::Pairing;

/// A share may be given for this long at most, hours (5 years).
const LONGEST: i64 = 5 * 366 * 24;

/// How long a link waits to be taken up.
const LINK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What the caller is to a pet, and until when that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What the caller is.
    pub role: Role,
    /// When the share ends by itself.
    pub expires_at: Option<Timestamp>,
}

/// A pairing that the caller may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisiblePairing {
    /// The pairing.
    pub pairing: Pairing,
    /// What the caller is to its pet.
    pub grant: Grant,
}

/// A share to be given.
#[derive(Debug)]
pub struct NewShare {
    /// To whom.
    pub email: Email,
    /// As what; never the owner.
    pub role: Role,
    /// Until when.
    pub expires_at: Option<Timestamp>,
}

/// A share. Whether somebody took up one that was given to an address is not told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub share_id: ShareId,
    /// The pet.
    pub pet_id: PetId,
    /// The address that it was given to, as the owner wrote it; of a link, that of who took it up.
    pub email: Option<Email>,
    /// Of a link that nobody took up: until when that may be.
    pub accept_before: Option<Timestamp>,
    /// As what.
    pub role: Role,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// When it was given.
    pub created_at: Timestamp,
}

/// A look of the staff at a pet.
#[derive(Clone, Debug)]
pub struct Look {
    /// Its id.
    pub access_id: EventId,
    /// The pet.
    pub pet_id: PetId,
    /// Who looked.
    pub account_id: AccountId,
    /// Why, in their words.
    pub reason: String,
    /// Which service asked.
    pub service: String,
    /// When.
    pub at: Timestamp,
}

/// Until when a link may be taken up: a week, and no longer than the share that it is for.
#[must_use]
pub fn accept_before(expires_at: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let week = now + LINK;
    expires_at.map_or(week, |end| end.min(week))
}

/// When a share ends by itself.
///
/// # Errors
/// Where it is not in the future, or more than 5 years ahead.
pub fn share_expiry(wanted: Option<Timestamp>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    match wanted {
        Some(time) if time <= now => Err(Problem::out_of_range("must be in the future")),
        Some(time) if time > now + jiff::SignedDuration::from_hours(LONGEST) => {
            Err(Problem::out_of_range("must be at most 5 years ahead"))
        }
        other => Ok(other),
    }
}

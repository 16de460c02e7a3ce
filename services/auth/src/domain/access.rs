//! Who may do what.

use jiff::Timestamp;
use petty_chassis::access::Role;
use petty_chassis::types::{AccountId, PetId, ShareId};

use super::Problem;
use super::account::Email;
use super::pairing::Pairing;

/// A share may be given for this long at most, hours (5 years).
const LONGEST: i64 = 5 * 366 * 24;

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

/// A share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub share_id: ShareId,
    /// The pet.
    pub pet_id: PetId,
    /// With whom.
    pub account_id: AccountId,
    /// Their address.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// When it was given.
    pub created_at: Timestamp,
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

//! Which pet a reading belongs to.
//!
//! Invariant: the reading's own time decides, not the time it arrived.

use jiff::Timestamp;
use petty_chassis::access::{Pairing, allows};
use petty_chassis::types::PetId;
use petty_proto::policy::Need;

/// The pet that wore the collar at `time`, if the caller may write for it.
#[must_use]
pub fn pet_at(pairings: &[Pairing], time: Timestamp) -> Option<PetId> {
    pairings
        .iter()
        .find(|pairing| pairing.covers(time) && allows(pairing.role, Need::Write))
        .map(|pairing| pairing.pet_id)
}

/// The pairing through which a stored reading may be seen: the same pet's, at the reading's own time.
#[must_use]
pub fn seen_through(pairings: &[Pairing], pet: PetId, time: Timestamp) -> Option<&Pairing> {
    pairings
        .iter()
        .find(|pairing| pairing.pet_id == pet && pairing.covers(time) && allows(pairing.role, Need::Read))
}

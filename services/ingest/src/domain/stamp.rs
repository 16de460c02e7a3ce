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

#[cfg(test)]
mod tests {
    use petty_chassis::access::Role;
    use petty_chassis::types::PairingId;
    use uuid::Uuid;

    use super::*;

    fn pairing(pet: u128, start: i64, end: Option<i64>, role: Role) -> Pairing {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (start, end) = (at(start), end.map(at));
        Pairing { pairing_id: PairingId(Uuid::nil()), pet_id: PetId(Uuid::from_u128(pet)), start, end, role }
    }

    #[test]
    fn the_pairing_at_the_time_decides_and_its_role_must_suffice() {
        let pairings = [
            pairing(1, 100, Some(200), Role::Owner),
            pairing(2, 200, Some(300), Role::Viewer),
            pairing(3, 400, None, Role::Caregiver),
        ];
        for (second, written, seen) in [
            (99, None, None),
            (100, Some(1), Some(1)),
            (199, Some(1), Some(1)),
            (200, None, Some(2)),
            (300, None, None),
            (400, Some(3), Some(3)),
            (9_999, Some(3), Some(3)),
        ] {
            let time = Timestamp::from_second(second).unwrap();
            let pet = |number: Option<u128>| number.map(|number| PetId(Uuid::from_u128(number)));
            assert_eq!(pet_at(&pairings, time), pet(written), "{second}");
            for number in 1..=3 {
                let pet_id = PetId(Uuid::from_u128(number));
                let through = seen_through(&pairings, pet_id, time).map(|pairing| pairing.pet_id);
                assert_eq!(through, pet(seen).filter(|pet| *pet == pet_id), "{second} {number}");
            }
        }
    }
}

//! What the first system's call shows of a collar: the pets that wore it, while they wore it.
//!
//! Invariants: no span reaches beyond a pairing, so that nobody is shown what a pet did before or after it wore the collar; the
//! window holds all of the hours that were asked for, now included, and stands still for a step.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::PetId;

/// The interval while something is going on, seconds.
const POLL_ACTIVE: i32 = 5;
/// The interval when nothing has happened for long, seconds.
const POLL_IDLE: i32 = 45;
/// So recent is going on.
const ACTIVE: SignedDuration = SignedDuration::from_mins(1);

/// The window begins and ends at whole steps: who asks again within one, and nothing happened, is answered the same to the byte, and so
/// need not be sent it again. Several of the slowest polls fit into one.
const STEP: SignedDuration = SignedDuration::from_mins(5);

/// A pet wore a collar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wearing {
    pub(crate) pet: PetId,
    pub(crate) from: Timestamp,
    /// `None`: it still does.
    pub(crate) until: Option<Timestamp>,
}

/// A stretch of a pet's time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) pet: PetId,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// The last hours, from the last step before they begin to the next one after now; a step is a part of an hour, so that the window is as
/// much longer. `None`: time does not reach so far.
pub(crate) fn window(now: Timestamp, hours: i32) -> Option<(Timestamp, Timestamp)> {
    // Of an instant before 1970 the seconds alone are those after it.
    let second = now.as_microsecond().div_euclid(1_000_000);
    let begun = Timestamp::from_second(second.div_euclid(STEP.as_secs()) * STEP.as_secs()).ok()?;
    let from = begun.checked_sub(SignedDuration::from_hours(hours.into())).ok()?;
    Some((from, begun.checked_add(STEP).ok()?))
}

/// The stretches of `from` to `until` in which the collar was worn.
pub(crate) fn seen_by(
    wearings: impl Iterator<Item = Wearing>,
    from: Timestamp,
    until: Timestamp,
) -> Vec<Span> {
    wearings
        .map(|wearing| Span {
            pet: wearing.pet,
            from: wearing.from.max(from),
            until: wearing.until.map_or(until, |end| end.min(until)),
        })
        .filter(|span| span.from < span.until)
        .collect()
}

/// When to ask again, given what the newest entries are: 5 s while one is going on, then the longer the longer ago it was.
pub(crate) fn poll_after_seconds(newest: impl Iterator<Item = (Timestamp, bool)>, now: Timestamp) -> i32 {
    let mut idle = SignedDuration::MAX;
    for (end, open) in newest {
        let age = now.duration_since(end);
        if open && age < ACTIVE {
            return POLL_ACTIVE;
        }
        idle = idle.min(age);
    }
    let minutes = i32::try_from(idle.as_mins()).unwrap_or(i32::MAX);
    // One tick slower each minute; what just ended may go on as something else.
    minutes.saturating_add(2).saturating_mul(POLL_ACTIVE).clamp(2 * POLL_ACTIVE, POLL_IDLE)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + 60 * minutes).unwrap()
    }

    #[test]
    fn spans_are_cut_to_the_pairing_and_to_what_was_asked() {
        let pet = PetId(Uuid::from_u128(1));
        for (from, until, expected) in [
            (0, None, Some((10, 20))),
            (12, None, Some((12, 20))),
            (0, Some(15), Some((10, 15))),
            (12, Some(30), Some((12, 20))),
            (0, Some(10), None),
            (20, None, None),
            (30, None, None),
        ] {
            let wearing = Wearing { pet, from: at(from), until: until.map(at) };
            let expected: Vec<Span> = expected
                .into_iter()
                .map(|(from, until)| Span { pet, from: at(from), until: at(until) })
                .collect();
            assert_eq!(seen_by([wearing].into_iter(), at(10), at(20)), expected, "{from} to {until:?}");
        }
    }

    #[test]
    fn a_window_stands_still_for_a_step_and_leaves_out_nothing_of_the_hours() {
        let micro = SignedDuration::from_micros(1);
        for (now, from, until) in [
            (at(0), at(-60), at(5)),
            (at(0) + micro, at(-60), at(5)),
            (at(3), at(-60), at(5)),
            (at(5) - micro, at(-60), at(5)),
            (at(5), at(-55), at(10)),
            (
                Timestamp::UNIX_EPOCH - micro,
                Timestamp::UNIX_EPOCH - SignedDuration::from_mins(65),
                Timestamp::UNIX_EPOCH,
            ),
        ] {
            assert_eq!(window(now, 1), Some((from, until)), "{now}");
            assert!(from <= now - SignedDuration::from_hours(1) && now < until);
        }
        assert_eq!(window(Timestamp::MAX, 1), None);
        assert_eq!(window(Timestamp::MIN, 1), None);
    }

    #[test]
    fn polling_slows_down_as_nothing_happens() {
        for (entries, seconds) in [
            (vec![], 45),
            (vec![(at(60), true)], 5),
            (vec![(at(61), true)], 5),
            (vec![(at(30), false), (at(60), true)], 5),
            (vec![(at(60), false)], 10),
            (vec![(at(59), true)], 15),
            (vec![(at(57), false)], 25),
            (vec![(at(0), true)], 45),
        ] {
            assert_eq!(poll_after_seconds(entries.clone().into_iter(), at(60)), seconds, "{entries:?}");
        }
    }
}

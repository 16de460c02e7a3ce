//! How much of a reading who sees, and when to look again.

use jiff::{SignedDuration, Timestamp};
use petty_chassis::access::Role;

use super::reading::Position;

/// Older than this, the newest reading is stale.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(3);
/// Younger than this, a collar counts as active.
const FRESH_WITHIN: SignedDuration = SignedDuration::from_secs(60);
/// When to ask again: an active collar, an idle one; seconds.
const POLL_ACTIVE: i64 = 5;
const POLL_IDLE: i64 = 45;

/// How exactly positions are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Five decimals, about a metre.
    Exact,
    /// Three decimals, about a hundred metres.
    Coarse,
}

impl Precision {
    /// What a role sees.
    #[must_use]
    pub fn of(role: Role) -> Self {
        match role {
            Role::Owner | Role::Caregiver => Self::Exact,
            Role::Viewer | Role::Vet | Role::Staff => Self::Coarse,
        }
    }

    /// Longitude and latitude in degrees, with no more decimals than may be seen.
    #[must_use]
    pub fn degrees(self, position: Position) -> [f64; 2] {
        let (step, per_degree) = match self {
            Self::Exact => (10.0, 1e5),
            Self::Coarse => (1_000.0, 1e3),
        };
        [position.longitude_e6, position.latitude_e6].map(|e6| (f64::from(e6) / step).round() / per_degree)
    }
}

/// What a point of a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Points {
    /// A reading.
    Each,
    /// The means of so many seconds.
    Means(i32),
}

impl Points {
    /// About so many at most, where nobody said how fine they are to be.
    pub const MOST: i64 = 1_000;
    /// What means are made of where nobody said so: divisors of a day.
    pub const STEPS: [i32; 9] = [Self::MINUTE, 120, 300, 900, Self::HOUR, 10_800, 21_600, 43_200, 86_400];
    /// What is summed; of older readings only hours are kept.
    pub const MINUTE: i32 = 60;
    /// See [`Points::MINUTE`].
    pub const HOUR: i32 = 3_600;

    /// The shortest means, `least` at least, that leave at most [`Points::MOST`] points of a span; the longest, where none do.
    #[must_use]
    pub fn spanning(span: SignedDuration, least: i32) -> Self {
        let fits = |step: &&i32| **step >= least && span.as_secs() <= i64::from(**step) * Self::MOST;
        let [.., longest] = Self::STEPS;
        Self::Means(Self::STEPS.iter().find(fits).copied().unwrap_or(longest))
    }

    /// 0 where each reading is a point.
    #[must_use]
    pub fn seconds(self) -> i32 {
        match self {
            Self::Each => 0,
            Self::Means(seconds) => seconds,
        }
    }
}

/// How old the newest reading is, and what follows from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Older than three minutes.
    pub stale: bool,
    /// A good interval to ask again, in seconds.
    pub poll_after_seconds: i32,
}

impl Freshness {
    /// Of a reading measured then, as seen now. One from ahead is as fresh as can be.
    #[must_use]
    pub fn of(measured_at: Timestamp, now: Timestamp) -> Self {
        let age = now.duration_since(measured_at);
        let past_fresh = (age - FRESH_WITHIN).as_secs().max(0);
        let span = (STALE_AFTER - FRESH_WITHIN).as_secs();
        let seconds =
            (POLL_ACTIVE + past_fresh.saturating_mul(POLL_IDLE - POLL_ACTIVE) / span).min(POLL_IDLE);
        Self { stale: age > STALE_AFTER, poll_after_seconds: i32::try_from(seconds).unwrap_or(i32::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polling_slows_down_as_a_collar_falls_silent() {
        let now: Timestamp = "2026-06-15T12:00:00Z".parse().unwrap();
        for (age_seconds, stale, poll) in [
            (-3_600, false, 5),
            (0, false, 5),
            (59, false, 5),
            (60, false, 5),
            (120, false, 25),
            (180, false, 45),
            (181, true, 45),
            (30 * 86_400, true, 45),
        ] {
            let freshness = Freshness::of(now - SignedDuration::from_secs(age_seconds), now);
            assert_eq!(freshness, Freshness { stale, poll_after_seconds: poll }, "{age_seconds}");
        }
        assert!(Freshness::of(now - STALE_AFTER - SignedDuration::from_micros(1), now).stale);
    }

    #[test]
    fn points_are_a_thousand_at_most_and_as_fine_as_that_allows() {
        for (hours, seconds) in
            [(1, 60), (16, 60), (17, 120), (24, 120), (48, 300), (168, 900), (720, 3_600), (8_760, 43_200)]
        {
            assert_eq!(
                Points::spanning(SignedDuration::from_hours(hours), Points::MINUTE),
                Points::Means(seconds),
                "{hours}"
            );
        }
        assert_eq!(
            Points::spanning(SignedDuration::from_hours(1_000_000), Points::MINUTE),
            Points::Means(86_400)
        );
        assert_eq!(Points::spanning(SignedDuration::from_secs(60_000), Points::MINUTE), Points::Means(60));
        assert_eq!(Points::spanning(SignedDuration::from_secs(60_001), Points::MINUTE), Points::Means(120));
        for (hours, seconds) in [(1, 3_600), (168, 3_600), (1_001, 10_800)] {
            let points = Points::spanning(SignedDuration::from_hours(hours), Points::HOUR);
            assert_eq!(points, Points::Means(seconds), "{hours}");
        }
        assert!(
            Points::STEPS.iter().all(|step| 86_400 % step == 0 && (step % 3_600 == 0 || 3_600 % step == 0))
        );
    }

    #[test]
    fn viewers_and_vets_see_three_decimals_owners_and_caregivers_five() {
        let position = Position { longitude_e6: -1_234_567, latitude_e6: 52_987_654, accuracy: None };
        for (role, expected) in [
            (Role::Owner, [-1.23457, 52.98765]),
            (Role::Caregiver, [-1.23457, 52.98765]),
            (Role::Viewer, [-1.235, 52.988]),
            (Role::Vet, [-1.235, 52.988]),
            (Role::Staff, [-1.235, 52.988]),
        ] {
            assert_eq!(Precision::of(role).degrees(position), expected, "{role:?}");
        }
    }
}

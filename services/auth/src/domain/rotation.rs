//! When signing keys are made, take over, and give way.
//!
//! Invariant: a key signs only once it was published for longer than any verifier remembers what is published, and is
//! published for longer than any token that it signed is valid. So no valid token meets a verifier that does not know its key.

use jiff::{SignedDuration, Timestamp};

/// A key is published this long before it signs. Verifiers of ours know it after 30 s (the chassis' `caller::keys`); whoever
/// fetches the JWKS over REST may keep it for a minute, as its `Cache-Control` says.
pub const LEAD: SignedDuration = SignedDuration::from_mins(5);
/// A key that has signed is published this long: no token of ours is valid for more than 24 h, and a replica may learn of a
/// new key later than others.
pub const PUBLISHED: SignedDuration = SignedDuration::from_hours(48);

/// The keys that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// When the current key gives way, where there is a current key.
    pub due_at: Option<Timestamp>,
    /// When the next key was made, where there is a next key.
    pub next_made_at: Option<Timestamp>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, for now.
    Rest,
    /// Make the next key.
    Make,
    /// Have the next key sign.
    Promote,
}

/// What is to be done now. Done again after each step it comes to rest.
#[must_use]
pub fn step(standing: Standing, now: Timestamp) -> Step {
    match (standing.due_at, standing.next_made_at) {
        (_, None) => Step::Make,
        // Nobody has a token yet that could be refused.
        (None, Some(_)) => Step::Promote,
        (Some(due_at), Some(made_at)) if now >= takes_over(due_at, made_at) => Step::Promote,
        (Some(_), Some(_)) => Step::Rest,
    }
}

/// When the next key takes over.
#[must_use]
pub fn takes_over(due_at: Timestamp, next_made_at: Timestamp) -> Timestamp {
    due_at.max(next_made_at + LEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_when_it_is_due_and_was_published_for_long_enough() {
        let at = |seconds: i64| Timestamp::from_second(1_800_000_000 + seconds).unwrap();
        let lead = LEAD.as_secs();
        for (due, made, now, expected) in [
            (None, None, 0, Step::Make),
            (None, Some(0), 0, Step::Promote),
            (Some(100), None, 0, Step::Make),
            (Some(100), None, 200, Step::Make),
            (Some(1_000), Some(0), 999, Step::Rest),
            (Some(1_000), Some(0), 1_000, Step::Promote),
            (Some(0), Some(0), lead - 1, Step::Rest),
            (Some(0), Some(0), lead, Step::Promote),
            (Some(-500), Some(10), lead + 9, Step::Rest),
            (Some(-500), Some(10), lead + 10, Step::Promote),
        ] {
            let standing = Standing { due_at: due.map(at), next_made_at: made.map(at) };
            assert_eq!(step(standing, at(now)), expected, "{due:?} {made:?} {now}");
        }
    }
}

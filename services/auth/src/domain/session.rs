//! The rules of sessions and their refresh tokens (RFC 9700, 4.14.2): each token is used once, its use gives a successor,
//! and one that comes back later ends the session.

use jiff::{SignedDuration, Timestamp};

/// How long the predecessor of the live token is answered the same successor: an answer may have been lost.
pub const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// A ticket for a stream serves once, and no longer than that.
pub const TICKET: SignedDuration = SignedDuration::from_secs(30);

/// How long sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// A refresh token lives this long, and its use gives it anew.
    pub sliding: SignedDuration,
    /// No session lives longer.
    pub longest: SignedDuration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { sliding: SignedDuration::from_hours(7 * 24), longest: SignedDuration::from_hours(30 * 24) }
    }
}

impl Lifetimes {
    /// When a session ends that is opened now, whatever is done with it.
    #[must_use]
    pub fn end(&self, now: Timestamp) -> Timestamp {
        now + self.longest
    }

    /// When a session's refresh token expires that is made now.
    #[must_use]
    pub fn expiry(&self, now: Timestamp, ends_at: Timestamp) -> Timestamp {
        (now + self.sliding).min(ends_at)
    }
}

/// A session, as far as its tokens depend on it.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// When it expires.
    pub expires_at: Timestamp,
    /// Whether it was ended.
    pub ended: bool,
    /// The generation of its live refresh token.
    pub live_generation: i32,
}

/// A refresh token that was presented.
#[derive(Clone, Copy, Debug)]
pub struct Presented {
    /// Its place in the chain.
    pub generation: i32,
    /// When it was used before.
    pub used_at: Option<Timestamp>,
}

/// What to do with a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it up and give a successor.
    Rotate,
    /// Give the successor it had.
    Repeat,
    /// Somebody has a token that was used up: end the session.
    Reused,
    /// The session is over.
    Over,
}

/// The most sessions that an account has at once: more than anybody has devices. Another begins in the place of the one that was not
/// used for longest.
pub const MOST: u16 = 100;

/// Decides on a presented refresh token.
#[must_use]
pub fn judge(session: Standing, token: Presented, now: Timestamp) -> Verdict {
    if session.ended || now >= session.expires_at {
        return Verdict::Over;
    }
    match token.used_at {
        None => Verdict::Rotate,
        // The clock of another replica may be behind: a negative age is a young one.
        Some(used_at)
            if token.generation + 1 == session.live_generation && now.duration_since(used_at) <= GRACE =>
        {
            Verdict::Repeat
        }
        Some(_) => Verdict::Reused,
    }
}

//! Ids, clock and random numbers: the only source of each; and what pets do, by name.
//!
//! Invariant: the chassis alone reads the wall clock and the random generator; everything else is given them, so that
//! tests can move time and the rest stays deterministic.

mod behavior;
mod clock;
mod ids;
mod wire;

pub use behavior::Behavior;
pub use clock::{Clock, micros};
pub use ids::{
    AccountId, CollarId, EventId, FeedbackId, PairingId, PetId, SessionId, ShareId, TimelineEventId,
};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Random numbers fit for secrets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entropy;

impl Entropy {
    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        // The operating system's generator fails only where the process could do nothing safely anyway.
        aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random numbers");
        bytes
    }

    /// `N` random bytes of this thread's own generator, without a call of the system: for what is made with each request and is no
    /// secret, as its id.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place; what is made of it is no secret")]
    pub fn plenty<const N: usize>(self) -> [u8; N] {
        rand::random()
    }

    /// A random token of `N` bytes, base64url without padding.
    #[must_use]
    pub fn token<const N: usize>(self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<N>())
    }

    /// A random fraction, 0 to 1: jitter, not secrets.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(u32::from_le_bytes(self.bytes())) / f64::from(u32::MAX)
    }
}

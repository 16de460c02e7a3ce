//! What auth decides, without any way to look anything up: bounds, and the rules of sessions, pairings and access.
//!
//! Invariant: pure and synchronous; time comes in as a parameter. What is built here is within its bounds.

pub mod access;
pub mod account;
pub mod chain;
pub mod letter;
pub mod link;
pub mod pairing;
pub mod passphrase;
pub mod personal;
pub mod pet;
pub mod rotation;
pub mod second_factor;
pub mod session;
pub mod staff;
#[cfg(test)]
mod tests;
pub mod text;
pub mod throttle;
pub mod token;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub kind: ProblemKind,
    /// For a person; follows the field's name.
    pub reason: &'static str,
}

/// The kinds of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// It must be there.
    Required,
    /// It is not of the right shape.
    Malformed,
    /// It is out of its bounds.
    OutOfRange,
    /// It is easily guessed.
    Guessable,
}

impl Problem {
    pub(crate) const REQUIRED: Self = Self { kind: ProblemKind::Required, reason: "is required" };

    pub(crate) const GUESSABLE: Self = Self {
        kind: ProblemKind::Guessable,
        reason: "is among the first that anybody would try; choose one that is harder to guess",
    };

    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self { kind: ProblemKind::Malformed, reason }
    }

    pub(crate) const fn out_of_range(reason: &'static str) -> Self {
        Self { kind: ProblemKind::OutOfRange, reason }
    }
}

/// What cannot be done, in the words of the business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address has an account.
    #[error("this address has an account already")]
    EmailTaken,
    /// Nobody opens accounts here.
    #[error("accounts are not opened here")]
    SignUpClosed,
    /// Unknown, or the wrong secret.
    #[error("these credentials are not known")]
    BadCredentials,
    /// Signed in, and yet not who they say.
    #[error("this is not the account's passphrase")]
    PasswordWrong,
    /// The passphrase is right, and there is a second factor.
    #[error("a code of the second factor is needed")]
    OtpRequired,
    /// Of none of the steps around now.
    #[error("this is not the code; see that the authenticator's clock is right")]
    OtpInvalid,
    /// The account has one that is confirmed.
    #[error("the account has a second factor already")]
    SecondFactorActive,
    /// The account has none, or none to be confirmed.
    #[error("the account has no second factor")]
    NoSecondFactor,
    /// Too short to be the only factor.
    #[error("a password that is the only factor has at least 15 characters; change it first")]
    PassphraseTooShort,
    /// Unknown, used up, expired, or of an ended session.
    #[error("the refresh token is not valid; sign in again")]
    RefreshTokenInvalid,
    /// Unknown, used up, expired, or superseded.
    #[error("the link is not valid any more; ask for another")]
    LinkInvalid,
    /// No such session of the account's.
    #[error("no such session")]
    SessionNotFound,
    /// Unknown, used up, expired, or of an ended session.
    #[error("the ticket is not valid; ask for another")]
    TicketInvalid,
    /// The session, or the collar's credential, has ended.
    #[error("the session has ended; sign in again")]
    SessionEnded,
    /// No pet the caller may see.
    #[error("no such pet")]
    PetNotFound,
    /// The pet has no such collar.
    #[error("no such collar")]
    CollarNotFound,
    /// Somebody else's, or overlapping.
    #[error("the collar was paired in that time already")]
    CollarPaired,
    /// There would be no admin.
    #[error("somebody must be left who gives roles")]
    LastAdmin,
    /// The account has no such personal access token.
    #[error("no such token")]
    TokenNotFound,
    /// Nobody has that address.
    #[error("no such account")]
    AccountNotFound,
    /// It is shared with that address.
    #[error("the pet is shared with this address already")]
    ShareExists,
    /// Unknown, used, withdrawn, or expired.
    #[error("the link is not valid; ask for another")]
    ShareLinkInvalid,
    /// One's own link.
    #[error("the pet is yours already")]
    PetIsYours,
    /// The pet has no such share.
    #[error("no such share")]
    ShareNotFound,
    /// Another key signs.
    #[error("another key signs; list the keys")]
    KeyNotCurrent,
}

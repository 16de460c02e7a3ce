//! One-time links: what they are for, and how long they are good.

use jiff::SignedDuration;

/// What a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To open the account that was asked for.
    SignUp,
    /// To confirm the address of an account.
    VerifyEmail,
    /// To confirm an account's new address, and let it take the old one's place.
    ChangeEmail,
    /// To choose another passphrase.
    Reset,
    /// For nothing: nobody has it.
    Nothing,
}

impl Purpose {
    /// How long such a link is good. (OWASP's Forgot Password Cheat Sheet: not longer than needed; one to reset by is as good
    /// as the passphrase.)
    #[must_use]
    pub fn lifetime(self) -> SignedDuration {
        match self {
            Self::SignUp | Self::VerifyEmail | Self::ChangeEmail => SignedDuration::from_hours(24),
            Self::Reset | Self::Nothing => SignedDuration::from_hours(1),
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignUp => "SIGN_UP",
            Self::VerifyEmail => "VERIFY_EMAIL",
            Self::ChangeEmail => "CHANGE_EMAIL",
            Self::Reset => "RESET",
            Self::Nothing => "NOTHING",
        }
    }

    /// By its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::SignUp, Self::VerifyEmail, Self::ChangeEmail, Self::Reset, Self::Nothing]
            .into_iter()
            .find(|purpose| purpose.as_str() == name)
    }
}

//! What Petty writes to people.
//!
//! Invariant: nothing in a letter was written by whoever caused it, but the token of a link: a stranger who names an
//! address cannot make Petty say anything of theirs to it.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::link::Purpose;

/// A letter. Holds secrets: it is kept sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// Somebody wants an account with this address.
    ConfirmSignUp {
        /// The link's token.
        token: String,
    },
    /// Somebody wants an account with this address, which has one.
    SignUpTried,
    /// The account's address is to be confirmed.
    ConfirmEmail {
        /// The link's token.
        token: String,
    },
    /// Somebody wants another passphrase.
    Reset {
        /// The link's token.
        token: String,
    },
    /// An account is to have this address.
    ConfirmNewEmail {
        /// The link's token.
        token: String,
    },
    /// An account is to have this address, which has one.
    NewEmailTried,
    /// To the old address: another was asked for.
    EmailChanging,
    /// To the old address: another is in force.
    EmailChanged,
    /// The passphrase is another.
    PasswordChanged,
    /// There is another personal access token.
    PersonalTokenMade,
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Letter({:?})", self.subject())
    }
}

impl Letter {
    /// Whether anybody can have it sent by naming an address.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        match self {
            Self::ConfirmSignUp { .. }
            | Self::SignUpTried
            | Self::ConfirmEmail { .. }
            | Self::Reset { .. }
            | Self::ConfirmNewEmail { .. }
            | Self::NewEmailTried => true,
            Self::EmailChanging | Self::EmailChanged | Self::PasswordChanged | Self::PersonalTokenMade => {
                false
            }
        }
    }

    /// How long it is tried to send it: no longer than its link is good.
    #[must_use]
    pub fn lifetime(&self) -> SignedDuration {
        match self {
            Self::Reset { .. } => Purpose::Reset.lifetime(),
            Self::ConfirmSignUp { .. }
            | Self::SignUpTried
            | Self::ConfirmEmail { .. }
            | Self::ConfirmNewEmail { .. }
            | Self::NewEmailTried
            | Self::EmailChanging
            | Self::EmailChanged
            | Self::PasswordChanged
            | Self::PersonalTokenMade => Purpose::VerifyEmail.lifetime(),
        }
    }

    /// Its subject line.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        match self {
            Self::ConfirmSignUp { .. } => "Confirm your Petty account",
            Self::SignUpTried => "You already have a Petty account",
            Self::ConfirmEmail { .. } => "Confirm your e-mail address",
            Self::Reset { .. } => "Choose a new Petty passphrase",
            Self::ConfirmNewEmail { .. } => "Confirm your new e-mail address",
            Self::NewEmailTried => "This address already has a Petty account",
            Self::EmailChanging => "Your Petty account is to get another address",
            Self::EmailChanged => "Your Petty account has another address",
            Self::PasswordChanged => "Your Petty passphrase was changed",
            Self::PersonalTokenMade => "Your Petty account has a new access token",
        }
    }

    /// What it says. `site` is where Petty's pages are, without a slash at its end. Tokens stand behind a `#`: no server, proxy
    /// or log on the way sees them.
    #[must_use]
    pub fn text(&self, site: &str) -> String {
        let link = |page: &str, token: &str| {
            format!(
                "  {site}/account/{page}#token={token}\n\nIf an app asks for a code, it is:\n\n  {token}\n"
            )
        };
        match self {
            Self::ConfirmSignUp { token } => format!(
                "Somebody, probably you, asked for a Petty account with this address.\n\n\
                 To open it, follow this link within 24 hours and enter the passphrase you chose:\n\n{}\n\
                 If that was not you, do nothing: no account is opened.\n",
                link("verify", token)
            ),
            Self::SignUpTried => format!(
                "Somebody, probably you, asked for a Petty account with this address. It has one already.\n\n\
                 If you have forgotten the passphrase, ask for a new one:\n\n  {site}/account/reset\n\n\
                 If that was not you, do nothing: nothing has changed.\n"
            ),
            Self::ConfirmEmail { token } => format!(
                "Please confirm that this address of your Petty account is yours.\n\n\
                 Follow this link within 24 hours and enter your passphrase:\n\n{}\n\
                 If you have no Petty account, do nothing.\n",
                link("verify", token)
            ),
            Self::Reset { token } => format!(
                "Somebody, probably you, asked for a new passphrase for your Petty account.\n\n\
                 To choose one, follow this link within 1 hour:\n\n{}\n\
                 You will be signed out everywhere. If that was not you, do nothing: nothing has changed.\n",
                link("reset", token)
            ),
            Self::ConfirmNewEmail { token } => format!(
                "Somebody, probably you, wants to use this address for a Petty account.\n\n\
                 To confirm it, follow this link within 24 hours and enter the account's passphrase:\n\n{}\n\
                 If that was not you, do nothing: nothing has changed.\n",
                link("verify", token)
            ),
            Self::NewEmailTried => {
                "Somebody wants to use this address for their Petty account. It has an account of its own \
                                    already.\n\nYou need not do anything: nothing has changed.\n"
                    .to_owned()
            }
            Self::EmailChanging => format!(
                "Somebody who knows the passphrase of your Petty account asked for another e-mail address for it. Once the \
                 new address is confirmed, this one serves no more.\n\n\
                 If that was not you, choose a new passphrase now:\n\n  {site}/account/reset\n"
            ),
            Self::EmailChanged => {
                "Your Petty account now has another e-mail address; this one serves no more.\n\n\
                                   If you did not do this, write to whoever runs your Petty.\n"
                    .to_owned()
            }
            Self::PasswordChanged => format!(
                "The passphrase of your Petty account was changed, and other devices were signed out.\n\n\
                 If that was not you, choose a new one now:\n\n  {site}/account/reset\n"
            ),
            Self::PersonalTokenMade => format!(
                "Somebody who knows the passphrase of your Petty account made a personal access token for it: a program that \
                 has it may act for you, until it ends or you end it in the list of your tokens.\n\n\
                 If that was not you, choose a new passphrase now; that ends all of them:\n\n  {site}/account/reset\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Letter> {
        let token = "SECRET-TOKEN".to_owned();
        vec![
            Letter::ConfirmSignUp { token: token.clone() },
            Letter::SignUpTried,
            Letter::ConfirmEmail { token: token.clone() },
            Letter::Reset { token: token.clone() },
            Letter::ConfirmNewEmail { token },
            Letter::NewEmailTried,
            Letter::EmailChanging,
            Letter::EmailChanged,
            Letter::PasswordChanged,
            Letter::PersonalTokenMade,
        ]
    }

    #[test]
    fn a_token_stands_behind_the_fragment_and_as_a_code_alone() {
        for letter in all() {
            let text = letter.text("https://petty.example");
            let tokens = text.matches("SECRET-TOKEN").count();
            let has_link = text.contains("/account/verify#token=SECRET-TOKEN\n")
                || text.contains("https://petty.example/account/reset#token=SECRET-TOKEN\n");
            assert_eq!(tokens, if has_link { 2 } else { 0 }, "{text}");
            assert!(!text.contains('?'), "{text}");
            assert!(!format!("{letter:?}").contains("SECRET"), "{letter:?}");
        }
    }

    #[test]
    fn letters_come_back_as_they_were_kept() {
        for letter in all() {
            let kept = serde_json::to_string(&letter).unwrap();
            assert_eq!(serde_json::from_str::<Letter>(&kept).unwrap(), letter);
        }
    }

    #[test]
    fn a_letter_is_not_sent_when_its_link_is_void() {
        assert_eq!(Letter::Reset { token: String::new() }.lifetime(), SignedDuration::from_hours(1));
        assert!(all().iter().all(|letter| letter.lifetime() <= SignedDuration::from_hours(24)));
    }
}

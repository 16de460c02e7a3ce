//! From a token to who is calling.
//!
//! Invariant: a caller exists only by a token whose signature, type, issuer, audience and times were checked here with a
//! key of ours; nothing a client writes into metadata can make one.

mod fitness;
mod keys;
pub mod personal;
#[cfg(test)]
mod tests;
mod token;
mod verifier;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{ApiError, Code};
use crate::types::{AccountId, CollarId, PetId, SessionId};

pub use fitness::{ADMIN, SCOPES, STAFF, SUPPORT, Unfit, alias};
pub use keys::KeySource;
pub use verifier::Verifier;

/// The type of an access token (RFC 9068).
pub const TOKEN_TYPE: &str = "at+jwt";

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Who issued it.
    pub iss: String,
    /// Whom it is for: us, and nobody besides.
    #[serde(deserialize_with = "token::one_audience")]
    pub aud: String,
    /// An account's id, or a collar's.
    pub sub: String,
    /// Not valid from then on, seconds.
    pub exp: i64,
    /// Not valid before then, seconds.
    pub nbf: i64,
    /// When it was issued, seconds.
    pub iat: i64,
    /// Its own id.
    pub jti: String,
    /// Scopes, separated by spaces.
    pub scope: String,
    /// Roles on the platform, `support` or `admin`; empty for everybody else.
    #[serde(default)]
    pub roles: Vec<String>,
    /// The session, or the collar's credential, it hangs on: ended, it is worth nothing.
    pub sid: SessionId,
    /// Whether it was made from a personal access token: such a one does nothing about the account itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub integration: bool,
    /// For a collar: what it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceClaims>,
}

/// What a device token is bound to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DeviceClaims {
    /// The pet.
    pub pet: PetId,
    /// The account that paired it.
    pub account: AccountId,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    kind: Kind,
    session: SessionId,
    scopes: Vec<String>,
    roles: Vec<String>,
    integration: bool,
    expires: i64,
}

#[derive(Clone, Debug)]
enum Kind {
    Account(AccountId),
    Device { collar: CollarId, pet: PetId, account: AccountId },
}

impl Caller {
    /// The account: the caller's own, or the one that paired the collar.
    #[must_use]
    pub fn account_id(&self) -> AccountId {
        match &self.kind {
            Kind::Account(account) | Kind::Device { account, .. } => *account,
        }
    }

    /// The collar and its pet, where a collar is calling.
    #[must_use]
    pub fn device(&self) -> Option<(&CollarId, PetId)> {
        match &self.kind {
            Kind::Account(_) => None,
            Kind::Device { collar, pet, .. } => Some((collar, *pet)),
        }
    }

    /// Whether a collar is calling.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.device().is_some()
    }

    /// The session, or the collar's credential.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// When the token expires.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        // Further than there are times is never.
        Timestamp::from_second(self.expires).unwrap_or(Timestamp::MAX)
    }

    /// The token's subject.
    #[must_use]
    pub fn subject(&self) -> String {
        match &self.kind {
            Kind::Account(account) => account.to_string(),
            Kind::Device { collar, .. } => collar.to_string(),
        }
    }

    /// The scopes.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The roles on the platform: what staff is. What somebody is to a pet is no role of these.
    #[must_use]
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// Whether the token was made from a personal access token: an integration calls, and nobody has signed in.
    #[must_use]
    pub fn is_integration(&self) -> bool {
        self.integration
    }

    /// Whether the caller has a role on the platform. A collar has none.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        !self.is_device() && self.roles.iter().any(|held| held == role)
    }
}

impl TryFrom<Claims> for Caller {
    type Error = ApiError;

    fn try_from(claims: Claims) -> Result<Self, ApiError> {
        let kind = match claims.device {
            None => Kind::Account(claims.sub.parse().map_err(|_| refused("TOKEN_INVALID"))?),
            Some(device) => Kind::Device {
                collar: claims.sub.parse().map_err(|_| refused("TOKEN_INVALID"))?,
                pet: device.pet,
                account: device.account,
            },
        };
        let scopes = claims.scope.split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        Ok(Self {
            kind,
            session: claims.sid,
            scopes,
            roles: claims.roles,
            integration: claims.integration,
            expires: claims.exp,
        })
    }
}

fn refused(reason: &'static str) -> ApiError {
    let text = match reason {
        "TOKEN_EXPIRED" => "the access token has expired; get another with the refresh token",
        _ => "the access token is not valid; sign in again",
    };
    ApiError::new(Code::Unauthenticated, reason, text)
}

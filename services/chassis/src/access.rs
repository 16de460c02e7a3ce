//! What a caller may do, and when a replica stops believing what it remembers.
//!
//! Invariants: cannot read it: not found, the same as if it did not exist; may read it but not do this: permission
//! denied. A remembered decision is used only while the broadcast of `access.changed` is heard; a replica that has not
//! heard it for three seconds asks auth each time, and when auth cannot be reached either it refuses (unavailable) and
//! never allows.

mod broadcast;
mod decisions;
mod flights;
mod reason;
mod remote;

pub use broadcast::{Broadcast, HEARTBEAT_INTERVAL, STREAM};
pub use decisions::{Access, Asker};
pub use reason::{ACCESS_REASON, AccessReason, HEADER as ACCESS_REASON_HEADER};
pub use remote::{RemoteAccess, RemoteKeys};

use async_trait::async_trait;
use jiff::Timestamp;
use petty_proto::policy::Need;

use crate::error::{ApiError, Code};
use crate::types::{CollarId, PairingId, PetId};

/// What a caller is to a pet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Sees it.
    Viewer,
    /// Sees it and adds to it.
    Caregiver,
    /// Sees it as a vet does.
    Vet,
    /// Has it.
    Owner,
    /// Is of the staff, and has said why they look.
    Staff,
}

impl Role {
    /// As it is stored and answered.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "VIEWER",
            Self::Caregiver => "CAREGIVER",
            Self::Vet => "VET",
            Self::Owner => "OWNER",
            Self::Staff => "STAFF",
        }
    }

    /// From how it is stored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Viewer, Self::Caregiver, Self::Vet, Self::Owner, Self::Staff];
        all.into_iter().find(|role| role.as_str() == text)
    }
}

/// What access is asked to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// Only whether the session still stands.
    Session,
    /// A pet.
    Pet(PetId),
    /// A collar.
    Collar(CollarId),
}

/// What auth answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// To a pet: what the caller is to it; `None`: nothing.
    pub role: Option<Role>,
    /// To a collar: its pairings with pets the caller may see, oldest first.
    pub pairings: Vec<Pairing>,
    /// Not to be remembered past then.
    pub expires: Option<Timestamp>,
}

/// A span of time in which a collar was a pet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairing {
    /// The pairing.
    pub pairing_id: PairingId,
    /// The pet.
    pub pet_id: PetId,
    /// From then on.
    pub start: Timestamp,
    /// Until then; `None`: still.
    pub end: Option<Timestamp>,
    /// What the caller is to the pet.
    pub role: Role,
}

impl Pairing {
    /// Whether the collar was the pet's at that time.
    #[must_use]
    pub fn covers(&self, time: Timestamp) -> bool {
        self.start <= time && self.end.is_none_or(|end| time < end)
    }
}

/// A caller's access to a pet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PetAccess {
    /// The pet.
    pub pet_id: PetId,
    /// What the caller is to it.
    pub role: Role,
}

/// A caller's access to a collar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollarAccess {
    /// The collar.
    pub collar_id: CollarId,
    /// Its pairings with pets the caller may see, oldest first.
    pub pairings: Vec<Pairing>,
}

/// Who decides: auth from its own tables, or auth's RPC.
#[async_trait]
pub trait AccessSource: Send + Sync + 'static {
    /// What the asker is to the target. A target that the asker may not see is answered with no role and no pairings.
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError>;
}

/// Whether a role may do what is needed.
#[must_use]
pub fn allows(role: Role, need: Need) -> bool {
    match need {
        Need::Read => true,
        Need::Write => matches!(role, Role::Owner | Role::Caregiver),
        Need::Own => role == Role::Owner,
    }
}

/// The answer for whoever is signed in no more.
#[must_use]
pub fn session_ended() -> ApiError {
    ApiError::unauthenticated("SESSION_ENDED", "the session has ended; sign in again")
}

/// The answer for a pet that is not there, or not the caller's to see.
#[must_use]
pub fn pet_not_found() -> ApiError {
    ApiError::not_found("PET_NOT_FOUND", "no such pet")
}

/// The answer for a collar that is not there, or not the caller's to see.
#[must_use]
pub fn collar_not_found() -> ApiError {
    ApiError::not_found("COLLAR_NOT_FOUND", "no such collar")
}

/// The answer for what the caller may see, but not do.
#[must_use]
pub fn not_allowed() -> ApiError {
    ApiError::new(Code::PermissionDenied, "PERMISSION_DENIED", "you may see this, but not do that with it")
}

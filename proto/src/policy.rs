//! What every method says of itself (`petty/options/v1/policy.proto`), as constants.
//!
//! The chassis' access layer, the gateway and the generated tests read the same values, so that they cannot disagree.

use std::time::Duration;

/// One method's policy.
#[derive(Debug, PartialEq, Eq)]
pub struct MethodPolicy {
    /// The gRPC path, `/petty.auth.v1.PetService/GetPet`.
    pub path: &'static str,
    /// The full service name.
    pub service: &'static str,
    /// The method's name.
    pub method: &'static str,
    /// Who may call at all.
    pub audience: Audience,
    /// The scope the token must hold; empty where none is needed.
    pub scope: &'static str,
    /// The platform roles, one of which the caller must have; empty where none is needed.
    pub roles: &'static [&'static str],
    /// Whether it takes nobody but who is signed in: no personal access token.
    pub interactive: bool,
    /// What the call is about.
    pub resource: Option<Resource>,
    /// The services that may call.
    pub services: &'static [&'static str],
    /// How a second sending is harmless.
    pub repeat: Repeat,
    /// What rate limits it counts towards.
    pub rate_class: RateClass,
    /// The most time it may take; for one that [streams](Self::streams), to begin with its answer.
    pub deadline: Duration,
    /// The HTTP status of success.
    pub success_status: u16,
    /// Whether its JSON is read as the first system read it.
    pub lenient_json: bool,
    /// Whether it may also answer 202 with nothing to say yet.
    pub may_be_accepted: bool,
    /// Whether it answers with a stream. The deadline is then that of the opening alone.
    pub streams: bool,
    /// Whether its callers send a stream. Each message is decided on by itself.
    pub takes_stream: bool,
}

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Anybody.
    Public,
    /// An account.
    Account,
    /// An account or a collar.
    AccountOrDevice,
    /// A service, on its own behalf.
    Service,
    /// A service, on behalf of a user or collar.
    ServiceForCaller,
}

/// What a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The request's field that names it.
    pub field: &'static str,
    /// What it names.
    pub kind: ResourceKind,
    /// What the caller must be allowed.
    pub need: Need,
}

/// The kinds of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// A pet.
    Pet,
    /// A collar.
    Collar,
    /// Several collars; the method decides on each.
    Collars,
    /// Something of a pet's, by an id of its own; the method finds the pet and decides on it.
    OfPet,
}

/// The levels of access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To see it.
    Read,
    /// To add to it.
    Write,
    /// To change who has it and what it is.
    Own,
}

/// How a second sending is harmless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// It only reads.
    ReadOnly,
    /// By its nature.
    Idempotent,
    /// By `request_id`, the answer is replayed.
    RequestId,
    /// By `request_id`; the answer holds a secret and is not replayed.
    RequestIdSecret,
    /// Each sending signs in anew.
    NewSession,
}

/// The rate-limit classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateClass {
    /// Signing up and in.
    Credentials,
    /// Readings in.
    Ingest,
    /// Reads.
    Read,
    /// Changes.
    Write,
    /// Between services.
    Internal,
}

/// The policy of a gRPC path.
#[must_use]
pub fn of(path: &str) -> Option<&'static MethodPolicy> {
    METHODS.iter().copied().find(|policy| policy.path == path)
}

include!(concat!(env!("OUT_DIR"), "/policies.rs"));

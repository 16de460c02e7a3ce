//! What the matrices go through: every method, with a request that is good, in a household whose every part is there.

mod account_samples;
mod event_samples;
pub(crate) mod samples;
pub(crate) mod scene;

use petty_proto::policy::{Audience, MethodPolicy};

/// Whether a method looks at who is calling.
pub(crate) fn takes_caller(policy: &MethodPolicy) -> bool {
    match policy.audience {
        Audience::Public | Audience::Service => false,
        Audience::Account | Audience::AccountOrDevice | Audience::ServiceForCaller => true,
    }
}

/// The service whose call a method takes: the gateway's, wherever it may.
pub(crate) fn calling_service(policy: &MethodPolicy) -> &'static str {
    let services = policy.services;
    if services.contains(&"gateway") { "gateway" } else { services[0] }
}

/// Whether an answer says nothing but that there was too much at once: two cores may run several meshes.
pub(crate) fn is_for_later(status: u16) -> bool {
    [429, 503, 504].contains(&status)
}

/// How often such an answer is taken before it counts.
pub(crate) const PATIENCE: usize = 20;
/// How long until the next try.
pub(crate) const PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

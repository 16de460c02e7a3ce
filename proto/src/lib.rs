//! Petty's protocol: protobuf types, their JSON, and what every method says of itself.
//!
//! Everything here is generated at build time from `petty/**/*.proto`; the only hand-written types are the well-known
//! ones whose JSON must be canonical ([`wkt`]) and the shape of a [`policy`].

pub mod policy;
pub mod wkt;

include!(concat!(env!("OUT_DIR"), "/handlers.rs"));

/// The encoded `FileDescriptorSet` of all protos, extensions and comments included: reflection, the gateway's routes
/// and the OpenAPI document come from it.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

macro_rules! package {
    ($(#[$doc:meta])* $name:ident, $file:literal $(, $json:literal)?) => {
        $(#[$doc])*
        // Unit tests are of what is written by hand, and do without the rest, which takes ten times as long to compile.
        #[cfg(not(test))]
        pub mod $name {
            /// Version 1.
            #[expect(clippy::allow_attributes, reason = "generated")]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/", $file));
                $(include!(concat!(env!("OUT_DIR"), "/", $json));)?
            }
        }
    };
}

package!(
    /// Accounts, tokens, pets, access.
    auth, "petty.auth.v1.rs", "petty.auth.v1.serde.rs"
);
package!(
    /// Readings in and out.
    ingest, "petty.ingest.v1.rs", "petty.ingest.v1.serde.rs"
);
package!(
    /// Episodes of behaviour.
    behavior, "petty.behavior.v1.rs", "petty.behavior.v1.serde.rs"
);
package!(
    /// Feeding plans.
    nutrition, "petty.nutrition.v1.rs", "petty.nutrition.v1.serde.rs"
);
package!(
    /// What people say of events.
    feedback, "petty.feedback.v1.rs", "petty.feedback.v1.serde.rs"
);
package!(
    /// The timeline.
    timeline, "petty.timeline.v1.rs", "petty.timeline.v1.serde.rs"
);
package!(
    /// Events between services.
    events, "petty.events.v1.rs"
);

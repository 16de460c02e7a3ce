//! The topics: who produces each, who consumes it.

/// A topic.
#[derive(Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// The services that produce it.
    pub producers: &'static [&'static str],
    /// The services that consume it, each as one group. Empty for a broadcast.
    pub consumers: &'static [&'static str],
    /// The version of its payload's schema.
    pub schema_version: i32,
    /// The most entries a stream of it may hold; the rest waits in the outbox.
    pub stream_limit: usize,
}

impl Topic {
    /// The stream of one shard.
    #[must_use]
    pub fn stream(&self, shard: i16) -> String {
        format!("petty:{}:{{{shard}}}", self.name)
    }

    /// Whether every replica hears it, without groups.
    #[must_use]
    pub fn is_broadcast(&self) -> bool {
        self.consumers.is_empty()
    }
}

macro_rules! topics {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, from $producers:expr, to $consumers:expr;)+) => {
        $($(#[$doc])* pub static $constant: Topic = Topic {
            name: $name,
            producers: &$producers,
            consumers: &$consumers,
            schema_version: 1,
            stream_limit: 100_000,
        };)+

        /// All topics.
        pub static ALL: &[&Topic] = &[$(&$constant),+];
    };
}

topics! {
    /// Decisions about access to be forgotten: heard by every replica.
    ACCESS_CHANGED = "access.changed", from ["auth"], to [];
    /// A pet is new, changed, or gone.
    PET_CHANGED = "pet.changed", from ["auth"], to ["ingest", "behavior", "nutrition", "timeline"];
    /// A pet is to be forgotten.
    PET_ERASING = "pet.erasing", from ["auth"], to ["ingest", "behavior", "nutrition", "timeline", "feedback"];
    /// A pet does not wear a collar any more.
    COLLAR_UNPAIRED = "collar.unpaired", from ["auth"], to ["behavior"];
    /// An account is closed and to be forgotten, by those who keep something of its own.
    ACCOUNT_ERASING = "account.erasing", from ["auth"], to ["nutrition", "feedback"];
    /// Readings are on disk.
    READINGS_ACCEPTED = "readings.accepted", from ["ingest"], to ["behavior"];
    /// A collar has stopped.
    READINGS_SILENT = "readings.silent", from ["ingest"], to ["behavior"];
    /// An episode began, grew, ended, was revised or superseded.
    BEHAVIOR_CHANGED = "behavior.changed", from ["behavior"], to ["timeline", "feedback"];
    /// The totals of one of a pet's days, complete as far as is known.
    BEHAVIOR_DAY_CLOSED = "behavior.day_closed", from ["behavior"], to ["nutrition", "timeline"];
    /// An alert was raised, became worse, was acknowledged, told once more, or cleared.
    ALERT_CHANGED = "alert.changed", from ["behavior"], to ["timeline"];
    /// A pet's plan of food is another.
    PLAN_CHANGED = "plan.changed", from ["nutrition"], to ["timeline"];
    /// Somebody said what they think of an episode.
    FEEDBACK_SUBMITTED = "feedback.submitted", from ["feedback"], to ["timeline"];
    /// A service has forgotten a pet, or an account.
    DATA_ERASED = "data.erased", from ["ingest", "behavior", "nutrition", "timeline", "feedback"], to ["auth"];
}

/// The topic of a name.
#[must_use]
pub fn named(name: &str) -> Option<&'static Topic> {
    ALL.iter().copied().find(|topic| topic.name == name)
}

/// The topics that a service produces.
pub fn produced_by(service: &str) -> impl Iterator<Item = &'static Topic> {
    ALL.iter().copied().filter(move |topic| topic.producers.contains(&service))
}

/// The topics that a service consumes.
pub fn consumed_by(service: &str) -> impl Iterator<Item = &'static Topic> {
    ALL.iter().copied().filter(move |topic| topic.consumers.contains(&service))
}

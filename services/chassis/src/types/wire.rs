//! Types as they look in messages.

use petty_proto::behavior::v1::episode::Behavior as WireBehavior;

use super::Behavior;

impl From<Behavior> for WireBehavior {
    fn from(behavior: Behavior) -> Self {
        match behavior {
            Behavior::DeepSleep => Self::DeepSleep,
            Behavior::Resting => Self::Resting,
            Behavior::Walking => Self::Walking,
            Behavior::Running => Self::Running,
            Behavior::PlayingFetch => Self::PlayingFetch,
            Behavior::AnxiousPacing => Self::AnxiousPacing,
            Behavior::Unknown => Self::Unknown,
        }
    }
}

impl Behavior {
    /// The behaviour in a message's field; `None` where none is stated, or one that is not heard of here.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|behavior| i32::from(WireBehavior::from(*behavior)) == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaviors_come_back_from_the_wire() {
        for behavior in Behavior::ALL {
            let sent = WireBehavior::from(behavior);
            assert_eq!(sent.as_str_name().to_ascii_lowercase(), behavior.slug());
            assert_eq!(Behavior::from_wire(sent.into()), Some(behavior));
        }
        for none in [i32::from(WireBehavior::Unspecified), -1, 1_000] {
            assert_eq!(Behavior::from_wire(none), None);
        }
    }
}

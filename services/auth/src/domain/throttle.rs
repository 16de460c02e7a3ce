//! How many attempts may fail, and how long the next one has to wait.
//!
//! Invariant: no more than a hundred in a row on one account (NIST SP 800-63B-4, 3.2.2), unless a year passes without any, and
//! the later ones hours apart.

use std::net::IpAddr;

/// Seconds that the longest pause takes.
const LONGEST: i32 = 15 * 60;

/// What attempts are counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// An address that somebody signs in with, known or not, from devices that are not known.
    Address,
    /// A device that has signed in to the account before.
    Device,
    /// An account's second factor, from devices that are not known.
    SecondFactor,
    /// An account's second factor, from a known device.
    DeviceSecondFactor,
    /// An account's passphrase, asked again of somebody who is signed in.
    Confirmation,
    /// Where attempts come from that could guess: log-ins, sign-ups, resets.
    Source,
    /// Where secrets come from that nobody can guess: refresh tokens, collars' secrets, tickets.
    SourceOfSecrets,
    /// An address that mail is asked for.
    Mail,
}

/// How attempts are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Failures in a row: a success forgets them.
    InARow {
        /// So many may fail without a pause; each after that doubles it, from a second to a quarter of an hour.
        free: i32,
        /// So many may fail in all.
        most: i32,
    },
    /// Failures per time: a success is not counted, and forgets nothing.
    PerTime {
        /// So many at once.
        burst: i32,
        /// One more each so many seconds.
        every: i32,
    },
}

impl Counter {
    /// Its name, in the database and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Device => "device",
            Self::SecondFactor => "second_factor",
            Self::DeviceSecondFactor => "device_second_factor",
            Self::Confirmation => "confirmation",
            Self::Source => "source",
            Self::SourceOfSecrets => "source_of_secrets",
            Self::Mail => "mail",
        }
    }

    /// How it counts.
    #[must_use]
    pub fn rule(self) -> Rule {
        match self {
            Self::Address | Self::Device | Self::Confirmation => Rule::InARow { free: 10, most: 100 },
            Self::SecondFactor | Self::DeviceSecondFactor => Rule::InARow { free: 5, most: 100 },
            // Many people may be behind one address.
            Self::Source | Self::SourceOfSecrets => Rule::PerTime { burst: 100, every: 30 },
            Self::Mail => Rule::PerTime { burst: 5, every: 15 * 60 },
        }
    }
}

/// The pauses after the first failure, the second and so on, in seconds; the last is that of all further ones.
#[must_use]
pub fn pauses(free: i32) -> Vec<i32> {
    let free = usize::try_from(free).unwrap_or_default();
    let doubling = (0..).map(|doubled| 1_i32 << doubled).take_while(|pause| *pause < LONGEST);
    // The last that is free is followed by the first pause.
    std::iter::repeat_n(0, free.saturating_sub(1)).chain(doubling).chain([LONGEST]).collect()
}

/// What counts as one source: an IPv4 address, or the /64 that an IPv6 subscriber has to itself.
#[must_use]
pub fn source(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_begin_after_what_is_free_and_double_up_to_a_quarter_of_an_hour() {
        assert_eq!(pauses(5), [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
        assert_eq!(pauses(1), [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900]);
    }

    #[test]
    fn a_hundred_failures_in_a_row_take_most_of_a_day() {
        for counter in [Counter::Address, Counter::Device, Counter::SecondFactor, Counter::Confirmation] {
            let Rule::InARow { free, most } = counter.rule() else { panic!("{counter:?}") };
            assert!(most <= 100);
            let pauses = pauses(free);
            let last = *pauses.last().unwrap();
            let all: i32 = (0..usize::try_from(most).unwrap() - 1)
                .map(|failure| pauses.get(failure).copied().unwrap_or(last))
                .sum();
            assert!(all > 18 * 3_600, "{counter:?}: {all} s");
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_subscribers_prefix() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ] {
            assert_eq!(source(address.parse().unwrap()), expected, "{address}");
        }
    }
}

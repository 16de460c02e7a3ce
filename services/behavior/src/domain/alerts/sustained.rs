//! A condition that must hold for a while before it counts, and be gone for a while before it does not.
//!
//! Invariant: one odd reading neither raises nor clears: of the readings of the while, a share must say the same.

use serde::{Deserialize, Serialize};

/// What "a while" is, microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct While {
    /// It must have held this long,
    pub(super) raise: i64,
    /// and be gone this long,
    pub(super) clear: i64,
    /// by so many readings at least.
    pub(super) least: u16,
    /// Of ten readings so many must agree.
    pub(super) of_ten: u32,
    /// Readings further apart begin anew.
    pub(super) gap: i64,
}

/// What a reading says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    /// The condition holds.
    Holds,
    /// It does not.
    Not,
    /// Neither clearly.
    Between,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Sustained {
    on: bool,
    since: Option<i64>,
    last: i64,
    agree: u16,
    all: u16,
}

impl Sustained {
    /// Takes a reading; whether the condition counts, where that is to be said: while it does, and once when it does no more.
    pub(super) fn take(&mut self, at: i64, says: Says, rule: While) -> Option<bool> {
        if self.since.is_some() && at - self.last > rule.gap {
            self.begin_anew();
        }
        self.last = at;
        // On, it waits for the end; off, for the begin.
        let agrees = says == if self.on { Says::Not } else { Says::Holds };
        match self.since {
            None if agrees => {
                (self.since, self.agree, self.all) = (Some(at), 1, 1);
            }
            None => {}
            Some(_) => {
                self.agree = self.agree.saturating_add(u16::from(agrees));
                self.all = self.all.saturating_add(1);
                if u32::from(self.agree) * 10 < u32::from(self.all) * rule.of_ten {
                    self.begin_anew();
                }
            }
        }
        let wanted = if self.on { rule.clear } else { rule.raise };
        if self.agree >= rule.least && self.since.is_some_and(|since| at - since >= wanted) {
            self.on = !self.on;
            self.begin_anew();
            return Some(self.on);
        }
        (self.on && says == Says::Holds).then_some(true)
    }

    const fn begin_anew(&mut self) {
        (self.since, self.agree, self.all) = (None, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: While = While { raise: 60, clear: 30, least: 4, of_ten: 8, gap: 20 };

    fn said(readings: &[(i64, Says)]) -> Vec<Option<bool>> {
        let mut sustained = Sustained::default();
        readings.iter().map(|(at, says)| sustained.take(*at, *says, RULE)).collect()
    }

    fn every_ten(count: i64, says: Says) -> Vec<(i64, Says)> {
        (0..count).map(|nth| (10 * nth, says)).collect()
    }

    #[test]
    fn it_counts_once_it_has_held_and_ends_once_it_is_gone() {
        let mut readings = every_ten(8, Says::Holds);
        readings.extend((8..13).map(|nth| (10 * nth, Says::Not)));
        let said = said(&readings);
        assert_eq!(said.iter().position(|said| *said == Some(true)), Some(6));
        assert_eq!(said.iter().position(|said| *said == Some(false)), Some(11));
    }

    #[test]
    fn one_odd_reading_of_ten_does_not_matter_and_every_third_does() {
        let odd = |first: usize, nth: usize| {
            let mut readings = every_ten(9, Says::Holds);
            readings.iter_mut().skip(first).step_by(nth).for_each(|reading| reading.1 = Says::Between);
            readings.last_mut().unwrap().1 = Says::Holds;
            said(&readings).contains(&Some(true))
        };
        assert!(odd(5, 10) && !odd(2, 3));
    }

    #[test]
    fn a_gap_begins_anew_and_few_readings_are_too_few() {
        let readings =
            [(0, Says::Holds), (10, Says::Holds), (40, Says::Holds), (50, Says::Holds), (60, Says::Holds)];
        assert!(!said(&readings).contains(&Some(true)));
        let few = [(0, Says::Holds), (20, Says::Holds), (60, Says::Holds)];
        assert!(!said(&few).contains(&Some(true)));
    }
}

//! What is usual by the hour of the day and the kind of day.
//!
//! Invariant: an hour counts of which half is known, and is told of once four such days are known; newer days count for more. A day on
//! which clocks were set does not count: its hours are others by the clock than from its begin.

use jiff::civil::Date;

use super::super::day::Hour;
use super::{Usual, is_weekend};

/// Days of a kind with that hour seen, until anything is said of it: as many as a forecast asks of a kind of day.
const WANTED: usize = 4;
/// Of a day without a change of clocks.
const HOURS: usize = 24;
/// An hour counts of which so much is known, minutes.
const SEEN: f64 = 30.0;
/// A heart rate counts of so many minutes at rest.
const RESTED: f64 = 10.0;

/// An hour of a kind of day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HourUsual {
    /// 0 to 23, by the pet's clock.
    pub hour: u8,
    /// Saturdays and Sundays, or the others.
    pub weekend: bool,
    /// Minutes on the move; absent where that was known on too few days.
    pub active_minutes: Option<Usual>,
    /// Heart rate at rest, beats per minute; absent where it was known on too few days.
    pub resting_heart_rate: Option<Usual>,
}

/// Of some days, as of a date.
#[must_use]
pub fn hours(days: &[(Date, &[Hour])], now: Date) -> Vec<HourUsual> {
    let of = |weekend: bool, hour: u8| {
        let alike = days.iter().filter(|(date, hours)| is_weekend(*date) == weekend && hours.len() == HOURS);
        let all: Vec<(Date, &Hour)> =
            alike.filter_map(|(date, hours)| Some((*date, hours.get(usize::from(hour))?))).collect();
        let seen = all.iter().filter(|(_, hour)| hour.covered_minutes >= SEEN);
        let active: Vec<(Date, f64)> = seen.map(|(date, hour)| (*date, hour.active_minutes)).collect();
        let rested = all.iter().filter(|(_, hour)| hour.rest_minutes >= RESTED);
        let beats: Vec<(Date, f64)> =
            rested.filter_map(|(date, hour)| Some((*date, hour.resting_heart_rate?))).collect();
        let enough =
            |figures: &[(Date, f64)]| Usual::decaying(figures, now).filter(|usual| usual.days >= WANTED);
        let (active_minutes, resting_heart_rate) = (enough(&active), enough(&beats));
        (active_minutes.is_some() || resting_heart_rate.is_some()).then_some(HourUsual {
            hour,
            weekend,
            active_minutes,
            resting_heart_rate,
        })
    };
    [false, true].into_iter().flat_map(|weekend| (0..24).filter_map(move |hour| of(weekend, hour))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_kinds_of_days_are_told_apart_and_an_hour_unseen_is_not_told() {
        let first = Date::constant(2026, 3, 2);
        let day = |nth: i32| {
            let date = first.checked_add(jiff::Span::new().days(nth)).unwrap();
            let hour = |hour: u8| Hour {
                covered_minutes: if hour == 3 { 10.0 } else { 60.0 },
                active_minutes: if hour == 8 && !is_weekend(date) || hour == 10 && is_weekend(date) {
                    40.0
                } else {
                    2.0
                },
                rest_minutes: 15.0,
                resting_heart_rate: Some(if hour < 6 { 55.0 } else { 62.0 }),
            };
            (date, (0..24).map(hour).collect::<Vec<Hour>>())
        };
        let days: Vec<(Date, Vec<Hour>)> = (0..14).map(day).collect();
        let days: Vec<(Date, &[Hour])> = days.iter().map(|(date, hours)| (*date, &hours[..])).collect();
        let usual = hours(&days, days[13].0);
        // Of the fourth hour heart rates alone.
        assert_eq!(usual.len(), 2 * 24);
        let of = |weekend: bool, hour: u8| {
            usual.iter().find(|one| (one.weekend, one.hour) == (weekend, hour)).unwrap()
        };
        assert!(of(false, 3).active_minutes.is_none() && of(false, 3).resting_heart_rate.is_some());
        let active = |weekend, hour| of(weekend, hour).active_minutes.unwrap().median;
        assert_eq!([active(false, 8), active(true, 8), active(true, 10)], [40.0, 2.0, 40.0]);
        assert_eq!(of(false, 2).resting_heart_rate.unwrap().median, 55.0);
        assert_eq!(
            (of(false, 2).active_minutes.unwrap().days, of(true, 2).active_minutes.unwrap().days),
            (10, 4)
        );
        // Where clocks are set the eighth hour is another one.
        let mut set = days.clone();
        let (date, all) = (set[7].0, set[7].1);
        set[7] = (date, &all[1..]);
        let of_set = hours(&set, days[13].0);
        let eighth = of_set.iter().find(|one| (one.weekend, one.hour) == (is_weekend(date), 8)).unwrap();
        assert_eq!(eighth.active_minutes.unwrap().days, 9);
        assert!(hours(&days[..7], days[6].0).iter().all(|one| !one.weekend), "two weekend days are too few");
    }
}

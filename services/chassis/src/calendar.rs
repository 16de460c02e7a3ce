//! Days of a time zone: which one a moment is in, when they begin and end.
//!
//! Invariants: between a midnight and the next there may be 23 or 25 hours; every moment belongs to one day. A zone is the
//! same in every service, since the tables of zones are the program's own and not the machine's.

use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// The zone of a name. What auth once took for a zone is one; a name that the tables do not know is UTC.
#[must_use]
pub fn zone(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).unwrap_or(TimeZone::UTC)
}

/// The day that a moment is in.
#[must_use]
pub fn date(time: Timestamp, zone: &TimeZone) -> Date {
    time.to_zoned(zone.clone()).date()
}

/// The day that a moment is in, in UTC.
#[must_use]
pub fn utc_date(time: Timestamp) -> Date {
    date(time, &TimeZone::UTC)
}

/// The days that a span touches, the first to the last. One that ends with midnight does not touch the next day.
pub fn touched(start: Timestamp, end: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Date> + use<> {
    let last = end.max(start + SignedDuration::from_micros(1)) - SignedDuration::from_micros(1);
    let (first, last) = (date(start, zone), date(last, zone));
    std::iter::successors(Some(first), |date| date.tomorrow().ok()).take_while(move |date| *date <= last)
}

/// A stretch of time, its end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

impl Bounds {
    /// A day's: its first moment, and the next day's. `None` at the edge of the calendar.
    #[must_use]
    pub fn of(date: Date, zone: &TimeZone) -> Option<Self> {
        let midnight = |date: Date| date.to_zoned(zone.clone()).ok()?.start_of_day().ok();
        Some(Self { start: midnight(date)?.timestamp(), end: midnight(date.tomorrow().ok()?)?.timestamp() })
    }

    /// What of it lies within another one; its length is not positive where nothing does.
    #[must_use]
    pub fn cut(self, other: Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// How long it is, minutes.
    #[must_use]
    pub fn minutes(self) -> f64 {
        self.end.duration_since(self.start).as_secs_f64() / 60.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn days_are_as_long_as_the_zone_says() {
        for (zone_name, date, start, hours) in [
            ("Europe/Berlin", "2026-03-28", "2026-03-27T23:00:00Z", 24.0),
            ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 23.0),
            ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 25.0),
            ("America/New_York", "2026-03-08", "2026-03-08T05:00:00Z", 23.0),
            // Clocks go forward at midnight: the day begins at one.
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 23.0),
            ("Asia/Kolkata", "2026-06-01", "2026-05-31T18:30:00Z", 24.0),
            ("Not/AZone", "2026-06-01", "2026-06-01T00:00:00Z", 24.0),
        ] {
            let day = Bounds::of(date.parse().unwrap(), &zone(zone_name)).unwrap();
            assert_eq!((day.start, day.minutes() / 60.0), (at(start), hours), "{zone_name} {date}");
        }
        assert_eq!(Bounds::of(Date::MAX, &TimeZone::UTC), None);
    }

    #[test]
    fn a_moment_is_in_one_day_of_each_zone() {
        for (time, berlin, utc) in [
            ("2026-01-10T22:59:59.999999Z", "2026-01-10", "2026-01-10"),
            ("2026-01-10T23:00:00Z", "2026-01-11", "2026-01-10"),
            ("2026-01-11T00:00:00Z", "2026-01-11", "2026-01-11"),
        ] {
            let found = (date(at(time), &zone("Europe/Berlin")), utc_date(at(time)));
            assert_eq!(found, (berlin.parse().unwrap(), utc.parse().unwrap()), "{time}");
        }
    }

    #[test]
    fn a_span_touches_the_days_it_has_a_moment_in() {
        let berlin = zone("Europe/Berlin");
        for (start, end, days) in [
            ("2026-01-10T10:00:00Z", "2026-01-10T11:00:00Z", vec!["2026-01-10"]),
            ("2026-01-10T22:30:00Z", "2026-01-10T23:00:00Z", vec!["2026-01-10"]),
            ("2026-01-10T22:30:00Z", "2026-01-10T23:00:00.000001Z", vec!["2026-01-10", "2026-01-11"]),
            ("2026-01-10T23:00:00Z", "2026-01-10T23:00:00Z", vec!["2026-01-11"]),
            ("2026-01-09T12:00:00Z", "2026-01-11T12:00:00Z", vec!["2026-01-09", "2026-01-10", "2026-01-11"]),
        ] {
            let found: Vec<String> =
                touched(at(start), at(end), &berlin).map(|date| date.to_string()).collect();
            assert_eq!(found, days, "{start} to {end}");
        }
    }

    #[test]
    fn a_stretch_is_cut_to_another() {
        let bounds = |start, end| Bounds {
            start: at("2026-01-10T00:00:00Z") + SignedDuration::from_mins(start),
            end: at("2026-01-10T00:00:00Z") + SignedDuration::from_mins(end),
        };
        for (stretch, cut) in
            [((0, 15), (10, 15)), ((12, 13), (12, 13)), ((0, 60), (10, 20)), ((15, 60), (15, 20))]
        {
            assert_eq!(bounds(stretch.0, stretch.1).cut(bounds(10, 20)), bounds(cut.0, cut.1), "{stretch:?}");
        }
        for (start, end) in [(0, 10), (20, 30), (0, 5), (40, 50)] {
            assert!(bounds(start, end).cut(bounds(10, 20)).minutes() <= 0.0, "{start} to {end}");
        }
        assert_eq!(bounds(10, 25).minutes(), 15.0);
    }
}

//! Whether a pet left its safe zones.
//!
//! Invariants: one fix says nothing, whatever it says of itself; two in a row do where the second is where a pet that was at the first
//! may be; where they contradict each other, a third must be outside as well.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::super::Position;
use super::super::geo::distance_m;
use super::super::zone::Zone;
use super::watch::{COLLARS, Context, signal};
use super::{FIXES_AT_ODDS, FIXES_OUTSIDE, Kind, Report, Severity, Signal};

/// Two fixes of a pet that stands still are so far apart at least before they contradict each other (a receiver's noise indoors, ~),
/// and at most before they do, whatever they say of themselves.
const NOISE_M: (f64, f64) = (25.0, 60.0);
/// A brisk walk (~).
const WALK_MPS: f64 = 1.5;

/// A fix outside, the last of its collar.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Stray {
    collar: u64,
    at: i64,
    latitude: f64,
    longitude: f64,
    accuracy_m: f64,
}

impl Stray {
    /// Whether another fix is where a pet that is here may be by then, walking: fixes that are wrong are so each in its own way.
    fn agrees(&self, report: &Report, fix: &Position) -> bool {
        let here = Position { latitude: self.latitude, longitude: self.longitude, accuracy_m: None };
        let seconds = (report.at.as_microsecond() - self.at) as f64 / 1e6;
        let noise = 2.0 * self.accuracy_m.hypot(fix.accuracy_m.unwrap_or(0.0));
        let noise = noise.clamp(NOISE_M.0, NOISE_M.1);
        distance_m(&here, fix) <= noise + WALK_MPS * seconds
    }
}

/// What is remembered of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Fence {
    /// Changes with the zones.
    tag: u64,
    /// It was seen in one of them.
    was_inside: bool,
    left: bool,
    /// By collar: fixes outside, one after the other.
    outside: Vec<(u64, u8)>,
}

impl Fence {
    /// Takes a reading; what it says.
    pub(super) fn take(
        &mut self,
        strays: &mut Vec<Stray>,
        home: &mut Option<Uuid>,
        context: &Context<'_>,
        report: &Report,
    ) -> Option<Signal> {
        let fix = report.position?;
        let tag = tag(context.zones);
        if self.tag != tag {
            let left = self.left;
            let stands = home.is_some_and(|home| context.zones.iter().any(|zone| zone.id == home));
            self.tag = tag;
            self.outside.clear();
            // The one that it was in was drawn anew, or stands among others: what it left then it has left.
            if !stands {
                // Of other zones it is not known yet that it was ever in one; one that it left is there no more.
                (self.was_inside, self.left, *home) = (false, false, None);
                if left {
                    return Some(signal(Kind::SafeZoneLeft, false, report, Severity::Info));
                }
            }
        }
        let accuracy = fix.accuracy_m.unwrap_or(0.0);
        let local = report.at.to_zoned(context.zone.clone());
        // Hours say when leaving is told: what was left stays so until the pet is back, in whichever of them.
        let applying = context.zones.iter().filter(|zone| self.left || zone.applies(&local));
        let beyond: Vec<(&Zone, f64)> = applying.map(|zone| (zone, zone.beyond_m(&fix))).collect();
        // Each zone has its own buffer: it may be within that of one that is further away.
        let near = beyond.iter().any(|(zone, beyond)| beyond - accuracy <= zone.buffer_m);
        let Some((nearest, beyond)) = beyond.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)) else {
            // None applies now: it cannot be left.
            let left = std::mem::take(&mut self.left);
            self.outside.clear();
            return left.then(|| signal(Kind::SafeZoneLeft, false, report, Severity::Info));
        };
        let place = self.outside.iter().position(|(collar, _)| *collar == report.collar);
        let place = place.unwrap_or_else(|| {
            if self.outside.len() >= COLLARS {
                self.outside.remove(0);
            }
            self.outside.push((report.collar, 0));
            self.outside.len() - 1
        });
        let count = &mut self.outside[place].1;
        let is = |on: bool, zone: Option<Uuid>| Signal {
            zone,
            ..signal(Kind::SafeZoneLeft, on, report, Kind::SafeZoneLeft.severity())
                .with("distance_m", beyond.max(0.0))
                .with("accuracy_m", accuracy)
        };
        let stray = strays.iter().position(|stray| stray.collar == report.collar);
        let stray = stray.map(|nth| strays.remove(nth));
        // A fix that may be far from where the pet is says as little of its being inside as of its being outside.
        if beyond <= 0.0 && beyond + accuracy <= nearest.buffer_m.max(NOISE_M.1) {
            *count = 0;
            self.was_inside = true;
            *home = Some(nearest.id);
            return std::mem::take(&mut self.left).then(|| is(false, Some(nearest.id)));
        }
        if near {
            *count = 0;
            return None;
        }
        *count = count.saturating_add(1);
        let agreed = stray.is_some_and(|stray| stray.agrees(report, &fix));
        let enough = if agreed { FIXES_OUTSIDE } else { FIXES_AT_ODDS };
        let (collar, at) = (report.collar, report.at.as_microsecond());
        let (latitude, longitude) = (fix.latitude, fix.longitude);
        strays.truncate(COLLARS - 1);
        let out = self.left || *count >= enough && self.was_inside;
        strays.push(Stray { collar, at, latitude, longitude, accuracy_m: accuracy });
        if out {
            self.left = true;
            return Some(is(true, Some(nearest.id)));
        }
        None
    }
}

/// Of which zones, in which versions.
fn tag(zones: &[Zone]) -> u64 {
    let parts =
        zones.iter().flat_map(|zone| [zone.id.as_u64_pair().0, zone.id.as_u64_pair().1, zone.version]);
    parts.fold(0xcbf2_9ce4_8422_2325, |hash, part| (hash ^ part).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::tz::TimeZone;

    use super::super::super::Species;
    use super::super::super::v1::Own;
    use super::super::super::zone::{Hours, Place, Shape};
    use super::*;

    /// When it is first said to have left.
    fn left(fixes: &[(i64, f64, f64, f64)]) -> Option<i64> {
        told(fixes).into_iter().find(|(_, on)| *on).map(|(second, _)| second)
    }

    /// What is said of fixes: seconds, metres north and east of home, what they say of their error.
    fn told(fixes: &[(i64, f64, f64, f64)]) -> Vec<(i64, bool)> {
        told_within(Vec::new(), fixes)
    }

    /// The same of a zone with such hours.
    fn told_within(hours: Vec<Hours>, fixes: &[(i64, f64, f64, f64)]) -> Vec<(i64, bool)> {
        let home = Zone {
            id: Uuid::nil(),
            version: 1,
            shape: Shape::Circle { center: Place { latitude: 0.0, longitude: 0.0 }, radius_m: 50.0 },
            buffer_m: 15.0,
            hours,
        };
        let own = Own::prior(Species::Dog);
        let zones = std::slice::from_ref(&home);
        let context = Context { species: Species::Dog, zone: &TimeZone::UTC, zones, own };
        let (mut fence, mut strays, mut seen) = (Fence::default(), Vec::new(), None);
        let said = |(second, north, east, accuracy): &(i64, f64, f64, f64)| {
            let report = Report {
                at: Timestamp::from_second(*second).unwrap(),
                collar: 1,
                heart_rate: None,
                activity_level: None,
                position: Some(Position {
                    latitude: north / 111_195.0,
                    longitude: east / 111_195.0,
                    accuracy_m: Some(*accuracy),
                }),
                respiratory_rate: None,
                temperature: None,
                battery: None,
            };
            let signal = fence.take(&mut strays, &mut seen, &context, &report)?;
            Some((*second, signal.on))
        };
        fixes.iter().filter_map(said).collect()
    }

    #[test]
    fn a_fix_that_may_be_anywhere_neither_finds_a_pet_at_home_nor_brings_it_back() {
        let out = |second| (second, 300.0, 0.0, 5.0);
        let coarse = |second| (second, 3.0, 0.0, 800.0);
        assert_eq!(left(&[coarse(0), out(10), out(20)]), None, "nobody knows that it was ever in");
        // Told as over it would be told again.
        let at_home = (0, 0.0, 0.0, 5.0);
        assert_eq!(told(&[at_home, out(10), out(20), coarse(30), out(40)]), [(20, true), (40, true)]);
        let fair = (30, 3.0, 0.0, 50.0);
        assert_eq!(told(&[at_home, out(10), out(20), fair]), [(20, true), (30, false)]);
    }

    #[test]
    fn who_left_while_a_zone_applied_is_out_until_it_is_back_whatever_the_hour() {
        // 1970 began on a Thursday.
        let hours = |start: i8, end: i8| {
            let at = |hour| jiff::civil::Time::constant(hour, 0, 0, 0);
            vec![Hours { days: vec![4], start: at(start), end: at(end) }]
        };
        let (before, after) = (17 * 3_600 + 3_000, 18 * 3_600 + 60);
        let at = |second: i64, north: f64| (second, north, 0.0, 5.0);
        let left = [at(before, 0.0), at(before + 10, 300.0), at(before + 20, 300.0)];
        let later = [&left[..], &[at(after, 2_000.0), at(after + 600, 0.0), at(after + 700, 300.0)]].concat();
        let said = told_within(hours(8, 18), &later);
        assert_eq!(said, [(before + 20, true), (after, true), (after + 600, false)]);
        // Where it does not apply nothing is left.
        assert_eq!(told_within(hours(20, 22), &later), []);
    }

    #[test]
    fn two_fixes_that_contradict_each_other_need_a_third() {
        let at_home = (0, 0.0, 0.0, 5.0);
        assert_eq!(left(&[at_home, (10, 200.0, 0.0, 2.0), (20, 200.0, 0.0, 2.0)]), Some(20));
        let contradicting = [at_home, (10, 200.0, 0.0, 2.0), (20, -200.0, 0.0, 2.0)];
        assert_eq!(left(&contradicting), None);
        // A fix within, or one that may be, begins anew.
        let home_between = [&contradicting[..], &[(30, 3.0, 0.0, 5.0), (40, 200.0, 0.0, 2.0)]].concat();
        assert_eq!(left(&home_between), None);
        let still_out = [&contradicting[..], &[(30, 0.0, 200.0, 2.0)]].concat();
        assert_eq!(left(&still_out), Some(30), "three in a row, wherever they are");
        // It walked on meanwhile.
        assert_eq!(left(&[at_home, (60, 90.0, 0.0, 4.0), (120, 160.0, 60.0, 4.0)]), Some(120));
        // What says that it knows nothing confirms nothing.
        assert_eq!(left(&[at_home, (10, 200.0, 0.0, 2.0), (20, -500.0, 0.0, 300.0)]), None);
    }
}

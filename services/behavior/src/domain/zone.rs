//! Safe zones: circles and polygons on the globe, when they apply, and how far beyond them a fix is.
//!
//! Invariant: distances are geodesic, and what is inside is decided about the fix itself, so that the antimeridian and the poles
//! are places like any other.

use jiff::Zoned;
use jiff::civil::Time;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Position;
use super::geo::{EARTH_RADIUS_M, distance_m};

/// The least and greatest radius of a circle, metres: a fix's own error, and a day's walk.
pub const RADIUS_M: std::ops::RangeInclusive<f64> = 10.0..=50_000.0;
/// How many corners a polygon has.
pub const CORNERS: std::ops::RangeInclusive<usize> = 3..=100;
/// No two corners are further apart, metres.
pub const EXTENT_M: f64 = 100_000.0;
/// The greatest buffer, metres.
pub const BUFFER_MOST_M: f64 = 1_000.0;

/// A corner or a centre, degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// −90 to 90.
    pub latitude: f64,
    /// −180 to 180.
    pub longitude: f64,
}

/// What a zone is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Shape {
    /// Everything within a distance.
    Circle {
        /// Its middle.
        center: Place,
        /// Metres.
        radius_m: f64,
    },
    /// Everything between corners, joined by the shortest ways.
    Polygon {
        /// In order, the last joined to the first.
        corners: Vec<Place>,
    },
}

/// When a zone applies: from a time of some days to another; to the next day's where that is not later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// Monday is 1, Sunday 7: the days on which it begins.
    pub days: Vec<i8>,
    /// By the pet's clock.
    pub start: Time,
    /// Not included.
    pub end: Time,
}

/// A safe zone.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Its id.
    pub id: Uuid,
    /// Higher after every change.
    pub version: u64,
    /// What it is like.
    pub shape: Shape,
    /// So far beyond it a pet is not outside yet, metres.
    pub buffer_m: f64,
    /// When it applies; always where there are none.
    pub hours: Vec<Hours>,
}

impl Zone {
    /// Whether it applies at a time of the pet's clock.
    #[must_use]
    pub fn applies(&self, local: &Zoned) -> bool {
        let today = local.weekday().to_monday_one_offset();
        let yesterday = if today == 1 { 7 } else { today - 1 };
        let time = local.time();
        self.hours.is_empty()
            || self.hours.iter().any(|hours| {
                let over_midnight = hours.end <= hours.start;
                let begun = hours.days.contains(&today) && hours.start <= time;
                let going_on = hours.days.contains(&yesterday) && over_midnight && time < hours.end;
                begun && (over_midnight || time < hours.end) || going_on
            })
    }

    /// How far beyond its edge a fix is, metres; inside it is 0 or less.
    #[must_use]
    pub fn beyond_m(&self, fix: &Position) -> f64 {
        match &self.shape {
            Shape::Circle { center, radius_m } => distance_m(fix, &center.position()) - radius_m,
            Shape::Polygon { corners } => beyond_polygon_m(fix, corners),
        }
    }
}

impl Place {
    const fn position(self) -> Position {
        Position { latitude: self.latitude, longitude: self.longitude, accuracy_m: None }
    }
}

impl Shape {
    /// What is wrong with it, by the field's name.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Circle { radius_m, .. } => {
                (!RADIUS_M.contains(radius_m)).then_some(("radius_m", "must be 10 to 50000"))
            }
            Self::Polygon { corners } => {
                if !CORNERS.contains(&corners.len()) {
                    return Some(("corners", "must be 3 to 100"));
                }
                let apart = |a: &Place, b: &Place| distance_m(&a.position(), &b.position());
                let far = corners.iter().any(|a| corners.iter().any(|b| apart(a, b) > EXTENT_M));
                let same = (0..corners.len())
                    .any(|nth| apart(&corners[nth], &corners[(nth + 1) % corners.len()]) < 0.5);
                if far {
                    Some(("corners", "must be at most 100 km apart"))
                } else {
                    same.then_some(("corners", "two that follow each other are the same"))
                }
            }
        }
    }
}

type Vector = [f64; 3];

fn vector(latitude: f64, longitude: f64) -> Vector {
    let (latitude, longitude) = (latitude.to_radians(), longitude.to_radians());
    [latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()]
}

fn dot(a: &Vector, b: &Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn cross(a: &Vector, b: &Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

/// On the plane that touches the globe at the fix, distances from it and angles about it are true.
fn beyond_polygon_m(fix: &Position, corners: &[Place]) -> f64 {
    let up = vector(fix.latitude, fix.longitude);
    // Any two directions at right angles will do; the axis least along `up` gives a long first one.
    let axis = if up[2].abs() < 0.9 { [0.0, 0.0, 1.0] } else { [1.0, 0.0, 0.0] };
    let first = unit(&cross(&axis, &up));
    let second = cross(&up, &first);
    let flat = |place: &Place| {
        let corner = vector(place.latitude, place.longitude);
        let (x, y) = (dot(&corner, &first), dot(&corner, &second));
        let across = x.hypot(y);
        let angle = across.atan2(dot(&corner, &up));
        let stretch = if across > 0.0 { angle / across * EARTH_RADIUS_M } else { 0.0 };
        (x * stretch, y * stretch)
    };
    // A polygon is no larger than EXTENT_M: one with a corner beyond a quarter of the globe lies there as a whole, and the fix outside. The
    // plane does not show it, for on it what lies about the fix's antipode surrounds the fix. It is as far as its nearest corner, but for its
    // extent.
    if corners.iter().any(|place| dot(&vector(place.latitude, place.longitude), &up) < 0.0) {
        return corners.iter().map(|place| distance_m(fix, &place.position())).fold(f64::INFINITY, f64::min);
    }
    let corners: Vec<(f64, f64)> = corners.iter().map(flat).collect();
    let (mut inside, mut nearest) = (false, f64::INFINITY);
    for (nth, a) in corners.iter().enumerate() {
        let b = &corners[(nth + 1) % corners.len()];
        nearest = nearest.min(to_segment(a, b));
        if (a.1 > 0.0) != (b.1 > 0.0) && a.0 + (b.0 - a.0) * a.1 / (a.1 - b.1) > 0.0 {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

fn unit(a: &Vector) -> Vector {
    let long = dot(a, a).sqrt();
    [a[0] / long, a[1] / long, a[2] / long]
}

/// From the middle of the plane.
fn to_segment(a: &(f64, f64), b: &(f64, f64)) -> f64 {
    let (x, y) = (b.0 - a.0, b.1 - a.1);
    let squared = x * x + y * y;
    let along = if squared > 0.0 { (-(a.0 * x + a.1 * y) / squared).clamp(0.0, 1.0) } else { 0.0 };
    (a.0 + along * x).hypot(a.1 + along * y)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place { latitude, longitude }
    }

    fn zone(shape: Shape) -> Zone {
        Zone { id: Uuid::nil(), version: 1, shape, buffer_m: 0.0, hours: Vec::new() }
    }

    fn fix(latitude: f64, longitude: f64) -> Position {
        place(latitude, longitude).position()
    }

    /// A square of about 222 m about a place.
    fn square(latitude: f64, longitude: f64) -> Zone {
        let east = 0.001 / latitude.to_radians().cos();
        let round = |degrees: f64| (degrees + 540.0).rem_euclid(360.0) - 180.0;
        let corner = |north: f64, side: f64| place(latitude + north * 0.001, round(longitude + side * east));
        let corners = vec![corner(-1.0, -1.0), corner(-1.0, 1.0), corner(1.0, 1.0), corner(1.0, -1.0)];
        zone(Shape::Polygon { corners })
    }

    #[test]
    fn a_square_is_the_same_at_home_and_across_the_antimeridian_and_the_equator() {
        for (latitude, longitude) in
            [(52.5, 13.4), (0.0, 0.0), (0.0, 180.0), (-17.0, -180.0), (65.0, 179.9995)]
        {
            let square = square(latitude, longitude);
            let round = |degrees: f64| (degrees + 540.0).rem_euclid(360.0) - 180.0;
            let middle = square.beyond_m(&fix(latitude, round(longitude)));
            assert!((middle + 111.2).abs() < 0.5, "{latitude} {longitude}: {middle}");
            // As far again beyond its northern edge.
            let north = square.beyond_m(&fix(latitude + 0.002, round(longitude)));
            assert!((north - 111.2).abs() < 0.5, "{latitude} {longitude}: {north}");
            let east =
                square.beyond_m(&fix(latitude, round(longitude + 0.002 / latitude.to_radians().cos())));
            assert!((east - 111.2).abs() < 0.5, "{latitude} {longitude}: {east}");
        }
    }

    #[test]
    fn on_the_other_side_of_the_globe_nothing_is_inside() {
        let round = |degrees: f64| (degrees + 540.0).rem_euclid(360.0) - 180.0;
        let (half, quarter) =
            (EARTH_RADIUS_M * std::f64::consts::PI, EARTH_RADIUS_M * std::f64::consts::FRAC_PI_2);
        for (latitude, longitude) in
            [(52.5, 13.4), (0.0, 0.0), (0.0, 180.0), (-17.0, -180.0), (65.0, 179.9995), (-89.9, 40.0)]
        {
            let square = square(latitude, longitude);
            // The antipode, and about it, where edges pass beside it and through it.
            for (north, east) in [(0.0, 0.0), (0.0005, 0.0), (0.0, -0.0005), (0.001, 0.001), (0.01, 0.0)] {
                let away = square.beyond_m(&fix(-latitude + north, round(longitude + 180.0 + east)));
                assert!((half - away).abs() < 2_000.0, "{latitude} {longitude}: {away} from the antipode");
            }
            // And each corner's own.
            let Shape::Polygon { corners } = &square.shape else { panic!() };
            for corner in corners {
                let away = square.beyond_m(&fix(-corner.latitude, round(corner.longitude + 180.0)));
                assert!((half - away).abs() < 2_000.0, "{latitude} {longitude}: {away} from a corner's");
            }
            // A quarter of the globe away, some of its corners before and some beyond that.
            let east = if latitude.abs() > 80.0 { continue } else { round(longitude + 90.0) };
            let away = square.beyond_m(&fix(0.0, east));
            assert!((quarter - away).abs() < 200.0, "{latitude} {longitude}: {away} at a quarter");
        }
        // A pole's cap seen from the other pole.
        let corners: Vec<Place> = (0..6).map(|nth| place(89.99, f64::from(nth) * 60.0 - 180.0)).collect();
        let away = zone(Shape::Polygon { corners }).beyond_m(&fix(-90.0, 0.0));
        assert!((half - away).abs() < 2_000.0, "{away}");
    }

    #[test]
    fn a_fix_farther_off_is_farther_off_all_the_way_to_the_antipode() {
        let (square, mut before) = (square(10.0, 20.0), 0.0);
        for step in 1..=180 {
            // Along the meridian to the antipode, past the pole.
            let along = 10.0 + f64::from(step);
            let (latitude, longitude) = if along <= 90.0 { (along, 20.0) } else { (180.0 - along, -160.0) };
            let away = square.beyond_m(&fix(latitude, longitude));
            assert!(away > before, "{step}: {away} after {before}");
            before = away;
        }
    }

    #[test]
    fn a_polygon_about_the_pole_holds_the_pole() {
        let corners: Vec<Place> = (0..6).map(|nth| place(89.99, f64::from(nth) * 60.0 - 180.0)).collect();
        let cap = zone(Shape::Polygon { corners });
        for longitude in [-180.0, -30.0, 0.0, 77.0, 180.0] {
            let inside = cap.beyond_m(&fix(90.0, longitude));
            assert!((inside + 963.0).abs() < 5.0, "{inside}");
            assert!(cap.beyond_m(&fix(89.98, longitude)) > 1_000.0);
        }
        let circle = zone(Shape::Circle { center: place(-90.0, 17.0), radius_m: 1_000.0 });
        assert!(circle.beyond_m(&fix(-89.992, -120.0)) < 0.0 && circle.beyond_m(&fix(-89.99, 40.0)) > 100.0);
    }

    #[test]
    fn a_notch_is_outside() {
        let corners = [(0.0, 0.0), (0.0, 0.004), (0.004, 0.004), (0.001, 0.002), (0.004, 0.0)];
        let zone = zone(Shape::Polygon { corners: corners.map(|(a, b)| place(a, b)).to_vec() });
        assert!(zone.beyond_m(&fix(0.003, 0.002)) > 50.0 && zone.beyond_m(&fix(0.0005, 0.002)) < 0.0);
    }

    #[test]
    fn hours_are_the_pets_own_and_may_cross_midnight() {
        let hours = |days: &[i8], start: &str, end: &str| Hours {
            days: days.to_vec(),
            start: start.parse().unwrap(),
            end: end.parse().unwrap(),
        };
        let mut zone = square(52.5, 13.4);
        let applies = |zone: &Zone, at: &str| zone.applies(&at.parse::<Zoned>().unwrap());
        assert!(applies(&zone, "2026-03-02T12:00[Europe/Berlin]"));
        // A Monday's.
        zone.hours = vec![hours(&[1], "08:00", "18:00")];
        assert!(
            applies(&zone, "2026-03-02T08:00[Europe/Berlin]")
                && !applies(&zone, "2026-03-02T18:00[Europe/Berlin]")
        );
        assert!(!applies(&zone, "2026-03-03T12:00[Europe/Berlin]"));
        // Sunday's night reaches into Monday.
        zone.hours = vec![hours(&[7], "22:00", "06:00")];
        assert!(
            applies(&zone, "2026-03-01T23:00[Europe/Berlin]")
                && applies(&zone, "2026-03-02T05:59[Europe/Berlin]")
        );
        assert!(
            !applies(&zone, "2026-03-02T06:00[Europe/Berlin]")
                && !applies(&zone, "2026-03-01T05:00[Europe/Berlin]")
        );
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let circle = |radius_m| Shape::Circle { center: place(0.0, 0.0), radius_m };
        assert_eq!(circle(100.0).fault(), None);
        assert!(circle(1.0).fault().is_some() && circle(f64::NAN).fault().is_some());
        let polygon = |corners: &[(f64, f64)]| Shape::Polygon {
            corners: corners.iter().map(|(a, b)| place(*a, *b)).collect(),
        };
        assert!(polygon(&[(0.0, 0.0), (0.0, 1e-3)]).fault().is_some());
        assert!(polygon(&[(0.0, 0.0), (0.0, 0.0), (1e-3, 0.0)]).fault().is_some());
        assert!(polygon(&[(0.0, 0.0), (0.0, 5.0), (1e-3, 0.0)]).fault().is_some());
        assert_eq!(polygon(&[(0.0, 0.0), (0.0, 1e-3), (1e-3, 0.0)]).fault(), None);
    }
}

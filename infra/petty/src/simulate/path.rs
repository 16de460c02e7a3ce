//! Where a pet is while it is out: metres north and east of its home.

use std::f64::consts::TAU;

/// Metres north and east of home.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Place {
    /// Metres north.
    pub north: f64,
    /// Metres east.
    pub east: f64,
}

/// A way that begins at home.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route {
    bearing: f64,
    /// A round's radius in metres; a line has none.
    radius: Option<f64>,
}

/// Going along a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// The route.
    pub route: Route,
    /// Metres along it at the beginning.
    pub from_m: f64,
    /// Speed, m/s; below 0 it leads home.
    pub mps: f64,
}

/// A game of fetch: the thrower stands, the dog runs to and fro.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Where the thrower stands.
    pub place: Place,
    /// Where it is thrown to, radians.
    pub bearing: f64,
    /// How far.
    pub throw_m: f64,
    /// How fast the dog runs, m/s.
    pub mps: f64,
    /// From the throw until the dog is back: there, a scuffle with the ball, and back.
    pub busy_s: f64,
    /// Then it rests.
    pub rest_s: f64,
}

impl Route {
    /// A circle that leads back home after so many metres.
    #[must_use]
    pub fn round(bearing: f64, metres: f64) -> Self {
        Self { bearing, radius: Some(metres / TAU) }
    }

    /// Straight away from home.
    #[must_use]
    pub fn line(bearing: f64) -> Self {
        Self { bearing, radius: None }
    }

    /// So many metres along it.
    #[must_use]
    pub fn place(&self, metres: f64) -> Place {
        let (ahead, aside) = match self.radius {
            None => (metres, 0.0),
            Some(radius) => {
                let (sin, cos) = (metres / radius).sin_cos();
                (radius * (1.0 - cos), radius * sin)
            }
        };
        Place::default().moved(self.bearing, ahead).moved(self.bearing + TAU / 4.0, aside)
    }
}

impl Path {
    /// After so many seconds. Nobody walks like a clock: the pace wavers a little.
    #[must_use]
    pub fn place(&self, seconds: f64) -> Place {
        let wavered = seconds + 2.5 * ((seconds / 23.0).sin() + (seconds / 9.0).sin() / 3.0);
        self.route.place(self.from_m + self.mps * wavered)
    }
}

impl Field {
    /// Whether the dog runs, and where it is, after so many seconds of the game.
    #[must_use]
    pub fn at(&self, seconds: f64) -> (bool, Place) {
        let phase = seconds.rem_euclid(self.busy_s + self.rest_s);
        let runs = phase < self.busy_s;
        let out = (self.mps * phase).min(self.mps * (self.busy_s - phase)).clamp(0.0, self.throw_m);
        (runs, self.place.moved(self.bearing, out))
    }
}

impl Place {
    /// So many metres further, in a direction.
    #[must_use]
    pub fn moved(self, bearing: f64, metres: f64) -> Self {
        let (sin, cos) = bearing.sin_cos();
        Self { north: self.north + metres * cos, east: self.east + metres * sin }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(a: Place, b: Place) -> f64 {
        (a.north - b.north).hypot(a.east - b.east)
    }

    #[test]
    fn a_round_leads_away_and_home_again_at_its_pace() {
        let path = Path { route: Route::round(0.3, 1_800.0), from_m: 0.0, mps: 1.2 };
        let home = Place::default();
        assert!(apart(path.place(0.0), home) < 1.0);
        assert!((apart(path.place(750.0), home) - 1_800.0 / (TAU / 2.0)).abs() < 15.0);
        assert!(apart(path.place(1_500.0), home) < 8.0);
        for at in 0..1_470 {
            let mps = apart(path.place(f64::from(at)), path.place(f64::from(at) + 30.0)) / 30.0;
            assert!((0.9..1.5).contains(&mps), "{at}: {mps}");
        }
    }

    #[test]
    fn fetch_goes_over_a_hundred_metres_and_comes_back_for_a_rest() {
        let place = Place { north: 400.0, east: 0.0 };
        let field = Field { place, bearing: 1.0, throw_m: 140.0, mps: 5.6, busy_s: 84.0, rest_s: 66.0 };
        let far = (0..84).filter(|at| apart(field.at(f64::from(*at)).1, place) > 110.0).count();
        assert!(far >= 40, "long enough to be seen once a minute: {far}");
        for at in 84..150 {
            let (runs, at) = field.at(f64::from(at));
            assert!(!runs && apart(at, place) < 0.1);
        }
    }
}

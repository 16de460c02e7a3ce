//! Distances in metres on a sphere: right across the antimeridian and at the poles, where degrees are not.

use super::Position;

/// Mean radius of the Earth, IUGG R1.
pub(super) const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// Great-circle distance in metres (haversine; within 0.5 % of the ellipsoid's).
#[must_use]
pub fn distance_m(a: &Position, b: &Position) -> f64 {
    let (lat_a, lat_b) = (a.latitude.to_radians(), b.latitude.to_radians());
    let half_lat = (lat_b - lat_a) / 2.0;
    let half_lon = (b.longitude - a.longitude).to_radians() / 2.0;
    let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
    2.0 * EARTH_RADIUS_M * h.sqrt().min(1.0).asin()
}

//! Where pets live: a city for each time zone that the simulator knows.

/// A city: its IANA time zone, its name, latitude and longitude in degrees (rounded to its middle).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    /// IANA time zone.
    pub zone: &'static str,
    /// Name.
    pub name: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

const fn city(zone: &'static str, name: &'static str, latitude: f64, longitude: f64) -> City {
    City { zone, name, latitude, longitude }
}

/// The zones that pets are spread over unless one is asked for.
pub const USUAL: usize = 10;

/// Every city, the usual ones first.
pub const CITIES: [City; 36] = [
    city("Europe/Berlin", "Berlin", 52.517, 13.389),
    city("America/New_York", "New York", 40.713, -73.960),
    city("Asia/Tokyo", "Tokyo", 35.690, 139.700),
    city("Europe/London", "London", 51.510, -0.120),
    city("America/Los_Angeles", "Los Angeles", 34.060, -118.250),
    city("Australia/Sydney", "Sydney", -33.880, 151.190),
    city("Asia/Kolkata", "Delhi", 28.620, 77.210),
    city("America/Sao_Paulo", "São Paulo", -23.550, -46.640),
    city("Africa/Nairobi", "Nairobi", -1.290, 36.820),
    city("America/Denver", "Denver", 39.740, -104.980),
    city("Africa/Cairo", "Cairo", 30.050, 31.240),
    city("Africa/Johannesburg", "Johannesburg", -26.200, 28.050),
    city("Africa/Lagos", "Lagos", 6.530, 3.370),
    city("America/Anchorage", "Anchorage", 61.190, -149.870),
    city("America/Argentina/Buenos_Aires", "Buenos Aires", -34.610, -58.450),
    city("America/Bogota", "Bogotá", 4.650, -74.090),
    city("America/Chicago", "Chicago", 41.880, -87.680),
    city("America/Halifax", "Halifax", 44.650, -63.600),
    city("America/Mexico_City", "Mexico City", 19.420, -99.140),
    city("America/Santiago", "Santiago", -33.450, -70.660),
    city("America/St_Johns", "St. John's", 47.560, -52.730),
    city("America/Toronto", "Toronto", 43.690, -79.410),
    city("Asia/Dubai", "Dubai", 25.190, 55.290),
    city("Asia/Jakarta", "Jakarta", -6.210, 106.830),
    city("Asia/Karachi", "Karachi", 24.900, 67.050),
    city("Asia/Kathmandu", "Kathmandu", 27.710, 85.320),
    city("Asia/Shanghai", "Shanghai", 31.220, 121.450),
    city("Asia/Singapore", "Singapore", 1.340, 103.820),
    city("Australia/Adelaide", "Adelaide", -34.920, 138.600),
    city("Australia/Brisbane", "Brisbane", -27.480, 153.020),
    city("Europe/Athens", "Athens", 37.990, 23.740),
    city("Europe/Istanbul", "Istanbul", 41.020, 28.940),
    city("Europe/Madrid", "Madrid", 40.420, -3.690),
    city("Europe/Paris", "Paris", 48.860, 2.340),
    city("Pacific/Auckland", "Auckland", -36.870, 174.760),
    city("Pacific/Honolulu", "Honolulu", 21.310, -157.840),
];

/// The city of a time zone; for a zone without one, a city of that continent whose clocks show about the same time.
#[must_use]
pub fn city_of(zone: &str, offset_seconds: i32) -> City {
    let exact = CITIES.into_iter().find(|city| city.zone.eq_ignore_ascii_case(zone));
    exact.unwrap_or_else(|| {
        // 15 degrees of longitude to the hour.
        let wanted = f64::from(offset_seconds) / 240.0;
        let continent = |zone: &str| zone.split('/').next().unwrap_or_default().to_lowercase();
        let elsewhere = |city: &City| if continent(city.zone) == continent(zone) { 0.0 } else { 360.0 };
        let distance = |city: &City| (city.longitude - wanted).abs() + elsewhere(city);
        CITIES.into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(CITIES[0])
    })
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn every_city_lies_in_a_zone_that_exists_and_keeps_about_its_time() {
        for city in CITIES {
            let zone = TimeZone::get(city.zone).unwrap();
            let winter: jiff::Timestamp = "2026-01-15T12:00:00Z".parse().unwrap();
            let hours = f64::from(zone.to_offset(winter).seconds()) / 3600.0;
            assert!((hours - city.longitude / 15.0).abs() < 2.6, "{city:?}: {hours}");
        }
    }

    #[test]
    fn a_zone_without_a_city_gets_one_with_about_its_time() {
        assert_eq!(city_of("Europe/Berlin", 3_600).name, "Berlin");
        assert_eq!(city_of("europe/berlin", 0).name, "Berlin");
        assert!((city_of("Europe/Andorra", 3_600).longitude - 15.0).abs() < 10.0);
        assert_eq!(city_of("Asia/Seoul", 9 * 3_600).name, "Tokyo");
    }
}

//! Days on which the clocks change. Petty takes readings of the last 30 days alone, so this is not done through REST: the
//! simulator's readings go to behavior's worker, and what that tells to timeline's, at the time it is then.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use petty::simulate::pet::Pet;
use petty::simulate::stream::Stream;

use super::believable::believable;
use super::bench::Services;

const INTERVAL: SignedDuration = SignedDuration::from_secs(60);
/// Collars that report every three hours.
const FLUSH: SignedDuration = SignedDuration::from_hours(3);

fn midnight(date: Date, zone: &TimeZone) -> Timestamp {
    date.to_zoned(zone.clone()).unwrap().timestamp()
}

/// Some days of a dog and two cats in a zone, the last of them told as late as it is closed; `changed` has so many hours.
async fn days(name: &str, zone: &str, first: &str, last: &str, (changed, hours): (&str, i64)) {
    let date = |text: &str| text.parse::<Date>().unwrap();
    let (first, last, changed) = (date(first), date(last), date(changed));
    let time_zone = TimeZone::get(zone).unwrap();
    let begin = midnight(first, &time_zone);
    let end = midnight(last.tomorrow().unwrap(), &time_zone) + SignedDuration::from_hours(7);
    let services = Services::start(name, midnight(last, &time_zone), end).await;
    // Their numbers say their species: a dog, a cat, another cat.
    let mut pets: Vec<_> = [0, 1, 3]
        .into_iter()
        .map(|number| {
            let pet = Pet::of(11, number, Some(&time_zone));
            let stream = Stream::new(pet.clone(), format!("collar-{number}"), begin);
            (services.adopt(&pet), pet, stream)
        })
        .collect();
    let mut now = begin;
    while now < end {
        now += FLUSH;
        let flush: Vec<_> =
            pets.iter_mut().map(|(id, _, stream)| (*id, stream.take(now, INTERVAL, usize::MAX))).collect();
        services.flush(now, &flush).await;
    }
    services.tell_episodes().await;
    let dates: Vec<Date> = first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last).collect();
    for (id, _, _) in &pets {
        let (day, _) = services.day(*id, changed).await;
        assert_eq!((day.closed, day.version, day.covered), (false, 0, None), "not told yet");
    }
    services.tell_days().await;
    let closed = services.closed().await;
    assert_eq!(closed.len(), pets.len() * dates.len(), "each day once: {closed:?}");
    for (id, pet, _) in &pets {
        for date in &dates {
            let (day, episodes) = services.day(*id, *date).await;
            let length = if *date == changed { hours } else { 24 };
            assert_eq!(day.end - day.start, length * 3_600, "{zone} {date}");
            assert_eq!((day.time_zone.as_str(), day.closed, day.version), (zone, true, 1), "{date}");
            let told = |told: &&petty_proto::events::v1::DayClosed| {
                told.pet_id == id.to_string() && told.date == date.to_string()
            };
            let told = closed.iter().find(told).unwrap();
            assert_eq!(day.covered, Some(told.covered_minutes));
            believable(pet, zone, *date, &day, &episodes);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_23_hours_when_summer_time_begins_are_believable() {
    days("new_york_spring", "America/New_York", "2026-03-07", "2026-03-09", ("2026-03-08", 23)).await;
    days("berlin_spring", "Europe/Berlin", "2026-03-27", "2026-03-30", ("2026-03-29", 23)).await;
    days("sydney_spring", "Australia/Sydney", "2026-10-03", "2026-10-05", ("2026-10-04", 23)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_25_hours_when_summer_time_ends_are_believable() {
    days("sydney_autumn", "Australia/Sydney", "2026-04-04", "2026-04-06", ("2026-04-05", 25)).await;
    days("berlin_autumn", "Europe/Berlin", "2026-10-24", "2026-10-26", ("2026-10-25", 25)).await;
    days("new_york_autumn", "America/New_York", "2026-10-31", "2026-11-02", ("2026-11-01", 25)).await;
}

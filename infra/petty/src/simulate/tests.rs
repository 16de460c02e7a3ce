//! What the behaviour rules make of the simulated days: the right things at the right hours, where the pet lives.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use petty_behavior::domain::{self, Behavior, Episode, Params, Position};

use super::day::{Day, Doing};
use super::pet::Pet;
use super::reading::Reading;
use super::stream::Stream;
use crate::client::Species;

fn pet(seed: u64, species: Species, zone: &str) -> Pet {
    let number = if species == Species::Dog { 0 } else { 1 };
    let pet = Pet::of(seed, number, Some(&TimeZone::get(zone).unwrap()));
    assert_eq!(pet.species, species);
    pet
}

fn readings(pet: &Pet, from: Timestamp, to: Timestamp, interval: i64) -> Vec<Reading> {
    let mut stream = Stream::new(pet.clone(), "c-1".to_owned(), from);
    stream.take(to, SignedDuration::from_secs(interval), usize::MAX)
}

fn of_date(pet: &Pet, date: Date, interval: i64) -> Vec<Reading> {
    let day = Day::of(pet, date);
    let second = |second| Timestamp::from_second(second).unwrap();
    readings(pet, second(day.start), second(day.end - 1), interval)
}

/// What the rules find. The days are made for `spine/1`, word for word; what the service makes of them, with the rules it runs,
/// is checked end to end in `tests/`.
fn found(pet: &Pet, readings: &[Reading]) -> Vec<Episode> {
    let params = Params::of(match pet.species {
        Species::Dog => domain::Species::Dog,
        Species::Cat => domain::Species::Cat,
    });
    let readings: Vec<domain::Reading> = readings.iter().map(as_domain).collect();
    domain::interpret(&params, &readings)
}

fn as_domain(reading: &Reading) -> domain::Reading {
    domain::Reading {
        at: reading.timestamp,
        heart_rate: reading.heart_rate,
        activity_level: reading.activity_level,
        respiratory_rate: reading.respiratory_rate,
        position: reading.location.map(|fix| Position {
            latitude: fix.latitude,
            longitude: fix.longitude,
            accuracy_m: Some(fix.accuracy),
        }),
    }
}

/// Minutes of some behaviours that began between two hours of the pet's clock.
fn minutes(pet: &Pet, episodes: &[Episode], of: &[Behavior], hours: std::ops::Range<i8>) -> f64 {
    episodes
        .iter()
        .filter(|episode| of.contains(&episode.behavior))
        .filter(|episode| hours.contains(&episode.start.to_zoned(pet.time_zone.clone()).hour()))
        .map(|episode| episode.end.duration_since(episode.start).as_secs_f64() / 60.0)
        .sum()
}

const SLEEP: [Behavior; 2] = [Behavior::DeepSleep, Behavior::Resting];
const PLAY: [Behavior; 2] = [Behavior::PlayingFetch, Behavior::Running];

/// Everything that must be found on a full day, and nothing where it does not belong.
#[track_caller]
fn believable(pet: &Pet, date: Date, interval: i64) {
    let readings = of_date(pet, date, interval);
    let day = Day::of(pet, date);
    let episodes = found(pet, &readings);
    let hours = (day.end - day.start) as f64 / 3_600.0;
    let what = format!(
        "{} {} in {} on {date} ({hours} h), every {interval} s: {:#?}",
        pet.name,
        pet.breed,
        pet.zone,
        episodes
            .iter()
            .map(|e| format!("{} {}", e.start.to_zoned(pet.time_zone.clone()), e.behavior.name()))
            .collect::<Vec<_>>()
    );
    let minutes = |of: &[Behavior], hours| minutes(pet, &episodes, of, hours);
    let (early, late) = (minutes(&SLEEP, 0..5), minutes(&SLEEP, 23..24));
    let night = (hours - 24.0 + 5.0) * 60.0;
    assert!(early > night - 25.0 && late > 0.0, "sleeps at night: {early} {late} {what}");
    let deep = minutes(&[Behavior::DeepSleep], 0..5);
    assert!(deep > night / 2.5, "and deeply: {deep} {what}");
    let whole = minutes(&SLEEP, 0..24) / 60.0;
    assert!((hours - 8.0..hours - 0.5).contains(&whole), "rests or sleeps most of the day: {whole} {what}");

    let walks: Vec<i8> = episodes
        .iter()
        .filter(|episode| episode.behavior == Behavior::Walking)
        .filter(|episode| episode.end.duration_since(episode.start) >= SignedDuration::from_mins(5))
        .map(|episode| episode.start.to_zoned(pet.time_zone.clone()).hour())
        .collect();
    assert!(walks.iter().all(|hour| (6..21).contains(hour)), "walks by day: {what}");
    if pet.species == Species::Dog {
        for hours in [6..10, 11..14, 14..18, 17..20] {
            assert!(walks.iter().any(|hour| hours.contains(hour)), "a walk within {hours:?}: {what}");
        }
        let fetch = minutes(&[Behavior::PlayingFetch], 14..18);
        assert!((8.0..40.0).contains(&fetch), "fetch in the afternoon: {fetch} {what}");
    } else {
        let (morning, afternoon) = (minutes(&PLAY, 7..10), minutes(&PLAY, 16..18));
        assert!(morning >= 1.0 && afternoon >= 1.0, "plays after breakfast and before dusk: {what}");
    }
    let wild = minutes(&PLAY, 0..7) + minutes(&PLAY, 21..24);
    assert!(wild == 0.0, "no games at night: {wild} {what}");
    let pacing = minutes(&[Behavior::AnxiousPacing], 0..24);
    if day.active.iter().any(|stretch| stretch.doing == Doing::Pacing) {
        let spell = minutes(&[Behavior::AnxiousPacing], 19..22);
        assert!(spell >= 3.0 && spell == pacing, "a spell of pacing in the evening: {spell} {what}");
    } else {
        assert!(pacing == 0.0, "no pacing: {pacing} {what}");
    }
    let unknown = minutes(&[Behavior::Unknown], 0..24);
    assert!(unknown < 15.0, "nearly everything is recognised: {unknown} {what}");
}

fn everybody_on(zone: &str, dates: &[&str]) {
    for date in dates {
        for seed in 0..20 {
            for species in [Species::Dog, Species::Cat] {
                for interval in [10, 60] {
                    believable(&pet(seed, species, zone), date.parse().unwrap(), interval);
                }
            }
        }
    }
}

#[test]
fn days_are_recognised_in_berlin_when_the_clocks_change_and_are_of_23_and_25_hours() {
    let hours = |date: &str| {
        let day = Day::of(&pet(1, Species::Dog, "Europe/Berlin"), date.parse().unwrap());
        (day.end - day.start) / 3_600
    };
    assert_eq!((hours("2026-03-29"), hours("2026-10-25"), hours("2026-11-21")), (23, 25, 24));
    everybody_on("Europe/Berlin", &["2026-03-29", "2026-10-25"]);
}

#[test]
fn days_are_recognised_in_new_york_when_the_clocks_change() {
    everybody_on("America/New_York", &["2026-03-08", "2026-11-01"]);
}

#[test]
fn days_are_recognised_half_an_hour_off_and_where_midnight_is_skipped() {
    everybody_on("Asia/Kolkata", &["2026-03-29"]);
    // The clocks go from 24:00 to 1:00.
    everybody_on("Africa/Cairo", &["2026-04-24"]);
}

#[test]
fn days_are_recognised_at_any_interval_that_may_be_chosen() {
    for interval in [5, 20, 30, 45, 59] {
        for seed in 20..24 {
            for species in [Species::Dog, Species::Cat] {
                believable(&pet(seed, species, "Europe/London"), "2026-11-21".parse().unwrap(), interval);
            }
        }
    }
}

#[test]
fn plans_differ_from_day_to_day_and_pet_to_pet_and_never_overlap() {
    let date: Date = "2026-11-02".parse().unwrap();
    let mut spells = 0;
    for species in [Species::Dog, Species::Cat] {
        for seed in 0..20 {
            let pet = pet(seed, species, "Europe/Berlin");
            let other = self::pet(seed + 100, species, "Europe/Berlin");
            assert_ne!(Day::of(&pet, date).active, Day::of(&other, date).active);
            for days in 0..60 {
                let date = date.checked_add(Span::new().days(days)).unwrap();
                let (day, next) = (Day::of(&pet, date), Day::of(&pet, date.tomorrow().unwrap()));
                assert_eq!(day.end, next.start);
                let starts = |day: &Day| day.active.iter().map(|it| it.start - day.start).collect::<Vec<_>>();
                assert_ne!(starts(&day), starts(&next));
                let inside = |from: i64, to: i64| day.start <= from && from < to && to <= day.end;
                assert!(day.active.iter().chain(&day.sleep).all(|it| inside(it.start, it.end)), "{day:?}");
                assert!(day.active.windows(2).all(|pair| pair[0].end <= pair[1].start), "{day:?}");
                for (from, to) in &day.silent {
                    let hidden = day.active.iter().any(|it| it.start < *to && *from < it.end);
                    assert!(
                        inside(*from, *to) && !hidden,
                        "a collar is silent while little happens: {day:?}"
                    );
                }
                spells += usize::from(day.active.iter().any(|it| it.doing == Doing::Pacing));
            }
        }
    }
    let share = spells as f64 / (2.0 * 20.0 * 60.0);
    assert!((0.28..0.39).contains(&share), "a spell of pacing in one day of three: {share}");
}

#[test]
fn heart_rates_are_missing_43_percent_of_the_time_and_every_value_is_one_that_petty_takes() {
    for (species, core) in [(Species::Dog, 37.5..=39.2), (Species::Cat, 37.8..=39.2)] {
        let (mut all, mut with, mut warm, mut breaths) = (0, 0, 0, 0);
        for seed in 0..5 {
            let pet = pet(seed, species, "Asia/Tokyo");
            for date in ["2026-11-05", "2026-11-06", "2026-11-07", "2026-11-08"] {
                let mut battery = Vec::new();
                for reading in of_date(&pet, date.parse().unwrap(), 10) {
                    all += 1;
                    with += u32::from(reading.heart_rate.is_some());
                    warm += u32::from(reading.temperature.is_some());
                    breaths += u32::from(reading.respiratory_rate.is_some());
                    assert!(
                        reading.heart_rate.is_none_or(|bpm| (35.0..=240.0).contains(&bpm)),
                        "{reading:?}"
                    );
                    assert!(reading.activity_level.is_none_or(|level| level <= 2));
                    assert!(reading.temperature.is_none_or(|degrees| core.contains(&degrees)));
                    assert!(reading.respiratory_rate.is_none_or(|rate| (8.0..=30.0).contains(&rate)));
                    assert!(reading.location.is_none_or(|fix| {
                        (fix.latitude - pet.latitude).abs() < 0.02 && (0.0..50.0).contains(&fix.accuracy)
                    }));
                    battery.push(reading.battery_level);
                }
                assert!(battery.iter().all(|level| (1.0..=100.0).contains(level)));
                let charged = battery.windows(2).filter(|pair| pair[1] > pair[0]).count();
                assert!(charged <= 1, "it drains, and is charged at most once a day: {charged}");
            }
        }
        let missing = 1.0 - f64::from(with) / f64::from(all);
        assert!((0.40..0.46).contains(&missing), "{missing}");
        assert!((0.01..0.06).contains(&(f64::from(warm) / f64::from(all))), "{warm} of {all}");
        assert!(breaths > 0);
    }
}

#[test]
fn a_reading_is_the_same_whenever_and_however_it_is_made() {
    let pet = pet(3, Species::Cat, "America/New_York");
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, to) = (time("2026-10-31T21:00:00Z"), time("2026-11-02T03:00:00Z"));
    let all = readings(&pet, from, to, 10);
    assert!(all.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
    let later = readings(&pet, time("2026-11-01T05:59:30.5Z"), to, 10);
    assert!(all.ends_with(&later) && later.len() > 7_000);
    let sparse = readings(&pet, from, to, 60);
    assert!(sparse.len() > 1_500 && sparse.iter().all(|reading| all.contains(reading)));

    let mut stream = Stream::new(pet, "c-1".to_owned(), from);
    let mut batches = Vec::new();
    loop {
        let batch = stream.take(to, SignedDuration::from_secs(10), 333);
        if batch.is_empty() {
            break;
        }
        batches.extend(batch);
    }
    assert_eq!(batches, all);
    assert!(stream.upcoming(SignedDuration::from_secs(10)) > to);
}

#[test]
fn a_reading_is_posted_as_the_api_writes_it() {
    let pet = pet(3, Species::Dog, "Europe/Berlin");
    let readings = of_date(&pet, "2026-11-21".parse().unwrap(), 10);
    let reading = readings.iter().find(|it| it.location.is_some() && it.heart_rate.is_some()).unwrap();
    let json = serde_json::to_value(reading).unwrap();
    let fix = reading.location.unwrap();
    assert_eq!(json["location"]["type"], "Point");
    assert_eq!(json["location"]["coordinates"], serde_json::json!([fix.longitude, fix.latitude]));
    assert_eq!(json["timestamp"], reading.timestamp.to_string());
    let bare = readings.iter().find(|it| it.location.is_none() && it.heart_rate.is_none()).unwrap();
    let json = serde_json::to_value(bare).unwrap();
    assert!(json.get("location").is_none() && json.get("heart_rate").is_none(), "{json}");
}

#[test]
fn past_days_begin_at_the_pets_own_midnight_and_not_beyond_what_is_taken() {
    let now: Timestamp = "2026-10-26T10:00:00Z".parse().unwrap();
    let begin = |zone: &str, days| super::begin(&TimeZone::get(zone).unwrap(), now, days).to_string();
    assert_eq!(begin("Europe/Berlin", 1), "2026-10-24T22:00:00Z");
    assert_eq!(begin("Asia/Tokyo", 3), "2026-10-22T15:00:00Z");
    let latest: Timestamp = "2026-10-26T23:30:00Z".parse().unwrap();
    assert_eq!(super::begin(&TimeZone::UTC, latest, 29), latest - crate::client::REACH);
}

#[test]
fn collars_tell_accounts_and_seeds_apart() {
    let id = super::collar_id("a@example.com", 1, 12);
    assert_eq!(id, super::collar_id("A@example.com", 1, 12));
    assert_ne!(id, super::collar_id("b@example.com", 1, 12));
    assert_ne!(id, super::collar_id("a@example.com", 2, 12));
    assert!(id.ends_with("-12") && id.len() < 20, "{id}");
}

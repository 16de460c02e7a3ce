use std::collections::BTreeMap;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use petty::client::Species;
use petty::simulate::day::Day;
use petty::simulate::pet::household;
use petty::simulate::stream::Stream;
use petty_behavior::domain::{self, Params, PetState, Position};
use super::believable::believable;
use super::seen::{Episode, Seen};

#[test]
fn sweep() {
    let first: jiff::civil::Date = "2026-11-18".parse().unwrap();
    let mut fails: BTreeMap<String, u32> = BTreeMap::new();
    let mut total = 0;
    std::panic::set_hook(Box::new(|_| {}));
    for pet in household(1, 50, None) {
        for nth in 0..40 {
            let date = first + (nth * 9).days();
            let day = Day::of(&pet, date);
            let second = |s| Timestamp::from_second(s).unwrap();
            let interval: i64 = std::env::var("SWEEP").unwrap().parse().unwrap();
            let readings = Stream::new(pet.clone(), "c".into(), second(day.start - 3 * 3600)).take(second(day.end + 3 * 3600), SignedDuration::from_secs(interval), usize::MAX);
            let params = Params::of(match pet.species { Species::Dog => domain::Species::Dog, Species::Cat => domain::Species::Cat });
            let readings: Vec<_> = readings.iter().map(|reading| domain::Reading { at: reading.timestamp, heart_rate: reading.heart_rate, activity_level: reading.activity_level,
                position: reading.location.map(|fix| Position { latitude: fix.latitude, longitude: fix.longitude, accuracy_m: Some(fix.accuracy) }) }).collect();
            let mut state = PetState::default();
            let mut episodes = BTreeMap::new();
            for batch in readings.chunks(1000) {
                let changes = state.apply(uuid::Uuid::nil(), &params, batch);
                for gone in changes.superseded { episodes.remove(&gone.id); }
                for change in changes.upserts { episodes.insert(change.id, change.episode); }
            }
            let mut episodes: Vec<Episode> = episodes.into_values().filter(|e| e.behavior.name() != "Unknown").map(|e| Episode { behavior: e.behavior.name().to_owned(), start: e.start.as_second(), end: e.end.as_second() })
                .filter(|e| e.end > day.start && e.start < day.end).collect();
            episodes.sort_by_key(|e| e.start);
            let seen = Seen::made(&pet.zone, day.start, day.end, &episodes);
            total += 1;
            let result = std::panic::catch_unwind(|| believable(&pet, &pet.zone, date, &seen, &episodes));
            if let Err(panic) = result {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                let head: String = text.split('[').next().unwrap().chars().take(220).collect();
                *fails.entry(head).or_default() += 1;
            }
        }
    }
    eprintln!("{} of {total} failed", fails.len());
    for fail in fails.keys().take(60) { eprintln!("{fail}"); }
}

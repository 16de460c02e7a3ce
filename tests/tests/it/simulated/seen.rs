//! What callers are answered of a pet, by REST or by the handler itself: its episodes and its days.

use std::collections::BTreeMap;

use jiff::Timestamp;
use petty_proto::timeline::v1 as wire;
use serde_json::Value;

pub(crate) const DEEP: &str = "Deep Sleep";
pub(crate) const REST: [&str; 2] = [DEEP, "Resting"];
pub(crate) const WALK: [&str; 2] = ["Walking", "Running"];
pub(crate) const PLAY: [&str; 2] = ["Playing Fetch", "Running"];
/// What nobody does in its sleep.
pub(crate) const OUT: [&str; 3] = ["Walking", "Running", "Playing Fetch"];
const ACTIVE: [&str; 4] = ["Walking", "Running", "Playing Fetch", "Anxious Pacing"];

/// An episode on the timeline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Episode {
    pub(crate) behavior: String,
    /// Seconds since 1970: simulated collars read on whole ones.
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// A day's summary.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) time_zone: String,
    /// Seconds since 1970.
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) closed: bool,
    pub(crate) version: i64,
    pub(crate) covered: Option<f64>,
    pub(crate) deep: f64,
    known: f64,
    rest: f64,
    active: f64,
    /// Minutes and episodes.
    shares: BTreeMap<String, (f64, i64)>,
}

/// How long some behaviours take between two moments, seconds.
pub(crate) fn seconds(episodes: &[Episode], of: &[&str], from: i64, to: i64) -> i64 {
    let of = episodes.iter().filter(|episode| of.contains(&episode.behavior.as_str()));
    of.map(|episode| (episode.end.min(to) - episode.start.max(from)).max(0)).sum()
}

impl Episode {
    /// As it is listed over REST.
    pub(crate) fn of_json(entry: &Value) -> Self {
        let behavior = entry["behavior"].as_str().unwrap().to_owned();
        Self { behavior, start: json_second(&entry["start_time"]), end: json_second(&entry["end_time"]) }
    }

    /// As the handler lists it.
    pub(crate) fn of_wire(entry: wire::Entry) -> Self {
        let second = |time: Option<_>| Timestamp::try_from(time.unwrap()).unwrap().as_second();
        Self { behavior: entry.behavior, start: second(entry.start_time), end: second(entry.end_time) }
    }
}

impl Seen {
    /// As it is answered over REST.
    pub(crate) fn of_json(day: &Value) -> Self {
        let minutes = |of: &Value| of.as_f64().unwrap();
        let shares = day["behaviors"].as_array().unwrap().iter().map(|share| {
            let episodes = share["episodes"].as_i64().unwrap();
            (share["behavior"].as_str().unwrap().to_owned(), (minutes(&share["minutes"]), episodes))
        });
        Self {
            time_zone: day["time_zone"].as_str().unwrap().to_owned(),
            start: json_second(&day["start_time"]),
            end: json_second(&day["end_time"]),
            closed: day["closed"].as_bool().unwrap(),
            version: day["version"].as_i64().unwrap(),
            covered: day["covered_minutes"].as_f64(),
            deep: minutes(&day["deep_sleep_minutes"]),
            known: minutes(&day["known_minutes"]),
            rest: minutes(&day["rest_minutes"]),
            active: minutes(&day["active_minutes"]),
            shares: shares.collect(),
        }
    }

    /// As the handler answers it.
    pub(crate) fn of_wire(day: wire::Day) -> Self {
        let second = |time: Option<_>| Timestamp::try_from(time.unwrap()).unwrap().as_second();
        let share = |share: wire::day::Share| (share.behavior, (share.minutes, share.episodes.into()));
        Self {
            time_zone: day.time_zone,
            start: second(day.start_time),
            end: second(day.end_time),
            closed: day.closed,
            version: day.version.into(),
            covered: day.covered_minutes,
            deep: day.deep_sleep_minutes,
            known: day.known_minutes,
            rest: day.rest_minutes,
            active: day.active_minutes,
            shares: day.behaviors.into_iter().map(share).collect(),
        }
    }

    /// Checks that the day is what the episodes are between its first moment and its last, and no longer than it lasts.
    #[track_caller]
    pub(crate) fn adds_up(&self, episodes: &[Episode]) {
        for pair in episodes.windows(2) {
            assert!(pair[0].end <= pair[1].start, "one thing at a time: {pair:?}");
        }
        let mut shares: BTreeMap<String, (f64, i64)> = BTreeMap::new();
        for episode in episodes {
            let within = episode.end.min(self.end) - episode.start.max(self.start);
            if within > 0 {
                let share = shares.entry(episode.behavior.clone()).or_default();
                *share = (share.0 + minutes(within), share.1 + 1);
            }
        }
        let names: Vec<&String> = shares.keys().collect();
        assert_eq!(self.shares.keys().collect::<Vec<_>>(), names);
        let known: f64 = shares.values().map(|share| share.0).sum();
        let of = |some: &[&str]| -> f64 {
            shares.iter().filter(|(name, _)| some.contains(&name.as_str())).map(|(_, share)| share.0).sum()
        };
        let mut same = vec![
            (self.known, known),
            (self.deep, of(&[DEEP])),
            (self.rest, of(&REST)),
            (self.active, of(&ACTIVE)),
        ];
        for (name, (minutes, count)) in &shares {
            assert_eq!(self.shares[name].1, *count, "{name}: {self:?}");
            same.push((self.shares[name].0, *minutes));
        }
        for (said, found) in same {
            assert!((said - found).abs() < 1e-6, "{said}, but {found} by the episodes: {self:?}");
        }
        let whole = minutes(self.end - self.start);
        assert!(self.known <= whole + 1e-6, "{self:?}");
        if let Some(covered) = self.covered {
            assert!(self.known <= covered + 1e-6 && covered <= whole + 1e-6, "{self:?}");
        }
        assert_eq!(self.covered.is_some(), self.closed, "{self:?}");
    }
}

pub(crate) fn minutes(seconds: i64) -> f64 {
    // A day's seconds: exact.
    seconds as f64 / 60.0
}

fn json_second(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().as_second()
}

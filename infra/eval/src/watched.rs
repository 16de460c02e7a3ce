//! A made-up pet's alerts, by all that the service raises them by: readings as they arrive, looks at a pet of which nothing arrives, and
//! days once they are over.
//!
//! Invariants: each reading arrives when it is taken; a look, or a day, is due when the service's tables would say so, and is then decided by the
//! service's own domain, from the episodes that stand by then. Owners want what is usual, and nobody acknowledges.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use petty_behavior::DayConfig;
use petty_behavior::domain::alerts::due::{self, Lying};
use petty_behavior::domain::alerts::machine::{Alert, Settings, Status, on_signal};
use petty_behavior::domain::alerts::{Context, Kind, OWN_DAYS, Report, Signal, Watch};
use petty_behavior::domain::history::{Day, TREND_DAYS, TREND_WANTED, restless};
use petty_behavior::domain::v1::{Own, SliceError, owns};
use petty_behavior::domain::zone::{Place, Shape, Zone};
use petty_behavior::domain::{Behavior, Bounds, Params, Species, Stretch, Totals, nights, touched};
use petty_scenarios::{EPOCH_S, Reading, Recording};
use uuid::Uuid;

use crate::alarms::{BUFFER_M, RADIUS_M};
use crate::classifier::{Input, position};
use crate::shelf::Shelf;

/// What was raised of a pet.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    /// Every alert, as it was raised.
    pub(crate) alerts: Vec<Alert>,
    /// By kind: from when on it can have been raised, since enough was known of the pet. Kinds of which collars say nothing are absent.
    pub(crate) since: BTreeMap<Kind, Timestamp>,
}

/// What the service's tables hold of the pet, with the owner's home.
struct Pet<'a> {
    input: &'a Input,
    home: Zone,
    settings: Settings,
    days: DayConfig,
    shelf: Shelf,
    /// So many readings are on the shelf.
    shelved: usize,
    watch: Watch,
    /// When to look at it though nothing arrives.
    silence: Option<Timestamp>,
    inactivity: Option<Timestamp>,
    closing: BTreeMap<Date, Timestamp>,
    told: BTreeMap<Date, Totals>,
    last: BTreeMap<Kind, Alert>,
    watched: Watched,
}

/// What is due.
enum Due {
    Silence,
    Inactivity,
    Day(Date),
}

/// Lets the service's rules watch a recording of so many days.
///
/// # Errors
/// Where what was kept of it does not decode.
pub(crate) fn watched(recording: &Recording, days: u32) -> Result<Watched, SliceError> {
    let mut input = Input::of(recording);
    let species = input.params.species;
    // The service is not told how far apart readings are.
    input.params = Params::of(species);
    let owns = owns(species, &input.readings);
    let mut pet = Pet::new(&input, recording);
    let start = Timestamp::from_second(EPOCH_S).unwrap_or_default();
    for kind in [Kind::RespiratoryRateHigh, Kind::SafeZoneLeft, Kind::SilentCollar] {
        pet.watched.since.insert(kind, start);
    }
    for (nth, reading) in recording.readings.iter().enumerate() {
        let Ok(at) = Timestamp::from_microsecond(reading.at_us) else { continue };
        pet.do_due(at, nth)?;
        let own = owns.range(..=reading.at_us).next_back().map_or(Own::prior(species), |(_, own)| *own);
        pet.hear(at, reading, own);
    }
    let end = start.saturating_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(start);
    pet.do_due(end, input.readings.len())?;
    Ok(pet.watched)
}

impl<'a> Pet<'a> {
    fn new(input: &'a Input, recording: &Recording) -> Self {
        let center = Place { latitude: recording.pet.latitude, longitude: recording.pet.longitude };
        let home = Zone {
            id: Uuid::nil(),
            version: 1,
            shape: Shape::Circle { center, radius_m: RADIUS_M },
            buffer_m: BUFFER_M,
            hours: Vec::new(),
        };
        Self {
            input,
            home,
            settings: Settings::default(),
            days: DayConfig::default(),
            shelf: Shelf::new(input.params),
            shelved: 0,
            watch: Watch::default(),
            silence: None,
            inactivity: None,
            closing: BTreeMap::new(),
            told: BTreeMap::new(),
            last: BTreeMap::new(),
            watched: Watched::default(),
        }
    }

    const fn species(&self) -> Species {
        self.input.params.species
    }

    /// As the service's `Teller::watch`.
    fn hear(&mut self, at: Timestamp, reading: &Reading, own: Own) {
        let report = Report {
            at,
            collar: 1,
            heart_rate: reading.heart_rate,
            activity_level: reading.level,
            position: reading.fix.map(position),
            respiratory_rate: reading.respiratory_rate,
            // Made-up collars report neither.
            temperature: None,
            battery: None,
        };
        if own.days >= OWN_DAYS {
            self.watched.since.entry(Kind::RestingHeartRateHigh).or_insert(at);
        }
        let zones = std::slice::from_ref(&self.home);
        let context = Context { species: self.species(), zone: &TimeZone::UTC, zones, own };
        for signal in self.watch.take(&context, &[report], reading.at_us) {
            self.signal(&signal, at);
        }
        if let Some(from) = self.silent_from().filter(|_| !self.watch.armed) {
            self.silence.get_or_insert(from);
            self.inactivity.get_or_insert(later(at, due::LOOK));
            self.watch.armed = true;
        }
    }

    /// Does all that is due by then, with so many readings arrived before.
    fn do_due(&mut self, until: Timestamp, arrived: usize) -> Result<(), SliceError> {
        while let Some((now, due)) = self.next_due().filter(|(at, _)| *at <= until) {
            self.take(now, arrived)?;
            match due {
                Due::Silence => self.look_for_silence(now),
                Due::Inactivity => self.look_for_inactivity(now),
                Due::Day(date) => self.close(date, now),
            }
        }
        Ok(())
    }

    fn next_due(&self) -> Option<(Timestamp, Due)> {
        let looks = [(self.silence, Due::Silence), (self.inactivity, Due::Inactivity)];
        let looks = looks.into_iter().filter_map(|(at, due)| Some((at?, due)));
        let days = self.closing.iter().map(|(date, at)| (*at, Due::Day(*date)));
        looks.chain(days).min_by_key(|(at, _)| *at)
    }

    /// Takes what arrived into the pet's episodes, and notes the days that this changed.
    fn take(&mut self, now: Timestamp, arrived: usize) -> Result<(), SliceError> {
        let came = &self.input.readings[self.shelved..arrived];
        self.shelved = arrived;
        for (start, end) in self.shelf.take(came)? {
            for date in touched(start, end, &TimeZone::UTC) {
                let Some(day) = Bounds::of(date, &TimeZone::UTC) else { continue };
                let over = later(day.end, self.days.grace);
                let settled = later(now, self.days.settle);
                self.closing.entry(date).or_insert(if over > now { over } else { settled });
            }
        }
        Ok(())
    }

    fn look_for_silence(&mut self, now: Timestamp) {
        self.silence = self.silent_from().filter(|from| *from > now);
        if self.silence.is_some() {
            return;
        }
        match due::silence(&mut self.watch, self.last.get(&Kind::SilentCollar), now) {
            Ok(Some(signal)) => self.signal(&signal, now),
            Ok(None) => {}
            Err(until) => self.silence = Some(until),
        }
    }

    fn look_for_inactivity(&mut self, now: Timestamp) {
        self.inactivity = None;
        if self.silent_from().is_none_or(|from| from <= now) {
            self.watch.armed = false;
            return;
        }
        let since = now.saturating_sub(due::HABIT).unwrap_or(now);
        let moves = self.times(since, Behavior::moves);
        if !self.watched.since.contains_key(&Kind::Inactivity)
            && due::habit(&TimeZone::UTC, now, &moves).is_some()
        {
            self.watched.since.insert(Kind::Inactivity, now);
        }
        let said = match due::lying(&TimeZone::UTC, now, &moves) {
            Lying::No(said) => said,
            Lying::Since(lay) => {
                lay.told(&TimeZone::UTC, &self.times(lay.bounds.start, Behavior::is_rest), &moves)
            }
        };
        if let Some(signal) = said {
            self.signal(&signal, now);
        }
        self.inactivity = Some(later(now, due::LOOK));
    }

    fn times(&self, since: Timestamp, does: fn(Behavior) -> bool) -> Vec<(Timestamp, Timestamp)> {
        let episodes = &self.shelf.episodes;
        let reach = &episodes[episodes.partition_point(|episode| episode.end <= since)..];
        let these = reach.iter().filter(|episode| does(episode.behavior));
        these.map(|episode| (episode.start, episode.end)).collect()
    }

    /// As the service's `Closer`.
    fn close(&mut self, date: Date, now: Timestamp) {
        self.closing.remove(&date);
        let Some(day) = Bounds::of(date, &TimeZone::UTC) else { return };
        let reach = self.shelf.episodes.iter();
        let reach = reach.filter(|episode| episode.end > day.start && episode.start < day.end);
        let stretches: Vec<Stretch> = reach
            .map(|episode| Stretch {
                behavior: episode.behavior,
                bounds: Bounds { start: episode.start, end: episode.end },
                path_m: episode.evidence.path_m,
                mean_heart_rate: episode.evidence.mean_heart_rate,
                motion: episode.evidence.with_activity_level > 0 || episode.evidence.with_position > 1,
            })
            .collect();
        let totals = Totals::of(&stretches, day, &nights(date, day, &TimeZone::UTC));
        if self.told.get(&date) == Some(&totals) {
            return;
        }
        self.told.insert(date, totals);
        if self.told.last_key_value().is_none_or(|(last, _)| *last != date) {
            return;
        }
        let since = date.saturating_sub(TREND_DAYS.days());
        let known = self.told.range(since..).filter_map(|(date, totals)| Day::of(*date, totals));
        let known: Vec<Day> = known.collect();
        let rated = known.iter().filter(|day| day.resting_heart_rate.is_some()).count();
        if rated >= TREND_WANTED {
            self.watched.since.entry(Kind::HeartRateTrend).or_insert(now);
        }
        if restless(&known).is_some() {
            self.watched.since.entry(Kind::NightRestlessness).or_insert(now);
        }
        for signal in due::look_back(&known, day.end) {
            self.signal(&signal, now);
        }
    }

    fn signal(&mut self, signal: &Signal, now: Timestamp) {
        let last = self.last.get(&signal.kind);
        let next = on_signal(last, &self.settings, signal, (now, &TimeZone::UTC), Uuid::nil());
        let Some(alert) = next else { return };
        if alert.status == Status::Raised && alert.version == 1 {
            self.watched.alerts.push(alert.clone());
        }
        self.last.insert(signal.kind, alert);
    }

    fn silent_from(&self) -> Option<Timestamp> {
        self.watch.silent_from().and_then(|from| Timestamp::from_microsecond(from).ok())
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use petty_scenarios::collar::Collar;
    use petty_scenarios::{Setup, record};

    use super::*;

    #[test]
    fn silence_lying_and_days_are_looked_at_as_the_service_does() {
        let setup = Setup { days: 10, interval_s: Some(60), ..Setup::default() };
        let recording = record(&setup, 1);
        let watched = watched(&recording, setup.days).unwrap();
        let kinds: Vec<Kind> = watched.since.keys().copied().collect();
        let known = [
            Kind::RestingHeartRateHigh,
            Kind::RespiratoryRateHigh,
            Kind::Inactivity,
            Kind::NightRestlessness,
            Kind::SafeZoneLeft,
            Kind::SilentCollar,
        ];
        assert_eq!(kinds, known, "a trend needs a month; batteries and temperatures are not reported");
        let day = |kind: Kind| (watched.since[&kind].as_second() - EPOCH_S) / 86_400;
        // Seven days with moves before, and seven nights before the last, which ended and closed at six.
        assert_eq!((day(Kind::Inactivity), day(Kind::NightRestlessness)), (7, 8));
        // Each silence of an hour and more was told once, but for those that the recording ends in.
        let collar = Collar::new(&recording.pet, setup.seed, setup.days, 60, setup.missing);
        let end_s = EPOCH_S + 10 * 86_400;
        let silent = collar.away().iter().filter(|away| !away.reports && away.end_s - away.start_s >= 3_600);
        let silent: Vec<_> = silent.filter(|away| away.end_s < end_s).collect();
        assert!(!silent.is_empty());
        for away in silent {
            let within = |alert: &&Alert| {
                let at = alert.raised_at.as_second();
                alert.kind == Kind::SilentCollar && (away.start_s..away.end_s).contains(&at)
            };
            assert_eq!(watched.alerts.iter().filter(within).count(), 1, "{away:?}");
        }
    }
}

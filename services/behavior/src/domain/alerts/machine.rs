//! What a signal does to the one alert of its kind that may be open.
//!
//! Invariants: a pet has at most one alert of a kind that is not cleared; after a clearing the kind rests for its cool-down, unless it is
//! worse; each change has the next version, and what changes nothing has none.

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Kind, RULE_VERSION, Severity, Signal};

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has said that they saw it.
    Raised,
    /// Somebody has; what it is about goes on.
    Acknowledged,
    /// What it was about is over.
    Cleared,
}

impl Status {
    /// The name rows carry. It never changes.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Acknowledged => "acknowledged",
            Self::Cleared => "cleared",
        }
    }

    /// The status of a slug.
    #[must_use]
    pub fn from_slug(slug: &str) -> Option<Self> {
        [Self::Raised, Self::Acknowledged, Self::Cleared].into_iter().find(|status| status.slug() == slug)
    }
}

/// An alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// Its id.
    pub id: Uuid,
    /// What it is about.
    pub kind: Kind,
    /// How bad.
    pub severity: Severity,
    /// How it stands.
    pub status: Status,
    /// The time of the reading that raised it.
    pub raised_at: Timestamp,
    /// When somebody said that they saw it.
    pub acknowledged_at: Option<Timestamp>,
    /// When it was told once more, since nobody had.
    pub escalated_at: Option<Timestamp>,
    /// The time of the reading that cleared it.
    pub cleared_at: Option<Timestamp>,
    /// When it is to be told once more.
    pub escalate_at: Option<Timestamp>,
    /// Whether anybody is to be disturbed now: not in quiet hours, nor by what is long past.
    pub notify: bool,
    /// The zone it is about, where it is about one.
    pub zone: Option<Uuid>,
    /// What it rests on: names with their units, and figures.
    pub evidence: Vec<(String, f64)>,
    /// The rules' version.
    pub rule_version: String,
    /// Higher after every change.
    pub version: i64,
}

/// What the owner wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Kinds that are not raised.
    pub disabled: Vec<Kind>,
    /// By the pet's clock, from and to: nobody is disturbed by what is not critical.
    pub quiet: Option<(Time, Time)>,
    /// Minutes after which what nobody has seen is told once more; 0: never.
    pub escalate_after_minutes: i32,
}

impl Default for Settings {
    fn default() -> Self {
        // Half an hour: long enough to have looked, short enough to be of use (~).
        Self { disabled: Vec::new(), quiet: None, escalate_after_minutes: 30 }
    }
}

impl Settings {
    fn is_quiet(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let time = now.to_zoned(zone.clone()).time();
        self.quiet.is_some_and(
            |(from, to)| {
                if from <= to { from <= time && time < to } else { from <= time || time < to }
            },
        )
    }

    fn disturbs(&self, severity: Severity, now: Timestamp, zone: &TimeZone) -> bool {
        severity == Severity::Critical || !self.is_quiet(now, zone)
    }

    /// When what is raised now is told once more: not in quiet hours, where it is not critical, but as they end.
    fn escalates(
        &self,
        kind: Kind,
        severity: Severity,
        (now, zone): (Timestamp, &TimeZone),
    ) -> Option<Timestamp> {
        let minutes = SignedDuration::from_mins(self.escalate_after_minutes.into());
        if severity == Severity::Info || minutes.is_zero() || self.disabled.contains(&kind) {
            return None;
        }
        let at = now.saturating_add(minutes).unwrap_or(Timestamp::MAX);
        Some(self.after_quiet(severity, at, zone))
    }

    /// That moment, or where nobody is to be disturbed then the end of the quiet hours it is in.
    fn after_quiet(&self, severity: Severity, at: Timestamp, zone: &TimeZone) -> Timestamp {
        match self.quiet {
            Some((_, until)) if !self.disturbs(severity, at, zone) => {
                let local = at.to_zoned(zone.clone());
                let date = if local.time() < until { Ok(local.date()) } else { local.date().tomorrow() };
                let end = date.and_then(|date| date.to_datetime(until).to_zoned(zone.clone()));
                end.map_or(at, |end| end.timestamp().max(at))
            }
            _ => at,
        }
    }
}

/// What is longer past than this is noted, and nobody is disturbed. What a whole day says is said once that has closed.
const fn news(kind: Kind) -> SignedDuration {
    match kind {
        Kind::HeartRateTrend | Kind::NightRestlessness => SignedDuration::from_hours(24),
        _ => SignedDuration::from_hours(1),
    }
}

/// Until when nothing is raised, since the pet's last alert of the kind was cleared so short a time ago.
#[must_use]
pub fn rests_until(last: Option<&Alert>) -> Option<Timestamp> {
    let last = last?;
    let cooling = SignedDuration::from_micros(last.kind.cool_down());
    last.cleared_at.map(|cleared| cleared.saturating_add(cooling).unwrap_or(Timestamp::MAX))
}

/// What a signal does, at a moment, in the pet's zone. `last`: the pet's last alert of the kind; `id`: what a new one is called.
#[must_use]
pub fn on_signal(
    last: Option<&Alert>,
    settings: &Settings,
    signal: &Signal,
    (now, zone): (Timestamp, &TimeZone),
    id: Uuid,
) -> Option<Alert> {
    let open = last.filter(|alert| alert.status != Status::Cleared);
    let is_news = now.duration_since(signal.at) < news(signal.kind);
    let wanted = !settings.disabled.contains(&signal.kind);
    match (signal.on, open) {
        (false, None) => None,
        (false, Some(alert)) => Some(Alert {
            status: Status::Cleared,
            cleared_at: Some(signal.at.max(alert.raised_at)),
            escalate_at: None,
            notify: is_news && wanted && settings.disturbs(Severity::Info, now, zone),
            version: alert.version + 1,
            ..alert.clone()
        }),
        // It became worse: told anew, though somebody saw what it was before.
        (true, Some(alert)) if signal.severity > alert.severity => Some(Alert {
            severity: signal.severity,
            status: Status::Raised,
            acknowledged_at: None,
            escalated_at: None,
            escalate_at: settings.escalates(signal.kind, signal.severity, (now, zone)).filter(|_| is_news),
            notify: is_news && wanted && settings.disturbs(signal.severity, now, zone),
            evidence: figures(signal),
            version: alert.version + 1,
            ..alert.clone()
        }),
        (true, Some(alert)) if is_news && wanted => goes_on(alert, settings, signal, (now, zone)),
        (true, Some(_)) => None,
        (true, None) => {
            // What is worse than it was does not wait.
            let rests = rests_until(last).is_some_and(|until| signal.at < until)
                && last.is_some_and(|last| signal.severity <= last.severity);
            if rests || !wanted {
                return None;
            }
            Some(Alert {
                id,
                kind: signal.kind,
                severity: signal.severity,
                status: Status::Raised,
                raised_at: signal.at,
                acknowledged_at: None,
                escalated_at: None,
                cleared_at: None,
                escalate_at: settings
                    .escalates(signal.kind, signal.severity, (now, zone))
                    .filter(|_| is_news),
                notify: is_news && settings.disturbs(signal.severity, now, zone),
                zone: signal.zone,
                evidence: figures(signal),
                rule_version: RULE_VERSION.to_owned(),
                version: 1,
            })
        }
    }
}

/// What was long past when it was raised, so that nobody was disturbed, and goes on now: it is told as if it were raised now. `None` where
/// it was told, is to be told, or was seen.
fn goes_on(
    alert: &Alert,
    settings: &Settings,
    signal: &Signal,
    (now, zone): (Timestamp, &TimeZone),
) -> Option<Alert> {
    let untold = alert.status == Status::Raised && !alert.notify;
    if !untold || alert.escalate_at.is_some() || alert.escalated_at.is_some() {
        return None;
    }
    let escalate_at = settings.escalates(signal.kind, alert.severity, (now, zone));
    // Of what is never told once more nobody knows why it was not told; but nothing keeps what is critical from being told at first.
    let was_past = escalate_at.is_some() || alert.severity == Severity::Critical && alert.version == 1;
    was_past.then(|| Alert {
        escalate_at,
        notify: settings.disturbs(alert.severity, now, zone),
        evidence: figures(signal),
        version: alert.version + 1,
        ..alert.clone()
    })
}

/// What somebody's having seen it does; `None` where that was known, or it is over.
#[must_use]
pub fn acknowledge(alert: &Alert, now: Timestamp) -> Option<Alert> {
    (alert.status == Status::Raised).then(|| Alert {
        status: Status::Acknowledged,
        acknowledged_at: Some(now),
        escalate_at: None,
        notify: false,
        version: alert.version + 1,
        ..alert.clone()
    })
}

/// What the time to tell it once more does, in the pet's zone; `None` where it has not come, or there is no need.
#[must_use]
pub fn escalate(alert: &Alert, settings: &Settings, (now, zone): (Timestamp, &TimeZone)) -> Option<Alert> {
    let due = alert.escalate_at.is_some_and(|due| due <= now) && alert.status == Status::Raised;
    if due && settings.escalates(alert.kind, alert.severity, (now, zone)).is_none() {
        // Since it was raised somebody said that such are not to be told, or not once more.
        return Some(Alert { escalate_at: None, notify: false, version: alert.version + 1, ..alert.clone() });
    }
    // Quiet hours may have begun otherwise than was known when it was raised: it is told as they end.
    let at = settings.after_quiet(alert.severity, now, zone);
    due.then(|| Alert {
        escalated_at: if at > now { None } else { Some(now) },
        escalate_at: if at > now { Some(at) } else { None },
        notify: at <= now,
        version: alert.version + 1,
        ..alert.clone()
    })
}

fn figures(signal: &Signal) -> Vec<(String, f64)> {
    signal.evidence.iter().map(|(name, figure)| ((*name).to_owned(), *figure)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        "2026-01-10T12:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_mins(minutes)
    }

    fn signal(on: bool, minutes: i64) -> Signal {
        let kind = Kind::SilentCollar;
        Signal {
            kind,
            on,
            at: at(minutes),
            severity: kind.severity(),
            zone: None,
            evidence: vec![("a", 1.0)],
        }
    }

    fn step(last: Option<&Alert>, settings: &Settings, signal: &Signal) -> Option<Alert> {
        on_signal(last, settings, signal, (signal.at, &TimeZone::UTC), Uuid::from_u128(1))
    }

    fn once_more(alert: &Alert, settings: &Settings, minutes: i64) -> Option<Alert> {
        escalate(alert, settings, (at(minutes), &TimeZone::UTC))
    }

    fn quiet(from: &str, to: &str) -> Settings {
        Settings { quiet: Some((from.parse().unwrap(), to.parse().unwrap())), ..Settings::default() }
    }

    #[test]
    fn one_is_raised_acknowledged_and_cleared_and_the_next_waits_for_the_cool_down() {
        let settings = Settings::default();
        let raised = step(None, &settings, &signal(true, 0)).unwrap();
        assert_eq!((raised.status, raised.version, raised.notify), (Status::Raised, 1, true));
        assert_eq!(step(Some(&raised), &settings, &signal(true, 1)), None, "one open at a time");
        let seen = acknowledge(&raised, at(2)).unwrap();
        assert_eq!(
            (seen.status, seen.escalate_at, acknowledge(&seen, at(3))),
            (Status::Acknowledged, None, None)
        );
        assert_eq!(step(Some(&seen), &settings, &signal(true, 3)), None, "one that was seen is open still");
        let cleared = step(Some(&seen), &settings, &signal(false, 4)).unwrap();
        assert_eq!((cleared.status, cleared.cleared_at, cleared.version), (Status::Cleared, Some(at(4)), 3));
        assert_eq!(step(Some(&cleared), &settings, &signal(false, 5)), None);
        assert_eq!(step(Some(&cleared), &settings, &signal(true, 33)), None, "it rests");
        let worse = Signal { severity: Severity::Critical, ..signal(true, 33) };
        assert_eq!(
            step(Some(&cleared), &settings, &worse).unwrap().severity,
            Severity::Critical,
            "but for that"
        );
        assert_eq!(step(Some(&cleared), &settings, &signal(true, 34)).unwrap().version, 1, "another one");
        assert_eq!(acknowledge(&cleared, at(5)), None);
    }

    #[test]
    fn what_nobody_has_seen_is_told_once_more_and_once() {
        let raised = step(None, &Settings::default(), &signal(true, 0)).unwrap();
        assert_eq!(once_more(&raised, &Settings::default(), 29), None);
        let escalated = once_more(&raised, &Settings::default(), 30).unwrap();
        assert_eq!((escalated.escalated_at, escalated.notify), (Some(at(30)), true));
        assert_eq!(once_more(&escalated, &Settings::default(), 90), None);
        assert_eq!(once_more(&acknowledge(&raised, at(3)).unwrap(), &Settings::default(), 40), None);
        let never = Settings { escalate_after_minutes: 0, ..Settings::default() };
        assert_eq!(step(None, &never, &signal(true, 0)).unwrap().escalate_at, None);
    }

    #[test]
    fn quiet_hours_disturb_nobody_but_for_what_is_critical_and_switches_switch_off() {
        let notify = |settings: &Settings| step(None, settings, &signal(true, 0)).unwrap().notify;
        assert!(!notify(&quiet("11:00", "13:00")) && notify(&quiet("12:01", "13:00")));
        assert!(!notify(&quiet("22:00", "12:01")) && notify(&quiet("22:00", "12:00")));
        let critical = Signal { severity: Severity::Critical, ..signal(true, 0) };
        assert!(step(None, &quiet("11:00", "13:00"), &critical).unwrap().notify);
        let off = Settings { disabled: vec![Kind::SilentCollar], ..Settings::default() };
        assert_eq!(step(None, &off, &signal(true, 0)), None);
    }

    #[test]
    fn a_kind_that_is_switched_off_while_one_is_open_disturbs_nobody_any_more() {
        let raised = step(None, &Settings::default(), &signal(true, 0)).unwrap();
        let off = Settings { disabled: vec![Kind::SilentCollar], ..Settings::default() };
        let never = Settings { escalate_after_minutes: 0, ..Settings::default() };
        for settings in [&off, &never] {
            let left = once_more(&raised, settings, 30).unwrap();
            assert_eq!((left.escalated_at, left.escalate_at, left.notify), (None, None, false));
            assert_eq!(once_more(&left, settings, 60), None);
        }
        let worse = Signal { severity: Severity::Critical, ..signal(true, 5) };
        let told = step(Some(&raised), &off, &worse).unwrap();
        assert_eq!((told.severity, told.notify, told.escalate_at), (Severity::Critical, false, None));
        assert!(!step(Some(&raised), &off, &signal(false, 5)).unwrap().notify);
        assert!(step(Some(&raised), &never, &worse).unwrap().notify);
    }

    #[test]
    fn what_is_long_past_is_noted_and_disturbs_nobody() {
        let settings = Settings::default();
        let raised =
            on_signal(None, &settings, &signal(true, 0), (at(61), &TimeZone::UTC), Uuid::nil()).unwrap();
        assert_eq!((raised.notify, raised.escalate_at), (false, None));
    }

    #[test]
    fn what_was_long_past_when_it_was_raised_and_goes_on_is_told_once() {
        let critical =
            |on: bool, minutes: i64| Signal { severity: Severity::Critical, ..signal(on, minutes) };
        let late = |last: Option<&Alert>, settings: &Settings, signal: &Signal, now: i64| {
            on_signal(last, settings, signal, (at(now), &TimeZone::UTC), Uuid::nil())
        };
        let never = Settings { escalate_after_minutes: 0, ..Settings::default() };
        for (settings, signals, again) in [
            (Settings::default(), [signal(true, 0), signal(true, 1), signal(true, 70)], Some(at(101))),
            (quiet("13:00", "14:00"), [signal(true, 0), signal(true, 1), signal(true, 70)], Some(at(120))),
            (never.clone(), [critical(true, 0), critical(true, 1), critical(true, 70)], None),
        ] {
            let raised = late(None, &settings, &signals[0], 71).unwrap();
            assert!(!raised.notify);
            assert_eq!(late(Some(&raised), &settings, &signals[1], 71), None, "that is long past as well");
            let told = late(Some(&raised), &settings, &signals[2], 71).unwrap();
            assert_eq!((told.notify, told.escalate_at), (settings.quiet.is_none(), again));
            assert_eq!((told.version, told.raised_at), (2, at(0)));
            assert_eq!(late(Some(&told), &settings, &signals[2], 72), None, "once");
            let seen = acknowledge(&raised, at(71)).unwrap();
            assert_eq!(late(Some(&seen), &settings, &signals[2], 72), None, "somebody has seen it");
            let off = Settings { disabled: vec![Kind::SilentCollar], ..settings };
            assert_eq!(late(Some(&raised), &off, &signals[2], 71), None);
        }
        // What is not critical and never told once more may have been raised in quiet hours.
        let raised = late(None, &never, &signal(true, 0), 71).unwrap();
        assert_eq!(late(Some(&raised), &never, &signal(true, 70), 71), None);
    }

    #[test]
    fn what_becomes_worse_is_told_anew() {
        let settings = Settings::default();
        let seen = acknowledge(&step(None, &settings, &signal(true, 0)).unwrap(), at(1)).unwrap();
        let worse = Signal { severity: Severity::Critical, ..signal(true, 5) };
        let told = step(Some(&seen), &settings, &worse).unwrap();
        assert_eq!((told.status, told.severity, told.version), (Status::Raised, Severity::Critical, 3));
        // Nobody has seen that: it is told once more, whether or not what it was before had been.
        assert_eq!((told.acknowledged_at, told.escalate_at), (None, Some(at(35))));
        let before = once_more(&step(None, &settings, &signal(true, 0)).unwrap(), &settings, 30).unwrap();
        let worse = Signal { at: at(40), ..worse };
        let told = step(Some(&before), &settings, &worse).unwrap();
        assert_eq!((told.escalated_at, told.escalate_at), (None, Some(at(70))));
        assert!(once_more(&told, &settings, 70).unwrap().notify);
    }

    #[test]
    fn what_is_not_critical_is_told_once_more_as_quiet_hours_end() {
        // Noon, and half an hour later: within, at the end, over midnight.
        for (from, to, minutes) in [
            ("12:20", "13:00", 60),
            ("12:20", "12:30", 30),
            ("22:00", "12:45", 45),
            ("12:10", "07:00", 19 * 60),
        ] {
            let raised = step(None, &quiet(from, to), &signal(true, 0)).unwrap();
            assert_eq!(raised.escalate_at, Some(at(minutes)), "{from} to {to}");
            assert!(once_more(&raised, &quiet(from, to), minutes).unwrap().notify);
        }
        let critical = Signal { severity: Severity::Critical, ..signal(true, 0) };
        let raised = step(None, &quiet("11:00", "13:00"), &critical).unwrap();
        assert_eq!(raised.escalate_at, Some(at(30)));
        // Quiet hours that nobody knew of when it was raised.
        let raised = step(None, &Settings::default(), &signal(true, 0)).unwrap();
        let put_off = once_more(&raised, &quiet("12:20", "13:00"), 30).unwrap();
        assert_eq!((put_off.notify, put_off.escalated_at, put_off.escalate_at), (false, None, Some(at(60))));
        let told = once_more(&put_off, &quiet("12:20", "13:00"), 60).unwrap();
        assert_eq!((told.notify, told.escalated_at), (true, Some(at(60))));
    }

    #[test]
    fn what_a_whole_day_says_is_news_once_it_has_closed() {
        let say = |on: bool, kind: Kind, last: Option<&Alert>| {
            let day = Signal { kind, severity: kind.severity(), ..signal(on, 0) };
            on_signal(last, &Settings::default(), &day, (at(6 * 60), &TimeZone::UTC), Uuid::nil()).unwrap()
        };
        for (kind, notify) in
            [(Kind::NightRestlessness, true), (Kind::HeartRateTrend, true), (Kind::SilentCollar, false)]
        {
            let raised = say(true, kind, None);
            assert_eq!((raised.notify, say(false, kind, Some(&raised)).notify), (notify, notify), "{kind:?}");
        }
    }
}

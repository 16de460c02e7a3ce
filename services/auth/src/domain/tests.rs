//! The bounds and rules, as tables.

mod passphrases;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::{AccountId, Clock, PairingId, PetId, SessionId};

use super::access::share_expiry;
use super::account::Email;
use super::pairing::{self, Pairing};
use super::pet::birth_date;
use super::session::{Lifetimes, Presented, Standing, Verdict, judge};
use super::text::{self, TimeZoneName};
use super::{Error, ProblemKind};

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn addresses_have_a_sane_shape_and_one_key() {
    for (good, key) in [
        ("ada@example.org", "ada@example.org"),
        ("  Ada.Lovelace+dogs@Example.ORG ", "ada.lovelace+dogs@example.org"),
        ("o'hara@sub.example.co.uk", "o'hara@sub.example.co.uk"),
        // A letter and its accent, apart and as one.
        ("re\u{301}ne\u{301}@example.org", "r\u{e9}n\u{e9}@example.org"),
        ("a@m\u{fc}nchen.de", "a@m\u{fc}nchen.de"),
    ] {
        assert_eq!(Email::parse(good).unwrap().key(), key, "{good}");
    }
    let long = |domain: usize| format!("{}@{}.org", "a".repeat(60), vec!["b".repeat(60); domain].join("."));
    assert!(Email::parse(&long(3)).is_ok());
    for (bad, kind) in [
        ("", ProblemKind::Required),
        ("   ", ProblemKind::Required),
        ("ada", ProblemKind::Malformed),
        ("@example.org", ProblemKind::Malformed),
        ("ada@", ProblemKind::Malformed),
        ("ada@example", ProblemKind::Malformed),
        ("ada@.org", ProblemKind::Malformed),
        ("ada@example..org", ProblemKind::Malformed),
        ("ada@-example.org", ProblemKind::Malformed),
        ("a da@example.org", ProblemKind::Malformed),
        ("ada@exam ple.org", ProblemKind::Malformed),
        ("ada@bob@example.org", ProblemKind::Malformed),
        ("ada\0@example.org", ProblemKind::Malformed),
        ("ada\r\nBcc: x@example.org", ProblemKind::Malformed),
        ("<ada@example.org>", ProblemKind::Malformed),
        (".ada@example.org", ProblemKind::Malformed),
        (&format!("{}@example.org", "a".repeat(65)), ProblemKind::Malformed),
        (&long(4), ProblemKind::OutOfRange),
    ] {
        assert_eq!(Email::parse(bad).unwrap_err().kind, kind, "{bad:?}");
    }
}

#[test]
fn names_are_short_and_printable() {
    assert_eq!(text::required(" Rex ").unwrap(), "Rex");
    assert_eq!(text::required(&"\u{e9}".repeat(100)).unwrap().chars().count(), 100);
    assert_eq!(text::required("").unwrap_err().kind, ProblemKind::Required);
    assert_eq!(text::required("  ").unwrap_err().kind, ProblemKind::Required);
    assert_eq!(text::required(&"a".repeat(101)).unwrap_err().kind, ProblemKind::OutOfRange);
    assert_eq!(text::required("a\nb").unwrap_err().kind, ProblemKind::Malformed);
    assert_eq!(text::required("a\0b").unwrap_err().kind, ProblemKind::Malformed);
    assert_eq!(text::optional("").unwrap(), None);
}

#[test]
fn time_zones_are_those_of_the_iana_database() {
    for (zone, name) in
        [("Europe/Berlin", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("UTC", "UTC")]
    {
        assert_eq!(TimeZoneName::parse(zone).unwrap().as_str(), name);
    }
    for zone in [
        "",
        "Berlin",
        "Europe/Atlantis",
        "Etc/Unknown",
        "+02:00",
        "CET-1CEST",
        "../../etc/passwd",
        &"a".repeat(1_000),
    ] {
        assert!(TimeZoneName::parse(zone).is_err(), "{zone}");
    }
}

#[test]
fn birth_dates_are_real_past_and_not_too_old() {
    let now = time("2026-03-01T12:00:00Z");
    for (date, good) in [
        ("2021-05-30", true),
        ("2024-02-29", true),
        ("2023-02-29", false),
        ("2026-03-01", true),
        // It is tomorrow already on Kiritimati.
        ("2026-03-02", true),
        ("2026-03-03", false),
        ("1986-03-02", true),
        ("1986-03-01", false),
        ("0001-01-01", false),
        ("9999-12-31", false),
        ("2021-5-30", false),
        ("30.05.2021", false),
        ("2021-05-30T00:00:00Z", false),
        ("-021-05-30", false),
        ("", false),
    ] {
        assert_eq!(birth_date(date, now).is_ok(), good, "{date}");
    }
}

#[test]
fn shares_end_in_the_future_and_within_five_years() {
    let now = time("2026-03-01T12:00:00Z");
    for (wanted, good) in [
        (None, true),
        (Some("2026-03-01T12:00:00Z"), false),
        (Some("2026-03-01T12:00:01Z"), true),
        (Some("2031-03-01T12:00:00Z"), true),
        (Some("2031-03-10T12:00:00Z"), false),
    ] {
        assert_eq!(share_expiry(wanted.map(time), now).is_ok(), good, "{wanted:?}");
    }
}

#[test]
fn a_presented_refresh_token_is_judged_by_its_place_and_age() {
    let now = time("2026-03-01T12:00:00Z");
    let session = |ended, live_generation| Standing {
        expires_at: time("2026-03-05T12:00:00Z"),
        ended,
        live_generation,
    };
    let used = |seconds: i64| Some(now - SignedDuration::from_secs(seconds));
    for (session, generation, used_at, verdict) in [
        (session(false, 1), 1, None, Verdict::Rotate),
        (session(false, 2), 1, used(0), Verdict::Repeat),
        (session(false, 2), 1, used(10), Verdict::Repeat),
        (session(false, 2), 1, used(11), Verdict::Reused),
        // The clock of whoever used it is ahead.
        (session(false, 2), 1, used(-2), Verdict::Repeat),
        // Its successor was used as well.
        (session(false, 3), 1, used(0), Verdict::Reused),
        (session(false, 3), 1, used(3_600), Verdict::Reused),
        (session(true, 1), 1, None, Verdict::Over),
        (session(true, 2), 1, used(3_600), Verdict::Over),
    ] {
        assert_eq!(
            judge(session, Presented { generation, used_at }, now),
            verdict,
            "{session:?} {generation}"
        );
    }
    let expired = Standing { expires_at: now, ended: false, live_generation: 1 };
    assert_eq!(judge(expired, Presented { generation: 1, used_at: None }, now), Verdict::Over);
}

#[test]
fn sessions_slide_for_seven_days_and_end_after_thirty() {
    let begin = time("2026-03-01T00:00:00Z");
    let ends_at = begin + SignedDuration::from_hours(30 * 24);
    assert_eq!(Lifetimes::default().expiry(begin, ends_at), time("2026-03-08T00:00:00Z"));
    assert_eq!(
        Lifetimes::default().expiry(time("2026-03-20T00:00:00Z"), ends_at),
        time("2026-03-27T00:00:00Z")
    );
    assert_eq!(Lifetimes::default().expiry(time("2026-03-29T00:00:00Z"), ends_at), ends_at);
}

#[test]
fn pairings_begin_in_the_last_thirty_days() {
    let now = time("2026-03-31T12:00:00Z");
    for (wanted, start) in [
        (None, Some("2026-03-31T12:00:00Z")),
        (Some("2026-03-31T11:00:00Z"), Some("2026-03-31T11:00:00Z")),
        (Some("2026-03-31T12:00:05Z"), Some("2026-03-31T12:00:00Z")),
        (Some("2026-03-31T12:00:06Z"), None),
        (Some("2026-03-01T12:00:00Z"), Some("2026-03-01T12:00:00Z")),
        (Some("2026-03-01T11:59:59Z"), None),
    ] {
        assert_eq!(pairing::start(wanted.map(time), now).ok(), start.map(time), "{wanted:?}");
    }
}

#[test]
fn only_an_accounts_own_lasting_pairing_makes_room() {
    let clock = Clock::manual(time("2026-03-31T12:00:00Z"));
    let (mine, theirs) = (AccountId::new(&clock), AccountId::new(&clock));
    let pairing = |account_id, start: &str, end: Option<&str>| Pairing {
        pairing_id: PairingId::new(&clock),
        collar_id: "collar-1".parse().unwrap(),
        pet_id: PetId::new(&clock),
        account_id,
        start_at: time(start),
        end_at: end.map(time),
        credential_id: SessionId::new(&clock),
    };
    let start = time("2026-03-31T10:00:00Z");
    let (before, after) = ("2026-03-31T09:00:00Z", "2026-03-31T11:00:00Z");
    let lasting = pairing(mine, before, None);
    assert_eq!(pairing::make_room(mine, start, &[]), Ok(None));
    assert_eq!(pairing::make_room(mine, start, std::slice::from_ref(&lasting)), Ok(Some(&lasting)));
    for (name, others) in [
        ("somebody else's that lasts", vec![pairing(theirs, before, None)]),
        ("somebody else's that ended later", vec![pairing(theirs, before, Some(after))]),
        ("one's own that ended later", vec![pairing(mine, before, Some(after))]),
        ("one's own that began later", vec![pairing(mine, after, None)]),
        ("one's own that began then", vec![pairing(mine, "2026-03-31T10:00:00Z", None)]),
        ("two of one's own", vec![pairing(mine, before, Some(after)), pairing(mine, after, None)]),
    ] {
        assert_eq!(pairing::make_room(mine, start, &others), Err(Error::CollarPaired), "{name}");
    }

    let end = |at: &str, asked| pairing::end_of(&lasting, time(at), asked).ok();
    assert_eq!(end(after, true), Some(time(after)));
    assert_eq!(end(before, true), None);
    assert_eq!(end("2026-03-31T08:00:00Z", true), None);
    assert_eq!(end("2026-03-31T08:00:00Z", false), Some(time("2026-03-31T09:00:00.000001Z")));
}

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:00.123456789Z")
}

fn asked(token: &str) -> Asked<'_> {
    Asked { start_time: None, end_time: None, page_size: 0, page_token: token }
}

#[test]
fn what_is_absent_has_the_documented_defaults() {
    let page = parse(&asked(""), now()).unwrap();
    let (start, end) = (at("2026-02-22T12:00:00.123456Z"), at("2026-03-01T12:00:00.123456Z"));
    assert_eq!(page, Page { start, end, size: 50, after: None });
    let end = at("2020-01-08T00:00:00Z");
    let page = parse(&Asked { end_time: Some(end.into()), ..asked("") }, now()).unwrap();
    assert_eq!((page.start, page.end), (at("2020-01-01T00:00:00Z"), end));
}

#[test]
fn a_token_goes_on_where_its_page_ended_in_the_same_span() {
    let first = parse(&Asked { page_size: 7, ..asked("") }, now()).unwrap();
    let last = Cursor { start_at: at("2026-02-28T01:02:03.000004Z"), id: Uuid::from_u128(42) };
    let token = first.token(last);
    // An hour later, and with another size.
    let later = now() + SignedDuration::from_hours(1);
    let second = parse(&Asked { page_size: 9, ..asked(&token) }, later).unwrap();
    assert_eq!(second, Page { size: 9, after: Some(last), ..first });
    let repeated =
        Asked { start_time: Some(first.start.into()), end_time: Some(first.end.into()), ..asked(&token) };
    assert_eq!(parse(&repeated, later).unwrap().after, Some(last));
    let other = Asked { start_time: Some(now().into()), ..asked(&token) };
    assert_eq!(parse(&other, later).unwrap_err()[0].field, "page_token");
}

#[test]
fn what_cannot_be_used_is_named() {
    let beyond = wkt::Timestamp { seconds: i64::MAX, nanos: 0 };
    for (asked, field) in [
        (Asked { page_size: -1, ..asked("") }, "page_size"),
        (Asked { page_size: 1_001, ..asked("") }, "page_size"),
        (Asked { page_size: i32::MIN, ..asked("") }, "page_size"),
        (Asked { start_time: Some(beyond), ..asked("") }, "start_time"),
        (Asked { end_time: Some(beyond), ..asked("") }, "end_time"),
        (Asked { start_time: Some(at("2026-03-02T00:00:00Z").into()), ..asked("") }, "start_time"),
        (asked("x"), "page_token"),
        (asked("AAAA"), "page_token"),
        (asked(&"A".repeat(100_000)), "page_token"),
    ] {
        let faults = parse(&asked, now()).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.field.as_ref()).collect::<Vec<_>>(), [field]);
    }
}

#[test]
fn a_forged_token_with_times_out_of_range_is_refused() {
    for times in [[i64::MIN, 0, 0], [0, i64::MAX, 0], [0, 0, i64::MAX], [1, 0, 0]] {
        let mut bytes = vec![FORMAT];
        bytes.extend(times.iter().flat_map(|time| time.to_be_bytes()));
        bytes.extend([0; 16]);
        let token = URL_SAFE_NO_PAD.encode(bytes);
        assert_eq!(parse(&asked(&token), now()).unwrap_err()[0].field, "page_token", "{times:?}");
    }
}

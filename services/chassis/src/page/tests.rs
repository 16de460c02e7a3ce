use super::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);

type Listed = Result<Page<i32, Span>, Vec<FieldError>>;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-03-01T12:00:00.123456789Z")
}

fn asked(token: &str) -> Asked<'_> {
    Asked { start_time: None, end_time: None, page_size: 0, page_token: token }
}

fn read(asked: &Asked<'_>, now: Timestamp) -> Listed {
    Page::read_span("pets/1/readings".to_owned(), asked, DAY, now)
}

fn fields<T: std::fmt::Debug>(read: Result<T, Vec<FieldError>>) -> Vec<String> {
    read.unwrap_err().into_iter().map(|fault| fault.field.into_owned()).collect()
}

#[test]
fn what_is_absent_has_the_documented_defaults() {
    let page = read(&asked(""), now()).unwrap();
    let (start, end) = (at("2026-02-28T12:00:00.123456Z"), at("2026-03-01T12:00:00.123456Z"));
    assert_eq!((page.span, page.limit(), page.after), (Span { start, end }, 51, None));
    let end = at("2020-01-08T00:00:00Z");
    let page = read(&Asked { end_time: Some(end.into()), ..asked("") }, now()).unwrap();
    assert_eq!(page.span, Span { start: at("2020-01-07T00:00:00Z"), end });
    // A day before the first day has no name, and no token could hold it.
    let end = at("0001-01-01T12:00:00Z");
    let page = read(&Asked { end_time: Some(end.into()), ..asked("") }, now()).unwrap();
    assert_eq!(page.span, Span { start: end, end });
}

#[test]
fn spans_begin_and_end_at_the_next_microsecond() {
    for (nanos, micros) in [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2)] {
        for seconds in [5, -5] {
            let sent = Some(wkt::Timestamp { seconds, nanos });
            let span = read(&Asked { start_time: sent, end_time: sent, ..asked("") }, now()).unwrap().span;
            assert_eq!(span.start.as_microsecond(), seconds * 1_000_000 + micros, "{seconds} {nanos}");
            assert_eq!(span.end, span.start);
        }
    }
}

#[test]
fn a_page_is_cut_to_its_size_and_its_token_goes_on_behind_its_last_item() {
    let page: Page = Page::read("pets".to_owned(), 2, "").unwrap();
    let place =
        |number: &u128| Place { time: at("2026-02-28T01:02:03.000004Z"), id: Uuid::from_u128(*number) };
    let mut found = vec![9, 8];
    assert_eq!(page.cut(&mut found, place), "");
    found.push(7);
    let token = page.cut(&mut found, place);
    assert_eq!(found, [9, 8]);
    let next: Page = Page::read("pets".to_owned(), 1_000, &token).unwrap();
    assert_eq!((next.after, next.limit()), (Some(place(&8)), 1_001));
    assert_eq!(page.cut(&mut Vec::new(), place), "");
}

#[test]
fn a_token_keeps_to_the_span_of_the_first_page() {
    let first = read(&Asked { page_size: 7, ..asked("") }, now()).unwrap();
    let last = Place { time: at("2026-02-28T01:02:03.000004Z"), id: -42 };
    let token = first.token(last);
    // An hour later, and with another size.
    let later = now() + SignedDuration::from_hours(1);
    let second = read(&Asked { page_size: 9, ..asked(&token) }, later).unwrap();
    assert_eq!(second, Page { size: 9, after: Some(last), ..first.clone() });
    let (start, end) = (Some(first.span.start.into()), Some(first.span.end.into()));
    let repeated = Asked { start_time: start, end_time: end, ..asked(&token) };
    assert_eq!(read(&repeated, later).unwrap().after, Some(last));
    let other = Some(at("2026-02-28T13:00:00Z").into());
    for wrong in [Asked { start_time: other, ..asked(&token) }, Asked { end_time: other, ..asked(&token) }] {
        assert_eq!(fields(read(&wrong, later)), ["page_token"]);
    }
}

#[test]
fn a_token_is_good_for_its_own_list_only() {
    let page: Page<i32> = Page::read("pets/1/shares".to_owned(), 0, "").unwrap();
    let token = page.token(Place { time: now(), id: 7 });
    for (list, good) in [("pets/1/shares", true), ("pets/2/shares", false), ("pets/1/collars", false)] {
        assert_eq!(Page::<i32>::read(list.to_owned(), 0, &token).is_ok(), good, "{list}");
    }
    for bad in ["x", "!!!!", "AAAA", &token[1..], &format!("{token}AA"), &"A".repeat(100_000)] {
        assert_eq!(fields(Page::<i32>::read("pets/1/shares".to_owned(), 0, bad)), ["page_token"], "{bad}");
    }
    // Of the same name, but with a span.
    assert_eq!(
        fields(Page::<i32, Span>::read_span("pets/1/shares".to_owned(), &asked(&token), DAY, now())),
        ["page_token"]
    );
}

#[test]
fn what_cannot_be_used_is_named() {
    let beyond = Some(wkt::Timestamp { seconds: i64::MAX, nanos: 0 });
    let token = read(&asked(""), now()).unwrap().token(Place { time: now(), id: 7 });
    let (early, late) = (Some(at("2026-02-02T00:00:00Z").into()), Some(at("2026-03-02T00:00:00Z").into()));
    for (asked, expected) in [
        (Asked { page_size: -1, ..asked("") }, vec!["page_size"]),
        (Asked { page_size: 1_001, ..asked("") }, vec!["page_size"]),
        (Asked { page_size: i32::MIN, ..asked("") }, vec!["page_size"]),
        (Asked { start_time: beyond, ..asked("") }, vec!["start_time"]),
        (Asked { end_time: beyond, ..asked("") }, vec!["end_time"]),
        (Asked { start_time: late, ..asked("") }, vec!["start_time"]),
        (Asked { start_time: late, end_time: early, ..asked("") }, vec!["start_time"]),
        (Asked { start_time: late, end_time: early, ..asked(&token) }, vec!["page_token"]),
        (Asked { start_time: late, page_size: -1, ..asked("") }, vec!["start_time", "page_size"]),
        (asked("x"), vec!["page_token"]),
        (
            Asked { start_time: beyond, page_size: -1, ..asked("x") },
            vec!["start_time", "page_token", "page_size"],
        ),
    ] {
        assert_eq!(fields(read(&asked, now())), expected, "{asked:?}");
    }
}

#[test]
fn a_forged_token_with_times_out_of_range_is_refused() {
    for (times, good) in [
        ([0, 0, 0], true),
        ([i64::MIN, 0, 0], false),
        ([0, i64::MAX, 0], false),
        ([0, 0, i64::MAX], false),
        // Time that is, but that no request can name: 4714 BC.
        ([-210_900_000_000_000_000, 0, 0], false),
        ([0, 0, -210_900_000_000_000_000], false),
        // Ends before it begins.
        ([1, 0, 0], false),
    ] {
        let [start, end, last] = times;
        let bytes = postcard::to_stdvec(&("pets/1/readings", start, end, last, 7_i32)).unwrap();
        let read = read(&asked(&URL_SAFE_NO_PAD.encode(bytes)), now());
        assert_eq!(read.is_ok(), good, "{times:?}");
    }
}

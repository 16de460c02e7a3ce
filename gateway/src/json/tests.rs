use petty_proto::auth::v1::{CreatePetRequest, UpdatePetRequest, pet};
use petty_proto::ingest::v1::{IngestReadingRequest, IngestReadingsRequest};
use proptest::prelude::*;

use super::*;
use crate::upstream::RequestMessage;

fn read<M: RequestMessage>(body: &str, lenient: bool) -> Result<M, Vec<(String, String)>> {
    decode::<M>(body.as_bytes(), M::SCHEMA, lenient, MOST_OBJECTS).map_err(|problem| {
        assert_eq!(problem.status, 400, "{body}");
        assert!(!problem.errors.is_empty(), "no field is named for {body}");
        problem.errors.into_iter().map(|fault| (fault.field, fault.reason.into_owned())).collect()
    })
}

/// Each body is refused, with this field named first.
fn refused<M: RequestMessage + std::fmt::Debug>(lenient: bool, cases: &[(&str, &str, &str)]) {
    for (body, field, reason) in cases {
        let faults = read::<M>(body, lenient).expect_err(body);
        assert_eq!(faults[0].0, *field, "{body}: {faults:?}");
        assert!(faults[0].1.contains(reason), "{body}: {faults:?}");
    }
}

#[test]
fn either_spelling_is_read() {
    let message: IngestReadingRequest = read(
        r#"{"collarId":"SN-1","heart_rate":80,"activityLevel":0,"timestamp":"2026-01-31T12:00:00Z"}"#,
        false,
    )
    .unwrap();
    assert_eq!(message.collar_id, "SN-1");
    assert_eq!(message.heart_rate, Some(80.0));
    assert_eq!(message.activity_level, Some(0));
    assert_eq!(message.timestamp.unwrap().seconds, 1_769_860_800);
}

#[test]
fn whole_numbers_may_be_written_as_floats_or_in_strings() {
    for (text, level) in [("1", 1), ("1.0", 1), ("2e0", 2), ("-0.0", 0), ("\"2\"", 2), ("1e9", 1_000_000_000)]
    {
        let message: IngestReadingRequest = read(&format!(r#"{{"activity_level":{text}}}"#), false).unwrap();
        assert_eq!(message.activity_level, Some(level), "{text}");
    }
    for text in ["1e300", "1e10", "0.5", "\"1.0\"", "\"\"", "\" 1\""] {
        let refused = read::<IngestReadingRequest>(&format!(r#"{{"activity_level":{text}}}"#), false);
        assert_eq!(refused.unwrap_err()[0].0, "activity_level", "{text}");
    }
}

#[test]
fn an_empty_body_is_an_empty_request() {
    for body in ["", "{}", " { } "] {
        assert_eq!(read::<UpdatePetRequest>(body, false).unwrap(), UpdatePetRequest::default());
    }
}

#[test]
fn null_means_absent() {
    let message: UpdatePetRequest =
        read(r#"{"pet_id":null,"name":null,"sex":null,"neutered":false}"#, false).unwrap();
    assert_eq!(message, UpdatePetRequest { neutered: Some(false), ..UpdatePetRequest::default() });
}

#[test]
fn both_ways_read_the_same() {
    // A null sends the second body the second way.
    let plain = r#"{"name":"Rex","species":"DOG","sex":1,"neutered":true,"birth_date":"2020-02-29"}"#;
    let with_null =
        r#"{"name":"Rex","species":"DOG","sex":1,"neutered":true,"birth_date":"2020-02-29","breed":null}"#;
    let message: CreatePetRequest = read(plain, false).unwrap();
    assert_eq!(message.species(), pet::Species::Dog);
    assert_eq!(read::<CreatePetRequest>(with_null, false).unwrap(), message);
}

#[test]
fn wrong_types_name_the_field_and_what_it_must_be() {
    refused::<IngestReadingRequest>(
        false,
        &[
            (r#"{"heart_rate":"fast"}"#, "heart_rate", "must be a number"),
            (r#"{"heartRate":true}"#, "heart_rate", "must be a number"),
            (r#"{"heart_rate":[80]}"#, "heart_rate", "must be a number"),
            (r#"{"activity_level":1.5}"#, "activity_level", "whole number"),
            (r#"{"activity_level":3000000000}"#, "activity_level", "2147483647"),
            (r#"{"activity_level":-99999999999999999999999}"#, "activity_level", "whole number"),
            (r#"{"collar_id":7}"#, "collar_id", "must be a string"),
            (r#"{"timestamp":"yesterday"}"#, "timestamp", "RFC 3339"),
            (r#"{"timestamp":"2026-01-31T12:00:00"}"#, "timestamp", "RFC 3339"),
            (r#"{"timestamp":1769860800}"#, "timestamp", "RFC 3339"),
            (r#"{"location":"here"}"#, "location", "must be an object"),
            (r#"{"location":{"coordinates":3}}"#, "location.coordinates", "must be an array"),
            (r#"{"location":{"coordinates":[1,"x"]}}"#, "location.coordinates[1]", "must be a number"),
            (r#"{"location":{"coordinates":[1,null]}}"#, "location.coordinates[1]", "must be a number"),
            (r#"{"location":{"kind":1}}"#, "location.kind", "not a field"),
            ("[]", "body", "must be an object"),
            ("7", "body", "must be an object"),
            ("null", "body", "must be an object"),
        ],
    );
    refused::<CreatePetRequest>(
        false,
        &[
            (r#"{"species":"HAMSTER"}"#, "species", "must be one of DOG, CAT"),
            (r#"{"species":9}"#, "species", "must be one of DOG, CAT"),
            (r#"{"neutered":"yes"}"#, "neutered", "true or false"),
        ],
    );
    refused::<IngestReadingsRequest>(
        false,
        &[(r#"{"readings":[{},{},{},{"heart_rate":"x"}]}"#, "readings[3].heart_rate", "must be a number")],
    );
}

#[test]
fn every_fault_is_named_up_to_a_limit() {
    let faults = read::<CreatePetRequest>(r#"{"name":1,"species":2.5,"colour":"red"}"#, false).unwrap_err();
    let fields: Vec<_> = faults.iter().map(|fault| fault.0.as_str()).collect();
    assert_eq!(fields, ["name", "species", "colour"]);
    let many = format!("{{\"readings\":[{}{{}}]}}", "{\"heart_rate\":\"x\"},".repeat(999));
    assert_eq!(read::<IngestReadingsRequest>(&many, false).unwrap_err().len(), 20);
}

#[test]
fn numbers_that_are_none_are_refused() {
    refused::<IngestReadingRequest>(
        false,
        &[
            (r#"{"heart_rate":"NaN"}"#, "heart_rate", "finite"),
            (r#"{"heart_rate":"Infinity"}"#, "heart_rate", "finite"),
            (r#"{"heart_rate":"-inf"}"#, "heart_rate", "finite"),
            (r#"{"heart_rate":"1e999"}"#, "heart_rate", "finite"),
            (r#"{"heart_rate":1e999}"#, "heart_rate", "out of range"),
            (r#"{"heart_rate":NaN}"#, "heart_rate", "is not JSON"),
            (r#"{"location":{"coordinates":["NaN",2],"type":null}}"#, "location.coordinates[0]", "finite"),
        ],
    );
}

#[test]
fn what_is_no_json_is_refused() {
    refused::<IngestReadingRequest>(
        false,
        &[
            ("{", "body", "is not JSON"),
            ("{\"collar_id\":\"a\"} x", "body", "trailing"),
            ("{\"collar_id\":\"a\"}{}", "body", "trailing"),
            ("{\"collar_id\":\"a\",}", "body", "is not JSON"),
            ("{'collar_id':'a'}", "body", "is not JSON"),
            (r#"{"collar_id":"\ud800"}"#, "collar_id", "is not JSON"),
            (r#"{"collar_id":"\ud800\ud800"}"#, "collar_id", "is not JSON"),
            (r#"{"location":{"type":"\udc00"}}"#, "location.type", "is not JSON"),
            ("{\"collar_id\":\"a\u{1}\"}", "collar_id", "is not JSON"),
            ("\u{feff}{}", "body", "is not JSON"),
            (r#"{"a":01}"#, "a", "is not JSON"),
        ],
    );
    let latin1 = decode::<IngestReadingRequest>(
        b"{\"collar_id\":\"\xe9\"}",
        IngestReadingRequest::SCHEMA,
        false,
        MOST_OBJECTS,
    );
    assert_eq!(latin1.unwrap_err().code, "MALFORMED_JSON");
}

#[test]
fn a_key_given_twice_is_refused_in_any_spelling() {
    for lenient in [false, true] {
        refused::<IngestReadingRequest>(
            lenient,
            &[
                (r#"{"collar_id":"a","collar_id":"b"}"#, "collar_id", "twice"),
                (r#"{"collar_id":"a","collarId":"b"}"#, "collar_id", "twice"),
                (r#"{"heart_rate":null,"heart_rate":80}"#, "heart_rate", "twice"),
                (r#"{"heart_rate":null,"heartRate":80}"#, "heart_rate", "twice"),
                (r#"{"location":{"type":"Point","type":"Point"}}"#, "location.type", "twice"),
                (r#"{"x":1,"x":1}"#, "x", "twice"),
            ],
        );
    }
}

#[test]
fn text_with_a_nul_is_refused() {
    refused::<CreatePetRequest>(false, &[(r#"{"name":"a\u0000b"}"#, "name", "U+0000")]);
    refused::<IngestReadingsRequest>(
        false,
        &[(r#"{"readings":[{"collar_id":"a\u0000"}]}"#, "readings[0].collar_id", "U+0000")],
    );
}

#[test]
fn depth_is_limited_wherever_it_is() {
    for body in ["[".repeat(100_000), "{\"a\":".repeat(100_000), format!("{{\"location\":{}", "[".repeat(40))]
    {
        for lenient in [false, true] {
            let faults = read::<IngestReadingRequest>(&body, lenient).unwrap_err();
            assert_eq!(faults[0].0, "body");
            assert!(faults[0].1.contains("32 levels"));
        }
    }
}

#[test]
fn request_id_is_not_the_clients_to_state() {
    refused::<CreatePetRequest>(false, &[(r#"{"request_id":"x","name":null}"#, "request_id", "not a field")]);
}

#[test]
fn lenient_methods_ignore_64_unknown_fields_and_no_more() {
    let body = |count: usize| {
        let fields: String = (0..count).map(|at| format!("\"x{at}\":[{{}}],")).collect();
        format!("{{{fields}\"collar_id\":\"a-1\"}}")
    };
    assert_eq!(read::<IngestReadingRequest>(&body(64), true).unwrap().collar_id, "a-1");
    for count in [65, 10_000] {
        let faults = read::<IngestReadingRequest>(&body(count), true).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].1.contains("64"), "{faults:?}");
    }
    assert_eq!(read::<IngestReadingRequest>(&body(10_000), false).unwrap_err().len(), 20);
    // Nested ones count as well, and one ignored field hides no other fault.
    let nested = r#"{"x":1,"location":{"y":1,"type":5}}"#;
    assert_eq!(read::<IngestReadingRequest>(nested, true).unwrap_err()[0].0, "location.type");
}

#[test]
fn lenient_methods_read_a_time_without_offset_as_utc() {
    for (text, seconds) in [
        ("2026-01-31T12:00:00", Some(1_769_860_800)),
        ("2026-01-31T12:00:00.123456", Some(1_769_860_800)),
        ("2026-01-31T12:00:00+01:00", Some(1_769_857_200)),
        ("2026-01-31T12:00:00-01:00", Some(1_769_864_400)),
        ("2026-01-31", None),
        ("2026-01-31T25:00:00", None),
        ("2026-01-31T12:00:00[Europe/Berlin]", None),
    ] {
        let body = format!(r#"{{"timestamp":"{text}"}}"#);
        let read = read::<IngestReadingRequest>(&body, true);
        match seconds {
            Some(seconds) => assert_eq!(read.expect(text).timestamp.unwrap().seconds, seconds, "{text}"),
            None => assert_eq!(read.expect_err(text)[0].0, "timestamp", "{text}"),
        }
    }
}

#[test]
fn long_names_neither_come_back_whole_nor_cost_their_square() {
    let name = "é".repeat(200_000);
    let body = format!("{{\"{name}\":{{\"a\":[{}0]}}}}", "0,".repeat(100_000));
    let faults = read::<IngestReadingRequest>(&body, false).unwrap_err();
    assert!(faults[0].0.len() <= 140, "{}", faults[0].0.len());
}

proptest! {
    #[test]
    fn nothing_panics_and_every_refusal_names_a_field(body in "[\\[\\]{}\",:a-z0-9 \\\\nul.e-]{0,80}") {
        let _ = read::<IngestReadingRequest>(&body, true);
        let _ = read::<CreatePetRequest>(&body, false);
    }

    #[test]
    fn a_reading_is_read_as_written(rate in 30.0..300.0_f64, level in 0..3_i32, lon in -180.0..180.0_f64) {
        let body = format!(
            r#"{{"collar_id":"c-1","timestamp":"2026-01-31T12:00:00Z","heart_rate":{rate},"activity_level":{level},"location":{{"coordinates":[{lon},1]}}}}"#
        );
        let message: IngestReadingRequest = read(&body, false).unwrap();
        // serde_json reads floats to within one unit in the last place.
        prop_assert!((message.heart_rate.unwrap() - rate).abs() < 1e-9);
        prop_assert_eq!(message.activity_level, Some(level));
        prop_assert!((message.location.unwrap().coordinates[0] - lon).abs() < 1e-9);
    }
}

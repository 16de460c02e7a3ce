//! What is no reading at all: numbers that JSON has not, integers that nothing holds, characters that are none, and too much of
//! everything.

use petty::mesh::{GATEWAY, SERVICES};
use serde_json::{Value, json};

use super::Scene;

/// A reading with its heart rate, or something else, as raw text.
fn with(scene: &mut Scene, field: &str, raw: &str) -> String {
    let mut reading = scene.reading(&json!({}));
    reading.as_object_mut().unwrap().remove(field);
    let text = reading.to_string();
    format!("{{\"{field}\":{raw},{}", &text[1..])
}

/// Nested so deep, in all.
fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_reading_is_4xx_that_names_the_field_and_nothing_is_stored() {
    let mut scene = Scene::set().await;
    let mut cases: Vec<(String, &str, String)> = Vec::new();
    for (field, raw) in [
        ("heart_rate", "NaN"),
        ("heart_rate", "-NaN"),
        ("heart_rate", "Infinity"),
        ("heart_rate", "-Infinity"),
        ("heart_rate", "\"NaN\""),
        ("heart_rate", "\"Infinity\""),
        ("heart_rate", "\"-Infinity\""),
        ("heart_rate", "1e400"),
        ("heart_rate", "-1e400"),
        ("heart_rate", "\"1e400\""),
        ("heart_rate", "true"),
        ("heart_rate", "[70]"),
        ("heart_rate", "{}"),
        ("activity_level", "9223372036854775807"),
        ("activity_level", "9223372036854775808"),
        ("activity_level", "-9223372036854775809"),
        ("activity_level", "18446744073709551616"),
        ("activity_level", "\"9223372036854775808\""),
        ("activity_level", "2147483648"),
        ("activity_level", "1e30"),
        ("activity_level", "1.5"),
        ("sequence_id", "2147483648"),
        ("sequence_id", "9223372036854775808"),
        ("sequence_id", "99999999999999999999999999999999"),
        ("collar_id", "\"collar\\u0000bounds\""),
        ("collar_id", "\"collar\\ud800bounds\""),
        ("collar_id", "\"collar\\udfff\""),
        ("collar_id", "\"collar\\ud83dx\""),
        ("collar_id", "7"),
        ("timestamp", "1767225600"),
        ("timestamp", "\"2026-02-30T00:00:00Z\""),
        ("timestamp", "\"0000-01-01T00:00:00Z\""),
        ("timestamp", "\"10000-01-01T00:00:00Z\""),
        ("timestamp", "\"2026-01-01T00:00:00+99:99\""),
        ("timestamp", "\"\\u0000\""),
        ("location", "\"52.5,13.4\""),
    ] {
        cases.push((with(&mut scene, field, raw), field, raw.to_owned()));
    }
    for (raw, field) in [
        ("{\"coordinates\":\"13,52\"}", "location.coordinates"),
        ("{\"coordinates\":[\"NaN\",1]}", "location.coordinates[0]"),
        ("{\"coordinates\":[1,1e400]}", "location.coordinates[1]"),
        ("{\"coordinates\":[1,2],\"accuracy\":\"Infinity\"}", "location.accuracy"),
        ("{\"coordinates\":[1,2],\"type\":\"\\u0000\"}", "location.type"),
    ] {
        cases.push((with(&mut scene, "location", raw), field, raw.to_owned()));
    }
    let twice = with(&mut scene, "heart_rate", "70").replacen('{', "{\"heart_rate\":71,", 1);
    cases.push((twice, "heart_rate", "given twice".to_owned()));
    let unknown: String = (0..10_000).map(|at| format!("\"x{at:04}\":1,")).collect();
    cases.push((
        scene.reading(&json!({})).to_string().replacen('{', &format!("{{{unknown}"), 1),
        "x0064",
        "10,000 unknown fields".to_owned(),
    ));
    for (body, field, told) in &cases {
        let answer = scene.post("/v1/ingest", body.clone()).await;
        answer.names(field);
        assert!(answer.text.len() < 8_192, "{told}: an answer repeats what it was sent");
        let good = scene.reading(&json!({})).to_string();
        let answer = scene.upload(&good, body).await;
        let rejected = &answer.body["rejected"][0];
        let named = rejected["field"].as_str().unwrap_or_default();
        let expected = if *field == "x0064" { "body" } else { field };
        assert!(named == expected && rejected["index"] == 1, "{told} as a line: {}", answer.text);
        scene.stored += 1;
        // In a batch the JSON stands or falls as a whole, by the element's own path.
        let batch = format!("{{\"readings\":[{},{body}]}}", scene.reading(&json!({})));
        let answer = scene.post("/v1/ingest:batch", batch).await;
        if answer.status.as_u16() == 200 {
            // JSON it is, and out of its bounds: refused alone.
            let rejected = &answer.body["rejected"];
            assert_eq!((&rejected[0]["index"], &rejected[0]["field"]), (&json!(1), &json!(field)), "{told}");
            scene.stored += 1;
            continue;
        }
        assert_eq!(answer.status.as_u16(), 400, "{told}: {}", answer.text);
        let prefix = format!("readings[1].{}", if *field == "x0064" { "x" } else { field });
        let named = answer.body["errors"].as_array().unwrap().iter();
        let named = named.filter(|error| error["field"].as_str().unwrap().starts_with(&prefix)).count();
        assert!(named > 0, "{told} in a batch does not name {prefix}: {}", answer.text);
        assert!(answer.text.len() < 8_192, "{told}: an answer repeats what it was sent");
    }
    let not_utf8 = [&b"{\"collar_id\":\"collar\xff\xfe\"}"[..], b"{\"collar_id\":\"\xed\xa0\x80\"}"];
    for body in not_utf8 {
        scene.post("/v1/ingest", body.to_vec()).await.names("collar_id");
    }
    for body in ["[", "{", "\"", "{}x", "[1]", "\u{feff}{}", "nul", "{\"readings\":", &nested(400_000)] {
        for path in ["/v1/ingest", "/v1/ingest:batch"] {
            let answer = scene.post(path, body.to_owned()).await;
            assert_eq!(answer.status.as_u16(), 400, "{path} {body:.20}: {}", answer.text);
            assert!(!answer.body["errors"][0]["field"].as_str().unwrap().is_empty(), "{path} {body:.20}");
        }
    }
    scene.is_stored("everything that is no reading").await;
    for service in SERVICES.into_iter().chain([GATEWAY]) {
        assert!(scene.mesh.is_alive(service, 0), "{service} is unharmed");
    }
    assert!(!scene.mesh.logs().contains("panic"), "nothing panicked");
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_size_and_number_are_taken_up_to_their_bounds_and_no_further() {
    let mut scene = Scene::set().await;
    // 64 unknown fields are ignored by the first system's call; the reading itself is the first level.
    let unknown = |count: usize| -> String { (0..count).map(|at| format!("\"x{at:04}\":1,")).collect() };
    let widened = |reading: Value, more: &str| reading.to_string().replacen('{', &format!("{{{more}"), 1);
    for (more, field) in [
        (unknown(64), None),
        (unknown(65), Some("x0064")),
        (format!("\"x\":{},", nested(31)), None),
        (format!("\"x\":{},", nested(32)), Some("body")),
    ] {
        let body = widened(scene.reading(&json!({})), &more);
        let answer = scene.post("/v1/ingest", body).await;
        match field {
            None => {
                assert_eq!(answer.status.as_u16(), 201, "{more:.80}: {}", answer.text);
                scene.stored += 1;
            }
            Some(field) => answer.names(field),
        }
        scene.is_stored(&format!("{more:.80}")).await;
    }
    let body = widened(scene.reading(&json!({})), &unknown(1));
    scene.post("/v1/ingest:batch", format!("{{\"readings\":[{body}]}}")).await.names("readings[0].x0000");

    for (count, taken) in [(1, true), (1_000, true), (1_001, false), (0, false)] {
        let readings: Vec<Value> = (0..count).map(|_| scene.reading(&json!({}))).collect();
        let answer = scene.post("/v1/ingest:batch", json!({"readings": readings}).to_string()).await;
        if taken {
            assert_eq!(answer.good()["accepted"], json!(count));
            scene.stored += count;
        } else {
            answer.names("readings");
        }
        scene.is_stored(&format!("{count} readings")).await;
    }
    let padded = |body: String, size: usize| format!("{body}{}", " ".repeat(size - body.len()));
    for (path, size, taken) in [
        ("/v1/ingest", 1 << 20, true),
        ("/v1/ingest", (1 << 20) + 1, false),
        ("/v1/ingest:batch", 4 << 20, true),
        ("/v1/ingest:batch", (4 << 20) + 1, false),
    ] {
        let reading = scene.reading(&json!({}));
        let body = if path.ends_with("batch") { json!({"readings": [reading]}) } else { reading };
        let answer = scene.post(path, padded(body.to_string(), size)).await;
        if taken {
            assert_eq!(answer.good()["accepted"], 1);
            scene.stored += 1;
        } else {
            answer.is_problem(413, "BODY_TOO_LARGE");
        }
        scene.is_stored(&format!("{size} bytes")).await;
    }
}

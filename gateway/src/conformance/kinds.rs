//! Every kind of field in JSON, there and back.

use proptest::prelude::*;
use serde_json::json;

use super::{Value, World};

/// What comes back of a field.
async fn echo(world: &World, field: &str, json: &str) -> Result<Value, Vec<String>> {
    let reply = world.send("POST", "/v1/echo", &format!(r#"{{"everything":{{"{field}":{json}}}}}"#)).await;
    if reply.status == 200 {
        Ok(reply.json()["everything"].get(field).cloned().unwrap_or_default())
    } else {
        Err(reply.faults())
    }
}

#[tokio::test]
async fn every_kind_is_read_and_written_as_canonical_json_has_it() {
    let world = World::new();
    for (field, sent, back) in [
        ("text", r#""a\nb""#, json!("a\nb")),
        ("texts", r#"["a",""]"#, json!(["a", ""])),
        ("long", "-9223372036854775808", json!("-9223372036854775808")),
        ("long", r#""7""#, json!("7")),
        ("unsigned_long", "18446744073709551615", json!("18446744073709551615")),
        ("numbers", r#"[1,"2",3.0,-4e0]"#, json!([1, 2, 3, -4])),
        ("single", "0.5", json!(0.5)),
        ("double", r#""1e300""#, json!(1e300)),
        ("color", r#""BLUE""#, json!("BLUE")),
        ("color", "5", json!("BLUE")),
        ("color", "0", json!("COLOR_UNSPECIFIED")),
        ("colors", r#"["RED",5]"#, json!(["RED", "BLUE"])),
        ("data", r#""+/8=""#, json!("+/8=")),
        ("data", r#""-_8""#, json!("+/8=")),
        ("data", r#""""#, json!("")),
        ("datas", r#"["AA==","AQ"]"#, json!(["AA==", "AQ=="])),
        ("time", r#""2026-01-31T12:00:00.5+01:00""#, json!("2026-01-31T11:00:00.500Z")),
        ("span", r#""-0.25s""#, json!("-0.250s")),
        ("mask", r#""mainPart.size,name""#, json!("mainPart.size,name")),
        ("mask", r#""main_part""#, json!("mainPart")),
        ("object", r#"{"a":[1,null,{"b":"c"}]}"#, json!({ "a": [1.0, null, { "b": "c" }] })),
        ("list", r#"[{},"x",null]"#, json!([{}, "x", null])),
        ("any", r#"[true]"#, json!([true])),
        ("anys", r#"[1,"x",{}]"#, json!([1.0, "x", {}])),
        ("anys", r#"[null,[]]"#, json!([null, []])),
        ("nothing", "{}", json!({})),
        ("maybe_long", "0", json!("0")),
        ("maybe_long", r#""-5""#, json!("-5")),
        ("maybe_text", r#""""#, json!("")),
        ("maybe_bool", "false", json!(false)),
        ("maybe_data", r#""-_8=""#, json!("+/8=")),
        ("maybe_double", "0.0", json!(0.0)),
        ("maybe_double", r#""2.5""#, json!(2.5)),
        ("maybe_text", "null", json!(null)),
        ("labels", r#"{"a":"1","":"2"}"#, json!({ "a": "1", "": "2" })),
        ("parts", r#"{"a":{"size":2}}"#, json!({ "a": { "name": "", "size": 2 } })),
        ("longs", r#"{"a":"5","b":6}"#, json!({ "a": "5", "b": "6" })),
        ("shades", r#"{"a":"RED","b":5}"#, json!({ "a": "RED", "b": "BLUE" })),
        ("word", r#""""#, json!("")),
        ("part", r#"{"name":"x"}"#, json!({ "name": "x", "size": 0 })),
        ("shade", "1", json!("RED")),
        ("blob", r#""AQ==""#, json!("AQ==")),
        ("pause", r#""3s""#, json!("3s")),
        ("perhaps", "0", json!(0)),
        ("flag", "true", json!(true)),
    ] {
        assert_eq!(echo(&world, field, sent).await.as_ref(), Ok(&back), "{field}: {sent}");
    }
    let nested = echo(&world, "inner", r#"{"inner":{"labels":{"x":"y"}}}"#).await.unwrap();
    assert_eq!(nested["inner"]["labels"]["x"], "y");
}

#[tokio::test]
async fn what_is_none_is_refused_and_named() {
    let world = World::new();
    for (field, sent, named) in [
        ("long", "9223372036854775808", ""),
        ("long", "1.5", ""),
        ("unsigned_long", "-1", ""),
        ("numbers", "[1,2147483648]", "[1]"),
        ("single", r#""NaN""#, ""),
        ("double", r#""Infinity""#, ""),
        ("color", r#""blue""#, ""),
        ("color", "4", ""),
        ("color", r#""5""#, ""),
        ("colors", r#"["RED","x"]"#, "[1]"),
        ("data", r#""a$b=""#, ""),
        ("data", "[1,2]", ""),
        ("datas", r#"["AA==",7]"#, "[1]"),
        ("time", r#""2026-01-31""#, ""),
        ("span", r#""5""#, ""),
        ("span", "5", ""),
        ("mask", r#"["a"]"#, ""),
        ("mask", r#""a b""#, ""),
        ("object", "[]", ""),
        ("object", r#"{"a":{"b":1,"b":2}}"#, ".a.b"),
        ("object", r#"{"a":"\u0000"}"#, ""),
        ("list", "{}", ""),
        ("anys", "{}", ""),
        ("nothing", r#"{"a":1}"#, ".a"),
        ("nothing", "[]", ""),
        ("maybe_long", r#""x""#, ""),
        ("maybe_bool", r#""true""#, ""),
        ("maybe_double", r#""NaN""#, ""),
        ("labels", "[]", ""),
        ("labels", r#"{"a":7}"#, ".a"),
        ("labels", r#"{"a":null}"#, ".a"),
        ("labels", r#"{"a":"1","a":"2"}"#, ".a"),
        ("labels", r#"{"a":"1","\u0061":"1"}"#, ".a"),
        ("labels", r#"{"a\u0000":"1"}"#, ""),
        ("labels", r#"{"a":"\u0000"}"#, ".a"),
        ("parts", r#"{"a":{"size":"x"}}"#, ".a.size"),
        ("parts", r#"{"a":{"sise":1}}"#, ".a.sise"),
        ("longs", r#"{"a":1.5}"#, ".a"),
        ("shades", r#"{"a":"GREEN"}"#, ".a"),
        ("part", r#"{"size":[]}"#, ".size"),
        ("word", r#""\u0000""#, ""),
        ("inner", r#"{"inner":{"word":1}}"#, ".inner.word"),
    ] {
        let faults = echo(&world, field, sent).await.expect_err(sent);
        assert_eq!(faults[0], format!("everything.{field}{named}"), "{field}: {sent}");
    }
}

#[tokio::test]
async fn of_alternatives_there_is_one() {
    let world = World::new();
    // By name: the order of members says nothing.
    for (members, named, other) in [
        (r#""word":"a","part":{}"#, "everything.word", "part"),
        (r#""shade":"RED","word":"a""#, "everything.word", "shade"),
        (r#""pause":"1s","blob":"","flag":true"#, "everything.pause", "blob"),
    ] {
        let reply = world.send("POST", "/v1/echo", &format!(r#"{{"everything":{{{members}}}}}"#)).await;
        assert_eq!(reply.faults(), [named], "{members}");
        let reason = reply.json()["errors"][0]["reason"].clone();
        assert!(reason.as_str().unwrap().contains(other), "{reason} names {other}");
    }
    // One that is null is not given.
    let reply = world.send("POST", "/v1/echo", r#"{"everything":{"word":null,"shade":"RED"}}"#).await;
    assert_eq!(reply.json()["everything"]["shade"], "RED");
    let reply = world.send("POST", "/v1/echo", r#"{"everything":{"word":"a","word":"b"}}"#).await;
    assert_eq!(reply.faults(), ["everything.word"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_spans_maps_and_masks_come_back(
        data in proptest::collection::vec(any::<u8>(), 0..40),
        millis in -10_000_000_i64..10_000_000,
        labels in proptest::collection::hash_map("[^\0]{0,8}", "[^\0]{0,8}", 0..6),
        paths in proptest::collection::vec("[a-z]{1,5}(_[a-z]{1,5}){0,2}(\\.[a-z]{1,5}){0,2}", 1..4),
    ) {
        use pbjson::private::base64::Engine as _;
        use pbjson::private::base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
        let (sign, whole, part) = (if millis < 0 { "-" } else { "" }, millis.abs() / 1_000, millis.abs() % 1_000);
        let body = json!({ "everything": {
            "data": URL_SAFE_NO_PAD.encode(&data), "span": format!("{sign}{whole}.{part:03}s"), "labels": labels,
            "mask": paths.join(","),
        } });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let reply = runtime.block_on(async { World::new().send("POST", "/v1/echo", &body.to_string()).await });
        let back = &reply.json()["everything"];
        prop_assert_eq!(&back["data"], &json!(STANDARD.encode(&data)));
        let span = back["span"].as_str().unwrap().strip_suffix('s').unwrap().parse::<f64>().unwrap();
        prop_assert!((span * 1_000.0 - millis as f64).abs() < 0.001);
        prop_assert_eq!(&back["labels"], &json!(labels));
        let mask: petty_proto::wkt::FieldMask = serde_json::from_value(back["mask"].clone()).unwrap();
        prop_assert_eq!(mask.paths, paths);
    }
}

//! Requests of every route, in every shape in which clients send them, by right or by mistake.

use prost_reflect::{Cardinality, FieldDescriptor, Kind, SerializeOptions};
use serde_json::{Map, Value, json};

use super::routes::Route;
use super::samples;
use super::service::Answer;

const JSON: Option<&str> = Some("application/json");

/// One request, to be sent to both.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// What is special about it.
    pub(super) shape: String,
    /// The field that is special, where one is.
    pub(super) field: String,
    /// The route it was made from.
    pub(super) route: Route,
    pub(super) verb: &'static str,
    pub(super) target: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Vec<u8>,
    pub(super) answer: Answer,
}

impl Case {
    fn new(shape: impl Into<String>, route: &Route) -> Self {
        Self {
            shape: shape.into(),
            field: String::new(),
            route: route.clone(),
            verb: route.verb,
            target: route.path("some-id_1"),
            content_type: None,
            body: Vec::new(),
            answer: Answer::Full,
        }
    }

    fn about(self, field: impl Into<String>) -> Self {
        Self { field: field.into(), ..self }
    }

    fn target(self, target: impl Into<String>) -> Self {
        Self { target: target.into(), ..self }
    }

    fn query(self, query: &str) -> Self {
        let target = format!("{}?{query}", self.target);
        Self { target, ..self }
    }

    fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { content_type: JSON, body: body.into(), ..self }
    }

    fn of_type(self, content_type: Option<&'static str>) -> Self {
        Self { content_type, ..self }
    }

    fn verb(self, verb: &'static str) -> Self {
        Self { verb, ..self }
    }

    fn answered(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }
}

/// All requests of a route.
pub(super) fn of(route: &Route) -> anyhow::Result<Vec<Case>> {
    let case = |shape: &str| Case::new(shape, route);
    let whole = whole(route)?;
    let plain = |shape: &str| {
        let case = case(shape);
        if route.takes_body { case.body(text(&Value::Object(whole.clone()))) } else { case }
    };
    let mut cases = vec![
        plain("as it should be"),
        plain("answered empty").answered(Answer::Empty),
        plain("answered NOT_FOUND").answered(Answer::Error(5)),
        plain("answered INVALID_ARGUMENT").answered(Answer::Error(3)),
        plain("answered UNAVAILABLE").answered(Answer::Error(14)),
        plain("a slash at the end").target(format!("{}/", route.path("some-id_1"))),
        plain("a doubled slash").target(format!("/{}", route.path("some-id_1"))),
        plain("in capitals").target(route.path("some-id_1").to_ascii_uppercase()),
        case("HEAD").verb("HEAD"),
        case("OPTIONS").verb("OPTIONS"),
        case("a verb that the path has not").verb("TRACE"),
        plain("an unknown parameter").query("unknown=1"),
    ];
    if let Some(field) = route.path_fields().next() {
        for (shape, value) in [
            ("path: a space", "a%20b"),
            ("path: a plus", "a+b"),
            ("path: an escaped slash", "a%2Fb"),
            ("path: an escaped percent", "a%2525"),
            ("path: UTF-8", "%C3%A9"),
            ("path: not UTF-8", "%FF"),
            ("path: not an escape", "a%zzb"),
            ("path: U+0000", "a%00b"),
            ("path: empty", ""),
            ("path: a colon", "a:b"),
            ("path: dots", ".."),
        ] {
            cases.push(plain(shape).about(field).target(route.path(value)));
        }
    }
    if route.takes_body {
        bodies(route, &whole, &mut cases);
    } else {
        queries(route, &mut cases);
    }
    Ok(cases)
}

/// The request with every field set, as canonical JSON, without what the path states.
fn whole(route: &Route) -> anyhow::Result<Map<String, Value>> {
    let message = samples::message(&route.method.input(), 0);
    let options = SerializeOptions::new().use_proto_field_name(true);
    let value = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    let Value::Object(mut whole) = value else { anyhow::bail!("a message is an object") };
    whole.remove("request_id");
    for name in route.path_fields() {
        whole.remove(name);
    }
    Ok(whole)
}

fn text(value: &Value) -> String {
    value.to_string()
}

fn bodies(route: &Route, whole: &Map<String, Value>, cases: &mut Vec<Case>) {
    let case = |shape: &str| Case::new(shape, route);
    let good = text(&Value::Object(whole.clone()));
    let mut with = |shape: &str, field: &str, body: String| cases.push(case(shape).about(field).body(body));
    with("body: {}", "", "{}".to_owned());
    with("body: spaces around", "", format!(" \r\n\t{good}\n"));
    with("body: a mark of byte order", "", format!("\u{feff}{good}"));
    with("body: something after it", "", format!("{good} {{}}"));
    with("body: a comma too many", "", good.replacen('}', ",}", 1));
    with("body: cut off", "", good.get(..good.len() - 1).unwrap_or_default().to_owned());
    with("body: a comment", "", format!("/* no */ {good}"));
    with("body: single quotes", "", "{'a': 1}".to_owned());
    with("body: a list", "", "[]".to_owned());
    with("body: null", "", "null".to_owned());
    with("body: a text", "", "\"text\"".to_owned());
    with("body: a number", "", "7".to_owned());
    with("body: not JSON", "", "collar_id=x".to_owned());
    with("body: an unknown field", "unknown", merged(whole, "unknown", json!(1)));
    with("body: an unknown field, null", "unknown", merged(whole, "unknown", Value::Null));
    with("body: an unknown object", "unknown", merged(whole, "unknown", json!({"deep": [1, {"er": null}]})));
    with("body: too deep", "unknown", merged(whole, "unknown", nested(200)));
    for field in route.other_fields() {
        if let Some(value) = whole.get(field.name()) {
            let (name, json_name) = (field.name(), field.json_name());
            with("field: by its JSON name", name, json!({ json_name: value }).to_string());
            with("field: twice, alike", name, format!("{{\"{name}\":{value},\"{name}\":{value}}}"));
            if name != json_name {
                let body = format!("{{\"{name}\":{value},\"{json_name}\":{value}}}");
                with("field: twice, in both spellings", name, body);
            }
            with("field: null", name, json!({ name: null }).to_string());
            for (shape, text) in values(&field) {
                with(&format!("{}: {shape}", kind(&field)), name, format!("{{\"{name}\":{text}}}"));
            }
        }
    }
    if let Some(name) = route.path_fields().next() {
        with("path and body: the same", name, merged(whole, name, json!("some-id_1")));
        with("path and body: another", name, merged(whole, name, json!("another")));
    }
    if route.method.input().get_field_by_name("request_id").is_some() {
        with("body: request_id", "request_id", merged(whole, "request_id", json!("mine")));
    }
    let some = route
        .other_fields()
        .into_iter()
        .find(|field| matches!(field.kind(), Kind::String) && !field.is_list());
    if let Some(field) = some {
        let mut bytes = format!("{{\"{}\":\"", field.name()).into_bytes();
        bytes.extend_from_slice(b"\xff\xfe\"}");
        cases.push(case("text: not UTF-8").body(bytes));
        let query = format!("{}=x", field.name());
        cases.push(case("a field of the body in the query").about(field.name()).body("{}").query(&query));
    }
    cases.push(case("no body"));
    cases.push(case("no body, but a type").of_type(JSON));
    cases.push(case("type: none").body(good.clone()).of_type(None));
    cases.push(case("type: text/plain").body(good.clone()).of_type(Some("text/plain")));
    cases.push(
        case("type: JSON with a charset").body(good.clone()).of_type(Some("application/json; charset=utf-8")),
    );
    cases.push(case("type: a form").body("a=b").of_type(Some("application/x-www-form-urlencoded")));
    cases.push(case("type: gRPC").body(good).of_type(Some("application/grpc")));
}

fn queries(route: &Route, cases: &mut Vec<Case>) {
    let case = |shape: &str| Case::new(shape, route);
    let fields: Vec<FieldDescriptor> = route.other_fields().into_iter().filter(is_parameter).collect();
    let all: Vec<String> =
        fields.iter().map(|field| format!("{}={}", field.name(), parameter(field))).collect();
    if !all.is_empty() {
        cases.push(case("query: every field").query(&all.join("&")));
        cases.push(case("query: empty pairs").query(&format!("&&{}&", all.join("&&"))));
    }
    for field in &fields {
        let (name, value) = (field.name(), parameter(field));
        let mut with = |shape: &str, query: String| cases.push(case(shape).about(name).query(&query));
        with("query: by its JSON name", format!("{}={value}", field.json_name()));
        with("query: twice", format!("{name}={value}&{name}={value}"));
        with("query: empty", format!("{name}="));
        with("query: no value", name.to_owned());
        for (shape, text) in parameters(field) {
            with(&format!("query, {}: {shape}", kind(field)), format!("{name}={text}"));
        }
    }
    if let Some(name) = route.path_fields().next() {
        cases.push(case("path and query: the same").about(name).query(&format!("{name}=some-id_1")));
        cases.push(case("path and query: another").about(name).query(&format!("{name}=another")));
    }
    cases.push(case("query: not UTF-8").query("%FF=1"));
    cases.push(case("a body that the route does not take").body("{}"));
}

fn merged(whole: &Map<String, Value>, name: &str, value: Value) -> String {
    let mut whole = whole.clone();
    whole.insert(name.to_owned(), value);
    text(&Value::Object(whole))
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// A field's kind in a word.
pub(super) fn kind(field: &FieldDescriptor) -> &'static str {
    if field.is_map() {
        return "map";
    }
    if field.cardinality() == Cardinality::Repeated {
        return "list";
    }
    match field.kind() {
        Kind::String => "text",
        Kind::Bytes => "bytes",
        Kind::Bool => "bool",
        Kind::Double | Kind::Float => "number",
        Kind::Enum(_) => "enum",
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Timestamp" => "time",
            "google.protobuf.Value" => "any JSON",
            _ => "message",
        },
        _ => "integer",
    }
}

/// Values of a field that should be read, and such that should not.
fn values(field: &FieldDescriptor) -> Vec<(&'static str, String)> {
    let fixed: &[(&str, &str)] = match kind(field) {
        "text" => &[
            ("empty", "\"\""),
            ("a number", "5"),
            ("true", "true"),
            ("an object", "{}"),
            ("a list", "[\"x\"]"),
            ("U+0000", "\"a\\u0000b\""),
            ("half a surrogate pair", "\"\\ud800\""),
            ("a surrogate pair", "\"\\ud83d\\udc36\""),
            ("a bad escape", "\"\\x\""),
            ("a raw tab", "\"a\tb\""),
        ],
        "bool" => &[
            ("false", "false"),
            ("\"true\"", "\"true\""),
            ("1", "1"),
            ("\"yes\"", "\"yes\""),
            ("an object", "{}"),
        ],
        "integer" => &[
            ("as text", "\"7\""),
            ("with a zero fraction", "7.0"),
            ("with an exponent", "1e1"),
            ("with a fraction", "7.5"),
            ("as text with a fraction", "\"7.5\""),
            ("as text with spaces", "\" 7\""),
            ("an empty text", "\"\""),
            ("words", "\"seven\""),
            ("true", "true"),
            ("minus zero", "-0"),
            ("a zero in front", "07"),
            ("a plus", "+7"),
            ("2147483648", "2147483648"),
            ("beyond every number", "1e400"),
            ("an object", "{}"),
        ],
        "number" => &[
            ("an integer", "7"),
            ("as text", "\"1.5\""),
            ("minus zero", "-0.0"),
            ("with an exponent", "15e-1"),
            ("\"NaN\"", "\"NaN\""),
            ("\"Infinity\"", "\"Infinity\""),
            ("bare NaN", "NaN"),
            ("beyond every number", "1e400"),
            ("as text beyond every number", "\"1e400\""),
            ("an empty text", "\"\""),
            ("words", "\"much\""),
            ("true", "true"),
            ("no digit before the point", ".5"),
            ("no digit after the point", "5."),
            ("an object", "{}"),
        ],
        "enum" => &[
            ("the number 1", "1"),
            ("a number of no value", "99"),
            ("a number as text", "\"1\""),
            ("with a fraction", "1.5"),
            ("a name of no value", "\"NO_SUCH_VALUE\""),
            ("empty", "\"\""),
            ("true", "true"),
        ],
        "time" => TIMES,
        "message" => &[("{}", "{}"), ("a text", "\"x\""), ("a list", "[]"), ("a number", "1")],
        "map" => &[("{}", "{}"), ("a list", "[]"), ("a null in it", "{\"a\":null}")],
        "list" => &[
            ("empty", "[]"),
            ("a null in it", "[null]"),
            ("an object", "{}"),
            ("a text", "\"x\""),
            ("a list in a list", "[[]]"),
        ],
        "any JSON" => &[("a list", "[1,{\"a\":null}]"), ("an object", "{\"a\":1.5}"), ("a number", "7")],
        _ => &[],
    };
    let mut values: Vec<(&str, String)> =
        fixed.iter().map(|(shape, text)| (*shape, (*text).to_owned())).collect();
    if let (Kind::Enum(of), false) = (field.kind(), field.is_list()) {
        for value in of.values() {
            values.push(("by name", format!("\"{}\"", value.name())));
            values.push(("in small letters", format!("\"{}\"", value.name().to_ascii_lowercase())));
        }
    }
    values
}

const TIMES: &[(&str, &str)] = &[
    ("nanoseconds", "\"2026-02-01T12:00:00.123456789Z\""),
    ("a digit of fraction", "\"2026-02-01T12:00:00.5Z\""),
    ("ten digits of fraction", "\"2026-02-01T12:00:00.1234567891Z\""),
    ("an offset", "\"2026-02-01T12:00:00+02:00\""),
    ("the offset -00:00", "\"2026-02-01T12:00:00-00:00\""),
    ("no offset", "\"2026-02-01T12:00:00\""),
    ("small letters", "\"2026-02-01t12:00:00z\""),
    ("a space for the T", "\"2026-02-01 12:00:00Z\""),
    ("no seconds", "\"2026-02-01T12:00Z\""),
    ("a date", "\"2026-02-01\""),
    ("a day that is not", "\"2026-02-30T12:00:00Z\""),
    ("hour 24", "\"2026-02-01T24:00:00Z\""),
    ("a leap second", "\"2016-12-31T23:59:60Z\""),
    ("the year 0", "\"0000-01-01T00:00:00Z\""),
    ("the year 1", "\"0001-01-01T00:00:00Z\""),
    ("the last second", "\"9999-12-31T23:59:59Z\""),
    ("the year 10000", "\"10000-01-01T00:00:00Z\""),
    ("a number", "1769860800"),
    ("an object", "{\"seconds\":1769860800}"),
    ("empty", "\"\""),
];

/// Whether a query can state it: by Petty's and Envoy's reading alike, no message but a time.
fn is_parameter(field: &FieldDescriptor) -> bool {
    !field.is_map() && (!matches!(field.kind(), Kind::Message(_)) || kind(field) == "time")
}

/// A good value in a query.
fn parameter(field: &FieldDescriptor) -> String {
    match field.kind() {
        Kind::String => "a%20text".to_owned(),
        Kind::Bool => "true".to_owned(),
        Kind::Double | Kind::Float => "1.5".to_owned(),
        Kind::Enum(of) => of.values().last().map_or(String::new(), |value| value.name().to_owned()),
        Kind::Message(_) => "2026-02-01T12:00:00Z".to_owned(),
        _ => "7".to_owned(),
    }
}

/// More values in a query, good and bad.
fn parameters(field: &FieldDescriptor) -> &'static [(&'static str, &'static str)] {
    match kind(field) {
        "text" => &[
            ("a plus", "a+b"),
            ("an escaped plus", "a%2Bb"),
            ("UTF-8", "%C3%A9"),
            ("not UTF-8", "%FF"),
            ("not an escape", "%zz"),
            ("an equals sign", "a=b"),
            ("U+0000", "a%00b"),
        ],
        "bool" => &[("false", "false"), ("1", "1"), ("TRUE", "TRUE"), ("yes", "yes")],
        "integer" => &[
            ("negative", "-7"),
            ("a zero in front", "07"),
            ("with a zero fraction", "7.0"),
            ("with a fraction", "7.5"),
            ("with an exponent", "1e1"),
            ("2147483648", "2147483648"),
            ("words", "seven"),
            ("a space", "%207"),
        ],
        "number" => {
            &[("an integer", "7"), ("NaN", "NaN"), ("beyond every number", "1e400"), ("words", "much")]
        }
        "enum" => &[
            ("the number 1", "1"),
            ("a number of no value", "99"),
            ("a name of no value", "NO_SUCH_VALUE"),
            ("small letters", "raw"),
        ],
        "time" => &[
            ("an offset", "2026-02-01T12:00:00%2B02:00"),
            ("an offset, its plus not escaped", "2026-02-01T12:00:00+02:00"),
            ("no offset", "2026-02-01T12:00:00"),
            ("a date", "2026-02-01"),
            ("a number", "1769860800"),
        ],
        _ => &[],
    }
}

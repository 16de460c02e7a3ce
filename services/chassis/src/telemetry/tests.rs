use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanData, SpanExporter};
use serde_json::Value;
use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;

use super::*;
use crate::types::Clock;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn read(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Keeps what is exported.
#[derive(Clone, Debug, Default)]
struct Exported(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Exported {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// What [`init`] sets up, with other ends.
fn subscriber(filter: &str) -> (impl Subscriber + Send + Sync + 'static, Lines, Exported) {
    let (lines, exported) = (Lines::default(), Exported::default());
    let tracer = SdkTracerProvider::builder()
        .with_simple_exporter(export::Redacting(exported.clone()))
        .build()
        .tracer("test");
    let json = JsonLayer::new(lines.clone()).with_defaults("auth", Arc::from("a1"));
    let (filter, _handle) = filter::reloadable(filter).unwrap();
    let otel = tracing_opentelemetry::layer().with_tracer(tracer).with_filter(trace::exported());
    (Registry::default().with(json.with_filter(filter)).with(otel), lines, exported)
}

#[test]
fn a_line_is_an_object_with_everything_that_finds_it_again() {
    let (subscriber, lines, _exported) = subscriber("info");
    tracing::subscriber::with_default(subscriber, || {
        tracing::info!(target: "petty::test", { pet.id = "p1", count = 3, ok = true }, "first\nline");
        let span = tracing::error_span!(
            target: SPAN,
            "rpc",
            service = "ingest",
            request_id = "r1",
            code = tracing::field::Empty
        );
        span.record("code", "OK");
        let _entered = span.enter();
        tracing::warn!(target: "petty::test", error = format!("{:#}", anyhow::anyhow!("lost")), "second");
    });
    let lines = lines.read();
    let [first, second] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(first["message"], "first\nline");
    assert_eq!((&first["level"], &first["target"]), (&"INFO".into(), &"petty::test".into()));
    assert_eq!((&first["service"], &first["instance"]), (&"auth".into(), &"a1".into()));
    assert_eq!(first["fields"], serde_json::json!({"pet.id": "p1", "count": 3, "ok": true}));
    assert_eq!((first.get("request_id"), first.get("trace_id")), (None, None));
    let time: jiff::Timestamp = first["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(Clock::system().now().duration_since(time).as_secs() < 60);

    assert_eq!((&second["service"], &second["request_id"]), (&"ingest".into(), &"r1".into()));
    assert_eq!(second["span"], serde_json::json!({"code": "OK"}));
    assert_eq!(second["trace_id"].as_str().unwrap().len(), 32);
}

#[test]
fn what_is_secret_by_name_is_neither_logged_nor_exported() {
    let (subscriber, lines, exported) = subscriber("trace");
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!(target: "petty::test", "work", access_token = "hunter2", payload = tracing::field::Empty);
        span.record("payload", "hunter2");
        let _entered = span.enter();
        tracing::info!(target: "petty::test", password = "hunter2", email = ?Some("hunter2"), lat = 47.5, lon = 19.0, "in");
    });
    let lines = lines.read();
    assert_eq!(lines.len(), 1);
    let text = lines[0].to_string();
    assert!(!text.contains("hunter2") && !text.contains("47.5"), "{text}");
    for field in ["password", "email", "lat", "lon"] {
        assert_eq!(lines[0]["fields"][field], REDACTED, "{field}");
    }
    for field in ["access_token", "payload"] {
        assert_eq!(lines[0]["span"][field], REDACTED, "{field}");
    }
    let exported = exported.0.lock().unwrap();
    assert_eq!(exported.len(), 1);
    let text = format!("{exported:?}");
    assert!(text.contains("access_token") && text.contains("password"), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("47.5"), "{text}");
}

#[test]
fn a_span_follows_the_trace_it_came_with_and_hands_it_on() {
    const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let (subscriber, lines, _exported) = subscriber("info");
    let handed_on = tracing::subscriber::with_default(subscriber, || {
        let span = tracing::error_span!(target: SPAN, "rpc");
        follow(&span, REMOTE);
        let _entered = span.enter();
        tracing::info!(target: "petty::test", "in");
        let inner = tracing::info_span!(target: "petty::test", "inner");
        let _inner = inner.enter();
        traceparent().unwrap()
    });
    assert_eq!(lines.read()[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(handed_on.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{handed_on}");
    assert!(!handed_on.contains("b7ad6b7169203331"), "a span of its own: {handed_on}");
}

#[test]
fn where_nothing_is_exported_lines_and_calls_have_their_trace_all_the_same() {
    const REMOTE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let lines = Lines::default();
    let (filter, _handle) = filter::reloadable("warn").unwrap();
    let subscriber = Registry::default().with(filter).with(JsonLayer::new(lines.clone()).numbering());
    tracing::subscriber::with_default(subscriber, || {
        assert_eq!(traceparent(), None, "outside of a span");
        let task = tracing::error_span!(target: SCOPE, "task");
        let _task = task.enter();
        assert_eq!(traceparent(), None, "a task is no trace");
        let span = tracing::error_span!(target: SPAN, "request", access_token = "hunter2");
        let _entered = span.enter();
        let own = traceparent().unwrap();
        assert!(is_traceparent(&own) && own.ends_with("-01"), "{own}");
        tracing::warn!(target: "petty::test", "in");
        let inner = tracing::error_span!(target: SPAN, "call").in_scope(|| traceparent().unwrap());
        assert_eq!(inner.get(..36), own.get(..36), "the same trace");
        assert_ne!(inner, own, "and another span");
        assert_eq!(lines.read()[0]["trace_id"], own.get(3..35).unwrap());
        assert_eq!(lines.read()[0]["span"]["access_token"], REDACTED);

        follow(&span, REMOTE);
        let followed = traceparent().unwrap();
        assert!(followed.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{followed}");
        assert!(followed.ends_with("-00") && !followed.contains("b7ad6b7169203331"), "{followed}");
    });
}

#[test]
fn nothing_is_a_trace_outside_of_one() {
    let (subscriber, _lines, _exported) = subscriber("info");
    tracing::subscriber::with_default(subscriber, || assert_eq!(traceparent(), None));
    for text in ["", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "x"] {
        assert!(!is_traceparent(text), "{text}");
    }
}

#[test]
fn spans_that_only_name_a_task_are_no_traces() {
    let (subscriber, lines, exported) = subscriber("info");
    tracing::subscriber::with_default(subscriber, || {
        let span =
            tracing::error_span!(target: SCOPE, parent: None, "task", task = "relay", service = "auth");
        span.in_scope(|| tracing::info!(target: "petty::test", "in"));
    });
    assert_eq!(lines.read()[0]["span"]["task"], "relay");
    assert!(exported.0.lock().unwrap().is_empty());
}

#[test]
fn a_line_keeps_its_request_id_whatever_is_logged() {
    for filter in ["petty_auth=debug", "error", "warn"] {
        let (subscriber, lines, _exported) = subscriber(filter);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::error_span!(target: SPAN, "rpc", request_id = "r1");
            span.in_scope(|| tracing::error!(target: "petty_auth::store", "in"));
        });
        assert_eq!(lines.read()[0]["request_id"], "r1", "{filter}");
    }
}

#[test]
fn libraries_are_quiet_unless_asked_for_by_name() {
    for (filter, logged) in [("info", 1), ("debug", 1), ("info,h2=info", 3)] {
        let (subscriber, lines, _exported) = subscriber(filter);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "h2::codec", "frame");
            tracing::warn!(target: "h2::proto", "what a peer does wrong, as often as it does it");
            tracing::info!(target: "petty::test", "ours");
        });
        assert_eq!(lines.read().len(), logged, "{filter}");
    }
}

#[test]
fn lines_may_be_asked_for_by_the_span_around_them() {
    let say = || {
        let span = |request_id| tracing::error_span!(target: SPAN, "request", request_id);
        for request_id in ["r1", "r2"] {
            span(request_id).in_scope(|| tracing::debug!(target: "petty::test", "in"));
        }
        tracing::debug!(target: "petty::test", "outside");
    };
    for (filter, logged) in [
        ("info", vec![]),
        ("info,[request]=debug", vec!["r1", "r2"]),
        ("[{request_id=r2}]=debug", vec!["r2"]),
    ] {
        let ids =
            |lines: &Lines| lines.read().iter().map(|line| line["request_id"].clone()).collect::<Vec<_>>();
        let (exporting, lines, _exported) = subscriber(filter);
        tracing::subscriber::with_default(exporting, say);
        assert_eq!(ids(&lines), logged, "{filter}");
        let lines = Lines::default();
        let (layer, handle) = filter::reloadable("off").unwrap();
        let numbering = Registry::default().with(layer).with(JsonLayer::new(lines.clone()).numbering());
        tracing::subscriber::with_default(numbering, || {
            say();
            handle.reload(filter::parse(filter).unwrap()).unwrap();
            say();
        });
        assert_eq!(ids(&lines), logged, "{filter}, where nothing is exported");
    }
    for text in ["info,[", "info,petty=loud"] {
        assert!(filter::parse(text).is_err(), "{text}");
    }
}

#[test]
fn histograms_of_seconds_have_bounds_of_milliseconds() {
    meter().f64_histogram("petty_test_duration").with_unit("s").build().record(0.003, &[]);
    let text = prometheus_text();
    let bucket = |bound: &str, count: u32| {
        text.lines().any(|line| {
            line.starts_with("petty_test_duration_seconds_bucket{")
                && line.contains(&format!("le=\"{bound}\""))
                && line.ends_with(&format!(" {count}"))
        })
    };
    assert!(bucket("0.0025", 0) && bucket("0.005", 1), "{text}");
}

use super::*;

fn measured(per_second: f64, cpu_us: f64) -> Measured {
    Measured { per_second, p50_ms: 1.0, p99_ms: 2.0, cpu_us, rss_mib: 30.0 }
}

/// Two rounds of everything, in which Petty serves so many times as much as Envoy.
fn found(times: f64, envoy: bool) -> Found {
    let mut found = Found::new();
    for readings in READINGS {
        for connections in CONNECTIONS {
            let mut note = |way, rate, cpu| {
                found.insert(
                    (way, readings, connections),
                    vec![measured(rate, cpu), measured(rate * 2.0, cpu)],
                );
            };
            note(Way::Petty, times * 1_000.0, 50.0);
            note(Way::ByHand, 3_000.0, 50.0);
            if envoy {
                note(Way::Envoy, 1_000.0, 100.0);
            }
        }
    }
    found
}

fn args() -> GatewayBench {
    GatewayBench { rounds: 2, seconds: 1, envoy: None }
}

#[test]
fn goals_are_held_against_each_rounds_own_envoy() {
    let report = report(&args(), true, &found(2.1, true)).unwrap();
    assert_eq!(report.checks.len(), 8);
    assert!(report.passes(), "{report:?}");
    let report = super::report(&args(), true, &found(1.7, true)).unwrap();
    let missed: Vec<&str> =
        report.checks.iter().filter(|check| !check.pass).map(|check| check.name.as_str()).collect();
    assert_eq!(missed, ["requests/s over Envoy's, 100 x 16", "requests/s over Envoy's, 100 x 64"]);
}

#[test]
fn without_envoy_the_rest_is_still_told() {
    let report = report(&args(), false, &found(1.0, false)).unwrap();
    assert_eq!(report.checks.len(), 4);
    assert!(report.details.keys().any(|name| name.contains("axum by hand")));
    assert!(!report.details.keys().any(|name| name.contains("Envoy")));
}

#[test]
fn a_request_is_one_reading_or_a_batch() {
    for (readings, path) in [(1, "POST /v1/ingest HTTP"), (3, "POST /v1/ingest:batch HTTP")] {
        let request = String::from_utf8(load::rest(readings, 5, "t")).unwrap();
        assert!(request.starts_with(path), "{request}");
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        assert_eq!(body.matches("\"bench-0005\"").count(), readings);
        serde_json::from_str::<Value>(body).unwrap();
    }
}

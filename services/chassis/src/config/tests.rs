use std::io::Write as _;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;
use crate::grpc::identity::generate_key;

/// Variables with which everything can be read.
fn complete() -> Environment {
    let (private, public) = generate_key().unwrap();
    Environment::from_iter([
        ("PETTY_SERVICE_KEY", private.expose_secret().to_owned()),
        ("PETTY_SERVICE_KEYS", format!(r#"{{"gateway":"{public}"}}"#)),
        ("PETTY_DATABASE_URL", "postgres://auth_app:hunter2@127.0.0.1:5432/petty_auth".to_owned()),
        ("PETTY_EVENTS_REDIS_URL", "redis://:hunter2@127.0.0.1:6379/0".to_owned()),
    ])
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

type Everything = (BaseConfig, PostgresConfig, RedisConfig);

#[test]
fn little_has_to_be_set() {
    let (base, postgres, redis) = load::<Everything>(&complete()).unwrap();
    assert_eq!(base.grpc_listen.to_string(), "127.0.0.1:7001");
    assert_eq!(base.log, "info");
    assert_eq!(base.grace_period, Duration::from_secs(10));
    assert_eq!(base.instance.len(), 8);
    assert_eq!(base.otlp_endpoint, None);
    assert!(base.service_keys.contains_key("gateway"));
    assert_eq!(postgres.pool_size, 16);
    assert_eq!(redis.cache_url.expose_secret(), redis.events_url.expose_secret());
}

#[test]
fn every_fault_is_named_and_none_shows_a_secret() {
    let environment = Environment::from_iter([
        ("PETTY_GRPC_LISTEN", "localhost"),
        ("PETTY_ADMIN_LISTEN", "127.0.0.1:99999"),
        ("PETTY_LOG", "info,petty==debug"),
        ("PETTY_OTLP_ENDPOINT", "127.0.0.1:4317"),
        ("PETTY_GRACE_PERIOD", "10"),
        ("PETTY_GRPC_CONCURRENCY", "0"),
        ("PETTY_SERVICE_KEY", "hunter2"),
        ("PETTY_SERVICE_KEYS", r#"{"auth":"aHVudGVyMg=="}"#),
        ("PETTY_ENDPOINT_AUTH", "https://127.0.0.1:7101,127.0.0.1:7102"),
        ("PETTY_TLS_CERT_FILE", ""),
        ("PETTY_DATABASE_URL", "postgres://app:hunter2@:port/x"),
        ("PETTY_MIGRATION_URL", "nonsense hunter2"),
        ("PETTY_DATABASE_POOL", "many"),
        ("PETTY_CACHE_REDIS_URL", "http://:hunter2@127.0.0.1"),
    ]);
    let faults = load::<Everything>(&environment).unwrap_err();
    let text = faults.to_string();
    for (name, count) in [
        ("PETTY_GRPC_LISTEN: ", 1),
        ("PETTY_ADMIN_LISTEN: ", 1),
        ("PETTY_LOG: ", 1),
        ("PETTY_OTLP_ENDPOINT: ", 1),
        ("PETTY_GRACE_PERIOD: ", 1),
        ("PETTY_GRPC_CONCURRENCY: ", 1),
        ("PETTY_SERVICE_KEY: ", 1),
        ("PETTY_SERVICE_KEYS: ", 1),
        ("PETTY_ENDPOINT_AUTH: ", 2),
        ("PETTY_DATABASE_URL: ", 1),
        ("PETTY_MIGRATION_URL: ", 1),
        ("PETTY_DATABASE_POOL: ", 1),
        ("PETTY_EVENTS_REDIS_URL: ", 1),
        ("PETTY_CACHE_REDIS_URL: ", 1),
    ] {
        assert_eq!(
            faults.iter().filter(|fault| fault.starts_with(name)).count(),
            count,
            "{name} in:\n{text}"
        );
    }
    assert_eq!(faults.iter().count(), 15, "{text}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(text.contains("PETTY_GRPC_LISTEN: \"localhost\" is not valid"), "{text}");
    assert!(text.contains("e.g. 127.0.0.1:7101"), "{text}");
}

#[test]
fn secrets_are_not_shown() {
    let environment = complete();
    let (base, postgres, redis) = load::<Everything>(&environment).unwrap();
    for shown in
        [format!("{environment:?}"), format!("{base:?}"), format!("{postgres:?}"), format!("{redis:?}")]
    {
        assert!(!shown.contains("hunter2") && !shown.contains("PRIVATE KEY"), "{shown}");
    }
}

#[test]
fn a_value_may_come_from_a_file_but_not_from_both() {
    let (url, empty) = (file("redis://:hunter2@127.0.0.1:6379/1\n"), file("\n"));
    let path = url.path().to_str().unwrap();
    let environment = Environment::default().with("PETTY_EVENTS_REDIS_URL_FILE", path);
    let redis = load::<RedisConfig>(&environment).unwrap();
    assert_eq!(redis.events_url.expose_secret(), "redis://:hunter2@127.0.0.1:6379/1");

    let both = environment.clone().with("PETTY_EVENTS_REDIS_URL", "redis://127.0.0.1");
    let faults = load::<RedisConfig>(&both).unwrap_err().to_string();
    assert_eq!(
        faults,
        "PETTY_EVENTS_REDIS_URL: is set, and so is PETTY_EVENTS_REDIS_URL_FILE; set one of them"
    );

    for (path, problem) in
        [("/nowhere/at/all", "cannot be read"), (empty.path().to_str().unwrap(), "is empty")]
    {
        let environment = Environment::default().with("PETTY_EVENTS_REDIS_URL_FILE", path);
        let faults = load::<RedisConfig>(&environment).unwrap_err().to_string();
        assert!(faults.starts_with("PETTY_EVENTS_REDIS_URL_FILE: ") && faults.contains(problem), "{faults}");
    }
}

#[test]
fn lines_of_a_config_file_are_read_below_the_environment() {
    let mut environment = Environment::default().with("PETTY_LOG", "warn");
    environment
        .add_lines("petty.conf", "# ours\n\nPETTY_LOG=debug\nPETTY_INSTANCE = a=b \nnonsense\nHOME=/root\n");
    assert_eq!(environment.get("PETTY_LOG"), Some("warn"));
    assert_eq!(environment.get("PETTY_INSTANCE"), Some("a=b"));
    let faults: Vec<_> = environment.faults().collect();
    assert_eq!(
        faults,
        [
            ("PETTY_CONFIG_FILE", "petty.conf, line 5: is not PETTY_…=value"),
            ("PETTY_CONFIG_FILE", "petty.conf, line 6: is not PETTY_…=value"),
        ]
    );
    assert_eq!(load::<()>(&environment).unwrap_err().iter().count(), 2);
}

#[test]
fn files_for_tls_to_postgres_are_looked_at_before_anything_starts() {
    let faults = |variables: &[(&str, &str)]| {
        let environment = variables.iter().fold(complete(), |all, (name, value)| all.with(*name, *value));
        load::<PostgresConfig>(&environment).err().map(|faults| faults.to_string()).unwrap_or_default()
    };
    let key = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (file(&params.self_signed(&key).unwrap().pem()), file(&key.serialize_pem()))
    };
    let ((cert, its_key), (_, another)) = (key("one"), key("two"));
    let (empty, text, hollow) =
        (file(""), file("hunter2"), file("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"));
    let [cert, its_key, another, empty, text, hollow] =
        [&cert, &its_key, &another, &empty, &text, &hollow].map(|file| file.path().to_str().unwrap());
    let (ca_file, cert_file, key_file) =
        ("PETTY_DATABASE_TLS_CA_FILE", "PETTY_DATABASE_TLS_CERT_FILE", "PETTY_DATABASE_TLS_KEY_FILE");

    assert_eq!(faults(&[(ca_file, cert), (cert_file, cert), (key_file, its_key)]), "");
    for (variables, problem) in [
        (vec![(ca_file, "/nowhere")], format!("{ca_file}: /nowhere cannot be read: ")),
        (vec![(ca_file, empty)], format!("{ca_file}: {empty} holds no certificate (PEM)")),
        (vec![(ca_file, text)], format!("{ca_file}: {text} holds no certificate (PEM)")),
        (vec![(ca_file, its_key)], format!("{ca_file}: {its_key} holds no certificate (PEM)")),
        (vec![(ca_file, hollow)], format!("{ca_file}: holds what is no certificate: ")),
        (vec![(cert_file, cert)], format!("{key_file}: is not set, but {cert_file} is")),
        (vec![(key_file, its_key)], format!("{cert_file}: is not set, but {key_file} is")),
        (
            vec![(ca_file, cert), (cert_file, cert), (key_file, cert)],
            format!("{key_file}: {cert} holds no private key (PEM)"),
        ),
        (
            vec![(ca_file, cert), (cert_file, cert), (key_file, another)],
            format!("{key_file}: does not fit {cert_file}: "),
        ),
    ] {
        let found = faults(&variables);
        assert!(found.starts_with(&problem) && !found.contains('\n'), "{variables:?}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    // All at once.
    let all = faults(&[(ca_file, empty), (cert_file, text), (key_file, "/nowhere")]);
    assert_eq!(all.lines().count(), 3, "{all}");
    let url = "postgres://app:hunter2@db/petty_auth?sslmode=verify-full&sslrootcert=/ca";
    assert_eq!(
        faults(&[("PETTY_DATABASE_URL", url)]),
        format!("PETTY_DATABASE_URL: sslrootcert is no part of it here: set {ca_file}")
    );
}

#[test]
fn spans_of_time_say_their_unit() {
    for (text, read) in [
        ("500ms", Some(Duration::from_millis(500))),
        ("5s", Some(Duration::from_secs(5))),
        ("2m", Some(Duration::from_secs(120))),
        ("1h", Some(Duration::from_secs(3600))),
        ("5", None),
        ("s", None),
        ("-1s", None),
        ("1d", None),
        ("99999999999999999h", None),
    ] {
        let environment = Environment::default().with("PETTY_X", text);
        let mut reader = Reader::new(&environment);
        let value = reader.duration("PETTY_X", Duration::ZERO);
        let faults = reader.into_faults();
        assert_eq!(faults.is_empty().then_some(value), read, "{text}");
    }
}

#[test]
fn endpoints_are_lists_by_service() {
    let environment = complete()
        .with("PETTY_ENDPOINT_AUTH", "http://127.0.0.1:7101, http://127.0.0.1:7102")
        .with("PETTY_ENDPOINT_INGEST", "http://ingest:7101")
        .with("PETTY_ENDPOINT_TIMELINE", "");
    let endpoints = load::<BaseConfig>(&environment).unwrap().endpoints;
    let counts: Vec<_> = endpoints.iter().map(|(name, uris)| (name.as_str(), uris.len())).collect();
    assert_eq!(counts, [("auth", 2), ("ingest", 1)]);
}

#[test]
fn tls_takes_all_three_files_and_then_needs_no_key() {
    let pem = file("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    let path = pem.path().to_str().unwrap();
    let some = Environment::default().with("PETTY_TLS_CERT_FILE", path).with("PETTY_TLS_KEY_FILE", path);
    let faults = load::<BaseConfig>(&some).unwrap_err().to_string();
    assert!(faults.contains("PETTY_TLS_CA_FILE: is not set"), "{faults}");
    let all = some.with("PETTY_TLS_CA_FILE", path).with("PETTY_ENDPOINT_AUTH", "https://auth:7101");
    let base = load::<BaseConfig>(&all).unwrap();
    assert!(base.tls.is_some() && base.service_key.is_none());
    let faults =
        load::<BaseConfig>(&all.with("PETTY_ENDPOINT_AUTH", "http://auth:7101")).unwrap_err().to_string();
    assert!(faults.starts_with("PETTY_ENDPOINT_AUTH: "), "{faults}");
}

//! What is on disk, and what the runtime role may do with it.

use petty_auth::config::AuthConfig;
use petty_chassis::config::{Environment, load};
use petty_chassis::types::{EventId, PetId};
use petty_proto::events::v1::{DataErased, Envelope};
use prost::Message as _;
use secrecy::ExposeSecret as _;

use crate::harness::{Harness, PASSWORD, boot};

#[tokio::test]
async fn the_audit_log_can_only_be_added_to() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    for sql in [
        "UPDATE audit_log SET action = 'X'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DROP TABLE audit_log",
    ] {
        let refused = harness.rows(sql).await.unwrap_err();
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{sql}");
    }
    let rows = harness
        .rows(
            "SELECT actor_kind, actor, action, subject, outcome FROM audit_log WHERE actor_kind <> 'SERVICE'",
        )
        .await
        .unwrap();
    let id = user.account_id;
    assert_eq!(rows, [["ACCOUNT", &id, "OPEN_ACCOUNT", &id, "DONE"]]);
}

#[tokio::test]
async fn bad_configuration_is_named_whole_and_shows_no_secret() {
    let harness = Harness::start().await;
    let environment = harness.environment.clone();
    let faulty = |changes: &[(&str, &str)]| {
        let environment =
            changes.iter().fold(environment.clone(), |environment: Environment, (name, value)| {
                environment.with(*name, *value)
            });
        let faults = load::<AuthConfig>(&environment).unwrap_err();
        faults.iter().map(|fault| fault.split(':').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        faulty(&[
            ("PETTY_KEY_ENCRYPTION_KEY", "c2hvcnQ="),
            ("PETTY_KEY_ENCRYPTION_KEY_PREVIOUS", "c2hvcnQ="),
            ("PETTY_TOKEN_ALGORITHM", "HS256"),
            ("PETTY_SIGNUP", "maybe"),
            ("PETTY_ACCESS_TOKEN_TTL", "48h"),
            ("PETTY_BOOTSTRAP_EMAIL", "staff@example.org"),
        ]),
        [
            "PETTY_KEY_ENCRYPTION_KEY_PREVIOUS",
            "PETTY_KEY_ENCRYPTION_KEY",
            "PETTY_BOOTSTRAP_PASSWORD",
            "PETTY_SIGNUP",
            "PETTY_TOKEN_ALGORITHM",
            "PETTY_ACCESS_TOKEN_TTL",
        ]
    );
    let open = [("PETTY_GRPC_LISTEN", "0.0.0.0:7001")];
    assert_eq!(faulty(&open), ["PETTY_SIGNUP"]);
    assert_eq!(
        faulty(&[
            open[0],
            ("PETTY_SIGNUP", "closed"),
            ("PETTY_BOOTSTRAP_EMAIL", "staff@example.org"),
            ("PETTY_BOOTSTRAP_PASSWORD", PASSWORD)
        ]),
        ["PETTY_BOOTSTRAP_EMAIL"]
    );
    let allowed =
        environment.with("PETTY_GRPC_LISTEN", "0.0.0.0:7001").with("PETTY_ALLOW_OPEN_SIGNUP", "yes");
    let config = load::<AuthConfig>(&allowed).unwrap();
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("AAECAwQF") && !shown.contains(harness.database.runtime_url.expose_secret()),
        "{shown}"
    );
}

#[tokio::test]
async fn replicas_that_boot_at_once_make_one_signing_key_and_another_wrapping_key_opens_none() {
    let harness = Harness::start().await;
    harness.rows("DELETE FROM signing_keys").await.unwrap();
    let (one, two) = tokio::join!(harness.replica(), harness.replica());
    assert_eq!(
        harness.value("SELECT string_agg(state, ' ' ORDER BY state) FROM signing_keys").await,
        "current next"
    );
    let user = one.user("ada").await;
    two.me(&user.token).await.unwrap();

    let other = harness
        .environment
        .clone()
        .with("PETTY_KEY_ENCRYPTION_KEY", "HwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    let refused = boot(&other, &harness.clock).await.unwrap_err();
    assert!(format!("{refused:#}").contains("PETTY_KEY_ENCRYPTION_KEY"), "{refused:#}");
}

#[tokio::test]
async fn what_a_service_has_forgotten_is_noted_once() {
    let harness = Harness::start().await;
    let pet = PetId::new(&harness.clock);
    let payload = DataErased { pet_id: pet.to_string(), service: "ingest".to_owned() };
    let envelope = Envelope {
        event_id: EventId::new(&harness.clock).to_string(),
        topic: "data.erased".to_owned(),
        subject: pet.to_string(),
        version: 0,
        time: Some(harness.clock.now().into()),
        schema_version: 1,
        traceparent: String::new(),
        payload: payload.encode_to_vec().into(),
        source: "ingest".to_owned(),
        shard: 0,
        number: 1,
    };
    let client = redis::Client::open(harness.environment.get("PETTY_EVENTS_REDIS_URL").unwrap()).unwrap();
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    for _ in 0..2 {
        let mut command = redis::cmd("XADD");
        command.arg("petty:data.erased:{0}").arg("*").arg("e").arg(envelope.encode_to_vec());
        command.query_async::<()>(&mut redis).await.unwrap();
    }
    let noted = format!("SELECT count(*) FROM erasures WHERE pet_id = '{pet}' AND service = 'ingest'");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while harness.value(&noted).await != "1" {
        assert!(tokio::time::Instant::now() < deadline, "it was not noted");
        tokio::task::yield_now().await;
    }
}

//! What is on disk, and what the runtime role may do with it.

use petty_auth::config::AuthConfig;
use petty_chassis::config::{Environment, load};
use secrecy::ExposeSecret as _;

use crate::harness::{Harness, PASSWORD};

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
    let rows =
        harness.rows("SELECT actor_kind, actor, action, subject, outcome FROM audit_log").await.unwrap();
    let id = user.account_id;
    assert_eq!(rows, [["ACCOUNT", &id, "OPEN_ACCOUNT", &id, "DONE"]]);
}

#[tokio::test]
async fn no_secret_is_on_disk_as_it_is() {
    let harness = Harness::start().await;
    let user = harness.user("ada").await;
    let pet = harness.pet(&user, "Rex").await;
    let secret = harness.pair(&user, &pet, "collar-1").await.secret;
    let next = harness.refresh(&user.refresh).await.unwrap().refresh_token;
    let tables = harness.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").await.unwrap();
    assert!(tables.len() > 10);
    for table in tables {
        let whole = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM \"{}\" t", table[0]);
        let text = harness.value(&whole).await;
        for hidden in [PASSWORD, &secret, &user.refresh, &next, &user.token] {
            let hex: String = hidden.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(hidden) && !text.contains(&hex), "{}", table[0]);
        }
    }
    assert_eq!(harness.value("SELECT count(*) FROM audit_log WHERE audit_log::text LIKE '%@%'").await, "0");
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
            ("PETTY_TOKEN_ALGORITHM", "HS256"),
            ("PETTY_SIGNUP", "maybe"),
            ("PETTY_ACCESS_TOKEN_TTL", "48h"),
            ("PETTY_BOOTSTRAP_EMAIL", "staff@example.org"),
        ]),
        [
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

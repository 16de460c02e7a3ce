//! What a service's runtime role is refused.

use petty_tests::mesh::Mesh;
use petty_tests::tables::Tables;
use secrecy::ExposeSecret as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_role_is_refused_other_databases_ddl_and_changes_of_the_audit_log() {
    let mesh = Mesh::start(crate::NODE).await;
    mesh.client().sign_up().await;
    let databases = mesh.plan.databases();
    for (service, own) in databases {
        let url = own.runtime_url.expose_secret();
        let tables = Tables::with_url(url).await.expect("its own database");
        for ddl in [
            "CREATE TABLE intruder (id int)",
            "CREATE SCHEMA intruder",
            "ALTER TABLE event_outbox ADD COLUMN intruder int",
            "DROP TABLE event_inbox",
            "TRUNCATE event_outbox",
            "CREATE FUNCTION intruder() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "CREATE EXTENSION hstore",
            "CREATE ROLE intruder",
        ] {
            let refused = tables.refused(ddl).await;
            assert_eq!(refused.as_deref(), Some("42501"), "{service}: {ddl}");
        }
        for (other, foreign) in databases.iter().filter(|(other, _)| *other != service) {
            let refused = Tables::elsewhere(url, &foreign.name).await.expect_err("it may not connect");
            assert_eq!(
                refused.code().map(|code| code.code()),
                Some("42501"),
                "{service} to {other}: {refused:?}"
            );
        }
        let refused = Tables::elsewhere(url, "postgres").await.expect_err("it may not connect");
        assert_eq!(refused.code().map(|code| code.code()), Some("42501"), "{service}: {refused:?}");
    }
    let auth =
        Tables::with_url(databases["auth"].runtime_url.expose_secret()).await.expect("its own database");
    assert!(auth.count("SELECT count(*) FROM audit_log").await > 0, "signing up is on the audit log");
    for change in ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        assert_eq!(auth.refused(change).await.as_deref(), Some("42501"), "{change}");
    }
}

//! The audit log's chains: whatever is done to them is found.

use petty_auth::audit::{Verdict, verify};
use petty_auth::domain::chain::Fault;
use petty_chassis::config::{PostgresConfig, PostgresTls};
use petty_chassis::postgres::Db;
use petty_proto::auth::v1 as wire;
use secrecy::ExposeSecret as _;

use crate::harness::{Harness, PASSWORD, refusal};

impl Harness {
    /// What an auditor finds, who reads as the runtime role does.
    pub(crate) async fn verdict(&self) -> Verdict {
        verify(&self.db(), &[]).await.unwrap()
    }

    fn db(&self) -> Db {
        let config = PostgresConfig {
            runtime_url: self.database.runtime_url.clone(),
            owner_url: None,
            pool_size: 5,
            tls: PostgresTls::default(),
        };
        Db::connect(&config).unwrap()
    }

    /// As whoever owns the database, whom nothing keeps from anything.
    pub(crate) async fn as_owner(&self, sql: &str) {
        let url = self.database.owner_url.expose_secret();
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        let work = async move {
            client.batch_execute(sql).await.unwrap();
            drop(client);
        };
        let _ = tokio::join!(work, connection);
    }
}

#[tokio::test]
async fn neither_links_nor_heads_can_be_written_by_the_service() {
    let harness = Harness::start().await;
    harness.user("ada").await;
    for sql in [
        "INSERT INTO audit_links VALUES (1, 99, 99, '')",
        "UPDATE audit_links SET place = 1",
        "DELETE FROM audit_links",
        "TRUNCATE audit_links",
        "INSERT INTO audit_heads VALUES (1, 99, '')",
        "UPDATE audit_heads SET place = 0",
        "DELETE FROM audit_heads",
        "SELECT audit_append(1::smallint, a) FROM audit_log a",
        "ALTER TABLE audit_log DISABLE TRIGGER audit_linked",
        "DROP TRIGGER audit_linked ON audit_log",
        "SET session_replication_role = replica",
        "UPDATE audit_log SET source = NULL",
    ] {
        let refused = harness.rows(sql).await.unwrap_err();
        assert_eq!(refused.code().map(tokio_postgres::error::SqlState::code), Some("42501"), "{sql}");
    }
    assert_eq!(harness.verdict().await.faults, []);
}

#[tokio::test]
async fn where_something_was_asked_from_can_be_told_apart_and_not_read() {
    let harness = Harness::start().await;
    for (name, address) in [
        ("ada", Some("192.0.2.77")),
        ("bob", Some("::ffff:192.0.2.77")),
        ("carl", Some("2001:db8::77")),
        ("dora", None),
    ] {
        let request = wire::SignUpRequest {
            email: format!("{name}@example.org"),
            password: PASSWORD.to_owned(),
            ..Default::default()
        };
        let mut request = harness.anonymous(request);
        if let Some(address) = address {
            request.metadata_mut().insert("x-petty-client-address", address.parse().unwrap());
        }
        harness.accounts().sign_up(request).await.unwrap();
    }
    let rows = harness
        .rows("SELECT encode(source, 'hex') FROM audit_log WHERE action = 'OPEN_ACCOUNT' ORDER BY id")
        .await
        .unwrap();
    let [ada, bob, carl, dora] = [0, 1, 2, 3].map(|row: usize| rows[row][0].as_str());
    assert_eq!((ada.len(), ada, dora), (64, bob, "NULL"));
    assert_ne!(ada, carl);
    let text = harness.value("SELECT string_agg(t::text, ' ') FROM audit_log t").await;
    assert!(!text.contains("192.0.2.77") && !text.contains("db8::77"), "{text}");
    assert_eq!(harness.verdict().await.faults, []);
}

#[tokio::test]
async fn every_kind_of_tampering_is_found() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let begun = harness.verdict().await.entries;
    for number in 0..40 {
        harness.pet(&ada, &format!("pet {number}")).await;
    }
    let whole = harness.verdict().await;
    assert_eq!((whole.entries, whole.faults.as_slice()), (begun + 40, [].as_slice()));
    // A chain with three entries at least.
    let sql = "SELECT chain FROM audit_heads WHERE place >= 3 ORDER BY chain LIMIT 1";
    let chain: i16 = harness.value(sql).await.parse().unwrap();
    let entry =
        |place: i64| format!("(SELECT entry_id FROM audit_links WHERE chain = {chain} AND place = {place})");
    let id = |place: i64| {
        let sql = format!("SELECT entry_id FROM audit_links WHERE chain = {chain} AND place = {place}");
        let harness = &harness;
        async move { harness.value(&sql).await.parse::<i64>().unwrap() }
    };
    let (second, last_place) = (id(2).await, whole.heads[usize::try_from(chain).unwrap()].place);
    let last = id(last_place).await;
    // Each is done on a copy of the log, so to speak: put back afterwards.
    let tables = ["audit_log", "audit_links", "audit_heads"];
    for table in tables {
        harness.as_owner(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
    }
    let changed = |place, entry| Fault::Changed { chain, place, entry };
    let cases = [
        (
            "a changed row",
            format!("UPDATE audit_log SET detail = '{{\"version\": 9}}' WHERE id = {second}"),
            vec![changed(2, second)],
        ),
        (
            "a changed time",
            format!("UPDATE audit_log SET at = at + interval '1 microsecond' WHERE id = {second}"),
            vec![changed(2, second)],
        ),
        (
            "a deleted row",
            format!("DELETE FROM audit_log WHERE id = {second}"),
            vec![Fault::Deleted { chain, place: 2, entry: second }],
        ),
        (
            "a deleted row, with its link",
            format!(
                "DELETE FROM audit_log WHERE id = {second}; DELETE FROM audit_links WHERE entry_id = {second}"
            ),
            vec![Fault::Missing { chain, place: 2 }],
        ),
        (
            "a deleted row, and those behind it moved up",
            format!(
                "DELETE FROM audit_log WHERE id = {second}; DELETE FROM audit_links WHERE entry_id = {second};
                 UPDATE audit_links SET place = place - 1 WHERE chain = {chain} AND place = 3;
                 UPDATE audit_links SET place = place - 1 WHERE chain = {chain} AND place > 3;"
            ),
            vec![],
        ),
        (
            "a truncated tail",
            format!(
                "DELETE FROM audit_log WHERE id = {last}; DELETE FROM audit_links WHERE entry_id = {last}"
            ),
            vec![Fault::Truncated { chain, place: last_place - 1 }],
        ),
        (
            "two rows that changed places",
            format!(
                "UPDATE audit_links SET entry_id = -entry_id WHERE chain = {chain} AND place IN (1, 2);
                 UPDATE audit_links SET entry_id = CASE place WHEN 1 THEN {second} ELSE {first} END
                 WHERE chain = {chain} AND place IN (1, 2)",
                first = id(1).await
            ),
            vec![changed(1, second), changed(2, id(1).await)],
        ),
        (
            "an inserted row",
            "ALTER TABLE audit_log DISABLE TRIGGER audit_linked;
             INSERT INTO audit_log (id, at, actor_kind, actor, action, subject, outcome, request_id, detail)
             OVERRIDING SYSTEM VALUE VALUES (100000, now(), 'ANYBODY', '', 'X', '', 'DONE', '', '{}');
             ALTER TABLE audit_log ENABLE TRIGGER audit_linked"
                .to_owned(),
            vec![Fault::Inserted { entry: 100_000 }],
        ),
        ("a head that is gone", format!("DELETE FROM audit_heads WHERE chain = {chain}"), vec![]),
        (
            "a head that was set back",
            format!(
                "UPDATE audit_heads SET (place, hash) = (SELECT place, hash FROM audit_links
                 WHERE chain = {chain} AND place = {last_place} - 1) WHERE chain = {chain}"
            ),
            vec![Fault::Inserted { entry: last }],
        ),
    ];
    for (what, tampering, expected) in cases {
        harness.as_owner(&tampering).await;
        let faults = harness.verdict().await.faults;
        assert!(!faults.is_empty(), "{what}");
        if !expected.is_empty() {
            assert_eq!(faults, expected, "{what}");
        }
        harness.as_owner("ALTER TABLE audit_log DISABLE TRIGGER audit_linked").await;
        for table in tables {
            let put_back = if table == "audit_log" { "OVERRIDING SYSTEM VALUE " } else { "" };
            let sql = format!("TRUNCATE {table}; INSERT INTO {table} {put_back}SELECT * FROM kept_{table}");
            harness.as_owner(&sql).await;
        }
        harness.as_owner("ALTER TABLE audit_log ENABLE TRIGGER audit_linked").await;
        assert_eq!(harness.verdict().await, whole, "{what}");
    }

    // Who owns the database and cuts links, entries and head alike leaves chains that fit: only notes tell.
    let cut = format!(
        "DELETE FROM audit_log WHERE id = {}; DELETE FROM audit_links WHERE chain = {chain} AND place = {last_place};
         UPDATE audit_heads SET (place, hash) = (SELECT place, hash FROM audit_links
         WHERE chain = {chain} AND place = {last_place} - 1) WHERE chain = {chain}",
        entry(last_place)
    );
    harness.as_owner(&cut).await;
    assert_eq!(harness.verdict().await.faults, []);
    let noted = verify(&harness.db(), &whole.heads).await.unwrap();
    assert_eq!(noted.faults, [Fault::Rewritten { chain, place: last_place }]);
}

#[tokio::test]
async fn an_operator_has_the_log_verified_and_compared_with_notes() {
    let harness = Harness::start().await;
    let token = crate::vault::admin(&harness).await;
    let ask = async |service: &str, anchors: Vec<wire::AuditHead>| {
        let mut request = harness.by(service, wire::VerifyAuditLogRequest { anchors });
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        harness.operations().verify_audit_log(request).await.map(tonic::Response::into_inner)
    };
    let whole = ask("operator", Vec::new()).await.unwrap();
    assert_eq!((whole.heads.len(), whole.faults.as_slice()), (16, [].as_slice()));
    assert_eq!(whole.entries, whole.heads.iter().map(|head| head.place).sum::<i64>());
    harness.user("ada").await;
    let longer = ask("operator", whole.heads.clone()).await.unwrap();
    assert_eq!((longer.entries, longer.faults.len()), (whole.entries + 1, 0));
    let other = wire::AuditHead {
        hash: "00".repeat(32),
        ..whole.heads.iter().find(|head| head.place > 0).unwrap().clone()
    };
    assert_eq!(ask("operator", vec![other]).await.unwrap().faults.len(), 1);
    harness.as_owner("UPDATE audit_log SET action = 'X' WHERE id = 1").await;
    let faults = ask("operator", Vec::new()).await.unwrap().faults;
    assert!(faults.len() == 1 && faults[0].contains("entry 1 was changed"), "{faults:?}");
    for bad in [
        wire::AuditHead { chain: 16, ..Default::default() },
        wire::AuditHead { hash: "00".to_owned(), ..Default::default() },
    ] {
        assert_eq!(crate::harness::fields(ask("operator", vec![bad]).await), ["anchors"]);
    }
    assert_eq!(refusal(ask("gateway", Vec::new()).await).0, tonic::Code::PermissionDenied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_at_once_leave_chains_that_hold() {
    const WRITERS: usize = 24;
    const ROUNDS: usize = 5;
    let harness =
        Harness::start_with(petty_provision::shared().await.unwrap(), &[("PETTY_DATABASE_POOL", "16")]).await;
    let ada = harness.user("ada").await;
    // All of one account, and some of them wait for each other: for one pet's next version.
    let pet = harness.pet(&ada, "Rex").await;
    let begun = harness.verdict().await.entries;
    let writers = (0..WRITERS).map(|number| {
        let (harness, ada, pet) = (&harness, &ada, &pet);
        async move {
            for round in 0..ROUNDS {
                if number % 6 != 0 {
                    harness.pet(ada, &format!("pet {number} {round}")).await;
                } else {
                    let request = wire::UpdatePetRequest {
                        pet_id: pet.pet_id.clone(),
                        name: Some(format!("Rex {number} {round}")),
                        ..Default::default()
                    };
                    harness.pets().update_pet(harness.with(&ada.token, request)).await.unwrap();
                }
            }
        }
    });
    // An auditor looks on: at no moment is anything wrong.
    let looking = async {
        for _ in 0..10 {
            assert_eq!(harness.verdict().await.faults, []);
        }
    };
    tokio::join!(futures::future::join_all(writers), looking);
    let verdict = harness.verdict().await;
    assert_eq!(verdict.faults, []);
    assert_eq!(verdict.entries, begun + i64::try_from(WRITERS * ROUNDS).unwrap());
    assert_eq!(harness.value("SELECT count(*) FROM audit_log").await, verdict.entries.to_string());
    // They spread over the chains, though it was one account.
    assert!(verdict.heads.iter().filter(|head| head.place > 0).count() > 8, "{:?}", verdict.heads);
}

#[tokio::test]
async fn a_writer_holds_no_chain_until_it_commits() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let db = &Db::connect(&PostgresConfig {
        runtime_url: harness.database.runtime_url.clone(),
        owner_url: None,
        pool_size: 20,
        tls: PostgresTls::default(),
    })
    .unwrap();
    let begun = harness.verdict().await.entries;
    // More transactions than there are chains, each with an entry, and none of them ends before a pet was made.
    let (all_wrote, may_end) = (&tokio::sync::Barrier::new(21), &tokio::sync::Barrier::new(21));
    let slow = (0..20).map(|_| async move {
        db.transaction("slow", |tx| async move {
            let sql = "-- slow\nINSERT INTO audit_log (at, actor_kind, actor, action, subject, outcome, request_id, detail)
                       VALUES (now(), 'ANYBODY', '', 'SLOW', '', 'REFUSED', '', '{}')";
            tx.execute(sql, &[]).await?;
            all_wrote.wait().await;
            may_end.wait().await;
            Ok::<_, petty_chassis::postgres::Error>(())
        })
        .await
        .unwrap();
    });
    let quick = async {
        all_wrote.wait().await;
        for number in 0..16 {
            // Some of them in each chain, and none waits, which would be refused after 10 s.
            harness.pet(&ada, &format!("pet {number}")).await;
        }
        may_end.wait().await;
    };
    tokio::join!(futures::future::join_all(slow), quick);
    let verdict = harness.verdict().await;
    assert_eq!((verdict.entries, verdict.faults), (begun + 36, vec![]));
}

#[tokio::test]
async fn entries_of_before_the_chains_are_taken_into_them() {
    let harness = Harness::start().await;
    harness.user("ada").await;
    let begun = harness.verdict().await.entries;
    // As the migration finds it: entries, and no links.
    harness
        .as_owner(
            "ALTER TABLE audit_log DISABLE TRIGGER audit_linked;
             INSERT INTO audit_log (at, actor_kind, actor, action, subject, outcome, request_id, detail)
             SELECT now(), 'ANYBODY', '', 'OLD', '', 'REFUSED', '', '{\"b\": 1, \"a\": \"ä\"}' FROM generate_series(1, 100);
             DROP FUNCTION audit_link() CASCADE; DROP FUNCTION audit_append(smallint, audit_log);
             DROP FUNCTION audit_hash(bytea, smallint, bigint, audit_log); DROP FUNCTION audit_field(text);
             DROP TABLE audit_links, audit_heads, closed_accounts;
             ALTER TABLE audit_log DROP COLUMN source",
        )
        .await;
    harness.as_owner(include_str!("../../migrations/V8__audit_chains.sql")).await;
    let verdict = harness.verdict().await;
    assert_eq!((verdict.entries, verdict.faults), (begun + 100, vec![]));
    harness.user("bob").await;
    assert_eq!(harness.verdict().await.entries, begun + 101);
}

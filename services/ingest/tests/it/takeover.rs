//! What was stored before the days had parts is there afterwards, and is summed.

use secrecy::ExposeSecret as _;
use tokio_postgres::NoTls;

const BEFORE: &str = include_str!("../../migrations/V1__ingest.sql");
const AFTER: [&str; 2] =
    [include_str!("../../migrations/V2__hold_pets.sql"), include_str!("../../migrations/V3__storage.sql")];

#[tokio::test]
async fn readings_of_days_without_parts_are_taken_over() {
    let stack = petty_provision::shared().await.unwrap();
    let name = format!("ingest_takeover_{}", std::process::id());
    let database = stack.postgres().ensure_database(&name).await.unwrap();
    let (client, connection) =
        tokio_postgres::connect(database.owner_url.expose_secret(), NoTls).await.unwrap();
    let work = async {
        client.batch_execute(BEFORE).await.unwrap();
        client
            .batch_execute(
                "SELECT ingest_make_partitions('2026-06-14', '2026-06-16');
                 INSERT INTO collars (collar_id) SELECT 'collar-' || n FROM generate_series(1, 20) AS n;
                 INSERT INTO readings (measured_at, pet_id, heart_rate, collar_key, longitude_e6, latitude_e6)
                 SELECT timestamptz '2026-06-14 00:00:30+00' + n * interval '40 minutes',
                        '01a1fddd-9a5c-77ce-b79e-545dac7e8d9b', 60 + n / 7.0::float8, collar_key, n, -n
                 FROM collars, generate_series(0, 100) AS n;
                 CREATE TABLE before AS SELECT * FROM readings;",
            )
            .await
            .unwrap();
        for migration in AFTER {
            client.batch_execute(migration).await.unwrap();
        }
        let count = async |sql: &str| client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
        assert_eq!(count("SELECT count(*) FROM readings").await, 20 * 101);
        let differing = "SELECT count(*) FROM (
            (TABLE before EXCEPT TABLE readings) UNION ALL (TABLE readings EXCEPT TABLE before)) d";
        assert_eq!(count(differing).await, 0);
        let parts = "SELECT count(*) FROM pg_partition_tree('readings') WHERE isleaf";
        assert_eq!(count(parts).await, 3 * 4);
        let noted = "SELECT count(DISTINCT (collar_key, minute))
                     FROM readings_dirty, unnest(collar_keys, minutes) AS n (collar_key, minute)";
        assert_eq!(count(noted).await, 20 * 101);
        let sorted = "SELECT count(*) FROM readings
                      WHERE tableoid::regclass::text NOT LIKE '%\\_' || ingest_part(collar_key)";
        assert_eq!(count(sorted).await, 0, "a row is in the part that its collar's key names");
        drop(client);
    };
    let ((), ended) = futures::join!(work, connection);
    ended.unwrap();
}

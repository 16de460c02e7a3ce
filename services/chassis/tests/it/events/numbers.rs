//! How far a shard was handled without a gap, whatever order its numbers come in, and whether they come one by one or in runs.

use std::collections::BTreeSet;

use petty_chassis::postgres::Error;

use super::World;

#[tokio::test]
async fn runs_of_numbers_come_to_what_their_numbers_come_to_one_by_one() {
    let world = World::new("numbers").await;
    let node = world.producer().await;
    // Some overlap, some come twice, some leave gaps that later ones fill; the last fills them all.
    let runs: [(i64, i64); 12] = [
        (3, 5),
        (1, 1),
        (9, 9),
        (7, 8),
        (4, 10),
        (2, 3),
        (2, 2),
        (15, 20),
        (18, 25),
        (12, 13),
        (40, 41),
        (11, 30),
    ];
    let mut handled = BTreeSet::new();
    for (first, last) in runs {
        handled.extend(first..=last);
        let frontier = (1..).find(|number| !handled.contains(number)).unwrap() - 1;
        let ahead: Vec<i64> = handled.range(frontier + 1..).copied().collect();
        let found = node
            .base
            .db
            .transaction("mark", |tx| async move {
                let one = "-- one\nSELECT event_mark_handled('t', 'one', 1::int2, $1)";
                for number in first..=last {
                    tx.query(one, &[&number]).await?;
                }
                let run = "-- run\nSELECT event_mark_handled('t', 'run', 1::int2, $1, $2)";
                tx.query(run, &[&first, &last]).await?;
                let sql = "-- standing\nSELECT p.frontier, ARRAY(SELECT a.number FROM event_progress_ahead a
                               WHERE a.topic = 't' AND a.source = p.source AND a.number > p.frontier ORDER BY 1)
                           FROM event_progress p WHERE p.topic = 't' ORDER BY p.source";
                let rows = tx.query(sql, &[]).await?;
                let standing = |row| Ok((Error::column(row, "t", 0)?, Error::column(row, "t", 1)?));
                rows.iter().map(standing).collect::<Result<Vec<(i64, Vec<i64>)>, Error>>()
            })
            .await
            .unwrap();
        assert_eq!(found, vec![(frontier, ahead); 2], "after {first} to {last}");
    }
}

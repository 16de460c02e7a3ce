//! Events that are handled together.

use petty_chassis::types::{AccountId, PetId};
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::feedback::v1::feedback::Verdict;
use proptest::prelude::{Strategy, any};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::bench::{Bench, Told, creation, event_id};

/// All that events change, but for when.
const TABLES: [&str; 3] = [
    "-- episodes\nSELECT (to_jsonb(e) - 'updated_at')::text FROM episodes e ORDER BY event_id",
    "-- versions\nSELECT to_jsonb(v)::text FROM event_entity_versions v ORDER BY kind, subject",
    "-- said\nSELECT concat_ws(' ', event_id, verdict, version, behavior, rule, replaced_by, secondhand)
     FROM feedback ORDER BY event_id",
];

/// Of an event that is superseded, and not told here yet, somebody says something: it is known at second hand.
async fn said_at_second_hand(bench: &Bench, (pet, account): (PetId, AccountId), nth: u128) {
    let heir = Told::new(pet, nth + 50);
    bench.access.give(pet, account);
    bench.episodes.answer(&event_id(nth), heir.episode());
    bench.create(account, creation(&Told::new(pet, nth), Verdict::Correct)).await.unwrap();
}

#[tokio::test]
async fn however_events_are_split_they_come_to_what_they_come_to_one_by_one() {
    let (alone, together) = (Bench::new("one_by_one").await, Bench::new("together").await);
    let mut runner = TestRunner::deterministic();
    let news = (0..3_usize, 0..3_u128, 1..6_i64, any::<bool>(), 0..5_u8);
    let cuts = proptest::collection::vec(1..12_usize, 40);
    let cases = (proptest::collection::vec(news, 1..40), cuts);
    for case in 0..30_u128 {
        let (news, cuts) = cases.new_tree(&mut runner).unwrap().current();
        let pets: Vec<PetId> = (0..3).map(|_| alone.pet_id()).collect();
        for (nth, pet) in (0_u128..).zip(&pets) {
            let account = alone.account_id();
            for bench in [&alone, &together] {
                said_at_second_hand(bench, (*pet, account), 1_000 * (case + 1) + 100 * nth).await;
            }
        }
        let told: Vec<Told> = news
            .iter()
            .map(|(pet, thing, version, walks, odd)| Told {
                version: *version,
                behavior: if *walks { Behavior::Walking } else { Behavior::Resting },
                replaced_by: (*odd == 0).then(|| vec![1, 2]),
                ..Told::new(pets[*pet], 1_000 * (case + 1) + 100 * *pet as u128 + thing)
            })
            .collect();
        let events: Vec<_> = told.iter().map(|told| alone.told(told)).collect();
        for event in &events {
            alone.apply(event).await.unwrap();
        }
        together.apply_in_turns(&events, &cuts).await.unwrap();
        for table in TABLES {
            assert_eq!(together.rows(table).await, alone.rows(table).await, "{case}: {told:?}");
        }
    }
    let learned = "-- learned\nSELECT count(*) FROM feedback WHERE NOT secondhand";
    assert!(together.count(learned).await > 10, "there was something to learn");
}

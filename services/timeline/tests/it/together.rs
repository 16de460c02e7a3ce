//! Events that are handled together.

use petty_chassis::events::{Event, topics};
use petty_chassis::types::PetId;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::PlanChanged;
use petty_testbench::a_dog;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::bench::{Bench, Told};

/// All that events change, but for when.
const TABLES: [&str; 5] = [
    "-- entries\nSELECT to_jsonb(e)::text FROM entries e ORDER BY event_id",
    "-- changes\nSELECT to_jsonb(c)::text FROM changes c ORDER BY pet_id, sequence",
    "-- heads\nSELECT to_jsonb(h)::text FROM heads h ORDER BY pet_id",
    "-- versions\nSELECT to_jsonb(v)::text FROM event_entity_versions v ORDER BY kind, subject",
    "-- pets\nSELECT to_jsonb(p)::text FROM pets p ORDER BY pet_id",
];
const GAPS: &str = "-- gaps\nSELECT pet_id::text FROM changes JOIN heads h USING (pet_id) GROUP BY pet_id
                    HAVING min(changes.sequence) <> 1 OR max(changes.sequence) <> count(*) OR max(h.sequence) <> count(*)";

/// What may be told, of one of three pets and one of three things of each.
#[derive(Clone, Debug)]
enum News {
    Episode {
        pet: usize,
        thing: u128,
        version: i64,
        behavior: Behavior,
        to: i64,
        open: bool,
        superseded: bool,
    },
    Plan {
        pet: usize,
        version: i32,
    },
    Pet {
        pet: usize,
        version: i64,
    },
}

fn news() -> impl Strategy<Value = News> {
    let behavior = prop_oneof![Just(Behavior::Walking), Just(Behavior::Resting), Just(Behavior::Unknown)];
    // Few ends, so that some versions say nothing new.
    let episode = (0..3_usize, 0..3_u128, 1..6_i64, behavior, 1..3_i64, any::<bool>(), 0..5_u8);
    let episode = episode.prop_map(|(pet, thing, version, behavior, to, open, odd)| News::Episode {
        pet,
        thing,
        version,
        behavior,
        to,
        open,
        superseded: odd == 0,
    });
    prop_oneof![
        8 => episode,
        1 => (0..3_usize, 1..3_i32).prop_map(|(pet, version)| News::Plan { pet, version }),
        1 => (0..3_usize, 1..4_i64).prop_map(|(pet, version)| News::Pet { pet, version }),
    ]
}

fn event(bench: &Bench, pets: &[PetId], news: &News) -> Event {
    match *news {
        News::Episode { pet, thing, version, behavior, to, open, superseded } => {
            let nth = 100 * pet as u128 + thing;
            let told = Told::new(pets[pet], nth, behavior, 0, to * 300);
            bench.told(&Told { version, open, superseded, ..told })
        }
        News::Plan { pet, version } => {
            let plan = PlanChanged {
                pet_id: pets[pet].to_string(),
                plan_version: version,
                ..PlanChanged::default()
            };
            bench.event(&topics::PLAN_CHANGED, pets[pet], version.into(), &plan)
        }
        News::Pet { pet, version } => bench.pet_changed(&a_dog(pets[pet], version)),
    }
}

#[tokio::test]
async fn however_events_are_split_they_come_to_what_they_come_to_one_by_one() {
    let (alone, together) = (Bench::new("one_by_one").await, Bench::new("together").await);
    let mut runner = TestRunner::deterministic();
    let cuts = proptest::collection::vec(1..12_usize, 40);
    let cases = (proptest::collection::vec(news(), 1..40), cuts);
    for case in 0..40 {
        let (news, cuts) = cases.new_tree(&mut runner).unwrap().current();
        // Pets of its own, and ids of its own.
        let pets: Vec<PetId> = (0..3).map(|_| alone.pet_id()).collect();
        let news: Vec<News> = news
            .into_iter()
            .map(|one| match one {
                News::Episode { pet, thing, version, behavior, to, open, superseded } => {
                    let thing = 1_000 * (case + 1) + thing;
                    News::Episode { pet, thing, version, behavior, to, open, superseded }
                }
                other => other,
            })
            .collect();
        let events: Vec<Event> = news.iter().map(|one| event(&alone, &pets, one)).collect();
        for event in &events {
            alone.apply(event).await.unwrap();
        }
        together.apply_in_turns(&events, &cuts).await.unwrap();
        for table in TABLES {
            assert_eq!(together.rows(table).await, alone.rows(table).await, "{case}: {news:?}");
        }
    }
    assert!(together.rows(GAPS).await.is_empty());
    assert!(together.rows(TABLES[1]).await.len() > 100, "there was something to compare");
}

#[tokio::test]
async fn one_that_cannot_be_used_leaves_nothing_of_what_it_came_with() {
    let bench = Bench::new("together_poison").await;
    let pet = bench.pet_id();
    let good = bench.told(&Told::new(pet, 1, Behavior::Resting, 0, 300));
    let mut bad = Told::new(pet, 2, Behavior::Resting, 0, 300).payload();
    bad.episode.as_mut().unwrap().confidence = 7.0;
    let bad = bench.event(&topics::BEHAVIOR_CHANGED, pet, 1, &bad);
    bench.apply_together(&[good, bad]).await.unwrap_err();
    for table in TABLES {
        assert!(bench.rows(table).await.is_empty(), "{table}");
    }
}

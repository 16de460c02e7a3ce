//! What stands at the end, compared with what the interpreter says of all readings together; and `spine/1`, which the service no
//! longer runs and is judged against, compared on the same readings with an independent, literal reading of its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use petty_behavior::domain::v1::{self, Rules};
use petty_behavior::domain::{self, Build, Params, Position, Reading, Size};

use petty_tests::eventually;
use petty_tests::literal::{self, Measured, Span, Species};
use petty_tests::mesh::Mesh;
use petty_tests::tables::Tables;

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::built_in().unwrap());

/// Every reading that stands in `petty_ingest`, by pet: in the order of time. Twice the same would show.
pub(crate) async fn stored(mesh: &Mesh) -> BTreeMap<String, Vec<(String, Measured)>> {
    let sql = "SELECT r.pet_id::text, c.collar_id, (extract(epoch FROM r.measured_at) * 1000000)::int8,
                      r.heart_rate, r.latitude_e6, r.longitude_e6, r.accuracy_m, r.activity_level
               FROM readings r JOIN collars c USING (collar_key) ORDER BY r.measured_at";
    let mut stored: BTreeMap<String, Vec<(String, Measured)>> = BTreeMap::new();
    for row in Tables::of(&mesh.stack, "ingest").await.rows(sql).await {
        let degrees = |index: usize| row.get::<_, Option<i32>>(index).map(|value| f64::from(value) / 1e6);
        let position =
            degrees(4).zip(degrees(5)).map(|(latitude, longitude)| (latitude, longitude, row.get(6)));
        let activity_level = row.get::<_, Option<i16>>(7).map(|level| u8::try_from(level).unwrap());
        let measured = Measured { at_us: row.get(2), heart_rate: row.get(3), position, activity_level };
        stored.entry(row.get(0)).or_default().push((row.get(1), measured));
    }
    stored
}

/// The episodes that stand, by pet, from a service's table.
async fn standing(tables: &Tables, sql: &str) -> BTreeMap<String, BTreeSet<Span>> {
    let mut standing: BTreeMap<String, BTreeSet<Span>> = BTreeMap::new();
    for row in tables.rows(sql).await {
        let behavior = name_of(row.get(1));
        let span = Span { behavior, start_us: row.get(2), end_us: row.get(3) };
        assert!(standing.entry(row.get(0)).or_default().insert(span.clone()), "twice: {span:?}");
    }
    standing
}

fn name_of(slug: &str) -> &'static str {
    match slug {
        "deep_sleep" => "Deep Sleep",
        "resting" => "Resting",
        "walking" => "Walking",
        "running" => "Running",
        "playing_fetch" => "Playing Fetch",
        "anxious_pacing" => "Anxious Pacing",
        "unknown" => "Unknown",
        other => panic!("no behaviour {other:?}"),
    }
}

/// The readings of a recording, as the interpreters take them.
fn readings(stored: &[(String, Measured)]) -> Vec<Reading> {
    let reading = |(_, measured): &(String, Measured)| Reading {
        at: Timestamp::from_microsecond(measured.at_us).unwrap(),
        heart_rate: measured.heart_rate,
        activity_level: measured.activity_level,
        respiratory_rate: None,
        position: measured.position.map(|(latitude, longitude, accuracy_m)| Position {
            latitude,
            longitude,
            accuracy_m,
        }),
    };
    stored.iter().map(reading).collect()
}

fn params(species: Species) -> Params {
    Params::of(match species {
        Species::Dog => domain::Species::Dog,
        Species::Cat => domain::Species::Cat,
    })
}

/// What behavior was told of the pets' builds, once it knows all of them.
async fn builds(behavior: &Tables, pets: impl Iterator<Item = &String>) -> BTreeMap<String, Build> {
    let pets: Vec<&String> = pets.collect();
    let sql = "SELECT pet_id::text, size, born_on::text FROM pet_states WHERE species IS NOT NULL";
    let known = || async {
        let known = behavior.rows(sql).await.into_iter().map(|row| {
            let size = row.get::<_, Option<&str>>(1).and_then(Size::from_slug);
            let born = row.get::<_, Option<&str>>(2).map(|date| date.parse().unwrap());
            (row.get(0), Build::new(size, born))
        });
        known.collect::<BTreeMap<String, Build>>()
    };
    let patience = Duration::from_secs(240);
    eventually("behavior knows every pet", patience, || async {
        let known = known().await;
        pets.iter().all(|pet| known.contains_key(*pet))
    })
    .await;
    known().await
}

/// `spine/1` does what its text says.
pub(crate) fn spine_is_literal(
    stored: &BTreeMap<String, Vec<(String, Measured)>>,
    species: &BTreeMap<String, Species>,
) {
    for (pet, stored) in stored {
        let measured: Vec<Measured> = stored.iter().map(|(_, measured)| *measured).collect();
        let found = domain::interpret(&params(species[pet]), &readings(stored));
        let found = found.into_iter().map(|episode| Span {
            behavior: episode.behavior.name(),
            start_us: episode.start.as_microsecond(),
            end_us: episode.end.as_microsecond(),
        });
        let literal = literal::episodes(species[pet], &measured);
        assert!(found.eq(literal), "spine/1 of {pet} is not its own text's");
    }
}

/// Waits until behavior's episodes are those of all readings together, and the timeline's entries are those that are known; then
/// checks that nothing else is there. `species` by pet id.
pub(crate) async fn agree(mesh: &Mesh, species: &BTreeMap<String, Species>) {
    let stored = stored(mesh).await;
    let behavior = Tables::of(&mesh.stack, "behavior").await;
    let builds = builds(&behavior, stored.keys()).await;
    let expected: BTreeMap<String, BTreeSet<Span>> = stored
        .iter()
        .map(|(pet, stored)| {
            let params = Params { build: builds[pet], ..params(species[pet]) };
            let found = v1::interpret(&RULES, &params, &readings(stored));
            let span = |episode: v1::Episode| Span {
                behavior: episode.behavior.name(),
                start_us: episode.start.as_microsecond(),
                end_us: episode.end.as_microsecond(),
            };
            (pet.clone(), found.into_iter().map(span).collect())
        })
        .filter(|(_, spans): &(String, BTreeSet<Span>)| !spans.is_empty())
        .collect();
    let known: BTreeMap<String, BTreeSet<Span>> = expected
        .iter()
        .map(|(pet, spans)| {
            (pet.clone(), spans.iter().filter(|span| span.behavior != "Unknown").cloned().collect())
        })
        .filter(|(_, spans): &(String, BTreeSet<Span>)| !spans.is_empty())
        .collect();
    let timeline = Tables::of(&mesh.stack, "timeline").await;
    let (nutrition, feedback) =
        (Tables::of(&mesh.stack, "nutrition").await, Tables::of(&mesh.stack, "feedback").await);
    let episodes = "SELECT pet_id::text, behavior, (extract(epoch FROM start_at) * 1000000)::int8,
                    (extract(epoch FROM end_at) * 1000000)::int8 FROM episodes WHERE NOT superseded";
    let entries = "SELECT pet_id::text, behavior, (extract(epoch FROM start_at) * 1000000)::int8,
                   (extract(epoch FROM end_at) * 1000000)::int8 FROM entries WHERE kind = 'behavior'";
    come_to("the episodes are those of all readings together", &expected, || standing(&behavior, episodes))
        .await;
    come_to("the timeline's entries are the known ones", &known, || standing(&timeline, entries)).await;
    come_to("feedback knows every episode", &expected, || standing(&feedback, episodes)).await;
    let numbers = "SELECT pet_id::text FROM changes GROUP BY pet_id HAVING max(sequence) <> count(*)";
    assert_eq!(timeline.texts(numbers).await, Vec::<String>::new(), "changes are numbered without gaps");
    // Days are told a second after they settle; what nutrition knows of them is what was told last.
    let unsettled = "SELECT count(*) FROM days WHERE due_at < now() + interval '1 minute'";
    come_to("days are told", &0, || behavior.count(unsettled)).await;
    let told = "SELECT pet_id::text || ' ' || date || ' ' || version FROM days WHERE version > 0 ORDER BY 1";
    let told = behavior.texts(told).await;
    let heard = "SELECT pet_id::text || ' ' || date || ' ' || version FROM day_activity ORDER BY 1";
    come_to("nutrition has heard of every day", &told, || nutrition.texts(heard)).await;
    let all = [
        ("behavior", &behavior),
        ("timeline", &timeline),
        ("nutrition", &nutrition),
        ("feedback", &feedback),
    ];
    for (name, tables) in all {
        assert_eq!(
            tables.count("SELECT count(*) FROM event_dead_letters").await,
            0,
            "{name} gave up on nothing"
        );
    }
}

/// Waits until what is found is what is expected; shows both where it does not come to that.
pub(crate) async fn come_to<T, F>(what: &str, expected: &T, found: impl Fn() -> F)
where
    T: PartialEq + std::fmt::Debug,
    F: Future<Output = T>,
{
    let patience = Duration::from_secs(240);
    let holds = || async { found().await == *expected };
    let settled = tokio::time::timeout(patience, eventually(what, patience * 2, holds));
    if settled.await.is_err() {
        let found = found().await;
        // Thousands of episodes tell nobody more than the first of them do.
        assert!(
            found == *expected,
            "{what}: there is {:.2000}, not {:.2000}",
            format!("{found:?}"),
            format!("{expected:?}")
        );
    }
}

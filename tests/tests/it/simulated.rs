//! Made-up pets, through REST, to days that are believable where the pets live.

mod believable;
mod bench;
mod clocks;
mod seen;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Parser as _;
use futures::{StreamExt as _, stream};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan as _};
use petty::cli::{Cli, Command};
use petty::simulate::pet::{Pet, household};
use petty_chassis::types::Clock;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use petty_tests::rest::Client;
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

use self::believable::believable;
use self::seen::{Episode, Seen};

const PETS: u32 = 50;
const DAYS: i64 = 3;
/// Half as many readings as are sent by default, and about as many episodes.
const INTERVAL: u8 = 60;
/// What is asked of the gateway at once.
const AT_ONCE: usize = 4;

/// `petty simulate`, as it is typed, at a moment.
async fn simulate(mesh: &Mesh, now: Timestamp, options: &str) {
    let line = format!("petty simulate {options} --gateway http://{}", mesh.plan.http);
    let Command::Simulate(args) = Cli::parse_from(line.split(' ')).command else { panic!("{line}") };
    let code = petty::simulate::run(args, Clock::manual(now)).await.unwrap();
    // An exit code says no more of itself.
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS), "{line}");
}

/// A mesh for days of readings at once. Services that are behind are not in trouble: other tests want faults to be noticed
/// soon. Nobody says anything of events, so that feedback need not hear of them.
async fn unhurried() -> Mesh {
    let mut mesh = Mesh::start(crate::NODE).await;
    mesh.terminate("feedback", 0);
    for name in ["PETTY_EVENTS_HANDLING_DEADLINE", "PETTY_EVENTS_GAP_INTERVAL", "PETTY_EVENTS_GAP_GRACE"] {
        mesh.plan.extra.insert(name.to_owned(), "10s".to_owned());
    }
    for service in ["behavior", "timeline"] {
        mesh.terminate(service, 0);
        mesh.spawn(service, 0);
    }
    mesh.ready().await;
    mesh
}

/// Waits until behavior and timeline have handled all that was told to them.
async fn caught_up(mesh: &Mesh) {
    for (producer, topic, consumer) in
        [("ingest", "readings.accepted", "behavior"), ("behavior", "behavior.changed", "timeline")]
    {
        let (from, to) = (Tables::of(&mesh.stack, producer).await, Tables::of(&mesh.stack, consumer).await);
        let what = format!("{consumer} has handled {topic}");
        eventually(&what, Duration::from_secs(300), || async {
            let unnumbered = "SELECT count(*) FROM event_outbox WHERE number IS NULL";
            let given = format!("SELECT shard, last_number FROM event_relay_numbers WHERE topic = '{topic}'");
            let handled = format!("SELECT shard, frontier FROM event_progress WHERE topic = '{topic}'");
            from.count(unnumbered).await == 0 && numbers(&from, &given).await == numbers(&to, &handled).await
        })
        .await;
        assert_eq!(
            to.count("SELECT count(*) FROM event_dead_letters").await,
            0,
            "{consumer} gave up on nothing"
        );
    }
}

async fn numbers(tables: &Tables, sql: &str) -> BTreeMap<i16, i64> {
    tables.rows(sql).await.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn stored(mesh: &Mesh) -> i64 {
    Tables::of(&mesh.stack, "ingest").await.count("SELECT count(*) FROM readings").await
}

/// A simulated pet, and what its owner is told of it.
struct Told {
    pet: Pet,
    pet_id: String,
    time_zone: String,
}

impl Told {
    /// A day, and its episodes, oldest first.
    async fn day(&self, client: &Client, token: &str, date: Date) -> (Seen, Vec<Episode>) {
        let at = format!("/v1/pets/{}", self.pet_id);
        let day = Seen::of_json(&client.get(&format!("{at}/days/{date}"), token).await.good());
        let time = |second| Timestamp::from_second(second).unwrap();
        let path =
            format!("{at}/timeline?kinds=BEHAVIOR&start_time={}&end_time={}", time(day.start), time(day.end));
        let mut episodes: Vec<Episode> =
            client.all(&path, token, "entries").await.iter().map(Episode::of_json).collect();
        episodes.reverse();
        (day, episodes)
    }
}

/// All pets of the account are the simulator's, each where it lives.
async fn told(client: &Client, token: &str) -> Vec<Told> {
    let known = client.all("/v1/pets", token, "pets").await;
    assert_eq!(known.len(), PETS as usize);
    let told = household(1, PETS, None).into_iter().map(|pet| {
        let species = json!(pet.species);
        let named = |known: &&Value| known["name"] == pet.name.as_str() && known["species"] == species;
        let known = known.iter().find(named).unwrap();
        let text = |field: &str| known[field].as_str().unwrap().to_owned();
        Told { pet_id: text("pet_id"), time_zone: text("time_zone"), pet }
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_pets_sleep_walk_and_play_at_the_right_hours_where_they_live() {
    let mesh = unhurried().await;
    let now = Clock::system().now();
    simulate(&mesh, now, &format!("--pets {PETS} --days {DAYS} --interval {INTERVAL}")).await;
    caught_up(&mesh).await;

    let client = mesh.client();
    let body = json!({"email": "simulate@example.com", "password": "simulated dogs and cats"});
    let request = client.request(Method::POST, "/v1/auth/login", None).json(&body);
    let token = &client.send(request).await.good()["access_token"].as_str().unwrap().to_owned();
    let pets = told(&client, token).await;
    let zones: std::collections::BTreeSet<&String> = pets.iter().map(|told| &told.time_zone).collect();
    assert_eq!(zones.len(), 10);

    let (pets, client) = (&pets, &client);
    let checked = stream::iter(pets).map(|told| async move {
        assert_eq!(told.time_zone, *told.pet.zone);
        let today = now.to_zoned(told.pet.time_zone.clone()).date();
        for back in 1..=DAYS {
            let date = today - back.days();
            let (day, episodes) = told.day(client, token, date).await;
            assert_eq!(day.time_zone, told.time_zone);
            believable(&told.pet, &told.time_zone, date, &day, &episodes);
        }
        // Days that are over for six hours are closed, and stay so.
        for back in 2..=DAYS {
            let date = today - back.days();
            eventually("the day is closed", Duration::from_secs(60), || async {
                let day = told.day(client, token, date).await.0;
                day.closed && day.version >= 1
            })
            .await;
        }
    });
    checked.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;

    // The same again: known pets, known collars, and not one reading more.
    let before = stored(&mesh).await;
    simulate(&mesh, now, &format!("--pets 5 --days {DAYS} --interval {INTERVAL}")).await;
    assert_eq!(stored(&mesh).await, before);
    assert_eq!(client.all("/v1/pets", token, "pets").await.len(), PETS as usize);
}

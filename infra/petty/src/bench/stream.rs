//! How long from a reading's sending until what it means has reached the owner's open stream.
//!
//! Each event is one reading over REST, alone, with a pause after it: no load. It is timed from before its sending until
//! the update that includes it is read from the stream, through gateway, ingest, behavior, timeline and the gateway again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::floor::Floor;
use super::report::environment;
use super::spread::quantile_ms;
use super::{Check, Mesh, Report, Spread, first};
use crate::client::{Account, Client, NewPet, Species};
use crate::progress;
use crate::sse::Events;

/// A behaviour is there within this time after a new collar's third reading.
const FIRST_GOAL_MS: f64 = 2_000.0;
/// An event reaches an open stream within this time, at the 99th percentile.
const GOAL_MS: f64 = 200.0;
const COLLAR: &str = "collar-bench";
const PAUSE: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(30);
/// Before anything counts: caches fill, pools connect.
const WARM_UP: u32 = 30;

/// What one event took.
#[derive(Clone, Copy)]
struct Timing {
    acknowledged: Duration,
    arrived: Duration,
}

struct Scene {
    http: reqwest::Client,
    base: String,
    device: SecretString,
    events: Events,
    next: Timestamp,
    sent: u32,
}

/// So many events in so many rounds, each round beside as many of the floor's.
pub(super) async fn run(events: u32, rounds: u32) -> anyhow::Result<Report> {
    ensure!(rounds > 0 && events >= rounds, "there must be a round, and an event in each");
    let mesh = Mesh::start().await?;
    let outcome = measure(&mesh, events, rounds).await;
    mesh.stop().await?;
    outcome
}

async fn measure(mesh: &Mesh, events: u32, rounds: u32) -> anyhow::Result<Report> {
    let mut floor = Floor::lay(&mesh.stack, &mesh.tasks).await?;
    let mut scene = Scene::set(mesh).await?;
    let bar = progress::bar(u64::from(events))?;
    for _ in 0..WARM_UP {
        scene.once().await?;
        floor.once().await?;
    }
    let (mut ours, mut floors): (Vec<Vec<Timing>>, Vec<Vec<Duration>>) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let (mut timings, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..events / rounds + u32::from(round < events % rounds) {
            timings.push(scene.once().await?);
            bare.push(floor.once().await?);
            bar.inc(1);
            tokio::time::sleep(PAUSE).await;
        }
        ours.push(timings);
        floors.push(bare);
    }
    bar.finish_and_clear();
    let mut firsts = Vec::new();
    for round in 0..rounds {
        firsts.push(first::round(&mesh.gateway(), round).await?);
    }
    report(mesh, &ours, &floors, &firsts).await
}

async fn report(
    mesh: &Mesh,
    ours: &[Vec<Timing>],
    floors: &[Vec<Duration>],
    firsts: &[Vec<Duration>],
) -> anyhow::Result<Report> {
    let firsts: Vec<Duration> = firsts.iter().flatten().copied().collect();
    let all = |of: fn(&Timing) -> Duration| ours.iter().flatten().map(of).collect::<Vec<_>>();
    let arrived = all(|timing| timing.arrived);
    let after = all(|timing| timing.arrived.saturating_sub(timing.acknowledged));
    let acknowledged = all(|timing| timing.acknowledged);
    let bare: Vec<Duration> = floors.iter().flatten().copied().collect();
    let mut details = Map::new();
    details.insert("events".to_owned(), json!(arrived.len()));
    details.insert("rounds".to_owned(), json!(ours.len()));
    for (name, figures) in [
        ("sent to seen, ms", &arrived),
        ("acknowledged to seen, ms", &after),
        ("sent to acknowledged, ms", &acknowledged),
        ("floor, ms", &bare),
        ("third reading to first behaviour, ms", &firsts),
    ] {
        let [median, ninetieth, ninety_ninth, worst] =
            [0.5, 0.9, 0.99, 1.0].map(|quantile| quantile_ms(figures, quantile));
        details.insert(
            name.to_owned(),
            json!({"p50": median, "p90": ninetieth, "p99": ninety_ninth, "max": worst}),
        );
    }
    let ratios = ours.iter().zip(floors).map(|(ours, floor)| {
        let ours: Vec<Duration> = ours.iter().map(|timing| timing.arrived).collect();
        quantile_ms(&ours, 0.5) / quantile_ms(floor, 0.5)
    });
    let per_round = |quantile: f64| {
        let figures = ours.iter().map(|round| {
            let round: Vec<Duration> = round.iter().map(|timing| timing.arrived).collect();
            quantile_ms(&round, quantile)
        });
        Spread::of(figures).map(spread)
    };
    details.insert("p50 by round, ms".to_owned(), json!(per_round(0.5)));
    details.insert("p99 by round, ms".to_owned(), json!(per_round(0.99)));
    details.insert("p50 over the floor's, by round".to_owned(), json!(Spread::of(ratios).map(spread)));
    Ok(Report {
        name: "stream",
        environment: environment(&mesh.stack).await?,
        checks: vec![
            Check::at_most(
                "reading sent to seen on the stream, p99",
                quantile_ms(&arrived, 0.99),
                "ms",
                GOAL_MS,
            ),
            Check::at_most(
                "first behaviour of 5 at once, slowest",
                quantile_ms(&firsts, 1.0),
                "ms",
                FIRST_GOAL_MS,
            ),
        ],
        details,
    })
}

fn spread(Spread { median, least, most }: Spread) -> Value {
    json!({"median": median, "least": least, "most": most})
}

impl Scene {
    async fn set(mesh: &Mesh) -> anyhow::Result<Self> {
        let base = mesh.gateway();
        let client = Client::new(&base)?;
        let account = Account {
            email: "bench@example.com".to_owned(),
            password: "a passphrase for a bench".to_owned().into(),
        };
        let token = client.sign_up(&account).await?;
        let pet =
            NewPet { time_zone: Some("Europe/Berlin".to_owned()), ..NewPet::named("Rex", Species::Dog) };
        let pet = client.create_pet(&token, &pet, "bench").await?;
        // Whole seconds, a minute apart, from a week ago on: 10,000 of them fit before now.
        let begin = Clock::system().now() - SignedDuration::from_hours(7 * 24);
        let begin = Timestamp::from_second(begin.as_second())?;
        let secret = client.pair_collar(&token, &pet, COLLAR, begin, "bench").await?;
        let device = client.collar_token(COLLAR, &secret).await?;
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
        let request = http.get(format!("{base}/v1/pets/{pet}/stream")).bearer_auth(token.expose_secret());
        let response = request.send().await?;
        ensure!(Events::are_in(&response), "no stream: {}", response.status());
        let mut events = Events::of(response);
        let ready = tokio::time::timeout(PATIENCE, events.next()).await?;
        ensure!(ready.is_some_and(|ready| ready.event == "ready"), "the stream does not begin");
        Ok(Self { http, base, device, events, next: begin, sent: 0 })
    }

    /// Sends one reading and waits for the first update that includes it.
    async fn once(&mut self) -> anyhow::Result<Timing> {
        self.next += SignedDuration::from_secs(60);
        // Rest and activity by turns, each for ten minutes.
        let active = self.sent / 10 % 2 == 1;
        self.sent += 1;
        let reading = json!({
            "collar_id": COLLAR,
            "timestamp": self.next.to_string(),
            "heart_rate": if active { 150 } else { 80 },
            "activity_level": if active { 2 } else { 0 },
        });
        let since = Instant::now();
        let request =
            self.http.post(format!("{}/v1/ingest", self.base)).bearer_auth(self.device.expose_secret());
        let answer = request.json(&reading).send().await?;
        ensure!(answer.status().is_success(), "the reading was answered {}", answer.status());
        let acknowledged = since.elapsed();
        // The first reading alone is no behaviour yet.
        if self.sent == 1 {
            return Ok(Timing { acknowledged, arrived: acknowledged });
        }
        let seen = tokio::time::timeout(PATIENCE, async {
            while let Some(event) = self.events.next().await {
                let end =
                    event.data["entry"]["end_time"].as_str().and_then(|end| end.parse::<Timestamp>().ok());
                if end.is_some_and(|end| end >= self.next) {
                    return Some(());
                }
            }
            None
        });
        seen.await.context("the reading is not seen on the stream")?.context("the stream ended")?;
        Ok(Timing { acknowledged, arrived: since.elapsed() })
    }
}

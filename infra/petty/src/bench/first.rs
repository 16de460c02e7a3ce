//! How long from a new collar's third reading until the first behaviour stands on the timeline, as the first system's app
//! asks for it: several households at once.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::client::{Account, Client, NewPet, Species};

/// Households at once.
const HOUSEHOLDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// What each household of a round waited, from the third reading's acknowledgement on.
pub(super) async fn round(base: &str, nth: u32) -> anyhow::Result<Vec<Duration>> {
    try_join_all((0..HOUSEHOLDS).map(|household| live(base, nth, household))).await
}

async fn live(base: &str, round: u32, household: usize) -> anyhow::Result<Duration> {
    let client = Client::new(base)?;
    let name = format!("first-{round}-{household}");
    let account = Account {
        email: format!("{name}@example.com"),
        password: "a passphrase for a bench".to_owned().into(),
    };
    let token = client.sign_up(&account).await?;
    let pet = NewPet::named("Rex", Species::Dog);
    let pet = client.create_pet(&token, &pet, &name).await?;
    let begin = Timestamp::from_second(Clock::system().now().as_second())? - SignedDuration::from_mins(10);
    let secret = client.pair_collar(&token, &pet, &name, begin, &name).await?;
    let device = client.collar_token(&name, &secret).await?;
    let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
    for minute in 1..=3 {
        let reading = json!({
            "collar_id": name,
            "timestamp": (begin + SignedDuration::from_mins(minute)).to_string(),
            "heart_rate": 62,
            "activity_level": 0,
        });
        let request = http.post(format!("{base}/v1/ingest")).bearer_auth(device.expose_secret());
        let answer = request.json(&reading).send().await?;
        ensure!(answer.status().is_success(), "the reading was answered {}", answer.status());
    }
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let request = http.get(format!("{base}/v1/pet-timeline?collar_id={name}&hours=24"));
        let answer = request.bearer_auth(token.expose_secret()).send().await?;
        let answer: Value = serde_json::from_str(&answer.text().await?).context("no JSON")?;
        if answer["timeline"].as_array().is_some_and(|events| !events.is_empty()) {
            return Ok(since.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    anyhow::bail!("no behaviour within {} s", PATIENCE.as_secs())
}

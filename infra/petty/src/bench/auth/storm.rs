//! Readings that come in while log-ins storm in from everywhere.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::super::spread::quantile_ms;
use super::log_ins::Accounts;
use super::rate;
use crate::client::{Account, Client, NewPet, Species};

/// The header that says where a request came from, where the gateway believes it.
pub(super) const FROM: &str = "x-forwarded-for";
/// The bench is the gateway's proxy: it sends from many addresses.
pub(super) const SETTINGS: [(&str, &str); 1] = [("PETTY_TRUSTED_PROXIES", "127.0.0.1/32")];
const COLLAR: &str = "collar-bench";
/// Between two readings of a collar.
const PAUSE: Duration = Duration::from_millis(5);
/// Log-ins on their way at once, at most: what comes beyond is not sent.
const MOST: usize = 512;

/// An address that no other request came from lately.
pub(super) fn source() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let [_, b, c, d] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("10.{b}.{c}.{d}")
}

/// A collar that sends.
pub(super) struct Scene {
    http: reqwest::Client,
    base: String,
    device: SecretString,
    next: Timestamp,
}

/// What one round found: milliseconds, and how often a second.
pub(super) struct Round {
    pub(super) calm: f64,
    pub(super) stormy: f64,
    pub(super) readings: f64,
    pub(super) arrived: f64,
    pub(super) let_in: f64,
    pub(super) sent_away: f64,
}

impl Scene {
    pub(super) async fn set(base: &str) -> anyhow::Result<Self> {
        let client = Client::new(base)?;
        let account = Account {
            email: "storm@example.com".to_owned(),
            password: "a passphrase for a bench".to_owned().into(),
        };
        let token = client.sign_up(&account).await?;
        let pet = NewPet::named("Rex", Species::Dog);
        let pet = client.create_pet(&token, &pet, "bench").await?;
        let begin = Clock::system().now() - SignedDuration::from_hours(7 * 24);
        let begin = Timestamp::from_second(begin.as_second())?;
        let secret = client.pair_collar(&token, &pet, COLLAR, begin, "bench").await?;
        let device = client.collar_token(COLLAR, &secret).await?;
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
        let mut scene = Self { http, base: base.to_owned(), device, next: begin };
        // Before anything counts: caches fill, pools connect.
        scene.ingest(Instant::now() + Duration::from_secs(1)).await?;
        Ok(scene)
    }

    /// Readings without log-ins, then readings with so many a second.
    pub(super) async fn round(
        &mut self,
        accounts: &Accounts,
        span: Duration,
        per_second: u32,
    ) -> anyhow::Result<Round> {
        let calm = self.ingest(Instant::now() + span).await?;
        let since = Instant::now();
        let until = since + span;
        let (readings, storm) = tokio::join!(self.ingest(until), storm(accounts, since, until, per_second));
        let (readings, [arrived, let_in, sent_away]) = (readings?, storm?);
        Ok(Round {
            calm: quantile_ms(&calm, 0.99),
            stormy: quantile_ms(&readings, 0.99),
            readings: rate(readings.len(), since),
            arrived,
            let_in,
            sent_away,
        })
    }

    /// One reading after the other until then; what each took.
    async fn ingest(&mut self, until: Instant) -> anyhow::Result<Vec<Duration>> {
        let mut took = Vec::new();
        while Instant::now() < until {
            self.next += SignedDuration::from_secs(5);
            let reading = json!({"collar_id": COLLAR, "timestamp": self.next.to_string(), "heart_rate": 80, "activity_level": 0});
            let since = Instant::now();
            let request =
                self.http.post(format!("{}/v1/ingest", self.base)).bearer_auth(self.device.expose_secret());
            let status = request.json(&reading).send().await?.status();
            ensure!(status.is_success(), "a reading was answered {status}");
            took.push(since.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        Ok(took)
    }
}

/// Log-ins arrive at a rate of their own, however slowly they are answered. How many a second arrived, were let in, and were
/// sent away to come again.
async fn storm(
    accounts: &Accounts,
    since: Instant,
    until: Instant,
    per_second: u32,
) -> anyhow::Result<[f64; 3]> {
    let (let_in, sent_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut on_their_way = FuturesUnordered::new();
    let mut arrived = 0_usize;
    let one = async || {
        let status = accounts.log_in().await?;
        match status {
            StatusCode::OK => let_in.fetch_add(1, Ordering::Relaxed),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                sent_away.fetch_add(1, Ordering::Relaxed)
            }
            other => anyhow::bail!("a log-in was answered {other}"),
        };
        Ok(())
    };
    while Instant::now() < until {
        tokio::select! {
            _ = tick.tick() => {
                if on_their_way.len() < MOST {
                    arrived += 1;
                    on_their_way.push(one());
                }
            }
            Some(answered) = on_their_way.next() => answered?,
        }
    }
    let rates = [arrived, let_in.load(Ordering::Relaxed), sent_away.load(Ordering::Relaxed)]
        .map(|count| rate(count, since));
    while let Some(answered) = on_their_way.next().await {
        answered?;
    }
    Ok(rates)
}

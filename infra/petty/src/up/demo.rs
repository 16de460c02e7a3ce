//! The demo: an account with a dog whose collar reports every few seconds, so that there is something to look at.
//!
//! The dog is simulated, and says so. It goes through the same doors as any collar: REST, a device token, readings.

use std::f64::consts::TAU;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use petty_chassis::Shutdown;
use petty_chassis::types::Clock;
use reqwest::{Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// The demo account's address.
pub(super) const DEMO_EMAIL: &str = "demo@petty.example";
/// Its dog's collar.
pub(super) const DEMO_COLLAR: &str = "demo-collar-1";

/// The collar reports this often.
const INTERVAL: SignedDuration = SignedDuration::from_secs(10);
/// A new demo begins with this much behind it.
const BEHIND: SignedDuration = SignedDuration::from_hours(3);

/// The demo's collar.
#[derive(Debug)]
pub(super) struct Demo {
    http: reqwest::Client,
    base: String,
    secret: SecretString,
    token: SecretString,
    sent: Timestamp,
    clock: Clock,
}

/// Signs the demo account up, or in; adds its dog and collar where they are not there; sends what lies behind.
pub(super) async fn set_up(gateway: SocketAddr, password: &str) -> anyhow::Result<Demo> {
    let clock = Clock::system();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let base = format!("http://{gateway}");
    let credentials = json!({"email": DEMO_EMAIL, "password": password, "name": "Demo"});
    let signup = http.post(format!("{base}/v1/auth/signup")).json(&credentials).send().await?;
    let answer = if signup.status() == StatusCode::CONFLICT {
        let credentials = json!({"email": DEMO_EMAIL, "password": password});
        good(http.post(format!("{base}/v1/auth/login")).json(&credentials).send().await?).await?
    } else {
        good(signup).await?
    };
    let owner = text(&answer, "access_token")?;
    let pets = good(http.get(format!("{base}/v1/pets")).bearer_auth(&owner).send().await?).await?;
    let pet_id = match pets["pets"].get(0) {
        Some(pet) => text(pet, "pet_id")?,
        None => {
            let pet = json!({"name": "Biscuit (simulated)", "species": "DOG", "breed": "Beagle"});
            text(
                &good(http.post(format!("{base}/v1/pets")).bearer_auth(&owner).json(&pet).send().await?)
                    .await?,
                "pet_id",
            )?
        }
    };
    let collars = format!("{base}/v1/pets/{pet_id}/collars");
    let listed = good(http.get(&collars).bearer_auth(&owner).send().await?).await?;
    let paired =
        listed["collars"].as_array().is_some_and(|all| all.iter().any(|collar| collar["end_time"].is_null()));
    // The secret was shown once and is not kept: a collar that is paired already gets a new one.
    let request = if paired {
        http.post(format!("{collars}/{DEMO_COLLAR}:rotateSecret")).json(&json!({}))
    } else {
        let start = clock.now() - BEHIND - INTERVAL;
        http.post(&collars).json(&json!({"collar_id": DEMO_COLLAR, "start_time": start.to_string()}))
    };
    let secret = text(&good(request.bearer_auth(&owner).send().await?).await?, "secret")?;
    let realtime =
        http.get(format!("{base}/v1/realtime?collar_id={DEMO_COLLAR}")).bearer_auth(&owner).send().await?;
    let begin = clock.now() - BEHIND;
    let sent = match realtime.status() {
        StatusCode::OK => text(&good(realtime).await?, "timestamp")?.parse::<Timestamp>()?.max(begin),
        _ => begin,
    };
    let mut demo = Demo { http, base, secret: secret.into(), token: String::new().into(), sent, clock };
    demo.catch_up().await?;
    Ok(demo)
}

impl Demo {
    /// Goes on reporting until the end. A failure is tried again: that is what a collar does.
    pub(super) async fn live(mut self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(Duration::from_secs(10)) => {}
            }
            tokio::select! {
                () = shutdown.draining() => return,
                sent = self.catch_up() => if let Err(error) = sent {
                    tracing::warn!(error = format!("{error:#}"), "the demo's collar could not report");
                }
            }
        }
    }

    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let now = self.clock.now();
        loop {
            let mut batch = Vec::new();
            let mut last = self.sent;
            while last + INTERVAL <= now && batch.len() < 500 {
                last += INTERVAL;
                batch.push(reading(last));
            }
            if batch.is_empty() {
                return Ok(());
            }
            self.post(&json!({"readings": batch})).await?;
            self.sent = last;
        }
    }

    /// Sends a batch; once more where the token has run out or the connection broke, as a collar would.
    async fn post(&mut self, body: &Value) -> anyhow::Result<()> {
        let url = format!("{}/v1/ingest:batch", self.base);
        for _ in 0..3 {
            if self.token.expose_secret().is_empty() {
                self.sign_in().await?;
            }
            let request = self.http.post(&url).bearer_auth(self.token.expose_secret()).json(body);
            match request.send().await {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED => {
                    self.token = String::new().into()
                }
                Ok(answer) => return good(answer).await.map(|_| ()),
                Err(error) if error.is_timeout() => return Err(error.into()),
                Err(_) => {}
            }
        }
        anyhow::bail!("the readings could not be sent")
    }

    async fn sign_in(&mut self) -> anyhow::Result<()> {
        let request = json!({"collar_id": DEMO_COLLAR, "secret": self.secret.expose_secret()});
        let answer = self.http.post(format!("{}/v1/collars/token", self.base)).json(&request).send().await?;
        self.token = text(&good(answer).await?, "access_token")?.into();
        Ok(())
    }
}

/// What the simulated dog's collar measures at a time: an hour of 35 minutes' sleep, 15 of walking, 3 of running, 7 of
/// rest. A function of the time alone, so that nothing need be remembered.
fn reading(at: Timestamp) -> Value {
    let second = at.as_second().rem_euclid(3_600);
    let wobble = |period: f64| {
        (f64::from(i32::try_from(at.as_second().rem_euclid(86_400)).unwrap_or(0)) * TAU / period).sin()
    };
    let (level, heart_rate, metres) = match second {
        0..2_100 => (0, 52.0 + wobble(70.0), 0.0),
        2_100..3_000 => {
            (1, 98.0 + 6.0 * wobble(90.0), f64::from(i32::try_from(second - 2_100).unwrap_or(0)) * 1.2)
        }
        3_000..3_180 => (
            2,
            150.0 + 10.0 * wobble(60.0),
            1_080.0 - f64::from(i32::try_from(second - 3_000).unwrap_or(0)) * 6.0,
        ),
        _ => (0, 82.0 + 5.0 * wobble(80.0), 0.0),
    };
    let mut reading = json!({
        "collar_id": DEMO_COLLAR,
        "timestamp": at.to_string(),
        "heart_rate": heart_rate.round(),
        "activity_level": level,
        "battery_level": 80.0,
    });
    if metres > 0.0 {
        // About 111,320 metres to the degree of latitude.
        let latitude = 52.5170 + (metres / 111_320.0 * 1e6).round() / 1e6;
        reading["location"] = json!({"type": "Point", "coordinates": [13.3889, latitude], "accuracy": 5.0});
    }
    reading
}

async fn good(response: Response) -> anyhow::Result<Value> {
    let (status, url) = (response.status(), response.url().path().to_owned());
    let body = response.text().await?;
    anyhow::ensure!(status.is_success(), "{url} answered {status}: {body}");
    serde_json::from_str(&body).with_context(|| format!("{url} answered no JSON"))
}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    answer[field].as_str().map(str::to_owned).with_context(|| format!("the answer has no {field}"))
}

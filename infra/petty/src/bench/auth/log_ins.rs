//! Log-ins over REST beside Argon2id alone, and whether their time tells a known address from an unknown one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::PasswordVerifier as _;
use argon2::{Algorithm, Argon2, Params, Version};
use futures::future::try_join_all;
use petty_chassis::Tasks;
use petty_chassis::types::Entropy;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::super::spread::quantile_ms;
use super::{rate, storm};

const PASSWORD: &str = "a passphrase for a bench";
/// Accounts that log in: each often enough to be no stranger, none so often that it is slowed down.
const ACCOUNTS: usize = 64;
/// Log-ins of each kind in a round of the timing. Each with an address of its own: who fails often is slowed down.
const TIMED: usize = 60;
/// As many as auth hashes at once, by default.
const HASHERS: usize = 2;
/// Log-ins on their way at once: the hashers never wait for the next.
const AT_ONCE: usize = 8;

/// Accounts to log in with, and the client they do it by.
pub(super) struct Accounts {
    pub(super) http: reqwest::Client,
    pub(super) base: String,
    regular: Vec<String>,
    /// Those of the timing, for each round its own.
    timed: Vec<Vec<String>>,
    next: AtomicUsize,
}

/// What one round found, a second.
pub(super) struct Round {
    pub(super) log_ins: f64,
    pub(super) floor: f64,
}

/// What one round's failed log-ins took, in milliseconds: medians, and of each pair the known address's less the unknown one's.
pub(super) struct Timing {
    pub(super) known: f64,
    pub(super) unknown: f64,
    pub(super) apart: Vec<f64>,
}

/// The median of differences, and the two between which it lies, 95 times in 100, if they are of one kind: those of ranks n/2 ± 0.98 √n (the
/// sign test's interval).
pub(super) fn median_within(mut differences: Vec<f64>) -> Option<(f64, f64, f64)> {
    differences.sort_unstable_by(f64::total_cmp);
    let n = differences.len();
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among some hundred"
    )]
    let low = (n as f64 / 2.0 - 0.98 * (n as f64).sqrt()).max(0.0) as usize;
    Some((*differences.get(n / 2)?, *differences.get(low)?, *differences.get(n.checked_sub(1 + low)?)?))
}

impl Accounts {
    pub(super) async fn open(base: &str, rounds: usize) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?;
        let mut accounts = Self {
            http,
            base: base.to_owned(),
            regular: Vec::new(),
            timed: Vec::new(),
            next: AtomicUsize::new(0),
        };
        accounts.regular = accounts.sign_up("regular", ACCOUNTS).await?;
        for round in 0..rounds {
            let timed = accounts.sign_up(&format!("timed-{round}"), TIMED).await?;
            accounts.timed.push(timed);
        }
        Ok(accounts)
    }

    async fn sign_up(&self, kind: &str, count: usize) -> anyhow::Result<Vec<String>> {
        let emails: Vec<String> = (0..count).map(|nth| format!("{kind}-{nth}@example.com")).collect();
        for some in emails.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|email| async move {
                let status = self.credentials("signup", email, PASSWORD).await?;
                ensure!(status == StatusCode::CREATED, "a sign-up was answered {status}");
                Ok(())
            }))
            .await?;
        }
        Ok(emails)
    }

    /// Sends credentials, each time from another address.
    async fn credentials(&self, call: &str, email: &str, password: &str) -> anyhow::Result<StatusCode> {
        let body = json!({"email": email, "password": password});
        let request =
            self.http.post(format!("{}/v1/auth/{call}", self.base)).header(storm::FROM, storm::source());
        let answer = request.json(&body).send().await?;
        let status = answer.status();
        let _read: Value = answer.json().await.unwrap_or_default();
        Ok(status)
    }

    /// One of the accounts logs in; how that was answered.
    pub(super) async fn log_in(&self) -> anyhow::Result<StatusCode> {
        let nth = self.next.fetch_add(1, Ordering::Relaxed) % self.regular.len();
        self.credentials("login", &self.regular[nth], PASSWORD).await
    }
}

/// As many log-ins as there can be; then as many verifications as the same number of threads can do alone.
pub(super) async fn round(accounts: &Accounts, tasks: &Tasks, span: Duration) -> anyhow::Result<Round> {
    let since = Instant::now();
    let one_by_one = async || {
        let mut count = 0_usize;
        while since.elapsed() < span {
            let status = accounts.log_in().await?;
            ensure!(status == StatusCode::OK, "a log-in was answered {status}");
            count += 1;
        }
        anyhow::Ok(count)
    };
    let counts = try_join_all((0..AT_ONCE).map(|_| one_by_one())).await?;
    let log_ins = rate(counts.iter().sum(), since);
    let threads = (0..HASHERS).map(|_| tasks.spawn_blocking("argon2-floor", move || argon2_alone(span)));
    let mut floor = 0.0;
    for thread in threads.collect::<Vec<_>>() {
        floor += thread.await??;
    }
    Ok(Round { log_ins, floor })
}

/// Verifications a second, on one thread, by the parameters that auth has (OWASP: 19 MiB, two passes, one lane).
fn argon2_alone(span: Duration) -> anyhow::Result<f64> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| anyhow!("{error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt: [u8; 16] = Entropy.bytes();
    let hash =
        argon2.hash_password_with_salt(PASSWORD.as_bytes(), &salt).map_err(|error| anyhow!("{error}"))?;
    let hash = hash.to_string();
    let (since, mut count) = (Instant::now(), 0);
    while since.elapsed() < span {
        argon2.verify_password(PASSWORD.as_bytes(), hash.as_str()).map_err(|error| anyhow!("{error}"))?;
        count += 1;
    }
    Ok(rate(count, since))
}

/// Known and unknown addresses in turn, each once, one at a time, with a passphrase that is wrong; which of the two comes first changes from
/// pair to pair.
pub(super) async fn timing(accounts: &Accounts, round: u32) -> anyhow::Result<Timing> {
    let known = accounts.timed.get(usize::try_from(round)?).context("no accounts of this round")?;
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for (nth, email) in known.iter().enumerate() {
        let unknown = format!("nobody-{round}-{nth}@example.com");
        let mut pair = [(email, &mut of_known), (&unknown, &mut of_unknown)];
        if nth % 2 == 1 {
            pair.reverse();
        }
        for (email, took) in pair {
            let since = Instant::now();
            let status = accounts.credentials("login", email, "not the passphrase at all").await?;
            took.push(since.elapsed());
            ensure!(status == StatusCode::UNAUTHORIZED, "a wrong passphrase was answered {status}");
        }
    }
    let ms = |took: &Duration| took.as_secs_f64() * 1e3;
    Ok(Timing {
        known: quantile_ms(&of_known, 0.5),
        unknown: quantile_ms(&of_unknown, 0.5),
        apart: of_known.iter().zip(&of_unknown).map(|(known, unknown)| ms(known) - ms(unknown)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::median_within;

    #[test]
    fn three_milliseconds_between_two_kinds_are_seen_through_noise_of_four() {
        let noise = |nth: i32| f64::from(nth * 7 % 9 - 4);
        let (median, low, high) = median_within((0..180).map(|nth| 3.0 + noise(nth)).collect()).unwrap();
        assert!(low > 0.0 && (low..=high).contains(&median), "{low} {median} {high}");
        let (_, low, high) = median_within((0..180).map(noise).collect()).unwrap();
        assert!(low <= 0.0 && 0.0 <= high, "{low} {high}");
        assert_eq!(median_within(vec![]), None);
    }
}

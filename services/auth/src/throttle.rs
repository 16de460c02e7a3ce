//! Failed attempts are counted, and slowed down.
//!
//! Invariants: an attempt is counted before it is tried, so that none is tried which may not be; whom it is counted against
//! is kept as a keyed hash, alike for known and unknown addresses; a device that is known is not held up by others'
//! failures.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter as Count;
use petty_chassis::postgres::Tx;
use petty_chassis::types::AccountId;
use petty_chassis::{ApiError, Code, telemetry};

use crate::domain::account::Email;
use crate::domain::throttle::{self, Counter};
use crate::store::throttles::{self, Counted, Row};
use crate::vault::{Purpose, Vault};

/// What a client is told to wait for where waiting does not help: a person has to do something else.
const A_DAY: Duration = Duration::from_secs(24 * 3_600);

/// Counts attempts.
#[derive(Clone, Debug)]
pub(crate) struct Throttle {
    vault: Vault,
    refused: Count<u64>,
}

/// Whom an attempt is counted against.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    counter: Counter,
    row: Row,
}

impl Throttle {
    pub(crate) fn new(vault: Vault) -> Self {
        let refused = telemetry::meter()
            .u64_counter("petty_attempts_throttled")
            .with_description(
                "Attempts that were refused before they were tried, by what they were counted against",
            )
            .build();
        Self { vault, refused }
    }

    /// An address that somebody signs in with, or has mail sent to.
    pub(crate) fn address(&self, counter: Counter, email: &Email, account: Option<AccountId>) -> Subject {
        self.subject(counter, email.key(), account)
    }

    /// An account.
    pub(crate) fn account(&self, counter: Counter, account: AccountId) -> Subject {
        self.subject(counter, &account.to_string(), Some(account))
    }

    /// A device that is known to an account, by its token's hash.
    pub(crate) fn device(&self, counter: Counter, device: &[u8; 32], account: Option<AccountId>) -> Subject {
        self.subject(counter, &URL_SAFE_NO_PAD.encode(device), account)
    }

    /// Where a client is, if the gateway said.
    pub(crate) fn source(&self, counter: Counter, address: Option<IpAddr>) -> Option<Subject> {
        address.map(|address| self.subject(counter, &throttle::source(address), None))
    }

    fn subject(&self, counter: Counter, subject: &str, account: Option<AccountId>) -> Subject {
        let text = format!("{}\0{subject}", counter.as_str());
        let key = self.vault.blind_index(Purpose::ATTEMPTS, &text);
        Subject { counter, row: Row { key, kind: counter.as_str(), account, rule: counter.rule() } }
    }

    /// Counts an attempt as failed before it is made. Where it may not be made nothing is counted, by rolling back.
    ///
    /// # Errors
    /// `TOO_MANY_ATTEMPTS` or `SIGN_IN_LOCKED`.
    pub(crate) async fn count(&self, tx: &Tx, subject: &Subject, now: Timestamp) -> Result<(), ApiError> {
        match throttles::count(tx, &subject.row, now).await? {
            Counted::Yes => Ok(()),
            Counted::Wait(until) => {
                let pause = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                let text = "too many attempts failed; try again later";
                Err(self.refuse(subject, "TOO_MANY_ATTEMPTS", text, pause))
            }
            Counted::Never => {
                let text = match subject.counter {
                    Counter::SecondFactor | Counter::DeviceSecondFactor => {
                        "too many codes were wrong in a row; use a recovery code"
                    }
                    Counter::Address
                    | Counter::Device
                    | Counter::Confirmation
                    | Counter::Source
                    | Counter::SourceOfSecrets
                    | Counter::Mail => {
                        "too many attempts failed in a row; sign in on a device that has signed in before, or reset the password"
                    }
                };
                Err(self.refuse(subject, "SIGN_IN_LOCKED", text, A_DAY))
            }
        }
    }

    /// As [`Throttle::count`], for a subject that another stands in for once it is used up: whether this one may be tried.
    pub(crate) async fn count_or_pass(
        &self,
        tx: &Tx,
        subject: &Subject,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        match self.count(tx, subject, now).await {
            Ok(()) => Ok(true),
            Err(error) if error.reason == "SIGN_IN_LOCKED" => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Takes back attempts that were none, or did not fail.
    pub(crate) async fn take_back(tx: &Tx, subjects: &[Subject], now: Timestamp) -> Result<(), ApiError> {
        for subject in subjects {
            throttles::take_back(tx, &subject.row, now).await?;
        }
        Ok(())
    }

    /// Attempts that succeeded: what was counted in a row is forgotten, what is counted per time is taken back.
    pub(crate) async fn succeeded(tx: &Tx, subjects: &[Subject], now: Timestamp) -> Result<(), ApiError> {
        for subject in subjects {
            match subject.row.rule {
                throttle::Rule::InARow { .. } => throttles::forget(tx, &subject.row.key).await?,
                throttle::Rule::PerTime { .. } => throttles::take_back(tx, &subject.row, now).await?,
            }
        }
        Ok(())
    }

    fn refuse(
        &self,
        subject: &Subject,
        reason: &'static str,
        text: &'static str,
        pause: Duration,
    ) -> ApiError {
        self.refused.add(1, &[KeyValue::new("counter", subject.counter.as_str())]);
        let error = ApiError::new(Code::ResourceExhausted, reason, text);
        ApiError { retry_after: Some(pause.max(Duration::from_secs(1))), ..error }
    }
}

//! Patience with a gateway that cannot answer just now: a call whose failure is temporary is made again until it
//! succeeds, at growing intervals, for so long and no longer.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

use super::{Account, Client, Error};

/// A call that cannot be made for this long is given up. Long enough for a service, or a database, to come back.
const PATIENCE: Duration = Duration::from_secs(120);
/// Signing in comes first: with no gateway there, the person at the terminal should soon know.
const SIGN_IN_PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Animals that are sent for at once, unless their times say otherwise.
pub const AT_ONCE: usize = 4;

/// What goes on, for a progress bar.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// So many more readings are acknowledged.
    Acknowledged(usize),
    /// A call is going to be made again.
    Waiting(&'a str),
    /// It succeeded.
    Resumed,
}

/// Takes the news.
pub type Listener<'a> = &'a (dyn Fn(News<'_>) + Sync);

/// The account's token; the account is opened where there is none.
///
/// # Errors
///
/// Any [`Error`].
pub async fn sign_in(
    client: &Client,
    account: &Account,
    listener: Listener<'_>,
) -> Result<SecretString, Error> {
    match persist_for(SIGN_IN_PATIENCE, listener, || client.sign_up(account)).await {
        Err(error) if error.status() == Some(409) => {
            persist_for(SIGN_IN_PATIENCE, listener, || client.log_in(account)).await
        }
        answer => answer,
    }
}

/// Makes a call until it succeeds, fails for good, or has failed for two minutes.
///
/// # Errors
///
/// The last [`Error`].
pub async fn persist<T, F>(listener: Listener<'_>, call: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    persist_for(PATIENCE, listener, call).await
}

async fn persist_for<T, F>(
    patience: Duration,
    listener: Listener<'_>,
    call: impl Fn() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + patience;
    let mut pause = FIRST_PAUSE;
    let mut waited = false;
    loop {
        match call().await {
            Err(error) if error.is_temporary() && Instant::now() < deadline => {
                listener(News::Waiting(&error.to_string()));
                waited = true;
                tokio::time::sleep(error.retry_after().unwrap_or(pause).min(patience)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            answer => {
                if waited {
                    listener(News::Resumed);
                }
                return answer;
            }
        }
    }
}

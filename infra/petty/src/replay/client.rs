//! The REST API as a replay uses it. Every call can be sent again: creating ones carry an Idempotency-Key, readings are
//! known by collar and time.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{Recorded, Species, plan::Reading};

/// The most readings a batch may hold.
pub const BATCH: usize = 1000;

/// A call takes at most this long; the gateway's own deadlines are shorter.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A gateway.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// Who replays.
#[derive(Debug, Clone)]
pub struct Account {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: SecretString,
}

/// What became of a batch.
#[derive(Debug, Clone, Deserialize)]
pub struct Acknowledged {
    /// New and on disk.
    pub accepted: usize,
    /// There already.
    pub duplicates: usize,
    /// Refused.
    pub rejected: Vec<Rejected>,
}

/// A refused reading.
#[derive(Debug, Clone, Deserialize)]
pub struct Rejected {
    /// Its index in the batch.
    pub index: usize,
    /// The field at fault.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A call failed. `Display` tells the whole story, so there is no `source` to be told again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one.
    #[error("{0:?} is not a gateway's URL, such as http://127.0.0.1:8080")]
    Url(String),
    /// No answer.
    #[error("{what}: no answer: {}", root(cause))]
    Unreachable {
        /// The call.
        what: &'static str,
        /// Why.
        cause: reqwest::Error,
    },
    /// Answered, but not with success.
    #[error("{what}: {status}: {detail}")]
    Refused {
        /// The call.
        what: &'static str,
        /// Its status.
        status: StatusCode,
        /// The problem's code, empty where there is none.
        code: String,
        /// The problem in words.
        detail: String,
        /// When to come back.
        retry_after: Option<Duration>,
    },
    /// A success that does not read like one.
    #[error("{what}: the answer cannot be read: {cause}")]
    Unreadable {
        /// The call.
        what: &'static str,
        /// Why.
        cause: serde_json::Error,
    },
}

/// The words that say something: reqwest's own only repeat the URL.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Url(_) | Self::Unreadable { .. } => false,
            Self::Unreachable { cause, .. } => !cause.is_builder(),
            Self::Refused { status, retry_after, .. } => match status.as_u16() {
                429 | 502 | 503 | 504 => true,
                // The same request is still being answered.
                409 => retry_after.is_some(),
                _ => false,
            },
        }
    }

    /// The status, where there was an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(status.as_u16()),
            Self::Url(_) | Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }

    /// The problem's code, empty where there is none.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Url(_) | Self::Unreachable { .. } | Self::Unreadable { .. } => "",
        }
    }

    /// When the gateway wants to be asked again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Url(_) | Self::Unreachable { .. } | Self::Unreadable { .. } => None,
        }
    }
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

#[derive(Deserialize)]
struct Pet {
    pet_id: String,
}

#[derive(Deserialize)]
struct Pairing {
    secret: String,
}

impl Client {
    /// A client of the gateway at `base`.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] if it is not an http URL.
    pub fn new(base: &str) -> Result<Self, Error> {
        let base = base.trim_end_matches('/').to_owned();
        let url = match reqwest::Url::parse(&base) {
            Ok(url) if url.has_host() => url,
            _ => return Err(Error::Url(base)),
        };
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("petty-replay/", env!("CARGO_PKG_VERSION")));
        if url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.")) {
            // A proxy cannot reach our loopback.
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|cause| Error::Unreachable { what: "set up HTTP", cause })?;
        Ok(Self { http, base })
    }

    /// Opens an account; answers its access token.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with 409 where there is one already.
    pub async fn sign_up(&self, account: &Account) -> Result<SecretString, Error> {
        self.credentials("sign up", "/v1/auth/signup", account).await
    }

    /// Logs in; answers an access token.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with 401 where the password is another.
    pub async fn log_in(&self, account: &Account) -> Result<SecretString, Error> {
        self.credentials("log in", "/v1/auth/login", account).await
    }

    /// Adds a pet; answers its id. The same `key` adds it once.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn create_pet(
        &self,
        token: &SecretString,
        animal: &Recorded,
        key: &str,
    ) -> Result<String, Error> {
        let species = match animal.species {
            Species::Dog => "DOG",
            Species::Cat => "CAT",
        };
        let mut body = json!({"name": animal.name, "species": species});
        if let (Some(breed), Some(body)) = (&animal.breed, body.as_object_mut()) {
            body.insert("breed".to_owned(), json!(breed));
        }
        let request = self.post("/v1/pets", token).header("Idempotency-Key", key).json(&body);
        answer::<Pet>("add a pet", request).await.map(|pet| pet.pet_id)
    }

    /// Pairs a collar that the pet has worn since `start`; answers the device secret.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] with `SECRET_ALREADY_SHOWN` where the same `key` was answered before.
    pub async fn pair_collar(
        &self,
        token: &SecretString,
        pet_id: &str,
        collar_id: &str,
        start: Timestamp,
        key: &str,
    ) -> Result<SecretString, Error> {
        let body = json!({"collar_id": collar_id, "start_time": start});
        let request = self
            .post(&format!("/v1/pets/{pet_id}/collars"), token)
            .header("Idempotency-Key", key)
            .json(&body);
        answer::<Pairing>("pair a collar", request).await.map(|pairing| pairing.secret.into())
    }

    /// Gives a paired collar a new secret.
    ///
    /// # Errors
    ///
    /// As [`Client::pair_collar`].
    pub async fn rotate_secret(
        &self,
        token: &SecretString,
        pet_id: &str,
        collar_id: &str,
    ) -> Result<SecretString, Error> {
        let path = format!("/v1/pets/{pet_id}/collars/{collar_id}:rotateSecret");
        let request = self.post(&path, token).json(&json!({}));
        answer::<Pairing>("rotate a collar's secret", request).await.map(|pairing| pairing.secret.into())
    }

    /// Exchanges a collar's secret for its access token.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn collar_token(&self, collar_id: &str, secret: &SecretString) -> Result<SecretString, Error> {
        let body = json!({"collar_id": collar_id, "secret": secret.expose_secret()});
        let request = self.http.request(Method::POST, self.url("/v1/collars/token")).json(&body);
        answer::<Token>("get a collar's token", request).await.map(|token| token.access_token.into())
    }

    /// Posts a batch with a collar's token.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; the readings may have been stored all the same, and can be sent again.
    pub async fn ingest(&self, token: &SecretString, readings: &[Reading]) -> Result<Acknowledged, Error> {
        let request = self.post("/v1/ingest:batch", token).json(&json!({"readings": readings}));
        answer("post readings", request).await
    }

    async fn credentials(
        &self,
        what: &'static str,
        path: &str,
        account: &Account,
    ) -> Result<SecretString, Error> {
        let body = json!({"email": account.email, "password": account.password.expose_secret()});
        let request = self.http.request(Method::POST, self.url(path)).json(&body);
        answer::<Token>(what, request).await.map(|token| token.access_token.into())
    }

    fn post(&self, path: &str, token: &SecretString) -> RequestBuilder {
        self.http.request(Method::POST, self.url(path)).bearer_auth(token.expose_secret())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// What problem+json says, as far as a replay needs it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    code: String,
    errors: Vec<FieldError>,
}

#[derive(Deserialize)]
struct FieldError {
    field: String,
    reason: String,
}

async fn answer<T: DeserializeOwned>(what: &'static str, request: RequestBuilder) -> Result<T, Error> {
    let unreachable = |cause| Error::Unreachable { what, cause };
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    let retry_after = response
        .headers()
        .get(header::RETRY_AFTER)
        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = response.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|cause| Error::Unreadable { what, cause });
    }
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let mut detail = if problem.detail.is_empty() { problem.title } else { problem.detail };
    for error in &problem.errors {
        detail.push_str(&format!("; {}: {}", error.field, error.reason));
    }
    Err(Error::Refused { what, status, code: problem.code, detail, retry_after })
}

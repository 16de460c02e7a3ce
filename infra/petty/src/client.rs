//! The REST API as an owner and a collar use it. Every call can be sent again: creating ones carry an Idempotency-Key,
//! readings are known by collar and time.

mod error;
pub mod patience;
pub mod wearer;

use std::time::Duration;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, RequestBuilder, Url, header};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

pub use error::Error;

/// The most readings a batch may hold.
pub const BATCH: usize = 1000;
/// How far back the API takes readings and pairings, less an hour for the sending itself and clocks that differ.
pub const REACH: SignedDuration = SignedDuration::from_hours(30 * 24 - 1);

/// A call takes at most this long; the gateway's own deadlines are shorter.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A gateway.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

/// Whose pets they are.
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

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Dogs and cats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Species {
    /// Dogs.
    Dog,
    /// Cats.
    Cat,
}

/// A pet to be added.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewPet {
    /// Its name.
    pub name: String,
    /// Its species.
    pub species: Species,
    /// Its breed, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub breed: Option<String>,
    /// Whether it is neutered, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neutered: Option<bool>,
    /// Its birth date, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub birth_date: Option<Date>,
    /// Its IANA time zone; the account's without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

impl NewPet {
    /// One of whom only this is known.
    #[must_use]
    pub fn named(name: &str, species: Species) -> Self {
        Self {
            name: name.to_owned(),
            species,
            breed: None,
            neutered: None,
            birth_date: None,
            time_zone: None,
        }
    }
}

/// A pet as the API knows it.
#[derive(Debug, Clone, Deserialize)]
pub struct Pet {
    /// Its id.
    pub pet_id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its IANA time zone.
    #[serde(default)]
    pub time_zone: String,
}

/// A collar that a pet wears, or wore.
#[derive(Debug, Clone, Deserialize)]
pub struct Collar {
    /// Its id.
    pub collar_id: String,
    /// Since when.
    pub start_time: Timestamp,
    /// Until when; absent while it wears it.
    pub end_time: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Pets {
    pets: Vec<Pet>,
    #[serde(default)]
    next_page_token: String,
}

#[derive(Deserialize)]
struct Collars {
    collars: Vec<Collar>,
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
    pub async fn create_pet(&self, token: &SecretString, pet: &NewPet, key: &str) -> Result<String, Error> {
        let request = self.post("/v1/pets", token).header("Idempotency-Key", key).json(pet);
        answer::<Pet>("add a pet", request).await.map(|pet| pet.pet_id)
    }

    /// Every pet of the account, and those shared with it.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn pets(&self, token: &SecretString) -> Result<Vec<Pet>, Error> {
        let mut all = Vec::new();
        let mut page = String::new();
        loop {
            let request = self.get("/v1/pets", &[("page_size", "1000"), ("page_token", &page)], token);
            let answer: Pets = answer("list the pets", request).await?;
            all.extend(answer.pets);
            if answer.next_page_token.is_empty() {
                return Ok(all);
            }
            page = answer.next_page_token;
        }
    }

    /// The collars of a pet, newest first, up to 1,000.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn collars(&self, token: &SecretString, pet_id: &str) -> Result<Vec<Collar>, Error> {
        let path = format!("/v1/pets/{pet_id}/collars");
        let request = self.get(&path, &[("page_size", "1000")], token);
        answer::<Collars>("list a pet's collars", request).await.map(|answer| answer.collars)
    }

    /// The time of a collar's newest reading, where there is one.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn newest(&self, token: &SecretString, collar_id: &str) -> Result<Option<Timestamp>, Error> {
        #[derive(Deserialize)]
        struct Newest {
            timestamp: Timestamp,
        }
        let request = self.get("/v1/realtime", &[("collar_id", collar_id)], token);
        match answer::<Newest>("ask for the newest reading", request).await {
            Ok(newest) => Ok(Some(newest.timestamp)),
            Err(error) if error.status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What lies under a path.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn read<T: DeserializeOwned>(&self, token: &SecretString, path: &str) -> Result<T, Error> {
        answer("read", self.get(path, &[], token)).await
    }

    /// Replaces what lies under a path.
    ///
    /// # Errors
    ///
    /// Any [`Error`].
    pub async fn put<T: DeserializeOwned>(
        &self,
        token: &SecretString,
        path: &str,
        body: &Value,
    ) -> Result<T, Error> {
        let request = self.http.request(Method::PUT, self.url(path)).bearer_auth(token.expose_secret());
        answer("put", request.json(body)).await
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
    pub async fn ingest<R: Serialize + Sync>(
        &self,
        token: &SecretString,
        readings: &[R],
    ) -> Result<Acknowledged, Error> {
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

    fn get(&self, path: &str, query: &[(&str, &str)], token: &SecretString) -> RequestBuilder {
        let url = self.url(path);
        let url = Url::parse_with_params(&url, query).map_or(url, String::from);
        self.http.request(Method::GET, url).bearer_auth(token.expose_secret())
    }

    fn post(&self, path: &str, token: &SecretString) -> RequestBuilder {
        self.http.request(Method::POST, self.url(path)).bearer_auth(token.expose_secret())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

/// What problem+json says, as far as it is needed here.
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

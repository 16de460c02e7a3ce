//! A REST client that says what it got, whatever that was.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// A passphrase that sign-up takes.
pub const PASSWORD: &str = "correct horse battery staple";

/// The staff account's address.
pub const STAFF: &str = "staff@petty.example";

/// A client of one gateway.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// Where what is for staff is asked for.
    staff: String,
    everywhere: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null where it is no JSON.
    pub body: Value,
    /// Its body as it came.
    pub text: String,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    /// Where it is none.
    #[track_caller]
    pub fn good(self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text);
        self.body
    }

    /// Checks a problem's status and code.
    ///
    /// # Panics
    /// Where they are others.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.body["code"].as_str().unwrap_or_default()),
            (status, code),
            "{}",
            self.text
        );
    }

    /// Checks a 400 that names a field.
    ///
    /// # Panics
    /// Where it is none, or names others.
    #[track_caller]
    pub fn names(&self, field: &str) {
        assert_eq!(self.status.as_u16(), 400, "{}", self.text);
        let named = self.body["errors"]
            .as_array()
            .is_some_and(|errors| errors.iter().any(|error| error["field"] == field));
        assert!(named, "the answer does not name {field:?}: {}", self.text);
    }
}

/// A signed-in account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its address.
    pub email: String,
    /// Its access token.
    pub token: String,
    /// Its refresh token.
    pub refresh: String,
}

impl Account {
    fn of(email: String, answer: &Value) -> Self {
        let text = |field: &str| answer[field].as_str().expect("a token").to_owned();
        Self { email, token: text("access_token"), refresh: text("refresh_token") }
    }
}

/// What the gateway answers on its admin port alone.
const STAFF_PATHS: [&str; 2] = ["/v1/staff", "/v1/feedback/stats"];

impl Client {
    /// A client of the gateway at `base`.
    ///
    /// # Panics
    /// Where HTTP cannot be set up.
    #[must_use]
    pub fn new(base: String) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().expect("HTTP");
        Self { http, staff: base.clone(), base, everywhere: false }
    }

    /// What is for staff is asked for at `base`, the gateway's admin port.
    #[must_use]
    pub fn with_staff_at(self, base: String) -> Self {
        Self { staff: base, ..self }
    }

    /// Each request comes from another address. The gateway believes that where `PETTY_TRUSTED_PROXIES` names this one.
    #[must_use]
    pub fn from_everywhere(mut self) -> Self {
        self.everywhere = true;
        self
    }

    /// A request to be completed.
    pub fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        static SOURCE: AtomicU32 = AtomicU32::new(0);
        let is_for_staff = STAFF_PATHS.iter().any(|staff| path.starts_with(staff));
        let base = if is_for_staff { &self.staff } else { &self.base };
        let mut request = self.http.request(method, format!("{base}{path}"));
        if self.everywhere {
            let [_, b, c, d] = SOURCE.fetch_add(1, Ordering::Relaxed).to_be_bytes();
            request = request.header("x-forwarded-for", format!("10.{b}.{c}.{d}"));
        }
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Where there was no answer.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { status, headers, body, text })
    }

    /// Sends a request that must be answered.
    ///
    /// # Panics
    /// Where there was no answer.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        self.try_send(request).await.expect("an answer")
    }

    /// An answer by somebody who could give one: whoever is sent away for now, or reaches nobody, asks again.
    ///
    /// # Panics
    /// Where there is none within 15 s.
    pub async fn settled(&self, request: impl Fn() -> RequestBuilder) -> Answer {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
        loop {
            match self.try_send(request()).await {
                Ok(answer) if ![429, 502, 503, 504].contains(&answer.status.as_u16()) => return answer,
                other => assert!(tokio::time::Instant::now() < deadline, "no answer: {other:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// GET.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::GET, path, Some(token))).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path, Some(token)).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, token: &str) -> Answer {
        self.send(self.request(Method::DELETE, path, Some(token))).await
    }

    /// Whether the gateway says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = self.try_send(self.request(Method::GET, "/ready", None)).await;
        answer.is_ok_and(|answer| answer.status.is_success())
    }

    /// A new account. A mesh that has just started, on a machine that is busy, may be too slow at first: then it is another one.
    pub async fn sign_up(&self) -> Account {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let email = format!("owner{}@example.com", COUNT.fetch_add(1, Ordering::Relaxed));
            let body = json!({"email": email, "password": PASSWORD});
            let answer = self.send(self.request(Method::POST, "/v1/auth/signup", None).json(&body)).await;
            if attempts == 5 || ![503, 504].contains(&answer.status.as_u16()) {
                return Account::of(email, &answer.good());
            }
        }
    }

    /// An account that signs in again.
    pub async fn log_in(&self, email: &str) -> Account {
        let body = json!({"email": email, "password": PASSWORD});
        let answer = self.send(self.request(Method::POST, "/v1/auth/login", None).json(&body)).await.good();
        Account::of(email.to_owned(), &answer)
    }

    /// The staff account, which every mesh of a test has.
    pub async fn staff(&self) -> Account {
        let body = json!({"email": STAFF, "password": PASSWORD});
        let answer = self.send(self.request(Method::POST, "/v1/auth/login", None).json(&body)).await.good();
        Account::of(STAFF.to_owned(), &answer)
    }

    /// A new pet; its id.
    pub async fn pet(&self, owner: &Account, name: &str, species: &str) -> String {
        let answer =
            self.post("/v1/pets", &owner.token, &json!({"name": name, "species": species})).await.good();
        answer["pet_id"].as_str().expect("an id").to_owned()
    }

    /// Pairs a collar from a time on; its device token.
    pub async fn pair(
        &self,
        owner: &Account,
        pet_id: &str,
        collar_id: &str,
        start: Option<jiff::Timestamp>,
    ) -> String {
        let mut body = json!({"collar_id": collar_id});
        if let Some(start) = start {
            body["start_time"] = json!(start.to_string());
        }
        let answer = self.post(&format!("/v1/pets/{pet_id}/collars"), &owner.token, &body).await.good();
        let secret = answer["secret"].as_str().expect("a secret").to_owned();
        self.device_token(collar_id, &secret).await
    }

    /// A collar's device token.
    pub async fn device_token(&self, collar_id: &str, secret: &str) -> String {
        let body = json!({"collar_id": collar_id, "secret": secret});
        let answer =
            self.send(self.request(Method::POST, "/v1/collars/token", None).json(&body)).await.good();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Sends readings until they are acknowledged, however often that takes; how many were new.
    ///
    /// # Panics
    /// Where they are refused for good, or not acknowledged within two minutes.
    pub async fn ingest_patiently(&self, token: &str, readings: &[Value]) -> usize {
        let body = json!({"readings": readings});
        let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
        let mut accepted = 0;
        loop {
            let request = self
                .request(Method::POST, "/v1/ingest:batch", Some(token))
                .timeout(Duration::from_secs(8))
                .json(&body);
            match self.try_send(request).await {
                Ok(answer) if answer.status.is_success() => {
                    let number =
                        |field: &str| usize::try_from(answer.body[field].as_u64().unwrap_or(0)).unwrap_or(0);
                    assert_eq!(answer.body["rejected"], json!([]), "{}", answer.text);
                    accepted += number("accepted");
                    assert_eq!(number("accepted") + number("duplicates"), readings.len(), "{}", answer.text);
                    return accepted;
                }
                Ok(answer) => {
                    let later = [429, 503, 504].contains(&answer.status.as_u16());
                    assert!(later, "refused for good: {} {}", answer.status, answer.text);
                }
                Err(_) => {}
            }
            assert!(tokio::time::Instant::now() < deadline, "not acknowledged within two minutes");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All pages of a list.
    pub async fn all(&self, path: &str, token: &str, field: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut page = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let answer =
                self.get(&format!("{path}{joint}page_size=1000&page_token={page}"), token).await.good();
            items.extend(answer[field].as_array().expect("a list").iter().cloned());
            answer["next_page_token"].as_str().expect("a token").clone_into(&mut page);
            if page.is_empty() {
                return items;
            }
        }
    }
}

//! Streams of server-sent events, read through the gateway.

use std::time::Duration;

pub use petty::sse::Event;
use petty::sse::Events;
use reqwest::Method;
use serde_json::Value;

use crate::rest::{Answer, Client};

/// An open stream.
#[derive(Debug)]
pub struct Stream(Events);

impl Stream {
    /// Opens one, going on after `last_event_id` where there is one.
    ///
    /// # Errors
    /// What was answered instead of a stream.
    ///
    /// # Panics
    /// Where there was no answer.
    pub async fn open(
        client: &Client,
        path: &str,
        token: &str,
        last_event_id: Option<&str>,
    ) -> Result<Self, Answer> {
        Self::try_open(client, path, token, last_event_id).await.expect("an answer")
    }

    /// As [`Stream::open`], where there may be nobody to answer.
    ///
    /// # Errors
    /// Where there was no answer; within, what was answered instead of a stream.
    pub async fn try_open(
        client: &Client,
        path: &str,
        token: &str,
        last_event_id: Option<&str>,
    ) -> Result<Result<Self, Answer>, reqwest::Error> {
        let mut request = client.request(Method::GET, path, (!token.is_empty()).then_some(token));
        request = request.header("accept", "text/event-stream").timeout(Duration::from_secs(3_600));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await?;
        if Events::are_in(&response) {
            return Ok(Ok(Self(Events::of(response))));
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Err(Answer { status, headers, body, text }))
    }

    /// The next event; `None` at the stream's end, however it came.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }

    /// Whether the stream's end was announced: the gateway, or the service behind it, goes away, and another takes up where it was.
    #[must_use]
    pub fn was_told_to_move(&self) -> bool {
        self.0.last_comment().starts_with("going away")
    }

    /// The next event, which must come in time.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn expect(&mut self, within: Duration) -> Event {
        let next = tokio::time::timeout(within, self.next()).await;
        next.expect("an event in time").expect("the stream goes on")
    }
}

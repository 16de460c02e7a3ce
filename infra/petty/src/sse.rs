//! Server-sent events, as a browser's EventSource reads them.

use serde_json::Value;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its `id:`.
    pub id: String,
    /// Its `event:`.
    pub event: String,
    /// Its `data:`, as JSON.
    pub data: Value,
}

/// A stream of them.
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    buffer: Vec<u8>,
    comments: usize,
    last_comment: String,
}

impl Events {
    /// Whether an answer is a stream of events.
    #[must_use]
    pub fn are_in(response: &reqwest::Response) -> bool {
        let kind = response.headers().get("content-type");
        response.status().is_success()
            && kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
    }

    /// The events of an answer.
    #[must_use]
    pub fn of(response: reqwest::Response) -> Self {
        Self { response, buffer: Vec::new(), comments: 0, last_comment: String::new() }
    }

    /// How many comments came so far: heartbeats.
    #[must_use]
    pub fn comments(&self) -> usize {
        self.comments
    }

    /// What the last comment said. A heartbeat says nothing; a gateway that goes away says that it does.
    #[must_use]
    pub fn last_comment(&self) -> &str {
        &self.last_comment
    }

    /// The next event; `None` at the stream's end, however it came. May be dropped and called again: nothing is lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(block) = self.block() {
                if let Some(event) = self.event(&block) {
                    return Some(event);
                }
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.buffer.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// Everything up to a blank line.
    fn block(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Some(String::from_utf8_lossy(&block).into_owned())
    }

    fn event(&mut self, block: &str) -> Option<Event> {
        let (mut id, mut event, mut data) = (String::new(), String::new(), None::<String>);
        for line in block.lines() {
            if let Some(comment) = line.strip_prefix(':') {
                self.comments += 1;
                comment.trim().clone_into(&mut self.last_comment);
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => value.clone_into(&mut id),
                "event" => value.clone_into(&mut event),
                "data" => data = Some(data.map_or_else(|| value.to_owned(), |before| before + "\n" + value)),
                _ => {}
            }
        }
        // What is no JSON is none of ours.
        let data = serde_json::from_str(&data?).unwrap_or(Value::Null);
        Some(Event { id, event, data })
    }
}

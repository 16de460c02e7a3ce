//! A client of streams that looks at every byte.

use std::time::Duration;

use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::Value;

/// An open stream.
pub(crate) struct Reader {
    pub(crate) headers: HeaderMap,
    body: Incoming,
    text: String,
}

impl Reader {
    pub(crate) fn new(headers: HeaderMap, body: Incoming) -> Self {
        Self { headers, body, text: String::new() }
    }

    /// The next block, without the empty line that ends it; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next line, without its end; `None` at the end of all.
    pub(crate) async fn line(&mut self) -> Option<String> {
        loop {
            if let Some((line, rest)) = self.text.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(line);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Reads on; at the end there is nothing half read.
    async fn more(&mut self) -> bool {
        let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame());
        let Some(frame) = frame.await.expect("something in time") else {
            assert_eq!(self.text, "", "it ends with a whole event");
            return false;
        };
        let data = frame.unwrap().into_data().unwrap();
        self.text.push_str(std::str::from_utf8(&data).unwrap());
        true
    }

    /// The next event: its id, its name and its data. Comments are passed over.
    pub(crate) async fn event(&mut self) -> (String, String, Value) {
        loop {
            let block = self.block().await.expect("an event");
            if block.starts_with(':') {
                continue;
            }
            let line = |name: &str| {
                block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
            };
            return (line("id: "), line("event: "), serde_json::from_str(&line("data: ")).unwrap());
        }
    }
}

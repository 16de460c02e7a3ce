//! One pet's updates on their way to a socket.
//!
//! Invariant: what a client takes too slowly is left out, and said to be; nothing of it waits but the word.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::watch;

use super::Opener;
use super::messages::{Told, raw, update};
use crate::events::{End, Frames};
use crate::presence::Presence;
use crate::problem::Problem;

/// The largest update that waits for a client.
const MOST_TEXT: usize = 64 << 10;

/// What a socket is told by its subscriptions.
#[derive(Debug)]
pub(super) enum News {
    /// To be sent.
    Text(String),
    /// The subscription has ended; the text is the last of it.
    Ended { pet_id: String, number: u64, text: String },
    /// It has ended because whoever opened the socket is nobody any more.
    Nobody,
}

/// A subscription, from its opening to its end.
pub(super) struct Subscription {
    /// Which of its socket's it is.
    pub(super) number: u64,
    pub(super) opener: Arc<Opener>,
    pub(super) presence: Presence,
    pub(super) pet_id: String,
    pub(super) last_event_id: Option<String>,
    pub(super) socket: Sender<News>,
}

/// The client is gone.
struct Gone;

impl Subscription {
    pub(super) async fn run(self) {
        // A socket that is gone is told nothing.
        let _told = match self.opener.open(&self.pet_id, self.last_event_id.clone()).await {
            Ok(frames) => self.forward(frames).await,
            Err(problem) => self.end(&problem).await,
        };
    }

    async fn forward(&self, mut frames: Frames) -> Result<(), Gone> {
        self.text(Told::Subscribed { pet_id: &self.pet_id }.text()).await?;
        let mut looking = self.presence.look(&self.pet_id, &self.opener.subject);
        looking.count.mark_changed();
        loop {
            tokio::select! {
                biased;
                frame = frames.next() => match frame {
                    Some(Ok(frame)) => self.update(&frame).await?,
                    Some(Err(End::Problem(problem))) => return self.end(&problem).await,
                    Some(Err(End::Going)) | None => return self.end(&going()).await,
                },
                watching = changed(&mut looking.count) => {
                    let told = Told::Presence { pet_id: &self.pet_id, watching };
                    // Where there is no room it is told with the next change.
                    self.try_text(told.text())?;
                }
            }
        }
    }

    /// Passes an update on. Where there is no room for it, it is left out, and nothing more is taken until there is.
    async fn update(&self, frame: &Bytes) -> Result<(), Gone> {
        let Some(text) = update(&self.pet_id, frame) else { return Ok(()) };
        if text.len() <= MOST_TEXT && self.try_text(text)? {
            return Ok(());
        }
        self.text(Told::Resync { pet_id: &self.pet_id }.text()).await
    }

    async fn text(&self, text: String) -> Result<(), Gone> {
        self.socket.send(News::Text(text)).await.map_err(|_| Gone)
    }

    /// Whether there was room.
    fn try_text(&self, text: String) -> Result<bool, Gone> {
        match self.socket.try_send(News::Text(text)) {
            Ok(()) => Ok(true),
            Err(TrySendError::Full(_)) => Ok(false),
            Err(TrySendError::Closed(_)) => Err(Gone),
        }
    }

    async fn end(&self, problem: &Problem) -> Result<(), Gone> {
        if problem.status == http::StatusCode::UNAUTHORIZED {
            return self.socket.send(News::Nobody).await.map_err(|_| Gone);
        }
        let problem = raw(problem, self.opener.scope.request_id.as_str());
        let text = Told::Unsubscribed { pet_id: &self.pet_id, problem: Some(&problem) }.text();
        let ended = News::Ended { pet_id: self.pet_id.clone(), number: self.number, text };
        self.socket.send(ended).await.map_err(|_| Gone)
    }
}

/// The next count.
async fn changed(count: &mut watch::Receiver<usize>) -> usize {
    if count.changed().await.is_err() {
        // Nobody counts any more.
        std::future::pending::<()>().await;
    }
    *count.borrow_and_update()
}

/// A service that goes away: another takes up where it was.
fn going() -> Problem {
    Problem::new(
        http::StatusCode::SERVICE_UNAVAILABLE,
        "GOING_AWAY",
        "The service behind this goes away; subscribe again.",
    )
}

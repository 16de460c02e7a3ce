//! The broadcast of `access.changed`, as a replica hears it.
//!
//! Plain XREAD, no consumer group: every replica hears everything. auth's relay writes a heartbeat with the number last
//! sent, so that a replica notices both silence and a change it missed (a trimmed or flushed stream).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use petty_proto::events::v1::{AccessChanged, Envelope};
use prost::Message as _;
use redis::streams::{StreamId, StreamRangeReply, StreamReadReply};
use redis::{AsyncCommands as _, Value};
use tokio::time::Instant;

use crate::Tasks;
use crate::events::redis::Connector;
use crate::shutdown::Shutdown;

/// The one stream of the broadcast.
pub const STREAM: &str = "petty:access.changed:{0}";
/// How often auth's relay says that it is there.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// Silence this long means that the broadcast is not heard.
const SILENCE: Duration = Duration::from_secs(3);
/// One read waits this long at most.
const BLOCK: Duration = Duration::from_secs(1);

type Listener = Box<dyn Fn(Option<&AccessChanged>) + Send + Sync>;

/// What a replica hears. Cheap to clone.
#[derive(Clone)]
pub struct Broadcast {
    inner: Arc<Inner>,
}

struct Inner {
    /// Of the service that listens: what runs beside its calls.
    tasks: Tasks,
    heard: Mutex<Option<Instant>>,
    listeners: Mutex<Vec<Listener>>,
}

impl std::fmt::Debug for Broadcast {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Broadcast").field("heard", &self.is_heard()).finish_non_exhaustive()
    }
}

impl Broadcast {
    /// Begins to listen.
    #[must_use]
    pub fn listen(redis: Connector, tasks: &Tasks, shutdown: Shutdown) -> Self {
        let inner = Inner { tasks: tasks.clone(), heard: Mutex::new(None), listeners: Mutex::default() };
        let broadcast = Self { inner: Arc::new(inner) };
        let listener = broadcast.clone();
        // Requests that are being finished still need it.
        tasks.spawn_background("access-broadcast", async move {
            tokio::select! {
                () = listener.run(redis) => {}
                () = shutdown.cancelled() => {}
            }
        });
        broadcast
    }

    /// Who listens; empty where nobody said so.
    pub(super) fn service(&self) -> &'static str {
        self.inner.tasks.service()
    }

    /// What is spawned beside calls.
    pub(super) fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// Whether it was heard within the last three seconds.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        let heard = self.inner.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|at| at.elapsed() < SILENCE)
    }

    /// Calls `listener` with every change; with `None` where changes were missed and everything must be forgotten.
    pub fn subscribe(&self, listener: impl Fn(Option<&AccessChanged>) + Send + Sync + 'static) {
        self.inner.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(listener));
    }

    async fn run(&self, redis: Connector) {
        let mut pause = Duration::from_millis(50);
        loop {
            if let Err(error) = self.tail(&redis, &mut pause).await {
                tracing::warn!(error = %error, "the broadcast of access changes cannot be read");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn tail(&self, redis: &Connector, pause: &mut Duration) -> redis::RedisResult<()> {
        let mut connection = redis.dedicated(BLOCK + Duration::from_secs(2)).await?;
        // What came before is in no memory of ours, so listening begins behind it.
        let newest: StreamRangeReply = connection.xrevrange_count(STREAM, "+", "-", 1).await?;
        let mut last = newest.ids.first().map_or_else(|| "0-0".to_owned(), |entry| entry.id.clone());
        let mut number = None;
        // Between two connections changes may have been missed.
        self.tell(None);
        loop {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(500).arg("BLOCK").arg(BLOCK.as_millis().to_string());
            command.arg("STREAMS").arg(STREAM).arg(&last);
            let reply: Option<StreamReadReply> = command.query_async(&mut connection).await?;
            *pause = Duration::from_millis(50);
            for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
                self.hear(&entry, &mut number);
                last = entry.id;
            }
        }
    }

    fn hear(&self, entry: &StreamId, number: &mut Option<i64>) {
        if let Some(Value::BulkString(bytes)) = entry.map.get("e") {
            match Envelope::decode(bytes.as_slice())
                .and_then(|event| Ok((event.number, AccessChanged::decode(event.payload)?)))
            {
                Ok((n, change)) => {
                    // A repeated one is told again: forgetting twice is harmless.
                    self.tell(if number.is_none_or(|known| n <= known + 1) { Some(&change) } else { None });
                    *number = Some(number.map_or(n, |known| known.max(n)));
                }
                Err(_) => self.tell(None),
            }
        } else if let Some(said) = entry.get::<i64>("n") {
            if number.is_some_and(|known| known < said) {
                self.tell(None);
            }
            *number = Some(number.map_or(said, |known| known.max(said)));
            *self.inner.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }

    fn tell(&self, change: Option<&AccessChanged>) {
        for listener in self.inner.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(change);
        }
    }
}

//! Hints between replicas: "look again", now rather than at the next poll.
//!
//! Redis pub/sub, lossy by design: a hint may be lost, come twice or come late, and is never the only way to learn of
//! anything. Invariants: telling one never waits, whatever Redis does; a listener that may have missed some is told so,
//! after every (re)subscription too, and then looks at everything.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use opentelemetry::metrics::Counter;
use redis::aio::{ConnectionManager, PubSub};
use redis::{ErrorKind, Msg, RedisError, RedisResult, Value};
use tokio::sync::{Notify, broadcast, mpsc};

use super::redis::Connector;
use crate::shutdown::Shutdown;
use crate::tasks::Tasks;
use crate::telemetry;

/// What Redis calls a channel of ours.
const PREFIX: &str = "petty:wake:";
/// So many hints wait to be sent; more are dropped.
const WAITING: usize = 4_096;
/// So many are sent at once.
const BATCH: usize = 256;
/// So many wait for a listener that is behind; then it is told that it missed some.
const BEHIND: usize = 1_024;
/// How often Redis is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// How long it may take to say so.
const ANSWER: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Tells and hears hints: one connection a process, made when somebody first listens. Cheap to clone.
#[derive(Clone)]
pub struct Wake {
    inner: Arc<Inner>,
}

struct Inner {
    channels: Mutex<BTreeMap<&'static str, broadcast::Sender<Hint>>>,
    /// Somebody listens to another channel.
    changed: Notify,
    outgoing: mpsc::Sender<(&'static str, Vec<u8>)>,
    lost: Counter<u64>,
}

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// What somebody published.
    Told(Bytes),
    /// Some may have been missed: look at everything.
    Missed,
}

/// The hints of one channel, from when [`Wake::listen`] was called.
#[derive(Debug)]
pub struct Hints {
    receiver: broadcast::Receiver<Hint>,
    /// Whether what there is must be looked at first.
    missed: bool,
    /// Keeps the sending half.
    _wake: Wake,
}

impl Hints {
    /// The next one. Cancel safe.
    pub async fn next(&mut self) -> Hint {
        if std::mem::take(&mut self.missed) {
            return Hint::Missed;
        }
        match self.receiver.recv().await {
            Ok(hint) => hint,
            Err(broadcast::error::RecvError::Lagged(_)) => Hint::Missed,
            // Cannot be while this holds the sending half.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Wake {
    /// Over the events Redis, until the shutdown is over: what is being finished may still tell something.
    #[must_use]
    pub fn new(redis: &Connector, tasks: &Tasks, shutdown: &Shutdown) -> Self {
        let (outgoing, waiting) = mpsc::channel(WAITING);
        let lost = telemetry::meter()
            .u64_counter("petty_hints_lost")
            .with_description("Hints to other replicas that were not sent")
            .build();
        let inner =
            Inner { channels: Mutex::default(), changed: Notify::new(), outgoing, lost: lost.clone() };
        let wake = Self { inner: Arc::new(inner) };
        let sending = send(waiting, redis.shared(), lost);
        let hearing = wake.clone().hear(redis.clone());
        let shutdown = shutdown.cancelled();
        tasks.spawn_background("hints", async move {
            tokio::select! {
                () = async { tokio::join!(sending, hearing); } => {}
                () = shutdown => {}
            }
        });
        wake
    }

    /// Tells every listener to a channel, on every replica, this one too. Never waits; where too much is waiting already
    /// the hint is dropped. To be called [after a commit](crate::postgres::Tx::after_commit), so that who looks finds it.
    pub fn publish(&self, channel: &'static str, payload: Vec<u8>) {
        if self.inner.outgoing.try_send((channel, payload)).is_err() {
            self.inner.lost.add(1, &[]);
        }
    }

    /// Listens to a channel. The first hint is [`Hint::Missed`], once the channel is heard: what one looks at then is
    /// followed by hints without a gap.
    #[must_use]
    pub fn listen(&self, channel: &'static str) -> Hints {
        let mut channels = self.inner.channels.lock().unwrap_or_else(PoisonError::into_inner);
        // A channel that is heard already will not be said to be.
        let missed = channels.contains_key(channel);
        let sender = channels.entry(channel).or_insert_with(|| broadcast::channel(BEHIND).0);
        let receiver = sender.subscribe();
        drop(channels);
        self.inner.changed.notify_one();
        Hints { receiver, missed, _wake: self.clone() }
    }

    async fn hear(self, redis: Connector) {
        while self.channels().is_empty() {
            self.inner.changed.notified().await;
        }
        let mut pause = Duration::from_millis(50);
        loop {
            let Err(error) = self.tail(&redis, &mut pause).await;
            tracing::warn!(%error, "hints cannot be heard; what they would have told is found by polling");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Hears until the connection is lost.
    async fn tail(&self, redis: &Connector, pause: &mut Duration) -> RedisResult<std::convert::Infallible> {
        let (mut sink, mut messages) = within(redis.subscriber()).await.map(PubSub::split)?;
        let mut subscribed = BTreeSet::new();
        let mut ping = tokio::time::interval(PING_INTERVAL);
        loop {
            for channel in self.channels() {
                if subscribed.insert(channel) {
                    within(sink.subscribe(format!("{PREFIX}{channel}"))).await?;
                    // Before this, nothing was heard.
                    self.tell(channel, Hint::Missed);
                }
            }
            tokio::select! {
                message = messages.next() => self.dispatch(&message.ok_or_else(gone)?),
                () = self.inner.changed.notified() => {}
                _ = ping.tick() => {
                    within(sink.ping::<Value>()).await?;
                    *pause = Duration::from_millis(50);
                }
            }
        }
    }

    fn channels(&self) -> Vec<&'static str> {
        self.inner.channels.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    fn dispatch(&self, message: &Msg) {
        if let Some(channel) = message.get_channel_name().strip_prefix(PREFIX) {
            self.tell(channel, Hint::Told(Bytes::copy_from_slice(message.get_payload_bytes())));
        }
    }

    fn tell(&self, channel: &str, hint: Hint) {
        let channels = self.inner.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = channels.get(channel) {
            // Nobody may be listening any more.
            let _ = sender.send(hint);
        }
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Wake").field("channels", &self.channels()).finish_non_exhaustive()
    }
}

/// Sends what is waiting. What Redis does not take is lost: by the time it is back, it is old.
async fn send(
    mut waiting: mpsc::Receiver<(&'static str, Vec<u8>)>,
    mut redis: ConnectionManager,
    lost: Counter<u64>,
) {
    let mut some = Vec::with_capacity(BATCH);
    while waiting.recv_many(&mut some, BATCH).await > 0 {
        let mut pipeline = redis::pipe();
        let count = u64::try_from(some.len()).unwrap_or(u64::MAX);
        for (channel, payload) in some.drain(..) {
            pipeline.cmd("PUBLISH").arg(format!("{PREFIX}{channel}")).arg(payload).ignore();
        }
        if let Err(error) = pipeline.query_async::<()>(&mut redis).await {
            lost.add(count, &[]);
            tracing::debug!(%error, count, "hints are lost");
        }
    }
}

async fn within<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    tokio::time::timeout(ANSWER, asked).await.unwrap_or_else(|_| Err(silent()))
}

fn silent() -> RedisError {
    (ErrorKind::Io, "Redis did not answer in time").into()
}

fn gone() -> RedisError {
    (ErrorKind::Io, "the connection is gone").into()
}

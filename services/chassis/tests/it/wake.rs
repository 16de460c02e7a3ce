//! Hints between replicas, over a real Redis.

use std::time::{Duration, Instant};

use petty_chassis::events::Wake;
use petty_chassis::events::redis::Connector;
use petty_chassis::events::wake::{Hint, Hints};
use petty_chassis::{Shutdown, Tasks};
use petty_provision::Stack;

/// A process, as far as hints go.
struct Replica {
    wake: Wake,
    shutdown: Shutdown,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Replica {
    fn new(stack: &Stack) -> Self {
        let shutdown = Shutdown::new();
        let redis = Connector::new(&stack.redis().url()).unwrap();
        let wake = Wake::new(&redis, &Tasks::new(shutdown.clone()), &shutdown);
        Self { wake, shutdown }
    }

    /// Listens, and is heard to.
    async fn listen(&self, channel: &'static str) -> Hints {
        let mut hints = self.wake.listen(channel);
        assert_eq!(next(&mut hints).await, Hint::Missed, "first of all: look at everything");
        hints
    }
}

async fn next(hints: &mut Hints) -> Hint {
    tokio::time::timeout(Duration::from_secs(20), hints.next()).await.expect("a hint")
}

fn told(text: &'static str) -> Hint {
    Hint::Told(text.into())
}

/// Publishes until it comes through; what was missed meanwhile is said before.
async fn reaches(from: &Replica, channel: &'static str, hints: &mut Hints) {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut missed = false;
    loop {
        assert!(Instant::now() < deadline, "no hint comes through");
        from.wake.publish(channel, b"again".to_vec());
        match tokio::time::timeout(Duration::from_millis(100), hints.next()).await {
            Ok(Hint::Missed) => missed = true,
            Ok(hint) if hint == told("again") && missed => return,
            Ok(_) | Err(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_reaches_every_listener_of_its_channel_and_no_other() {
    let stack = petty_provision::shared().await.unwrap();
    let (one, other) = (Replica::new(stack), Replica::new(stack));
    let (mut own, mut far) = (one.listen("wake-reach").await, other.listen("wake-reach").await);
    let mut apart = other.listen("wake-apart").await;
    let since = Instant::now();
    one.wake.publish("wake-reach", b"first".to_vec());
    one.wake.publish("wake-reach", b"second".to_vec());
    for hints in [&mut own, &mut far] {
        assert_eq!([next(hints).await, next(hints).await], [told("first"), told("second")]);
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    other.wake.publish("wake-apart", b"third".to_vec());
    assert_eq!(next(&mut apart).await, told("third"), "and nothing before it");

    // One that comes later is told to look, too, and the others are not told again.
    let mut late = other.listen("wake-reach").await;
    one.wake.publish("wake-reach", b"fourth".to_vec());
    assert_eq!([next(&mut late).await, next(&mut far).await], [told("fourth"), told("fourth")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_behind_is_told_to_look_at_everything() {
    let stack = petty_provision::shared().await.unwrap();
    let replica = Replica::new(stack);
    let (mut slow, mut quick) = (replica.listen("wake-lag").await, replica.listen("wake-lag").await);
    for _ in 0..1_100 {
        replica.wake.publish("wake-lag", b"much".to_vec());
        assert_eq!(next(&mut quick).await, told("much"));
    }
    assert_eq!(next(&mut slow).await, Hint::Missed);
    assert_eq!(next(&mut slow).await, told("much"));
}

/// Far more than may wait, at once.
fn publish_much(from: &Replica, channel: &'static str) {
    let since = Instant::now();
    for _ in 0..10_000 {
        from.wake.publish(channel, b"lost".to_vec());
    }
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn hints_come_again_after_redis_was_away_and_nothing_waits_for_it() {
    let stack = Stack::temporary().await.unwrap();
    let (one, other) = (Replica::new(&stack), Replica::new(&stack));
    let mut hints = other.listen("wake-away").await;
    one.wake.publish("wake-away", b"before".to_vec());
    assert_eq!(next(&mut hints).await, told("before"));
    stack.redis().kill();
    publish_much(&one, "wake-away");
    let mut unheard = one.wake.listen("wake-new");
    stack.redis().restart().await.unwrap();
    reaches(&one, "wake-away", &mut hints).await;
    reaches(&other, "wake-new", &mut unheard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_redis_stands_still_is_given_up() {
    let stack = Stack::temporary().await.unwrap();
    let (one, other) = (Replica::new(&stack), Replica::new(&stack));
    let mut hints = other.listen("wake-still").await;
    stack.redis().pause();
    publish_much(&one, "wake-still");
    // Longer than it takes to notice.
    assert_eq!(tokio::time::timeout(Duration::from_secs(3), hints.next()).await.ok(), None);
    stack.redis().resume();
    reaches(&one, "wake-still", &mut hints).await;
}

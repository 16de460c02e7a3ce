//! A token bucket as one replica knows it.
//!
//! Invariants: what is taken here is told the shared bucket, each of it once; between two answers of the shared bucket a
//! replica takes a small part of the quota at most, so that several replicas together exceed it by no more than that; and
//! whatever was taken too much is waited for, because the shared bucket owes it.

use tokio::time::Instant;

use super::Rate;

/// The part of a quota that may be taken before the shared bucket is asked again: one in fifty.
const PART: f64 = 1.0 / 50.0;
/// The part of a quota that may be refused at once before its caller is far over it, and the least of that. Of what comes back the same
/// part is forgiven: who asks for less than a tenth more than there is is never far over it.
const FORGIVEN: f64 = 1.0 / 10.0;
const LEAST_FORGIVEN: f64 = 10.0;

/// What a bucket holds.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// How much there is, at `at`; below nothing where others took more than there was.
    tokens: f64,
    at: Instant,
    /// Taken, and not told the shared bucket yet.
    untold: u32,
    /// How much may be taken before it is asked.
    credit: u32,
    /// Refused, and not forgiven yet.
    refused: f64,
}

/// What came of asking for one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Taken {
    /// Taken.
    One,
    /// The shared bucket is to be asked first.
    Ask,
    /// There is none.
    None,
}

/// How a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Level {
    /// How many may be taken at once.
    pub(super) remaining: u32,
    /// Seconds until it is full.
    pub(super) full_in: u64,
    /// Seconds until there is one.
    pub(super) one_in: u64,
}

impl Bucket {
    /// A full one, of which nothing is known: the first to take asks.
    pub(super) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, tokens: f64::from(rate.quota), at: now, untold: 0, credit: 0, refused: 0.0 }
    }

    /// Takes one, where there is one that may be taken without asking.
    pub(super) fn take(&mut self, now: Instant) -> Taken {
        self.refill(now);
        if self.tokens < 1.0 {
            // One more than is too many says it all.
            self.refused = (self.refused + 1.0).min(self.forgiven() + 1.0);
            return Taken::None;
        }
        if self.credit == 0 {
            return Taken::Ask;
        }
        self.tokens -= 1.0;
        self.credit -= 1;
        self.untold = self.untold.saturating_add(1);
        Taken::One
    }

    /// Whether one may be taken without asking, as far as asking goes.
    pub(super) fn may_go_on(&self) -> bool {
        self.credit > 0
    }

    /// Whether it was asked for far more than there was.
    pub(super) fn is_far_over(&self) -> bool {
        self.refused > self.forgiven()
    }

    fn forgiven(&self) -> f64 {
        (f64::from(self.rate.quota) * FORGIVEN).max(LEAST_FORGIVEN)
    }

    /// What the shared bucket is to be told. Whoever takes it tells it, or gives it back.
    pub(super) fn untold(&mut self) -> u32 {
        std::mem::take(&mut self.untold)
    }

    /// The shared bucket was told, and holds so much.
    pub(super) fn told(&mut self, shared: f64, now: Instant) {
        self.tokens = (shared - f64::from(self.untold)).min(f64::from(self.rate.quota));
        self.at = now;
        self.credit = self.part();
    }

    /// So much of what was taken stays to be told, no more than a quota of it; until the shared bucket is asked again this replica
    /// goes by itself.
    pub(super) fn alone(&mut self, untold: u32) {
        self.untold = self.untold.saturating_add(untold).min(self.rate.quota);
        self.credit = self.part();
    }

    /// How it stands.
    pub(super) fn level(&mut self, now: Instant) -> Level {
        self.refill(now);
        let seconds = |tokens: f64| u64::from(whole((tokens / self.rate.per_second()).ceil()));
        Level {
            remaining: whole(self.tokens),
            full_in: seconds(f64::from(self.rate.quota) - self.tokens),
            one_in: seconds(1.0 - self.tokens).max(1),
        }
    }

    fn part(&self) -> u32 {
        whole(f64::from(self.rate.quota) * PART).max(1)
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate.per_second()).min(f64::from(self.rate.quota));
        self.refused = (self.refused - passed * self.rate.per_second() * FORGIVEN).max(0.0);
        self.at = now.max(self.at);
    }
}

/// So many whole ones, of nothing and less none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "cut off is what is meant; as saturates"
)]
fn whole(tokens: f64) -> u32 {
    tokens as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { quota: 100, window: Duration::from_secs(10) };

    /// The shared bucket, as the script in Redis keeps it.
    struct Shared {
        tokens: f64,
        at: Instant,
    }

    impl Shared {
        fn charge(&mut self, count: u32, now: Instant) -> f64 {
            let passed = now.saturating_duration_since(self.at).as_secs_f64();
            self.tokens = (self.tokens + passed * RATE.per_second()).min(100.0) - f64::from(count);
            self.at = now;
            self.tokens
        }
    }

    proptest! {
        /// Whoever asks which replica when, and however seldom the replicas ask the shared bucket on their own.
        #[test]
        fn replicas_together_take_a_quota_and_what_came_back_and_little_more(
            asks in prop::collection::vec((0_usize..3, 0_u64..40), 1..2_000),
        ) {
            let begin = Instant::now();
            let mut now = begin;
            let mut shared = Shared { tokens: 100.0, at: begin };
            let mut replicas = [Bucket::new(RATE, begin), Bucket::new(RATE, begin), Bucket::new(RATE, begin)];
            let mut taken = 0_u32;
            for (replica, wait) in asks {
                now += Duration::from_millis(wait);
                let bucket = &mut replicas[replica];
                match bucket.take(now) {
                    Taken::One => taken += 1,
                    Taken::None => {}
                    Taken::Ask => {
                        let untold = bucket.untold();
                        bucket.told(shared.charge(untold, now), now);
                        taken += u32::from(bucket.take(now) == Taken::One);
                    }
                }
            }
            let came_back = now.saturating_duration_since(begin).as_secs_f64() * RATE.per_second();
            // Each of three replicas may hold two of a hundred that the others do not know of.
            prop_assert!(f64::from(taken) <= 100.0 + came_back + 3.0 * 2.0 + 1.0, "{taken} of {came_back}");
        }
    }

    #[test]
    fn what_is_gone_comes_back_with_time() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(RATE, begin);
        assert_eq!(bucket.take(begin), Taken::Ask, "the first asks");
        bucket.told(1.5, begin);
        assert_eq!(bucket.take(begin), Taken::One);
        assert_eq!(bucket.take(begin), Taken::None);
        let level = bucket.level(begin);
        assert_eq!(level, Level { remaining: 0, full_in: 10, one_in: 1 });
        assert_eq!(bucket.take(begin + Duration::from_millis(49)), Taken::None);
        assert_eq!(bucket.take(begin + Duration::from_millis(51)), Taken::One);
        assert_eq!(bucket.untold(), 2);
        assert_eq!(bucket.untold(), 0, "told once");
    }

    #[test]
    fn who_goes_on_at_more_than_a_tenth_over_the_quota_is_far_over_it_until_that_is_forgiven() {
        let begin = Instant::now();
        for (gap_ms, is_far_over) in [(95, false), (20, true)] {
            let mut bucket = Bucket::new(RATE, begin);
            bucket.told(0.0, begin);
            let mut now = begin;
            for _ in 0..400 {
                now += Duration::from_millis(gap_ms);
                if bucket.take(now) == Taken::Ask {
                    bucket.alone(0);
                }
            }
            assert_eq!(bucket.is_far_over(), is_far_over, "one in {gap_ms} ms, at ten a second");
            bucket.level(now + Duration::from_secs(2));
            assert!(!bucket.is_far_over());
        }
    }

    #[test]
    fn what_others_took_too_much_is_waited_for() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(RATE, begin);
        bucket.told(-20.0, begin);
        assert_eq!(bucket.level(begin).one_in, 3, "21 at 10 a second");
        assert_eq!(bucket.take(begin + Duration::from_millis(2_000)), Taken::None);
        assert_eq!(bucket.take(begin + Duration::from_millis(2_101)), Taken::One);
    }

    #[test]
    fn without_the_shared_bucket_it_limits_all_the_same() {
        let begin = Instant::now();
        let mut bucket = Bucket::new(RATE, begin);
        let mut taken = 0;
        for _ in 0..1_000 {
            match bucket.take(begin) {
                Taken::One => taken += 1,
                Taken::Ask => {
                    let untold = bucket.untold();
                    bucket.alone(untold);
                }
                Taken::None => {}
            }
        }
        assert_eq!(taken, 100);
        assert_eq!(bucket.untold(), 100, "and is told when it is back");
    }
}

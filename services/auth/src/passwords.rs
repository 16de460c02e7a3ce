//! Passphrases hashed with Argon2id, in a bounded pool.
//!
//! Invariant: a storm of log-ins waits here or is sent away, and takes neither all processors nor all memory from anybody
//! else.

mod pool;

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use petty_chassis::types::Entropy;
use petty_chassis::{ApiError, Code, Tasks};
use tokio::time::Instant;

use self::pool::{Pool, Refused};
use crate::domain::Problem;
use crate::domain::account::Passphrase;
use crate::domain::passphrase::{self, ContextWords, Factors};

/// OWASP's Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// So many may wait for one that hashes; the next is sent away.
const QUEUE: usize = 32;
/// How long somebody who was sent away should stay away: the whole queue is hashed in less.
const PAUSE: Duration = Duration::from_secs(1);

/// Hashes and verifies. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    entropy: Entropy,
    pool: Pool,
    /// The hash of nobody's passphrase: what an unknown address is compared with.
    nobody: Arc<str>,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verified {
    /// It is another passphrase, or there is none.
    Wrong,
    /// It is the one.
    Right,
    /// It is the one, and its hash was made with weaker parameters than today's.
    RightAndOutdated,
}

impl Verified {
    /// Whether it is the one.
    pub(crate) fn is_right(self) -> bool {
        match self {
            Self::Right | Self::RightAndOutdated => true,
            Self::Wrong => false,
        }
    }
}

impl Passwords {
    /// A pool in which so many are hashed at once. Each takes 19 MiB while it is.
    pub(crate) async fn new(tasks: &Tasks, entropy: Entropy, hashers: usize) -> Result<Self, ApiError> {
        let pool = Pool::start(tasks, hashers, QUEUE).map_err(ApiError::internal)?;
        let mut made = Self { entropy, pool, nobody: Arc::from("") };
        let nobody = Passphrase::attempt(&entropy.token::<32>())
            .map_err(|problem| ApiError::internal(problem.reason))?;
        made.nobody = made.hash(nobody, Instant::now() + Duration::from_secs(60)).await?.into();
        Ok(made)
    }

    /// The PHC string of a passphrase, begun before `deadline` or not at all.
    pub(crate) async fn hash(&self, passphrase: Passphrase, deadline: Instant) -> Result<String, ApiError> {
        let salt: [u8; 16] = self.entropy.bytes();
        let hashed = self.in_turn(deadline, move || {
            let hash = argon2()?.hash_password_with_salt(passphrase.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
        });
        hashed.await?.map_err(ApiError::internal)
    }

    /// Whether a passphrase is the one of a PHC string. Without one it takes as long, and is not. Begun before `deadline`
    /// or not at all.
    pub(crate) async fn verify(
        &self,
        passphrase: Passphrase,
        hash: Option<String>,
        deadline: Instant,
    ) -> Result<Verified, ApiError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.as_ref().to_owned());
        let verified = self.in_turn(deadline, move || {
            let kept = PasswordHash::new(&hash).map_err(|error| error.to_string())?;
            match argon2()?.verify_password(passphrase.expose().as_bytes(), &kept) {
                Ok(()) if is_outdated(&kept) => Ok(Verified::RightAndOutdated),
                Ok(()) => Ok(Verified::Right),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(Verified::Wrong),
                Err(error) => Err(error.to_string()),
            }
        });
        let verified: Verified = verified.await?.map_err(ApiError::internal)?;
        Ok(if known { verified } else { Verified::Wrong })
    }

    /// Refuses what would only be refused later, before anything is done for it.
    pub(crate) fn expect_room(&self) -> Result<(), ApiError> {
        if self.pool.has_room() { Ok(()) } else { Err(refusal(Refused::Full)) }
    }

    /// The PHC string of a new passphrase, or what is wrong with it: judged where it is hashed, so that neither holds up
    /// anybody else.
    pub(crate) async fn choose(
        &self,
        passphrase: Passphrase,
        factors: Factors,
        words: ContextWords,
        deadline: Instant,
    ) -> Result<Result<String, Problem>, ApiError> {
        let judged = self.in_turn(deadline, {
            let passphrase = passphrase.clone();
            move || passphrase::judge(&passphrase, factors, &words)
        });
        match judged.await? {
            Ok(()) => Ok(Ok(self.hash(passphrase, deadline).await?)),
            Err(problem) => Ok(Err(problem)),
        }
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        self.pool.run(deadline, work).await.map_err(refusal)
    }
}

fn refusal(refused: Refused) -> ApiError {
    match refused {
        Refused::Full => {
            let text = "too many are signing in just now; try again";
            let busy = ApiError::new(Code::ResourceExhausted, "SIGN_IN_BUSY", text);
            ApiError { retry_after: Some(PAUSE), ..busy }
        }
        Refused::Late => ApiError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "time ran out"),
        Refused::Lost => ApiError::internal(refused),
    }
}

fn argon2() -> Result<Argon2<'static>, String> {
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

/// Whether a hash is weaker than one made today. One that cannot be read as Argon2's is.
fn is_outdated(kept: &PasswordHash) -> bool {
    let current = kept.algorithm == Algorithm::Argon2id.ident()
        && kept.version == Some(Version::V0x13.into())
        && kept.salt.as_ref().is_some_and(|salt| salt.len() >= 16)
        && kept.hash.as_ref().is_some_and(|hash| hash.len() >= Params::DEFAULT_OUTPUT_LEN);
    let parameters = Params::try_from(kept);
    !current
        || parameters.is_err()
        || parameters.is_ok_and(|kept| kept.m_cost() < MEMORY_KIB || kept.t_cost() < PASSES)
}

#[cfg(test)]
mod tests {
    use petty_chassis::Shutdown;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::attempt(text).unwrap()
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    async fn pool() -> Passwords {
        Passwords::new(&Tasks::new(Shutdown::new()), Entropy, 2).await.unwrap()
    }

    #[tokio::test]
    async fn passphrases_verify_against_their_own_hash_only() {
        let pool = pool().await;
        let hash = pool.hash(passphrase("correct horse battery"), later()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        for (text, hash, expected) in [
            ("correct horse battery", Some(hash.clone()), Verified::Right),
            ("correct horse batterY", Some(hash), Verified::Wrong),
            ("correct horse battery", None, Verified::Wrong),
        ] {
            assert_eq!(pool.verify(passphrase(text), hash, later()).await.unwrap(), expected, "{text}");
        }
    }

    #[tokio::test]
    async fn weaker_hashes_are_known_as_such() {
        let pool = pool().await;
        for (algorithm, version, memory, passes, outdated) in [
            (Algorithm::Argon2id, Version::V0x13, MEMORY_KIB, PASSES, false),
            (Algorithm::Argon2id, Version::V0x13, MEMORY_KIB + 1, PASSES + 1, false),
            (Algorithm::Argon2id, Version::V0x13, MEMORY_KIB - 1, PASSES, true),
            (Algorithm::Argon2id, Version::V0x13, MEMORY_KIB, PASSES - 1, true),
            (Algorithm::Argon2id, Version::V0x10, MEMORY_KIB, PASSES, true),
            (Algorithm::Argon2i, Version::V0x13, MEMORY_KIB, PASSES, true),
        ] {
            let parameters = Params::new(memory, passes, LANES, None).unwrap();
            let hash = Argon2::new(algorithm, version, parameters)
                .hash_password_with_salt(b"some passphrase", &[7; 16])
                .unwrap()
                .to_string();
            let expected = if outdated { Verified::RightAndOutdated } else { Verified::Right };
            let verified =
                pool.verify(passphrase("some passphrase"), Some(hash.clone()), later()).await.unwrap();
            assert_eq!(verified, expected, "{hash}");
            let verified = pool.verify(passphrase("some other"), Some(hash), later()).await.unwrap();
            assert_eq!(verified, Verified::Wrong);
        }
    }

    #[tokio::test]
    async fn a_long_queue_sends_away_and_recovers() {
        let pool = pool().await;
        let attempts = (0..300).map(|_| pool.verify(passphrase("some passphrase"), None, later()));
        let storm = futures::future::join_all(attempts).await;
        let refused: Vec<_> = storm.iter().filter_map(|answer| answer.as_ref().err()).collect();
        // How many exactly is the pool's own test.
        assert!((1..300).contains(&refused.len()), "{}", refused.len());
        assert!(refused.iter().all(|error| error.reason == "SIGN_IN_BUSY" && error.retry_after.is_some()));
        let again = pool.verify(passphrase("some passphrase"), None, later()).await.unwrap();
        assert_eq!(again, Verified::Wrong);
    }

    #[tokio::test]
    async fn what_comes_too_late_is_not_hashed() {
        let pool = pool().await;
        let late = pool.verify(passphrase("some passphrase"), None, Instant::now()).await.unwrap_err();
        assert_eq!((late.code, late.reason), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    }
}

//! Passphrases hashed with Argon2id, in a bounded pool.
//!
//! Invariant: a storm of log-ins waits here or is sent away, and takes neither all processors nor all memory from anybody
//! else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use petty_chassis::types::Entropy;
use petty_chassis::{ApiError, Code, Tasks};
use tokio::sync::Semaphore;

use crate::domain::Problem;
use crate::domain::account::Passphrase;
use crate::domain::passphrase::{self, ContextWords, Factors};

/// OWASP's Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// So many may wait for one that hashes; the next is sent away.
const QUEUE: usize = 32;

/// Hashes and verifies. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Passwords {
    tasks: Tasks,
    entropy: Entropy,
    turns: Arc<Semaphore>,
    hashers: usize,
    waiting: Arc<AtomicUsize>,
    /// The hash of nobody's passphrase: what an unknown address is compared with.
    nobody: Arc<str>,
}

impl Passwords {
    /// A pool in which so many are hashed at once.
    pub(crate) async fn new(tasks: Tasks, entropy: Entropy, hashers: usize) -> Result<Self, ApiError> {
        let turns = Arc::new(Semaphore::new(hashers));
        let mut pool =
            Self { tasks, entropy, turns, hashers, waiting: Arc::default(), nobody: Arc::from("") };
        let nobody = Passphrase::attempt(&entropy.token::<32>())
            .map_err(|problem| ApiError::internal(problem.reason))?;
        pool.nobody = pool.hash(nobody).await?.into();
        Ok(pool)
    }

    /// The PHC string of a passphrase.
    pub(crate) async fn hash(&self, passphrase: Passphrase) -> Result<String, ApiError> {
        let salt: [u8; 16] = self.entropy.bytes();
        let hashed = self.in_turn(move || {
            let hash = argon2()?.hash_password_with_salt(passphrase.expose().as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
        });
        hashed.await?.map_err(ApiError::internal)
    }

    /// Whether a passphrase is the one of a PHC string. Without one it takes as long, and is not.
    pub(crate) async fn verify(
        &self,
        passphrase: Passphrase,
        hash: Option<String>,
    ) -> Result<bool, ApiError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.as_ref().to_owned());
        let verified = self.in_turn(move || {
            let verified = argon2()?.verify_password(passphrase.expose().as_bytes(), hash.as_str());
            match verified {
                Ok(()) => Ok(true),
                Err(argon2::password_hash::Error::PasswordInvalid) => Ok(false),
                Err(error) => Err(error.to_string()),
            }
        });
        let verified: bool = verified.await?.map_err(ApiError::internal)?;
        Ok(verified && known)
    }

    /// The PHC string of a new passphrase, or what is wrong with it: judged where it is hashed, so that neither holds up anybody else.
    pub(crate) async fn choose(
        &self,
        passphrase: Passphrase,
        factors: Factors,
        words: ContextWords,
    ) -> Result<Result<String, Problem>, ApiError> {
        let judged = self.in_turn({
            let passphrase = passphrase.clone();
            move || passphrase::judge(&passphrase, factors, &words)
        });
        match judged.await? {
            Ok(()) => Ok(Ok(self.hash(passphrase).await?)),
            Err(problem) => Ok(Err(problem)),
        }
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _place = Place::take(&self.waiting, QUEUE + self.hashers)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(ApiError::internal)?;
        // The turn ends with the work, not with a caller who went away meanwhile.
        let hashing = self.tasks.spawn_blocking("hash-passphrase", move || {
            let _turn = turn;
            work()
        });
        hashing.await.map_err(ApiError::internal)
    }
}

fn argon2() -> Result<Argon2<'static>, String> {
    let parameters = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters))
}

/// A place in the queue, given back when dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(waiting: &Arc<AtomicUsize>, most: usize) -> Result<Self, ApiError> {
        let place = Self(waiting.clone());
        if waiting.fetch_add(1, Ordering::AcqRel) < most {
            return Ok(place);
        }
        let text = "too many are signing in just now; try again";
        let busy = ApiError::new(Code::ResourceExhausted, "SIGN_IN_BUSY", text);
        Err(ApiError { retry_after: Some(Duration::from_secs(1)), ..busy })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use petty_chassis::Shutdown;

    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::attempt(text).unwrap()
    }

    async fn pool() -> Passwords {
        Passwords::new(Tasks::new(Shutdown::new()), Entropy, 2).await.unwrap()
    }

    #[tokio::test]
    async fn passphrases_verify_against_their_own_hash_only() {
        let pool = pool().await;
        let hash = pool.hash(passphrase("correct horse battery")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(pool.verify(passphrase("correct horse battery"), Some(hash.clone())).await.unwrap());
        assert!(!pool.verify(passphrase("correct horse batterY"), Some(hash)).await.unwrap());
        assert!(!pool.verify(passphrase("correct horse battery"), None).await.unwrap());
    }

    #[tokio::test]
    async fn a_long_queue_sends_away_and_recovers() {
        let pool = pool().await;
        let storm =
            futures::future::join_all((0..100).map(|_| pool.verify(passphrase("some passphrase"), None)))
                .await;
        let refused: Vec<_> = storm.iter().filter_map(|answer| answer.as_ref().err()).collect();
        assert_eq!(refused.len(), 100 - QUEUE - 2);
        assert!(
            refused.iter().all(|error| error.code == Code::ResourceExhausted && error.retry_after.is_some())
        );
        assert!(!pool.verify(passphrase("some passphrase"), None).await.unwrap());
    }
}

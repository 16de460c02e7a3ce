//! Requests that came with a `request_id`: their answers, kept in the transaction that made them.
//!
//! Answers hold what people wrote, so they are sealed under a key that only the request itself yields: whoever sends it
//! again has it, the database has not. The id is kept as a hash for the same reason.
//!
//! Invariants: of two sendings of one request, one has an effect, whatever happens to Redis or to the connection; nothing
//! of request or answer can be read from what is kept.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use prost::Message;
use sha2::{Digest as _, Sha256};

use super::{Error, Tx};
use crate::error::{ApiError, Code};
use crate::grpc::scope::note_replay;
use crate::types::{Clock, Entropy};

/// Does a request's work once: of a second sending the answer to the first is the answer. To be called in the transaction that
/// the work is done in. Not for answers with secrets, which are not to be kept: [`once_shown`].
///
/// # Errors
/// `IDEMPOTENCY_KEY_REUSED` where the id came with another request; else the work's own.
pub async fn once<R: Message, T: Message + Default>(
    tx: &Tx,
    clock: &Clock,
    (request_id, method): (&str, &'static str),
    request: &R,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let yields = &(!request_id.is_empty()).then(|| Yields::of(request_id, method, request));
    if let Some(yields) = yields
        && !take(tx, clock, yields, method).await?
    {
        // In a box: it is rare, and whoever does the work should not carry it.
        return Box::pin(repeated(tx, yields, method)).await;
    }
    let answer = work.await?;
    if let Some(yields) = yields {
        keep(tx, yields, &answer).await?;
    }
    Ok(answer)
}

/// The answer to the first sending of a request.
async fn repeated<T: Message + Default>(tx: &Tx, request: &Yields, method: &str) -> Result<T, ApiError> {
    // Gone only where it was forgotten in this very moment: sent again, the request is new.
    let before = earlier(tx, request, method).await?;
    let before =
        before.ok_or_else(|| ApiError::internal("a request was forgotten while it was looked at"))?;
    let answer = before.answer.ok_or_else(already_shown)?;
    let answer =
        open(&request.key, &answer).ok_or_else(|| ApiError::internal("a kept answer does not open"))?;
    let answer = T::decode(answer.as_slice()).map_err(ApiError::internal)?;
    note_replay();
    Ok(answer)
}

/// Takes the id of a request whose answer holds a secret and is not kept: only its first sending gets one. To be called in the
/// transaction that the work is done in. With an empty id every request is new.
///
/// # Errors
/// `IDEMPOTENCY_KEY_REUSED` where the id came with another request, `SECRET_ALREADY_SHOWN` where it was answered.
pub async fn once_shown<R: Message>(
    tx: &Tx,
    clock: &Clock,
    (request_id, method): (&str, &'static str),
    request: &R,
) -> Result<(), ApiError> {
    if request_id.is_empty() {
        return Ok(());
    }
    let yields = &Yields::of(request_id, method, request);
    if take(tx, clock, yields, method).await? {
        return Ok(());
    }
    earlier(tx, yields, method).await?;
    Err(already_shown())
}

/// Looks whether [`once_shown`] would refuse a request, and takes nothing.
///
/// # Errors
/// As of [`once_shown`].
pub async fn unshown<R: Message>(
    tx: &Tx,
    (request_id, method): (&str, &'static str),
    request: &R,
) -> Result<(), ApiError> {
    if request_id.is_empty() {
        return Ok(());
    }
    match earlier(tx, &Yields::of(request_id, method, request), method).await? {
        Some(_) => Err(already_shown()),
        None => Ok(()),
    }
}

/// Takes an id, unless it is taken. Waits for a running transaction with the same, so that the row is either ours or whole.
async fn take(tx: &Tx, clock: &Clock, request: &Yields, method: &str) -> Result<bool, ApiError> {
    let sql = "-- begin_request\nINSERT INTO event_requests (request_id, method, request_hash, created_at)
               VALUES ($1, $2, $3, $4) ON CONFLICT (request_id) DO NOTHING";
    Ok(tx.execute(sql, &[&request.id, &method, &request.check, &clock.now()]).await? == 1)
}

/// A request that came before.
struct Earlier {
    /// Its sealed answer; `None` where that was a secret.
    answer: Option<Vec<u8>>,
}

/// What came before with a request's id, which must have been the same request.
async fn earlier(tx: &Tx, request: &Yields, method: &str) -> Result<Option<Earlier>, ApiError> {
    let sql =
        "-- earlier_request\nSELECT method, request_hash, answer FROM event_requests WHERE request_id = $1";
    let Some(row) = tx.query_opt(sql, &[&request.id]).await? else { return Ok(None) };
    let (known_method, known_check): (String, Vec<u8>) =
        (Error::column(&row, "event_requests", 0)?, Error::column(&row, "event_requests", 1)?);
    if known_method != method || known_check != request.check {
        let text = "this idempotency key was used for another request";
        return Err(ApiError::new(Code::RequestIdReused, "IDEMPOTENCY_KEY_REUSED", text));
    }
    Ok(Some(Earlier { answer: Error::column(&row, "event_requests", 2)? }))
}

fn already_shown() -> ApiError {
    ApiError::new(Code::Conflict, "SECRET_ALREADY_SHOWN", "the secret was shown in the first answer")
}

/// What a request yields, and the database does not: it keeps neither the request nor its id.
struct Yields {
    /// The id as it is kept.
    id: String,
    /// What tells a request from another of the same id.
    check: Vec<u8>,
    /// What its answer is sealed under.
    key: [u8; 32],
}

impl Yields {
    fn of<R: Message>(request_id: &str, method: &str, request: &R) -> Self {
        let body = request.encode_to_vec();
        // Keyed by the id, which is not kept and not to be guessed: without it not even short requests can be tried.
        let id_key = hmac::Key::new(hmac::HMAC_SHA256, request_id.as_bytes());
        let whole = |purpose: &str| {
            let text =
                [b"petty request\0", purpose.as_bytes(), b"\0", method.as_bytes(), b"\0", &body].concat();
            hmac::sign(&id_key, &text)
        };
        let id =
            hex::encode(Sha256::new().chain_update("petty request\0").chain_update(request_id).finalize());
        let mut key = [0; 32];
        key.copy_from_slice(whole("answer").as_ref());
        Self { id, check: whole("check").as_ref().to_vec(), key }
    }
}

/// Keeps the answer of a request whose id was taken.
async fn keep<T: Message>(tx: &Tx, request: &Yields, answer: &T) -> Result<(), ApiError> {
    let sealed = seal(&request.key, answer.encode_to_vec());
    let sealed = sealed.ok_or_else(|| ApiError::internal("an answer cannot be sealed"))?;
    let sql = "-- finish_request\nUPDATE event_requests SET answer = $2 WHERE request_id = $1";
    tx.execute(sql, &[&request.id, &sealed]).await.map_err(ApiError::from).map(|_| ())
}

/// Nonce, ciphertext, tag.
fn seal(key: &[u8; 32], mut text: Vec<u8>) -> Option<Vec<u8>> {
    let nonce: [u8; NONCE_LEN] = Entropy.bytes();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).ok()?;
    Some([nonce.as_slice(), &text].concat())
}

fn open(key: &[u8; 32], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let length = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut text).ok()?.len();
    text.truncate(length);
    Some(text)
}

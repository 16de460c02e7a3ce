//! Requests that came with a `request_id`: their answers, kept in the transaction that made them.
//!
//! Invariant: of two sendings of one request, one has an effect, whatever happens to Redis or to the connection.

use prost::Message;
use sha2::{Digest as _, Sha256};

use super::{Error, Tx};
use crate::error::{ApiError, Code};
use crate::grpc::scope::note_replay;
use crate::types::Clock;

/// Does a request's work once: of a second sending the answer to the first is the answer. To be called in the transaction that
/// the work is done in. Not for answers with secrets, which are not to be kept: [`begin`].
///
/// # Errors
/// `REQUEST_ID_REUSED` where the id came with another request; else the work's own.
pub async fn once<R: Message, T: Message + Default>(
    tx: &Tx,
    clock: &Clock,
    (request_id, method): (&str, &'static str),
    request: &R,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    if let Before::Answered(answer) = begin(tx, clock, request_id, method, request).await? {
        return Ok(answer);
    }
    let answer = work.await?;
    finish(tx, request_id, &answer).await?;
    Ok(answer)
}

/// What became of a request before.
#[derive(Debug)]
pub enum Before<T> {
    /// Nothing: it is new, and its id is now taken by this transaction.
    New,
    /// It was answered so.
    Answered(T),
}

/// Takes a request's id, or finds its earlier answer. With an empty id every request is new.
///
/// # Errors
/// `REQUEST_ID_REUSED` where the id came with another request, `SECRET_ALREADY_SHOWN` where the answer was a secret.
pub async fn begin<R: Message, T: Message + Default>(
    tx: &Tx,
    clock: &Clock,
    request_id: &str,
    method: &'static str,
    request: &R,
) -> Result<Before<T>, ApiError> {
    if request_id.is_empty() {
        return Ok(Before::New);
    }
    let hash = Sha256::digest(request.encode_to_vec()).to_vec();
    // Waits for a running transaction with the same id, so that the row is either ours or whole.
    let sql = "-- begin_request\nINSERT INTO event_requests (request_id, method, request_hash, created_at)
               VALUES ($1, $2, $3, $4) ON CONFLICT (request_id) DO NOTHING";
    if tx.execute(sql, &[&request_id, &method, &hash, &clock.now()]).await? == 1 {
        return Ok(Before::New);
    }
    let sql =
        "-- earlier_request\nSELECT method, request_hash, answer FROM event_requests WHERE request_id = $1";
    let row = tx.query_one(sql, &[&request_id]).await?;
    let (known_method, known_hash): (String, Vec<u8>) =
        (Error::column(&row, "event_requests", 0)?, Error::column(&row, "event_requests", 1)?);
    if known_method != method || known_hash != hash {
        let text = "this idempotency key was used for another request";
        return Err(ApiError::new(Code::RequestIdReused, "IDEMPOTENCY_KEY_REUSED", text));
    }
    let answer: Option<Vec<u8>> = Error::column(&row, "event_requests", 2)?;
    match answer {
        Some(bytes) => {
            let answer = T::decode(bytes.as_slice()).map_err(ApiError::internal)?;
            note_replay();
            Ok(Before::Answered(answer))
        }
        None => Err(ApiError::new(
            Code::Conflict,
            "SECRET_ALREADY_SHOWN",
            "the secret was shown in the first answer",
        )),
    }
}

/// Keeps the answer of a request that [`begin`] found new.
async fn finish<T: Message>(tx: &Tx, request_id: &str, answer: &T) -> Result<(), Error> {
    if request_id.is_empty() {
        return Ok(());
    }
    let sql = "-- finish_request\nUPDATE event_requests SET answer = $2 WHERE request_id = $1";
    tx.execute(sql, &[&request_id, &answer.encode_to_vec()]).await.map(|_| ())
}

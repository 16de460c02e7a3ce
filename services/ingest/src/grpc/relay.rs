//! Readings over one long call.
//!
//! Invariants: an answer is given in the order of the messages, and only once all that the message held is on disk or refused;
//! of one call no more than a window of messages is in memory, whatever its sender sends; what a message waits for is not held
//! up by a sender that reads no answers.

use std::time::Duration;

use futures::{Stream, StreamExt as _};
use petty_chassis::error::Code;
use petty_chassis::grpc::gate::{Call, RelayServiceHandler, Requests, Streaming};
use petty_chassis::{ApiError, FieldError};
use petty_proto::ingest::v1 as wire;

use super::Grpc;
use super::batch::Patience;

/// So many messages are worked on at once.
const WINDOW: usize = 8;
/// A sender that says nothing for so long is taken to be gone.
const IDLE: Duration = Duration::from_secs(5 * 60);

#[tonic::async_trait]
impl RelayServiceHandler for Grpc {
    async fn stream_readings(
        &self,
        call: Call,
        requests: Requests<wire::StreamReadingsRequest>,
    ) -> Result<Streaming<wire::StreamReadingsResponse>, ApiError> {
        call.caller().await?;
        let grpc = self.clone();
        let answers = numbered(requests).map(move |message| {
            let (grpc, call) = (grpc.clone(), call.clone());
            // Begun here, and from then on nobody's to hold up: least of all a sender's that reads no answers.
            let work = message.map(|message| {
                let (tasks, grpc) = (grpc.tasks.clone(), grpc);
                tasks.spawn("relay-message", async move { grpc.answer(&call, message).await })
            });
            async move {
                let answered = work?.await.ok().flatten();
                answered
                    .unwrap_or_else(|| Err(ApiError::internal("taking a message in panicked or was cut off")))
            }
        });
        Ok(Box::pin(answers.buffered(WINDOW)))
    }
}

impl Grpc {
    async fn answer(
        &self,
        call: &Call,
        message: wire::StreamReadingsRequest,
    ) -> Result<wire::StreamReadingsResponse, ApiError> {
        let number = message.number;
        let taking = self.take_batch(call, message.readings, Patience::Some);
        let taken = tokio::time::timeout(call.policy().deadline, taking).await.unwrap_or_else(|_| {
            Err(ApiError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "time ran out"))
        })?;
        let wire::IngestReadingsResponse { accepted, duplicates, conflicting, rejected } = taken;
        Ok(wire::StreamReadingsResponse { number, accepted, duplicates, conflicting, rejected })
    }
}

/// The messages, whose numbers rise. The first that cannot be used is the last.
fn numbered(
    requests: Requests<wire::StreamReadingsRequest>,
) -> impl Stream<Item = Result<wire::StreamReadingsRequest, ApiError>> + Send {
    futures::stream::unfold(Some((requests, 0)), |state| async move {
        let (mut requests, last) = state?;
        let next = match tokio::time::timeout(IDLE, requests.next()).await {
            Err(_) => Err(ApiError::new(Code::DeadlineExceeded, "IDLE", "nothing came for five minutes")),
            Ok(None) => return None,
            Ok(Some(Ok(message))) if message.number <= last => {
                let reason = "must be 1 or more, and more than that of the message before";
                Err(FieldError::out_of_range("number", reason).into())
            }
            Ok(Some(next)) => next,
        };
        let state = next.as_ref().ok().map(|message| (requests, message.number));
        Some((next, state))
    })
}

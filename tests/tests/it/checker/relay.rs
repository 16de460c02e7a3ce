//! Sending by stream, straight to ingest: what was answered is acknowledged, and the rest of a broken call is unknown.

use jiff::Timestamp;
use petty_proto::ingest::v1 as wire;
use petty_tests::relay::Relay;
use tonic::{Code, Status};

use super::ledger::{Key, Known, Ledger};
use super::load::{Asked, PATIENCE};

/// Sends some messages over one call; what is known of each.
pub(super) async fn send(relay: &Relay, token: &str, asked: &[Asked], ledger: &Ledger) -> Vec<Known> {
    let mut known = vec![Known::Unknown; asked.len()];
    let answering = answers(relay, token, asked, &mut known);
    if let Ok(Err(status)) = tokio::time::timeout(PATIENCE, answering).await {
        let passes =
            [Code::Unavailable, Code::DeadlineExceeded, Code::Cancelled, Code::Unknown, Code::Internal];
        assert!(passes.contains(&status.code()), "a good call was refused for good: {status:?}");
        // Of a connection that broke the client makes these itself. What a service says has details.
        let is_fault = matches!(status.code(), Code::Internal | Code::Unknown);
        if is_fault && !status.details().is_empty() {
            ledger.note_fault(&format!("{status:?}"));
        }
    }
    known
}

async fn answers(relay: &Relay, token: &str, asked: &[Asked], known: &mut [Known]) -> Result<(), Status> {
    let messages: Vec<wire::StreamReadingsRequest> =
        asked.iter().zip(1..).map(|(asked, number)| message(asked, number)).collect();
    let mut answers = relay.open(token, futures::stream::iter(messages)).await?;
    for ((asked, known), number) in asked.iter().zip(known).zip(1..) {
        let Some(answer) = answers.message().await? else { return Ok(()) };
        assert_eq!(answer.number, number, "answers are in order");
        let counted = usize::try_from(answer.accepted + answer.duplicates).unwrap();
        let rejected = usize::from(asked.bad.is_some());
        assert_eq!((counted, answer.rejected.len()), (asked.readings.len(), rejected), "{answer:?}");
        *known = Known::Acknowledged;
    }
    Ok(())
}

fn message(asked: &Asked, number: i64) -> wire::StreamReadingsRequest {
    let readings = asked.readings.iter().chain(&asked.bad).map(reading).collect();
    wire::StreamReadingsRequest { number, readings }
}

fn reading(((collar, time_us), heart_rate): &(Key, f64)) -> wire::Reading {
    wire::Reading {
        collar_id: collar.clone(),
        timestamp: Some(Timestamp::from_microsecond(*time_us).unwrap().into()),
        heart_rate: Some(*heart_rate),
        ..wire::Reading::default()
    }
}

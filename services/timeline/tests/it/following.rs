//! Streams, as a client reads them.

use std::pin::Pin;
use std::time::Duration;

use futures::{FutureExt as _, Stream, StreamExt as _};
use petty_chassis::grpc::gate::Guarded;
use petty_chassis::types::{AccountId, PetId};
use petty_proto::timeline::v1::timeline_service_server::TimelineService as _;
use petty_proto::timeline::v1::timeline_update::Type;
use petty_proto::timeline::v1::{StreamTimelineRequest, TimelineUpdate};
use petty_timeline::grpc::Grpc;
use tonic::Status;

use crate::bench::Bench;

/// What does not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(20);

/// An open stream.
pub(crate) struct Updates {
    stream: Pin<Box<dyn Stream<Item = Result<TimelineUpdate, Status>> + Send>>,
}

pub(crate) fn request(pet: PetId, last_event_id: &str) -> StreamTimelineRequest {
    StreamTimelineRequest { pet_id: pet.to_string(), last_event_id: last_event_id.to_owned() }
}

/// Opens a stream at a replica.
pub(crate) async fn open(
    grpc: &Guarded<Grpc>,
    bench: &Bench,
    (account, pet): (AccountId, PetId),
    last_event_id: &str,
) -> Result<Updates, Status> {
    let request = bench.request(account, request(pet, last_event_id));
    Ok(Updates::new(grpc.stream_timeline(request).await?.into_inner()))
}

impl Updates {
    pub(crate) fn new(stream: impl Stream<Item = Result<TimelineUpdate, Status>> + Send + 'static) -> Self {
        Self { stream: Box::pin(stream) }
    }

    /// The next update, or what the stream ended with.
    pub(crate) async fn next(&mut self) -> Result<TimelineUpdate, Status> {
        let next = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        next.expect("an update in time").expect("the stream goes on")
    }

    /// The next updates' numbers and types.
    pub(crate) async fn told(&mut self, count: usize) -> Vec<(String, Type)> {
        let mut told = Vec::new();
        while told.len() < count {
            let update = self.next().await.unwrap();
            told.push((update.id.clone(), update.r#type()));
        }
        told
    }

    /// The next updates.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<TimelineUpdate> {
        let mut updates = Vec::new();
        while updates.len() < count {
            updates.push(self.next().await.unwrap());
        }
        updates
    }

    /// Whether nothing is there to be read just now.
    pub(crate) fn is_silent(&mut self) -> bool {
        self.stream.next().now_or_never().is_none()
    }
}

/// Numbers and types, as they are expected.
pub(crate) fn expected(updates: &[(i64, Type)]) -> Vec<(String, Type)> {
    updates.iter().map(|(number, r#type)| (number.to_string(), *r#type)).collect()
}

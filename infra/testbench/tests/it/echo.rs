//! A service that answers what its gate let through.

use std::time::Duration;

use futures::StreamExt as _;
use petty_chassis::ApiError;
use petty_chassis::grpc::gate::{Call, Guarded, Streaming, TimelineServiceHandler};
use petty_chassis::postgres::Migrations;
use petty_chassis::postgres::refinery::Runner;
use petty_proto::timeline::v1 as wire;
use petty_testbench::{Bench, Plan};

/// Answers the role or the pairings that a call was let through with.
#[derive(Debug)]
pub(crate) struct Echo;

#[tonic::async_trait]
impl TimelineServiceHandler for Echo {
    async fn list_timeline(
        &self,
        call: Call,
        _request: wire::ListTimelineRequest,
    ) -> Result<wire::ListTimelineResponse, ApiError> {
        let role = call.pet().await?.role.as_str();
        Ok(wire::ListTimelineResponse { next_page_token: role.to_owned(), ..Default::default() })
    }

    async fn get_day(&self, call: Call, _request: wire::GetDayRequest) -> Result<wire::Day, ApiError> {
        call.pet().await?;
        Ok(wire::Day::default())
    }

    /// One that is ready, and then nothing.
    async fn stream_timeline(
        &self,
        call: Call,
        _request: wire::StreamTimelineRequest,
    ) -> Result<Streaming<wire::TimelineUpdate>, ApiError> {
        call.pet().await?;
        let first = wire::TimelineUpdate { id: "7".to_owned(), ..Default::default() };
        let then = futures::stream::pending();
        Ok(futures::stream::iter([Ok(first)]).chain(then).boxed())
    }

    async fn get_pet_timeline(
        &self,
        call: Call,
        _request: wire::GetPetTimelineRequest,
    ) -> Result<wire::GetPetTimelineResponse, ApiError> {
        let pairings = call.collar().await?.pairings;
        let seen: Vec<String> =
            pairings.iter().map(|pairing| format!("{} {}", pairing.pet_id, pairing.role.as_str())).collect();
        Ok(wire::GetPetTimelineResponse { collar_id: seen.join(", "), ..Default::default() })
    }
}

/// A bench without tables of its own.
pub(crate) async fn bench(name: &str) -> Bench {
    plan().lay(name).await
}

pub(crate) fn plan() -> Plan {
    Plan::new("timeline", Migrations::new(Runner::new(&[]))).with("PETTY_GRACE_PERIOD", "3s")
}

pub(crate) fn guarded(bench: &Bench) -> Guarded<Echo> {
    bench.guard(Echo)
}

/// Longer than anything here takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

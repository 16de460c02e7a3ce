//! Readings over long calls, as a hub sends them: one for each account, its collars' messages by turns.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::{StreamExt as _, TryStreamExt as _};
use petty_chassis::grpc::Channel;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::relay_service_client::RelayServiceClient;

use super::herd::Herd;
use super::send::{CONNECTIONS, readings};

/// Every collar's seconds over calls of their owners, `size` a message; how long until the last was answered, and how many were
/// accepted. The messages of a call are sent as fast as they are taken.
pub(super) async fn send(
    client: &RelayServiceClient<Channel>,
    herd: &Herd,
    first: i64,
    rounds: i64,
    size: i64,
) -> anyhow::Result<(Duration, u64)> {
    let mut calls = Vec::new();
    let mut nth = 0;
    for of in herd.collars.chunk_by(|a, b| a.owner == b.owner) {
        let collars = nth..nth + of.len();
        nth = collars.end;
        let mut messages = Vec::new();
        for round in 0..rounds {
            for collar in collars.clone() {
                let number = i64::try_from(messages.len())? + 1;
                let readings = readings(herd, collar, first + round * size, size);
                messages.push(wire::StreamReadingsRequest { number, readings });
            }
        }
        calls.push((of[0].owner.clone(), messages));
    }
    let since = Instant::now();
    let accepted = futures::stream::iter(calls)
        .map(|(owner, messages)| {
            let mut client = client.clone();
            async move {
                let count = messages.len();
                let mut request = tonic::Request::new(futures::stream::iter(messages));
                request.metadata_mut().insert("authorization", format!("Bearer {owner}").parse()?);
                let mut answers = client.stream_readings(request).await?.into_inner();
                let (mut last, mut accepted) = (0, 0);
                while let Some(answer) = answers.message().await? {
                    ensure!(answer.number == last + 1, "{} was answered after {last}", answer.number);
                    ensure!(answer.rejected.is_empty(), "refused: {:?}", answer.rejected.first());
                    last = answer.number;
                    accepted += u64::try_from(answer.accepted)?;
                }
                ensure!(usize::try_from(last)? == count, "{last} of {count} messages were answered");
                anyhow::Ok(accepted)
            }
        })
        .buffer_unordered(CONNECTIONS)
        .try_fold(0, |sum, one| std::future::ready(Ok(sum + one)))
        .await?;
    Ok((since.elapsed(), accepted))
}

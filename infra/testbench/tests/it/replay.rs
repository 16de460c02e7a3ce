//! Events that go out again, for a Redis that lost them.

use petty_chassis::events::{Outgoing, outbox, topics};
use petty_chassis::postgres::Error;
use petty_chassis::types::PetId;
use petty_proto::events::v1::event_operations_service_server::EventOperationsService as _;
use petty_proto::events::v1::{DataErased, Envelope, ReplayEventsRequest};
use petty_testbench::{Badge, Bench, SHARDS, at, eventually, fields};
use prost::Message as _;
use redis::AsyncCommands as _;
use redis::streams::StreamRangeReply;

use crate::echo::plan;

async fn write(bench: &Bench, count: usize) -> Vec<PetId> {
    let pets: Vec<PetId> = (0..count).map(|_| bench.pet_id()).collect();
    let (pets, clock) = (&pets, &bench.clock);
    bench
        .base
        .db
        .transaction("write", |tx| async move {
            for pet in pets {
                let payload = DataErased { pet_id: pet.to_string(), ..DataErased::default() };
                let event = Outgoing::of_pet(&topics::DATA_ERASED, *pet, 0, SHARDS, &payload);
                outbox::write(&tx, clock, &event).await?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    pets.clone()
}

/// Every stream's envelopes, in their order.
async fn streams(bench: &Bench) -> Vec<Vec<Envelope>> {
    let mut all = Vec::new();
    for shard in 0..SHARDS {
        let key = topics::DATA_ERASED.stream(shard);
        let found: StreamRangeReply = bench.base.redis.shared().xrange_all(key).await.unwrap();
        let envelopes = found.ids.iter().map(|entry| {
            let bytes: Vec<u8> = entry.get("e").unwrap();
            Envelope::decode(bytes.as_slice()).unwrap()
        });
        all.push(envelopes.collect());
    }
    all
}

async fn sent(bench: &Bench) -> usize {
    streams(bench).await.iter().map(Vec::len).sum()
}

async fn replay(bench: &Bench, since: jiff::Timestamp, topic: &str) -> Result<i64, tonic::Status> {
    let operations = bench.gate().guard(bench.base.events.operations_handler());
    let staff = Badge::account(bench.account_id()).scope("staff").role("admin");
    let (mut count, mut page_token) = (0, String::new());
    loop {
        let request = ReplayEventsRequest { since: Some(since.into()), topic: topic.to_owned(), page_token };
        let page = operations.replay_events(bench.request_of(&staff, request)).await?.into_inner();
        count += page.count;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(count);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_since_a_time_goes_out_again_as_it_was_in_the_order_of_its_numbers() {
    let bench = plan().consuming().lay("replayed").await;
    let before = write(&bench, 40).await;
    bench.clock.set(at(60));
    // More than a page.
    let after = write(&bench, 2_100).await;
    eventually("all are sent", || async { sent(&bench).await == before.len() + after.len() }).await;
    let first = streams(&bench).await;
    let unsent = "-- open\nSELECT count(*) FROM event_outbox WHERE sent_at IS NULL";
    eventually("all are known to be", || async { bench.count(unsent).await == 0 }).await;
    redis::cmd("FLUSHDB").query_async::<()>(&mut bench.base.redis.shared()).await.unwrap();

    assert_eq!(replay(&bench, at(60), "data.erased").await.unwrap(), i64::try_from(after.len()).unwrap());
    eventually("they are there again", || async { sent(&bench).await == after.len() }).await;
    let wanted: Vec<Vec<Envelope>> = first
        .into_iter()
        .map(|stream| stream.into_iter().filter(|event| event.time == Some(at(60).into())).collect())
        .collect();
    assert!(streams(&bench).await == wanted, "the same events in the same order");
    let asked = "-- asked\nSELECT sum(events)::int8 FROM event_operations WHERE action = 'REPLAY'";
    assert_eq!(bench.count(asked).await, 2_100);
    eventually("all are known to be sent", || async { bench.count(unsent).await == 0 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_outbox_cannot_have_is_refused() {
    let bench = plan().lay("replay_refused").await;
    for (since, topic, field) in [
        (at(-8 * 86_400), "", "since"),
        (at(60), "", "since"),
        (at(-60), "nothing", "topic"),
        (at(-60), "pet.changed", "topic"),
    ] {
        assert_eq!(fields(&replay(&bench, since, topic).await.unwrap_err()), [field], "{since} {topic}");
    }
    assert_eq!(replay(&bench, at(-60), "").await.unwrap(), 0);
}

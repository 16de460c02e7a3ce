//! What a producer answers to consumers that missed events.

use petty_proto::events::v1 as wire;
use prost::bytes::Bytes;

use super::{Topic, topics};
use crate::error::{ApiError, FieldError};
use crate::grpc::gate::{Call, OutboxServiceHandler};
use crate::postgres::{Db, Error};

/// An answer has no more events once their payloads have so many bytes: as many as a consumer reads from its streams at once.
const BYTES: i64 = 2 << 20;

/// Answers `petty.events.v1.OutboxService` from a service's own outbox.
#[derive(Debug)]
pub struct OutboxHandler {
    db: Db,
    service: &'static str,
}

impl OutboxHandler {
    /// For a service's database.
    #[must_use]
    pub fn new(service: &'static str, db: Db) -> Self {
        Self { db, service }
    }

    fn topic(&self, name: &str) -> Result<&'static Topic, ApiError> {
        topics::produced_by(self.service)
            .find(|topic| topic.name == name)
            .ok_or_else(|| FieldError::malformed("topic", "is not one that this service produces").into())
    }
}

#[tonic::async_trait]
impl OutboxServiceHandler for OutboxHandler {
    async fn list_heads(
        &self,
        _call: Call,
        request: wire::ListHeadsRequest,
    ) -> Result<wire::ListHeadsResponse, ApiError> {
        let topic = self.topic(&request.topic)?;
        let sql = "-- list_heads\nSELECT shard, last_number FROM event_relay_numbers WHERE topic = $1 ORDER BY shard";
        let heads = self
            .db
            .read("list_heads", |tx| async move {
                let rows = tx.query(sql, &[&topic.name]).await?;
                rows.iter()
                    .map(|row| {
                        let shard: i16 = Error::column(row, "event_relay_numbers", 0)?;
                        let last_number = Error::column(row, "event_relay_numbers", 1)?;
                        Ok(wire::list_heads_response::Head { shard: i32::from(shard), last_number })
                    })
                    .collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        Ok(wire::ListHeadsResponse { heads })
    }

    async fn fetch_events(
        &self,
        _call: Call,
        request: wire::FetchEventsRequest,
    ) -> Result<wire::FetchEventsResponse, ApiError> {
        let topic = self.topic(&request.topic)?;
        let shard =
            i16::try_from(request.shard).map_err(|_| FieldError::out_of_range("shard", "is too large"))?;
        if !(1..=1_000).contains(&request.limit) {
            return Err(FieldError::out_of_range("limit", "must be 1 to 1,000").into());
        }
        // The first that passes the limit of bytes is the last, so that there is one at least.
        let sql = "-- fetch_events
            SELECT id, subject, version, created_at, schema_version, traceparent, payload, number FROM (
                SELECT *, sum(octet_length(payload)) OVER (ORDER BY number) - octet_length(payload) AS before FROM (
                    SELECT id, subject, version, created_at, schema_version, traceparent, payload, number FROM event_outbox
                    WHERE topic = $1 AND shard = $2 AND number BETWEEN $3 AND $4 ORDER BY number LIMIT $5
                ) page
            ) page WHERE before < $6 ORDER BY number";
        let limit = i64::from(request.limit);
        let (first, last) = (&request.first_number, &request.last_number);
        let events = self
            .db
            .read("fetch_events", |tx| async move {
                let rows = tx.query(sql, &[&topic.name, &shard, first, last, &limit, &BYTES]).await?;
                rows.iter()
                    .map(|row| envelope(row, topic, shard, self.service))
                    .collect::<Result<Vec<_>, Error>>()
            })
            .await?;
        Ok(wire::FetchEventsResponse { events })
    }
}

/// An outbox row as it travels. Columns: id, subject, version, created_at, schema_version, traceparent, payload, number.
pub(super) fn envelope(
    row: &tokio_postgres::Row,
    topic: &Topic,
    shard: i16,
    source: &str,
) -> Result<wire::Envelope, Error> {
    const TABLE: &str = "event_outbox";
    let time: jiff::Timestamp = Error::column(row, TABLE, 3)?;
    let payload: Vec<u8> = Error::column(row, TABLE, 6)?;
    Ok(wire::Envelope {
        event_id: Error::column::<uuid::Uuid>(row, TABLE, 0)?.to_string(),
        topic: topic.name.to_owned(),
        subject: Error::column::<uuid::Uuid>(row, TABLE, 1)?.to_string(),
        version: Error::column(row, TABLE, 2)?,
        time: Some(time.into()),
        schema_version: Error::column(row, TABLE, 4)?,
        traceparent: Error::column(row, TABLE, 5)?,
        payload: Bytes::from(payload),
        source: source.to_owned(),
        shard: i32::from(shard),
        number: Error::column::<Option<i64>>(row, TABLE, 7)?.unwrap_or_default(),
    })
}

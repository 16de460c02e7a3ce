//! Events that were sent go out again: the outbox forgets that they were, and the relay does the rest.
//!
//! Invariant: numbers stay, so consumers see repetitions and no gaps; rows go in the order of their ids, and none twice in
//! one replay, whatever the relay sends meanwhile.

use jiff::Timestamp;
use jiff::civil::Date;
use petty_proto::events::v1 as wire;
use uuid::Uuid;

use super::{Action, Note};
use crate::calendar::utc_date;
use crate::error::{ApiError, FieldError};
use crate::events::{Topic, topics};
use crate::page::{Page, Place};
use crate::postgres::{Db, Error, Tx};
use crate::types::micros;

/// What the outbox keeps, and the day that is being dropped.
const KEPT_HOURS: i64 = 8 * 24;
/// So many rows a call: the most that a page may be.
const ROWS: i32 = 1_000;

/// Year, month and day: a [`Date`] that a token can name.
type Day = (i16, i8, i8);

/// What is asked for.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    since: Timestamp,
    /// Empty for all.
    topic: &'a str,
    topics: Vec<&'static str>,
    page: Page<(Day, Uuid)>,
    /// Events until then: when the first page was asked for.
    until: Timestamp,
    /// Behind which row.
    after: (Date, Uuid),
}

impl<'a> Asked<'a> {
    pub(super) fn read(
        service: &str,
        request: &'a wire::ReplayEventsRequest,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        let mut faults = Vec::new();
        let topic = request.topic.as_str();
        let wanted = |known: &&Topic| !known.is_broadcast() && (topic.is_empty() || known.name == topic);
        let topics: Vec<&str> = topics::produced_by(service).filter(wanted).map(|topic| topic.name).collect();
        if topics.is_empty() && !topic.is_empty() {
            faults.push(FieldError::malformed("topic", "is none that this service produces for consumers"));
        }
        let since = match request.since.map(Timestamp::try_from) {
            None => Err(FieldError::required("since")),
            Some(Ok(since)) if since > now => Err(FieldError::out_of_range("since", "is in the future")),
            Some(Ok(since)) if now.duration_since(since).as_hours() >= KEPT_HOURS => {
                Err(FieldError::out_of_range("since", "is longer ago than the outbox keeps: seven days"))
            }
            Some(Ok(since)) => Ok(micros(since)),
            Some(Err(_)) => Err(FieldError::malformed("since", "is no time")),
        };
        let since = since.unwrap_or_else(|fault| {
            faults.push(fault);
            now
        });
        let list = format!("replay/{topic}/{}", since.as_microsecond());
        let page = Page::read(list, ROWS, &request.page_token);
        let (page, after) = match page {
            Ok(page) => {
                let after = page.after.map(|Place { time, id: ((year, month, day), id) }| {
                    Date::new(year, month, day).map(|day| (time, day, id))
                });
                (Some(page), after.transpose())
            }
            Err(more) => {
                faults.extend(more);
                (None, Ok(None))
            }
        };
        let after = after.unwrap_or_else(|_| {
            faults.push(FieldError::malformed("page_token", "names no day"));
            None
        });
        let Some(page) = page.filter(|_| faults.is_empty()) else { return Err(ApiError::invalid(faults)) };
        let (until, day, id) = after.unwrap_or((micros(now), utc_date(since), Uuid::nil()));
        Ok(Self { since, topic, topics, page, until, after: (day, id) })
    }
}

/// Marks a page of rows to be sent again.
pub(super) async fn replay(
    db: &Db,
    asked: &Asked<'_>,
    note: &Note,
) -> Result<wire::ReplayEventsResponse, ApiError> {
    let mut rows = db
        .transaction("replay_events", |tx| async move {
            let rows = chosen(&tx, asked).await?;
            let count = forget_sent(&tx, &rows).await?;
            if count > 0 {
                // Whoever holds the shards sees it when it renews its lease.
                tx.execute("-- ask_relays\nUPDATE event_relay_shards SET replays = replays + 1", &[]).await?;
                tx.mark_events_written();
            }
            let done = Action {
                name: "REPLAY",
                outcome: "ASKED",
                topic: asked.topic,
                letter: None,
                replayed: Some((asked.since, i64::try_from(count).unwrap_or(i64::MAX))),
            };
            note.write(&tx, &done).await?;
            Ok::<_, Error>(rows)
        })
        .await?;
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX).min(i64::from(ROWS));
    let place = |(day, id): &(Date, Uuid)| Place {
        time: asked.until,
        id: ((day.year(), day.month(), day.day()), *id),
    };
    let next_page_token = asked.page.cut(&mut rows, place);
    Ok(wire::ReplayEventsResponse { count, next_page_token })
}

/// The page's rows, and one more where there are more.
async fn chosen(tx: &Tx, asked: &Asked<'_>) -> Result<Vec<(Date, Uuid)>, Error> {
    let sql = "-- sent_since\nSELECT day, id FROM event_outbox
               WHERE day >= $1 AND (day, id) > ($1, $2) AND topic = ANY($3) AND created_at >= $4 AND created_at <= $5
               AND sent_at IS NOT NULL AND number IS NOT NULL ORDER BY day, id LIMIT $6";
    let Asked { since, topics, page, until, after: (day, id), .. } = asked;
    let rows = tx.query(sql, &[day, id, topics, since, until, &page.limit()]).await?;
    rows.iter()
        .map(|row| Ok((Error::column(row, "event_outbox", 0)?, Error::column(row, "event_outbox", 1)?)))
        .collect()
}

async fn forget_sent(tx: &Tx, rows: &[(Date, Uuid)]) -> Result<u64, Error> {
    let page = usize::try_from(ROWS).unwrap_or(usize::MAX);
    let (days, ids): (Vec<Date>, Vec<Uuid>) = rows.iter().take(page).copied().unzip();
    let sql = "-- forget_sent\nUPDATE event_outbox o SET sent_at = NULL FROM unnest($1::date[], $2::uuid[]) AS r (day, id)
               WHERE o.day = r.day AND o.id = r.id AND o.sent_at IS NOT NULL";
    tx.execute(sql, &[&days, &ids]).await
}

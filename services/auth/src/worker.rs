//! What auth does beside answering: it notes which service has forgotten which pet, and forgets expired sessions, tickets
//! and devices, and attempts that were long ago.

use std::time::Duration;

use jiff::SignedDuration;
use petty_chassis::events::{Event, Failure, Handler, Part};
use petty_chassis::periodic;
use petty_chassis::postgres::{Db, Error, Tx};
use petty_chassis::service::Context;
use petty_proto::events::v1::DataErased;
use prost::Message as _;

use crate::domain::session;
use crate::store::{devices, erasures, links, mails, personal_tokens, secrets, sessions, throttles, tickets};

const INTERVAL: Duration = Duration::from_secs(3_600);
/// How often graces are looked through.
const GRACES: Duration = Duration::from_secs(5);
/// An expired session is kept this long, so that a log-out of it can be sent again.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What was counted against a source is kept this long after the last attempt.
const COUNTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// What was counted against an address that somebody signs in with, the same whether it has an account: long, since it allows
/// that account another hundred attempts.
const ADDRESSES_KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Consumes `data.erased`.
#[derive(Debug)]
pub(crate) struct Erasures;

#[async_trait::async_trait]
impl Handler for Erasures {
    async fn apply(&self, tx: &Tx, event: &Event, part: &Part) -> Result<(), Failure> {
        let erased = DataErased::decode(part.body.clone())
            .map_err(|error| Failure::Poison(format!("payload of {}: {error}", event.topic.name)))?;
        if erased.pet_id != part.pet.to_string() {
            return Err(Failure::Poison("the payload is about another pet than the event".to_owned()));
        }
        if erased.service != event.source {
            return Err(Failure::Poison(format!("{} speaks for {:?}", event.source, erased.service)));
        }
        Ok(erasures::note(tx, part.pet, &erased.service, event.time).await?)
    }
}

/// Forgets what has expired every hour, and what refresh tokens hold for their grace soon after it.
pub(crate) fn keep_house(context: &Context, db: &Db) {
    let (sealed, clock) = (db.clone(), context.clock.clone());
    periodic::every(context, "refresh-graces", GRACES, move || {
        let (db, before) = (sealed.clone(), clock.now() - session::GRACE);
        async move {
            let forget = |tx: Tx| async move { sessions::forget_sealed(&tx, before).await };
            db.transaction("forget_sealed", forget).await.map(drop)
        }
    });
    let (db, clock) = (db.clone(), context.clock.clone());
    periodic::every(context, "auth-housekeeping", INTERVAL, move || {
        let (db, now) = (db.clone(), clock.now());
        async move {
            let forget = |tx: Tx| async move {
                let tickets = tickets::forget_expired(&tx, now).await?;
                links::forget_expired(&tx, now).await?;
                let unsent = mails::forget_expired(&tx, now).await?;
                if unsent > 0 {
                    tracing::warn!(unsent, "mails expired before they could be sent");
                }
                secrets::forget_ended(&tx, now).await?;
                personal_tokens::forget_ended(&tx, now - KEPT).await?;
                devices::forget_expired(&tx, now).await?;
                throttles::forget_old(&tx, now - COUNTS_KEPT, now - ADDRESSES_KEPT).await?;
                Ok::<_, Error>((tickets, sessions::forget_expired(&tx, now - KEPT).await?))
            };
            let (tickets, sessions) = db.transaction("forget_expired", forget).await?;
            tracing::debug!(tickets, sessions, "expired tickets and sessions are forgotten");
            Ok::<(), Error>(())
        }
    });
}

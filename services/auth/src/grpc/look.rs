//! Staff looks at somebody's pet: for a reason, which is written down before anything is seen.

use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use opentelemetry::metrics::Counter;
use petty_chassis::ApiError;
use petty_chassis::access::{AccessReason, Decision, Role, Target};
use petty_chassis::caller::Caller;
use petty_chassis::grpc::gate::Call;
use petty_chassis::page::{Page, Place};
use petty_chassis::postgres::Tx;
use petty_chassis::telemetry;
use petty_chassis::types::{EventId, PetId};
use petty_proto::auth::v1 as wire;
use serde_json::json;

use super::Grpc;
use super::access::{LocalAccess, decision};
use crate::domain::access::{Grant, Look, VisiblePairing};
use crate::store::audit::{self, Actor, Entry, Origin};
use crate::store::{looks, pairings};
use crate::vault::Purpose;

/// A look is decided on, and written down, again after that long.
const LOOK: SignedDuration = SignedDuration::from_secs(60);

/// Who looks, and what is written down about it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looker<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) reason: &'a AccessReason,
    /// The service that asks.
    pub(crate) service: &'a str,
    pub(crate) origin: Origin<'a>,
}

impl LocalAccess {
    /// What a member of the staff is to something of somebody else's: nothing, where it does not exist.
    pub(super) async fn look(
        &self,
        tx: &Tx,
        looker: Looker<'_>,
        target: &Target,
        now: Timestamp,
    ) -> Result<Decision, ApiError> {
        let grant = Grant { role: Role::Staff, expires_at: Some(now + LOOK) };
        match target {
            Target::Session => Ok(decision(None, &[])),
            Target::Pet(pet) => {
                let looked = self.write_down(tx, looker, *pet, now).await?;
                Ok(decision(looked.then_some(grant), &[]))
            }
            Target::Collar(collar) => {
                let found = pairings::of_collar(tx, collar).await?;
                let mut pets: Vec<PetId> = found.iter().map(|pairing| pairing.pet_id).collect();
                pets.sort_unstable();
                pets.dedup();
                for pet in pets {
                    self.write_down(tx, looker, pet, now).await?;
                }
                let visible: Vec<_> =
                    found.into_iter().map(|pairing| VisiblePairing { pairing, grant }).collect();
                Ok(decision(None, &visible))
            }
        }
    }

    /// Whether there is such a pet: then the look is on disk with this transaction, in the owner's list and in the audit log.
    async fn write_down(
        &self,
        tx: &Tx,
        looker: Looker<'_>,
        pet_id: PetId,
        now: Timestamp,
    ) -> Result<bool, ApiError> {
        let Looker { caller, reason, service, origin } = looker;
        let look = Look {
            access_id: EventId::new(&self.clock),
            pet_id,
            account_id: caller.account_id(),
            reason: reason.text().to_owned(),
            service: service.to_owned(),
            at: now,
        };
        if !looks::insert(tx, &self.vault, &look).await? {
            return Ok(false);
        }
        // The words are the owner's to have erased. That they were these can be proven, to whoever has them, for good.
        let proof = self.vault.blind_index(Purpose::ACCESS_REASON, reason.text());
        let entry =
            Entry::done(Actor::Account(caller.account_id()), "STAFF_ACCESS", pet_id, origin).with(json!({
                "access_id": look.access_id.to_string(),
                "service": service,
                "reason_index": hex::encode(proof),
            }));
        audit::write(tx, now, &entry).await?;
        counted().add(1, &[]);
        Ok(true)
    }
}

fn counted() -> &'static Counter<u64> {
    static COUNTED: OnceLock<Counter<u64>> = OnceLock::new();
    COUNTED.get_or_init(|| {
        telemetry::meter()
            .u64_counter("petty_staff_accesses")
            .with_description("Looks of the staff at pets of others")
            .build()
    })
}

pub(super) async fn list(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ListAccessesRequest,
) -> Result<wire::ListAccessesResponse, ApiError> {
    let list = format!("pets/{}/accesses", request.pet_id);
    let page = &Page::read(list, request.page_size, &request.page_token)?;
    let pet_id = call.pet().await?.pet_id;
    let found =
        grpc.db.read("list_looks", |tx| async move { looks::list(&tx, &grpc.vault, pet_id, page).await });
    let mut found: Vec<Look> = found.await?;
    let next_page_token = page.cut(&mut found, |look| Place { time: look.at, id: look.access_id.0 });
    let accesses = found.into_iter().map(|look| wire::StaffAccess {
        access_id: look.access_id.to_string(),
        account_id: look.account_id.to_string(),
        reason: look.reason,
        service: look.service,
        create_time: Some(look.at.into()),
    });
    Ok(wire::ListAccessesResponse { accesses: accesses.collect(), next_page_token })
}

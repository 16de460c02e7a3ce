//! A batch: each reading stands alone.
//!
//! Invariant: accepted, duplicates and rejected together make the request's count.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use petty_chassis::access::{CollarAccess, collar_not_found};
use petty_chassis::error::Code;
use petty_chassis::grpc::gate::Call;
use petty_chassis::types::CollarId;
use petty_chassis::{ApiError, FieldError};
use petty_proto::ingest::v1 as wire;
use petty_proto::policy::Need;

use super::{Grpc, convert, stamped};
use crate::domain::reading::{Reading, Stamped};
use crate::domain::shares::Load;
use crate::store::Outcome;

/// The most readings of a request.
const MOST: usize = 1_000;
/// Access to so many collars is asked for at once.
const ASKED_AT_ONCE: usize = 16;

/// What a batch does where there is no room for it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is refused.
    None,
    /// It waits: its sender is not read meanwhile.
    Some,
}

impl Grpc {
    pub(super) async fn take_batch(
        &self,
        call: &Call,
        readings: Vec<wire::Reading>,
        patience: Patience,
    ) -> Result<wire::IngestReadingsResponse, ApiError> {
        if readings.is_empty() {
            return Err(FieldError::required("readings").into());
        }
        if readings.len() > MOST {
            return Err(FieldError::out_of_range("readings", "must be 1 to 1000").into());
        }
        let mut rejected = BTreeMap::new();
        let checked = self.check(readings, &mut rejected);
        let load = Load::of(call.payer()?, checked.iter().map(|(_, reading)| &reading.collar));
        let place = match patience {
            Patience::None => self.admission.enter(load)?,
            Patience::Some => self.admission.wait(load).await,
        };
        call.caller().await?;
        let access = access(call, &checked).await?;
        let (mut indices, mut taken) = (Vec::new(), Vec::new());
        for (index, reading) in checked {
            match stamp(reading, &access) {
                Ok(stamped) => {
                    indices.push(index);
                    taken.push(stamped);
                }
                Err(violation) => drop(rejected.insert(index, violation)),
            }
        }
        let outcomes = self.store.submit(taken, place).await?;
        let (mut accepted, mut duplicates, mut conflicting) = (0, 0, 0);
        for (index, outcome) in indices.into_iter().zip(outcomes) {
            match outcome {
                Outcome::New => accepted += 1,
                Outcome::Duplicate => duplicates += 1,
                Outcome::Conflicting => {
                    duplicates += 1;
                    conflicting += 1;
                }
                Outcome::Refused => drop(rejected.insert(index, not_stored())),
                Outcome::Erased => drop(rejected.insert(index, refused(&collar_not_found()))),
            }
        }
        self.count(accepted, duplicates, conflicting, rejected.len());
        let rejected = rejected
            .into_iter()
            .map(|(index, violation)| wire::RejectedReading {
                // Below 1,000.
                index: i32::try_from(index).unwrap_or(i32::MAX),
                field: violation.field.into_owned(),
                reason: violation.reason.into_owned(),
                code: violation.code.to_owned(),
            })
            .collect();
        Ok(wire::IngestReadingsResponse { accepted, duplicates, rejected, conflicting })
    }

    /// The readings that are within their bounds; of the others, the first fault.
    fn check(
        &self,
        readings: Vec<wire::Reading>,
        rejected: &mut BTreeMap<usize, FieldError>,
    ) -> Vec<(usize, Reading)> {
        let now = self.clock.now();
        let mut checked = Vec::with_capacity(readings.len());
        for (index, reading) in readings.into_iter().enumerate() {
            match convert::draft(reading).check(now, self.window) {
                Ok(reading) => checked.push((index, reading)),
                Err(faults) => rejected.extend(faults.into_iter().next().map(|fault| (index, fault.into()))),
            }
        }
        checked
    }
}

type Accesses = BTreeMap<CollarId, Result<CollarAccess, FieldError>>;

/// What the caller may do with each collar. Only a clear no rejects a collar; not knowing fails the call.
async fn access(call: &Call, readings: &[(usize, Reading)]) -> Result<Accesses, ApiError> {
    // Batches are of few collars, most of one: what comes in a row is looked at once.
    let runs = readings.chunk_by(|(_, a), (_, b)| a.collar == b.collar);
    let collars: BTreeSet<&CollarId> = runs.filter_map(|run| Some(&run.first()?.1.collar)).collect();
    let mut asked = futures::stream::iter(collars.into_iter().cloned())
        .map(|collar| {
            let call = call.clone();
            async move { (call.collar_access(&collar, Need::Write).await, collar) }
        })
        .buffer_unordered(ASKED_AT_ONCE);
    let mut accesses = Accesses::new();
    while let Some((answer, collar)) = asked.next().await {
        let access = match answer {
            Ok(access) => Ok(access),
            Err(error) if matches!(error.code, Code::NotFound | Code::PermissionDenied) => {
                Err(refused(&error))
            }
            Err(error) => return Err(error),
        };
        accesses.insert(collar, access);
    }
    Ok(accesses)
}

fn stamp(reading: Reading, accesses: &Accesses) -> Result<Stamped, FieldError> {
    match accesses.get(&reading.collar) {
        Some(Ok(access)) => stamped(reading, access),
        Some(Err(refused)) => Err(refused.clone()),
        None => Err(refused(&collar_not_found())),
    }
}

/// A reading that the database refused: not the sender's fault.
fn not_stored() -> FieldError {
    FieldError { field: "".into(), reason: "it could not be stored".into(), code: "NOT_STORED" }
}

/// A refused collar, as a field at fault.
fn refused(error: &ApiError) -> FieldError {
    FieldError { field: "collar_id".into(), reason: error.message.clone(), code: error.reason }
}

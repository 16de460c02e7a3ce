//! OperationsService: what is wrapped, and what is audited.

use petty_chassis::grpc::gate::Call;
use petty_chassis::{ApiError, FieldError};
use petty_proto::auth::v1 as wire;

use super::Grpc;
use crate::audit;
use crate::domain::chain::{CHAINS, Head};
use crate::store::audit::Actor;
use crate::vault::rewrap;

/// So many accounts' keys a step, where the request does not say.
const BATCH: i32 = 200;
const BATCHES: std::ops::RangeInclusive<i32> = 1..=1_000;

pub(super) async fn reencrypt(
    grpc: &Grpc,
    call: &Call,
    request: &wire::ReencryptDataRequest,
) -> Result<wire::ReencryptDataResponse, ApiError> {
    let most = if request.batch_size == 0 { BATCH } else { request.batch_size };
    if !BATCHES.contains(&most) {
        return Err(FieldError::out_of_range("batch_size", "must be 1 to 1,000").into());
    }
    let actor = Actor::Account(call.caller().await?.account_id());
    let by = rewrap::By { actor, origin: grpc.origin(call), now: grpc.now() };
    let step = rewrap::step(&grpc.db, &grpc.vault, i64::from(most), by).await?;
    Ok(wire::ReencryptDataResponse {
        rewrapped: i32::try_from(step.rewrapped).unwrap_or(i32::MAX),
        remaining: i64::try_from(step.remaining).unwrap_or(i64::MAX),
        key_id: step.key_id.to_string(),
    })
}

pub(super) async fn verify_audit_log(
    grpc: &Grpc,
    call: &Call,
    request: &wire::VerifyAuditLogRequest,
) -> Result<wire::VerifyAuditLogResponse, ApiError> {
    let anchors: Option<Vec<Head>> = request.anchors.iter().map(anchor).collect();
    let Some(anchors) = anchors else {
        return Err(FieldError::malformed("anchors", "must be ends of chains as they were noted").into());
    };
    call.caller().await?;
    let verdict = audit::verify(&grpc.db, &anchors).await?;
    if !verdict.faults.is_empty() {
        tracing::error!(faults = verdict.faults.len(), "the audit log was tampered with");
    }
    Ok(wire::VerifyAuditLogResponse {
        entries: verdict.entries,
        heads: verdict.heads.iter().map(head).collect(),
        faults: verdict.faults.iter().map(ToString::to_string).collect(),
    })
}

fn head(head: &Head) -> wire::AuditHead {
    wire::AuditHead { chain: i32::from(head.chain), place: head.place, hash: hex::encode(&head.hash) }
}

fn anchor(noted: &wire::AuditHead) -> Option<Head> {
    let chain = i16::try_from(noted.chain).ok().filter(|chain| (0..CHAINS).contains(chain))?;
    let hash = hex::decode(&noted.hash).ok().filter(|hash| hash.len() == 32)?;
    (noted.place >= 0).then_some(Head { chain, place: noted.place, hash })
}

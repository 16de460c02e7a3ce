//! The gate: no handler runs before the caller was verified, and no answer leaves a handler that did not ask whether the
//! caller may.
//!
//! The order is the architecture's: unknown caller, wrong scope, bad shape, then access. The first two and the resource's
//! shape are decided in `Guarded::open`; the handler checks the rest of the shape and then takes its access from the
//! [`Call`], which is the only place to get a typed, permitted id from. A handler that answers without having asked is
//! refused by `Opened::finish`, on its first call in the first test. An answer that goes on is watched over: see
//! [`Streaming`]; so are requests that go on, each of which is decided on anew: see [`Requests`].

mod call;
mod requests;
mod stream;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt as _;
use petty_proto::policy::{Audience, MethodPolicy, ResourceKind};
use secrecy::SecretString;
use tokio::time::Instant;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Extensions, Request, Response, Status};

pub use call::Call;
pub(crate) use call::forwarded;
pub use requests::Requests;
pub use stream::Streaming;

use crate::access::{Access, AccessReason};
use crate::caller::Verifier;
use crate::error::{ApiError, Code, FieldError};
use crate::grpc::scope::noting_replays;
use crate::grpc::{ClientAddress, Deadline, RequestId, ServiceIdentity};
use crate::shutdown::Shutdown;
use call::{Inner, ParsedTarget, SignedIn};
use stream::StatusStream;

petty_proto::petty_handlers!();

/// The metadata of an answer that has nothing to say yet: the request was taken.
pub const ACCEPTED: &str = "petty-accepted";

/// What verifies callers and decides on access. Cheap to clone.
///
/// Of a drain it learns from the server, which puts its [`Shutdown`] into the extensions of every request; without one
/// streams go on.
#[derive(Clone, Debug)]
pub struct Gate {
    verifier: Verifier,
    access: Access,
}

impl Gate {
    /// A gate of a verifier and a source of decisions.
    #[must_use]
    pub fn new(verifier: Verifier, access: Access) -> Self {
        Self { verifier, access }
    }

    /// Puts a handler behind the gate: the result serves every service the handler has a handler trait for.
    #[must_use]
    pub fn guard<H>(&self, handler: Arc<H>) -> Guarded<H> {
        Guarded { handler, gate: self.clone() }
    }
}

/// A handler behind the gate.
pub struct Guarded<H> {
    handler: Arc<H>,
    gate: Gate,
}

impl<H> Clone for Guarded<H> {
    fn clone(&self) -> Self {
        Self { handler: self.handler.clone(), gate: self.gate.clone() }
    }
}

impl<H> fmt::Debug for Guarded<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guarded").finish_non_exhaustive()
    }
}

impl<H> Guarded<H> {
    fn handler(&self) -> &H {
        &self.handler
    }

    /// Verifies the caller and the resource's shape.
    fn open<M>(
        &self,
        policy: &'static MethodPolicy,
        request: &Request<M>,
        named: Option<&str>,
    ) -> impl Future<Output = Result<Opened, Status>> {
        // What the request is of is left out: the rest is compiled once, and not for each method.
        self.gate.open(policy, (request.extensions(), request.metadata()), named)
    }
}

impl Gate {
    async fn open(
        &self,
        policy: &'static MethodPolicy,
        (extensions, metadata): (&Extensions, &MetadataMap),
        named: Option<&str>,
    ) -> Result<Opened, Status> {
        let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let deadline = extensions
            .get::<Deadline>()
            .map_or_else(|| Instant::now() + policy.deadline, |deadline| deadline.0);
        let service = extensions.get::<ServiceIdentity>().cloned();
        let client_address = extensions.get::<ClientAddress>().copied();
        let shutdown = extensions.get::<Shutdown>().cloned().unwrap_or_default();
        let signed_in = match policy.audience {
            Audience::Public | Audience::Service => None,
            Audience::Account | Audience::AccountOrDevice | Audience::ServiceForCaller => {
                Some(self.sign_in(policy, metadata).await?)
            }
        };
        let target = target(policy, named)?;
        let inner = Inner {
            policy,
            signed_in,
            target,
            gate: self.clone(),
            service,
            client_address,
            request_id,
            deadline,
            shutdown,
            accepted: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            granted: Mutex::default(),
            streaming: AtomicBool::new(false),
        };
        Ok(Opened { call: Call { inner: Arc::new(inner) } })
    }

    async fn sign_in(&self, policy: &MethodPolicy, metadata: &MetadataMap) -> Result<SignedIn, ApiError> {
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let (scheme, token) = header
            .and_then(|value| value.split_once(' '))
            .ok_or_else(|| ApiError::unauthenticated("TOKEN_MISSING", "an access token is needed"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::unauthenticated("TOKEN_MISSING", "an access token is needed"));
        }
        let caller = self.verifier.verify(token).await?;
        caller
            .fits(policy)
            .map_err(|unfit| ApiError::new(Code::PermissionDenied, unfit.reason(), unfit.text()))?;
        // Nobody else has a reason to say, and none is looked at.
        let reason = if caller.is_staff() { AccessReason::carried(metadata)? } else { None };
        Ok(SignedIn { caller, token: SecretString::from(token), reason })
    }
}

fn target(policy: &MethodPolicy, named: Option<&str>) -> Result<ParsedTarget, ApiError> {
    let (Some(resource), Some(text)) = (policy.resource, named) else { return Ok(ParsedTarget::None) };
    if text.is_empty() {
        return Err(FieldError::required(resource.field).into());
    }
    match resource.kind {
        ResourceKind::Pet => match text.parse() {
            Ok(pet) => Ok(ParsedTarget::Pet(pet, resource.need)),
            Err(error) => Err(FieldError::malformed(resource.field, error.to_string()).into()),
        },
        ResourceKind::Collar => match text.parse() {
            Ok(collar) => Ok(ParsedTarget::Collar(collar, resource.need)),
            Err(error) => Err(FieldError::malformed(resource.field, error.to_string()).into()),
        },
        ResourceKind::Collars | ResourceKind::OfPet => Ok(ParsedTarget::None),
    }
}

/// A call that was let through.
#[derive(Debug)]
struct Opened {
    call: Call,
}

impl Opened {
    fn call(&self) -> Call {
        self.call.clone()
    }

    /// What the caller sends, as the handler gets it.
    fn requests<T>(&self, messages: tonic::Streaming<T>) -> Requests<T> {
        Requests::new(messages, self.call())
    }

    /// Runs the handler's work within the deadline, and checks that it asked for access.
    async fn finish<T>(self, work: impl Future<Output = Result<T, ApiError>>) -> Result<Response<T>, Status> {
        let call = self.call();
        let (answer, replayed) = noting_replays(self.answer(work)).await;
        let mut response = Response::new(answer?);
        if replayed {
            response.metadata_mut().insert("idempotency-replayed", MetadataValue::from_static("true"));
        }
        if call.inner.accepted.load(Ordering::Acquire) {
            response.metadata_mut().insert(ACCEPTED, MetadataValue::from_static("true"));
        }
        Ok(response)
    }

    /// As [`Opened::finish`], and watches over what comes then.
    async fn finish_stream<T: 'static>(
        self,
        work: impl Future<Output = Result<Streaming<T>, ApiError>>,
    ) -> Result<Response<StatusStream<T>>, Status> {
        if self.call.inner.shutdown.is_draining() {
            return Err(stream::draining().into());
        }
        let answer = self.answer(work).await?;
        self.call.inner.streaming.store(true, Ordering::Release);
        Ok(Response::new(stream::watch(self.call, answer)))
    }

    async fn answer<T>(&self, work: impl Future<Output = Result<T, ApiError>>) -> Result<T, Status> {
        let guarded = AssertUnwindSafe(work).catch_unwind();
        let answer = match tokio::time::timeout_at(self.call.deadline(), guarded).await {
            Err(_) => Err(ApiError::new(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", "time ran out")),
            Ok(Err(_)) => Err(ApiError::internal("the handler panicked")),
            Ok(Ok(answer)) => answer,
        };
        let answer = answer.map_err(Status::from)?;
        if self.call.inner.signed_in.is_some() && !self.call.inner.asked.load(Ordering::Acquire) {
            return Err(ApiError::internal("the handler answered without asking for access").into());
        }
        Ok(answer)
    }
}

//! The gate: no handler runs before the caller was verified, and no answer leaves a handler that did not ask whether the
//! caller may.
//!
//! The order is the architecture's: unknown caller, wrong scope, bad shape, then access. The first two and the resource's
//! shape are decided in `Guarded::open`; the handler checks the rest of the shape and then takes its access from the
//! [`Call`], which is the only place to get a typed, permitted id from. A handler that answers without having asked is
//! refused by `Opened::finish`, on its first call in the first test.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use petty_proto::policy::{Audience, MethodPolicy, Need, ResourceKind};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

use crate::access::{Access, Asker, CollarAccess, PetAccess};
use crate::caller::{Caller, Verifier};
use crate::error::{ApiError, Code, FieldError};
use crate::grpc::{Deadline, RequestId, ServiceIdentity};
use crate::types::{CollarId, PetId};

petty_proto::petty_handlers!();

/// What verifies callers and decides on access. Cheap to clone.
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
    async fn open<M>(
        &self,
        policy: &'static MethodPolicy,
        request: &Request<M>,
        named: Option<&str>,
    ) -> Result<Opened, Status> {
        let extensions = request.extensions();
        let request_id = extensions.get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
        let deadline = extensions
            .get::<Deadline>()
            .map_or_else(|| Instant::now() + policy.deadline, |deadline| deadline.0);
        let service = extensions.get::<ServiceIdentity>().cloned();
        let signed_in = match policy.audience {
            Audience::Public | Audience::Service => None,
            Audience::Account | Audience::AccountOrDevice | Audience::ServiceForCaller => {
                Some(self.sign_in(policy, request).await?)
            }
        };
        let target = target(policy, named)?;
        let inner = Inner {
            policy,
            signed_in,
            target,
            access: self.gate.access.clone(),
            service,
            request_id,
            deadline,
            asked: AtomicBool::new(false),
        };
        Ok(Opened { call: Call { inner: Arc::new(inner) } })
    }

    async fn sign_in<M>(&self, policy: &MethodPolicy, request: &Request<M>) -> Result<SignedIn, ApiError> {
        let header = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let (scheme, token) = header
            .and_then(|value| value.split_once(' '))
            .ok_or_else(|| ApiError::unauthenticated("TOKEN_MISSING", "an access token is needed"))?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(ApiError::unauthenticated("TOKEN_MISSING", "an access token is needed"));
        }
        let caller = self.gate.verifier.verify(token).await?;
        if caller.is_device() && policy.audience == Audience::Account {
            return Err(ApiError::new(
                Code::PermissionDenied,
                "DEVICE_NOT_ALLOWED",
                "a collar's token cannot do this",
            ));
        }
        if !policy.scope.is_empty() && !caller.has_scope(policy.scope) {
            return Err(ApiError::new(
                Code::PermissionDenied,
                "SCOPE_MISSING",
                format!("the token lacks the scope {}", policy.scope),
            ));
        }
        Ok(SignedIn { caller, token: SecretString::from(token) })
    }
}

#[derive(Debug)]
enum ParsedTarget {
    None,
    Pet(PetId, Need),
    Collar(CollarId, Need),
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
        ResourceKind::Collars => Ok(ParsedTarget::None),
    }
}

struct SignedIn {
    caller: Arc<Caller>,
    token: SecretString,
}

/// One call, as its handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct Call {
    inner: Arc<Inner>,
}

struct Inner {
    policy: &'static MethodPolicy,
    signed_in: Option<SignedIn>,
    target: ParsedTarget,
    access: Access,
    service: Option<ServiceIdentity>,
    request_id: String,
    deadline: Instant,
    asked: AtomicBool,
}

impl fmt::Debug for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Call")
            .field("method", &self.inner.policy.path)
            .field("request_id", &self.inner.request_id)
            .finish()
    }
}

impl Call {
    /// The method's policy.
    #[must_use]
    pub fn policy(&self) -> &'static MethodPolicy {
        self.inner.policy
    }

    /// The request's id, for people to name it by.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.inner.request_id
    }

    /// When the call must be done.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.inner.deadline
    }

    /// The service that called.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceIdentity> {
        self.inner.service.as_ref()
    }

    /// The verified caller, whose session still stands. For methods without a resource.
    ///
    /// # Errors
    /// `SESSION_ENDED`, or unavailable.
    pub async fn caller(&self) -> Result<&Caller, ApiError> {
        let asker = self.asker()?;
        self.inner.access.session(&asker).await?;
        self.inner.asked.store(true, Ordering::Release);
        Ok(asker.caller)
    }

    /// The caller by their token alone, without asking whether the session stands: for auth's own access answers, which
    /// decide that themselves.
    ///
    /// # Errors
    /// Internal, where the method takes no caller.
    pub fn claimed_caller(&self) -> Result<&Caller, ApiError> {
        self.inner.asked.store(true, Ordering::Release);
        Ok(self.asker()?.caller)
    }

    /// The pet the call is about, if the caller may do this with it.
    ///
    /// # Errors
    /// `PET_NOT_FOUND`, `PERMISSION_DENIED`, `SESSION_ENDED`, or unavailable.
    pub async fn pet(&self) -> Result<PetAccess, ApiError> {
        let ParsedTarget::Pet(pet_id, need) = &self.inner.target else {
            return Err(ApiError::internal("the method's policy names no pet"));
        };
        let access = self.inner.access.pet(&self.asker()?, *pet_id, *need).await?;
        self.inner.asked.store(true, Ordering::Release);
        Ok(access)
    }

    /// The collar the call is about, if the caller may do this with it.
    ///
    /// # Errors
    /// `COLLAR_NOT_FOUND`, `PERMISSION_DENIED`, `SESSION_ENDED`, or unavailable.
    pub async fn collar(&self) -> Result<CollarAccess, ApiError> {
        let ParsedTarget::Collar(collar_id, need) = &self.inner.target else {
            return Err(ApiError::internal("the method's policy names no collar"));
        };
        self.collar_access(&collar_id.clone(), *need).await
    }

    /// Access to one of several collars of a request.
    ///
    /// # Errors
    /// As [`Call::collar`].
    pub async fn collar_access(&self, collar_id: &CollarId, need: Need) -> Result<CollarAccess, ApiError> {
        let asker = self.asker()?;
        let access = self.inner.access.collar(&asker, collar_id, need).await;
        self.inner.asked.store(true, Ordering::Release);
        access
    }

    /// A request to another service, on the caller's behalf and with the call's id and deadline.
    ///
    /// # Errors
    /// Internal, where the method takes no caller.
    pub fn forward<M>(&self, message: M) -> Result<Request<M>, ApiError> {
        Ok(forwarded(message, &self.asker()?))
    }

    fn asker(&self) -> Result<Asker<'_>, ApiError> {
        let inner = &self.inner;
        let signed_in =
            inner.signed_in.as_ref().ok_or_else(|| ApiError::internal("the method takes no caller"))?;
        Ok(Asker {
            caller: &signed_in.caller,
            token: &signed_in.token,
            request_id: &inner.request_id,
            deadline: inner.deadline,
        })
    }
}

/// A request that carries the asker's token, request id and deadline.
pub(crate) fn forwarded<M>(message: M, asker: &Asker<'_>) -> Request<M> {
    let mut request = Request::new(message);
    if let Ok(mut value) = MetadataValue::try_from(format!("Bearer {}", asker.token.expose_secret())) {
        value.set_sensitive(true);
        request.metadata_mut().insert("authorization", value);
    }
    if let Ok(value) = MetadataValue::try_from(asker.request_id) {
        request.metadata_mut().insert("x-request-id", value);
    }
    request.extensions_mut().insert(RequestId(asker.request_id.to_owned()));
    request.extensions_mut().insert(Deadline(asker.deadline));
    request
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

    /// Runs the handler's work within the deadline, and checks that it asked for access.
    async fn finish<T>(self, work: impl Future<Output = Result<T, ApiError>>) -> Result<Response<T>, Status> {
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
        Ok(Response::new(answer))
    }
}

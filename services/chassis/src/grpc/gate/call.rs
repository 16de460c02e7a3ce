//! One call, as its handler sees it: who is calling, and what they may.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use petty_proto::policy::{MethodPolicy, Need, ResourceKind};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::Gate;
use crate::access::{ACCESS_REASON, AccessReason, Asker, CollarAccess, PetAccess};
use crate::caller::Caller;
use crate::error::{ApiError, Code};
use crate::grpc::{CLIENT_ADDRESS, ClientAddress, Deadline, RequestId, ServiceIdentity};
use crate::shutdown::Shutdown;
use crate::types::{AccountId, CollarId, PetId};

/// One call, as its handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct Call {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) policy: &'static MethodPolicy,
    pub(super) signed_in: Option<SignedIn>,
    pub(super) target: ParsedTarget,
    pub(super) gate: Gate,
    pub(super) service: Option<ServiceIdentity>,
    pub(super) client_address: Option<ClientAddress>,
    pub(super) request_id: String,
    pub(super) deadline: Instant,
    pub(super) shutdown: Shutdown,
    /// The answer has nothing to say yet.
    pub(super) accepted: AtomicBool,
    pub(super) asked: AtomicBool,
    /// What the handler of a stream was granted, to be asked again while the stream is open.
    pub(super) granted: Mutex<Vec<Grant>>,
    /// The answer is a stream, and has begun.
    pub(super) streaming: AtomicBool,
}

pub(super) struct SignedIn {
    pub(super) caller: Arc<Caller>,
    pub(super) token: SecretString,
    pub(super) reason: Option<AccessReason>,
}

#[derive(Debug)]
pub(super) enum ParsedTarget {
    None,
    Pet(PetId, Need),
    Collar(CollarId, Need),
}

/// What a handler was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    Session,
    Pet(PetId, Need),
    Collar(CollarId, Need),
    OfPet(PetId, Need, Missing),
}

/// How a handler answers for what is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    code: Code,
    reason: &'static str,
    message: Cow<'static, str>,
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

    /// When the call must be done. Once a stream has begun, each thing that it asks of others has the policy's time anew.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        if self.inner.streaming.load(Ordering::Acquire) {
            Instant::now() + self.inner.policy.deadline
        } else {
            self.inner.deadline
        }
    }

    /// Says with the answer, whose fields mean nothing, that the request was taken: 202 over REST. For methods whose policy
    /// lets them.
    pub fn accept(&self) {
        self.inner.accepted.store(self.inner.policy.may_be_accepted, Ordering::Release);
    }

    /// The service that called.
    #[must_use]
    pub fn service(&self) -> Option<&ServiceIdentity> {
        self.inner.service.as_ref()
    }

    /// Where the client at the edge is, as the gateway says. Personal data: for throttling and the audit log alone.
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        self.inner.client_address.map(|address| address.0)
    }

    /// Why staff looks, where staff is calling and has said so.
    #[must_use]
    pub fn access_reason(&self) -> Option<&AccessReason> {
        self.inner.signed_in.as_ref()?.reason.as_ref()
    }

    /// Whose call it is by the token alone: to share out room fairly, and never for access.
    ///
    /// # Errors
    /// Internal, where the method takes no caller.
    pub fn payer(&self) -> Result<AccountId, ApiError> {
        Ok(self.asker()?.caller.account_id())
    }

    /// The verified caller, whose session still stands. For methods without a resource.
    ///
    /// # Errors
    /// `SESSION_ENDED`, or unavailable.
    pub async fn caller(&self) -> Result<&Caller, ApiError> {
        let asker = self.asker()?;
        self.inner.gate.access.session(&asker).await?;
        self.granted(|| Grant::Session);
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
        let ParsedTarget::Pet(pet_id, need) = self.inner.target else {
            return Err(ApiError::internal("the method's policy names no pet"));
        };
        let access = self.inner.gate.access.pet(&self.asker()?, pet_id, need).await?;
        self.granted(|| Grant::Pet(pet_id, need));
        Ok(access)
    }

    /// The pet that the thing is of which the call is about, if the caller may do this with it. To whom may not read the
    /// pet, the thing does not exist: they get `missing`, which must be what the handler answers where there is none.
    ///
    /// # Errors
    /// `missing`, `PERMISSION_DENIED`, `SESSION_ENDED`, or unavailable.
    pub async fn pet_of(&self, pet_id: PetId, missing: ApiError) -> Result<PetAccess, ApiError> {
        let need = match self.inner.policy.resource {
            Some(resource) if resource.kind == ResourceKind::OfPet => resource.need,
            _ => return Err(ApiError::internal("the method's policy names nothing of a pet's")),
        };
        let decided = self.inner.gate.access.pet(&self.asker()?, pet_id, need).await;
        self.inner.asked.store(true, Ordering::Release);
        match decided {
            Ok(access) => {
                let ApiError { code, reason, message, .. } = missing;
                self.granted(|| Grant::OfPet(pet_id, need, Missing { code, reason, message }));
                Ok(access)
            }
            Err(error) if error.code == Code::NotFound => Err(missing),
            Err(error) => Err(error),
        }
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
        let access = self.inner.gate.access.collar(&asker, collar_id, need).await;
        self.inner.asked.store(true, Ordering::Release);
        // Where requests go on, each decides on its own collars: one that is taken off ends nobody else's.
        if access.is_ok() && !self.inner.policy.takes_stream {
            self.granted(|| Grant::Collar(collar_id.clone(), need));
        }
        access
    }

    /// A request to another service, on the caller's behalf and with the call's id and deadline.
    ///
    /// # Errors
    /// Internal, where the method takes no caller.
    pub fn forward<M>(&self, message: M) -> Result<Request<M>, ApiError> {
        Ok(forwarded(message, &self.asker()?))
    }

    /// Whether the token is still valid: by its times and its key, without asking anybody.
    pub(super) fn is_still_valid(&self) -> Result<(), ApiError> {
        let Some(signed_in) = &self.inner.signed_in else { return Ok(()) };
        self.inner.gate.verifier.still_valid(&signed_in.caller)
    }

    /// Whether all that the handler was granted still holds, and the token too.
    pub(super) async fn still_granted(&self, deadline: Instant) -> Result<(), ApiError> {
        let inner = &*self.inner;
        if inner.signed_in.is_none() {
            return Ok(());
        }
        self.is_still_valid()?;
        let asker = Asker { deadline, ..self.asker()? };
        let mut granted = inner.granted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if granted.is_empty() {
            granted.push(Grant::Session);
        }
        let access = &inner.gate.access;
        for grant in granted {
            match grant {
                Grant::Session => access.session(&asker).await?,
                Grant::Pet(pet_id, need) => drop(access.pet(&asker, pet_id, need).await?),
                Grant::Collar(collar_id, need) => drop(access.collar(&asker, &collar_id, need).await?),
                Grant::OfPet(pet_id, need, Missing { code, reason, message }) => {
                    match access.pet(&asker, pet_id, need).await {
                        Ok(_) => {}
                        Err(error) if error.code == Code::NotFound => {
                            return Err(ApiError::new(code, reason, message));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(())
    }

    fn granted(&self, grant: impl FnOnce() -> Grant) {
        self.inner.asked.store(true, Ordering::Release);
        if !self.inner.policy.streams {
            return;
        }
        let grant = grant();
        let mut granted = self.inner.granted.lock().unwrap_or_else(PoisonError::into_inner);
        if !granted.contains(&grant) {
            granted.push(grant);
        }
    }

    fn asker(&self) -> Result<Asker<'_>, ApiError> {
        let inner = &self.inner;
        let signed_in =
            inner.signed_in.as_ref().ok_or_else(|| ApiError::internal("the method takes no caller"))?;
        Ok(Asker {
            caller: &signed_in.caller,
            token: &signed_in.token,
            request_id: &inner.request_id,
            deadline: self.deadline(),
            client_address: inner.client_address,
            reason: signed_in.reason.as_ref(),
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
    if let Some(ClientAddress(address)) = asker.client_address
        && let Ok(value) = MetadataValue::try_from(address.to_string())
    {
        request.metadata_mut().insert(CLIENT_ADDRESS, value);
    }
    if let Some(value) = asker.reason.and_then(AccessReason::metadata) {
        request.metadata_mut().insert(ACCESS_REASON, value);
    }
    request.extensions_mut().insert(RequestId(asker.request_id.to_owned()));
    request.extensions_mut().insert(Deadline(asker.deadline));
    request
}

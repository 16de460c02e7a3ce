//! Who may write of a pet, asked for pets that a request does not name: those that eat the food it changes.
//!
//! Invariant: whoever cannot be asked about is not taken to be allowed; the request fails instead.

use async_trait::async_trait;
use petty_chassis::ApiError;
use petty_chassis::grpc::Channel;
use petty_chassis::grpc::gate::Call;
use petty_chassis::types::PetId;
use petty_proto::auth::v1 as auth;
use petty_proto::auth::v1::access_service_client::AccessServiceClient;
use petty_proto::auth::v1::check_access_request::Resource;
use petty_proto::auth::v1::pet::Role;
use tonic::Code;

/// Who knows it: auth's RPC, or a test's table.
#[async_trait]
pub trait Writers: Send + Sync + 'static {
    /// Whether the caller may write of the pet now.
    ///
    /// # Errors
    /// `SESSION_ENDED`, or unavailable.
    async fn may_write(&self, call: &Call, pet: PetId) -> Result<bool, ApiError>;
}

/// auth, asked with the caller's own token.
#[derive(Debug)]
pub struct RemoteWriters {
    client: AccessServiceClient<Channel>,
}

impl RemoteWriters {
    /// Over a channel to auth.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { client: AccessServiceClient::new(channel) }
    }
}

#[async_trait]
impl Writers for RemoteWriters {
    async fn may_write(&self, call: &Call, pet: PetId) -> Result<bool, ApiError> {
        let resource = Some(Resource::PetId(pet.to_string()));
        let request = call.forward(auth::CheckAccessRequest { resource })?;
        match self.client.clone().check_access(request).await {
            Ok(answer) => Ok(match answer.into_inner().role() {
                Role::Owner | Role::Caregiver => true,
                Role::Unspecified | Role::Viewer | Role::Vet | Role::Staff => false,
            }),
            Err(status) => match status.code() {
                Code::NotFound => Ok(false),
                Code::Unauthenticated => Err(ApiError::from_upstream(&status)),
                _ => Err(ApiError::unavailable("ACCESS_UNKNOWN", status)),
            },
        }
    }
}

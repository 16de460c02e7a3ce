//! What a pet is, asked of auth where `pet.changed` was not heard yet.

use async_trait::async_trait;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::access_service_client::AccessServiceClient;
use tonic::Code;

use crate::error::ApiError;
use crate::grpc::Channel;
use crate::types::PetId;

/// Where that is asked: auth's RPC, or a test's table.
#[async_trait]
pub trait PetSource: Send + Sync + 'static {
    /// The pet, with its version; `None` where there is no such pet (any more).
    ///
    /// # Errors
    /// `PET_UNKNOWN`, unavailable, where nobody could be asked.
    async fn describe(&self, pet: PetId) -> Result<Option<wire::Pet>, ApiError>;
}

/// Asks auth.
#[derive(Debug)]
pub struct RemotePets {
    client: AccessServiceClient<Channel>,
}

impl RemotePets {
    /// Over a channel to auth.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { client: AccessServiceClient::new(channel) }
    }
}

#[async_trait]
impl PetSource for RemotePets {
    async fn describe(&self, pet: PetId) -> Result<Option<wire::Pet>, ApiError> {
        let request = wire::DescribePetRequest { pet_id: pet.to_string() };
        match self.client.clone().describe_pet(request).await {
            Ok(answer) => {
                let described = answer.into_inner().pet;
                described.map(Some).ok_or_else(|| ApiError::internal("auth described no pet"))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            // Whatever else auth says is no fault of what is being worked on: that waits.
            Err(status) => Err(ApiError::unavailable("PET_UNKNOWN", status)),
        }
    }
}

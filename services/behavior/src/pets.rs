//! What a pet is, asked of auth when readings come before `pet.changed` did.

use async_trait::async_trait;
use petty_chassis::ApiError;
use petty_chassis::grpc::Channel;
use petty_chassis::types::PetId;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::access_service_client::AccessServiceClient;
use tonic::Code;

use crate::domain::Species;
use crate::grpc::convert;

/// What the behavior service needs to know of a pet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pet {
    /// Chooses the priors.
    pub species: Species,
    /// The IANA zone of its days and nights.
    pub time_zone: String,
}

/// Where that is asked: auth's RPC, or a test's table.
#[async_trait]
pub trait PetSource: Send + Sync + 'static {
    /// The pet and its version; `None` where there is no such pet (any more).
    ///
    /// # Errors
    /// Unavailable, where nobody could be asked.
    async fn describe(&self, pet: PetId) -> Result<Option<(Pet, i64)>, ApiError>;
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
    async fn describe(&self, pet: PetId) -> Result<Option<(Pet, i64)>, ApiError> {
        let request = wire::DescribePetRequest { pet_id: pet.to_string() };
        let answer = match self.client.clone().describe_pet(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) if status.code() == Code::NotFound => return Ok(None),
            // Whatever else auth says is no fault of the readings: they wait.
            Err(status) => return Err(ApiError::unavailable("PET_UNKNOWN", status)),
        };
        let described = answer.pet.ok_or_else(|| ApiError::internal("auth described no pet"))?;
        let version = i64::from(described.version);
        let pet = convert::pet(described).map_err(ApiError::internal)?;
        Ok(Some((pet, version)))
    }
}

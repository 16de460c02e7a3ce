//! Access and keys from auth, over gRPC.

use async_trait::async_trait;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::access_service_client::AccessServiceClient;
use petty_proto::auth::v1::check_access_request::Resource;
use petty_proto::auth::v1::pet::Role;
use petty_proto::auth::v1::token_service_client::TokenServiceClient;
use tonic::Code as GrpcCode;

use super::{AccessSource, Asker, Decision, Pairing, Target};
use crate::caller::KeySource;
use crate::error::ApiError;
use crate::grpc::client::Channel;
use crate::grpc::gate;

/// Asks auth's `AccessService`, with the caller's own token.
#[derive(Debug)]
pub struct RemoteAccess {
    client: AccessServiceClient<Channel>,
}

impl RemoteAccess {
    /// Over a channel to auth.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { client: AccessServiceClient::new(channel) }
    }
}

#[async_trait]
impl AccessSource for RemoteAccess {
    async fn check(&self, asker: &Asker<'_>, target: &Target) -> Result<Decision, ApiError> {
        let resource = match target {
            Target::Session => None,
            Target::Pet(pet) => Some(Resource::PetId(pet.to_string())),
            Target::Collar(collar) => Some(Resource::CollarId(collar.to_string())),
        };
        let request = gate::forwarded(wire::CheckAccessRequest { resource }, asker);
        match self.client.clone().check_access(request).await {
            Ok(response) => decision(response.into_inner()),
            Err(status) => match status.code() {
                GrpcCode::NotFound => Ok(Decision { role: None, pairings: Vec::new(), expires: None }),
                GrpcCode::Unauthenticated => Err(ApiError::from_upstream(&status)),
                _ => Err(ApiError::unavailable("ACCESS_UNKNOWN", status)),
            },
        }
    }
}

fn decision(answer: wire::CheckAccessResponse) -> Result<Decision, ApiError> {
    let role = match answer.role() {
        Role::Unspecified => None,
        role => Some(role),
    };
    let expires = answer.expire_time.map(TryInto::try_into).transpose().map_err(ApiError::internal)?;
    let pairings = answer.pairings.into_iter().map(pairing).collect::<Result<_, _>>()?;
    Ok(Decision { role, pairings, expires })
}

fn pairing(answer: wire::Pairing) -> Result<Pairing, ApiError> {
    let role = answer.role();
    Ok(Pairing {
        pairing_id: answer.pairing_id.parse().map_err(ApiError::internal)?,
        pet_id: answer.pet_id.parse().map_err(ApiError::internal)?,
        start: answer.start_time.unwrap_or_default().try_into().map_err(ApiError::internal)?,
        end: answer.end_time.map(TryInto::try_into).transpose().map_err(ApiError::internal)?,
        role,
    })
}

/// Fetches auth's public keys.
#[derive(Debug)]
pub struct RemoteKeys {
    client: TokenServiceClient<Channel>,
}

impl RemoteKeys {
    /// Over a channel to auth.
    #[must_use]
    pub fn new(channel: Channel) -> Self {
        Self { client: TokenServiceClient::new(channel) }
    }
}

#[async_trait]
impl KeySource for RemoteKeys {
    async fn keys(&self) -> Result<wire::Jwks, ApiError> {
        let answer = self.client.clone().get_jwks(wire::GetJwksRequest {}).await;
        answer.map(tonic::Response::into_inner).map_err(|status| ApiError::unavailable("KEYS_UNAVAILABLE", status))
    }
}

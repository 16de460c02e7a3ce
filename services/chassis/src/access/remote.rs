//! Access and keys from auth, over gRPC.

use async_trait::async_trait;
use petty_proto::auth::v1 as wire;
use petty_proto::auth::v1::access_service_client::AccessServiceClient;
use petty_proto::auth::v1::check_access_request::Resource;
use petty_proto::auth::v1::pet::Role as WireRole;
use petty_proto::auth::v1::token_service_client::TokenServiceClient;
use tonic::Code as GrpcCode;

use super::{AccessSource, Asker, Decision, Pairing, Role, Target};
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
    let role = role(answer.role());
    let expires = answer.expire_time.map(TryInto::try_into).transpose().map_err(ApiError::internal)?;
    let pairings = answer
        .pairings
        .into_iter()
        .filter_map(|answer| pairing(answer).transpose())
        .collect::<Result<_, _>>()?;
    Ok(Decision { role, pairings, expires })
}

/// A pairing without a role is none that the caller may see.
fn pairing(answer: wire::Pairing) -> Result<Option<Pairing>, ApiError> {
    let Some(role) = role(answer.role()) else { return Ok(None) };
    Ok(Some(Pairing {
        pairing_id: answer.pairing_id.parse().map_err(ApiError::internal)?,
        pet_id: answer.pet_id.parse().map_err(ApiError::internal)?,
        start: answer.start_time.unwrap_or_default().try_into().map_err(ApiError::internal)?,
        end: answer.end_time.map(TryInto::try_into).transpose().map_err(ApiError::internal)?,
        role,
    }))
}

fn role(answer: WireRole) -> Option<Role> {
    match answer {
        WireRole::Unspecified => None,
        WireRole::Viewer => Some(Role::Viewer),
        WireRole::Caregiver => Some(Role::Caregiver),
        WireRole::Vet => Some(Role::Vet),
        WireRole::Owner => Some(Role::Owner),
        WireRole::Staff => Some(Role::Staff),
    }
}

impl From<Role> for WireRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => Self::Viewer,
            Role::Caregiver => Self::Caregiver,
            Role::Vet => Self::Vet,
            Role::Owner => Self::Owner,
            Role::Staff => Self::Staff,
        }
    }
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
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| ApiError::unavailable("KEYS_UNAVAILABLE", status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{PairingId, PetId};

    #[test]
    fn roles_are_the_same_there_and_back_and_an_unspecified_one_is_none() {
        for known in [Role::Viewer, Role::Caregiver, Role::Vet, Role::Owner, Role::Staff] {
            assert_eq!(role(known.into()), Some(known));
            assert_eq!(Role::parse(known.as_str()), Some(known));
        }
        assert_eq!(role(WireRole::Unspecified), None);
        assert_eq!(Role::parse("viewer"), None);
    }

    #[test]
    fn a_pairing_without_a_role_is_dropped() {
        let (seen, unseen) = (PairingId(uuid::Uuid::from_u128(1)), PairingId(uuid::Uuid::from_u128(2)));
        let pairing = |id: PairingId, role: i32| wire::Pairing {
            pairing_id: id.to_string(),
            pet_id: PetId(uuid::Uuid::from_u128(3)).to_string(),
            start_time: Some(jiff::Timestamp::UNIX_EPOCH.into()),
            end_time: None,
            role,
        };
        // 99: a role of a version to come.
        let pairings = vec![pairing(unseen, 0), pairing(seen, WireRole::Vet.into()), pairing(unseen, 99)];
        let answer = wire::CheckAccessResponse { role: 99, pairings, expire_time: None };
        let decision = decision(answer).unwrap();
        assert_eq!(decision.role, None);
        let pairings: Vec<_> = decision.pairings.iter().map(|one| (one.pairing_id, one.role)).collect();
        assert_eq!(pairings, [(seen, Role::Vet)]);
    }
}

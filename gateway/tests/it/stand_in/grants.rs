//! Personal access tokens and the staff.

use petty_chassis::ApiError;
use petty_proto::auth::v1::personal_token_service_server::PersonalTokenService;
use petty_proto::auth::v1::staff_service_server::StaffService;
use petty_proto::auth::v1::{self as auth};
use tonic::{Request, Response, Status};

use super::{Answer, StandIn, answers_default};

#[tonic::async_trait]
impl PersonalTokenService for StandIn {
    answers_default! {
        create_personal_token(auth::CreatePersonalTokenRequest) -> auth::CreatePersonalTokenResponse;
        list_personal_tokens(auth::ListPersonalTokensRequest) -> auth::ListPersonalTokensResponse;
        delete_personal_token(auth::DeletePersonalTokenRequest) -> auth::DeletePersonalTokenResponse;
    }

    async fn exchange_personal_token(
        &self,
        request: Request<auth::ExchangePersonalTokenRequest>,
    ) -> Result<Response<auth::ExchangePersonalTokenResponse>, Status> {
        self.note("exchange_personal_token", request.metadata(), "");
        // Long enough for others to come meanwhile.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        match self.tickets.lock().unwrap().get(&request.get_ref().token).map(String::as_str) {
            Some("away") => Err(ApiError::unavailable("DATABASE_AWAY", "no connection").into()),
            Some(token) => Ok(Response::new(auth::ExchangePersonalTokenResponse {
                access_token: token.to_owned(),
                expires_in: 900,
            })),
            None => Err(ApiError::unauthenticated("TOKEN_INVALID", "the access token is not valid").into()),
        }
    }
}

#[tonic::async_trait]
impl StaffService for StandIn {
    answers_default! {
        list_staff(auth::ListStaffRequest) -> auth::ListStaffResponse;
        grant_role(auth::GrantRoleRequest) -> auth::StaffMember;
        withdraw_role(auth::WithdrawRoleRequest) -> auth::StaffMember;
    }
}

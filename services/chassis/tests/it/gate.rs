//! What the gate says of things that are a pet's.

use std::sync::Arc;

use petty_chassis::ApiError;
use petty_chassis::access::Role;
use petty_chassis::grpc::gate::{Call, FeedbackServiceHandler};
use petty_chassis::types::{Clock, PetId};
use petty_proto::feedback::v1 as wire;
use petty_proto::feedback::v1::feedback_service_server::FeedbackService as _;
use petty_proto::policy;
use tonic::{Code, Status};

use crate::callers::{Auth, Says};
use crate::fixture::reason;

/// Knows of one event, "evt_1", of one pet.
struct Handler {
    pet: PetId,
}

fn event_not_found() -> ApiError {
    ApiError::not_found("EVENT_NOT_FOUND", "no such event")
}

#[tonic::async_trait]
impl FeedbackServiceHandler for Handler {
    async fn create_feedback(
        &self,
        call: Call,
        request: wire::CreateFeedbackRequest,
    ) -> Result<wire::Feedback, ApiError> {
        if request.event_id != "evt_1" {
            return Err(event_not_found());
        }
        let access = call.pet_of(self.pet, event_not_found()).await?;
        assert_eq!(access.pet_id, self.pet);
        Ok(wire::Feedback::default())
    }

    /// Forgets to ask.
    async fn list_feedback(
        &self,
        _call: Call,
        _request: wire::ListFeedbackRequest,
    ) -> Result<wire::ListFeedbackResponse, ApiError> {
        Ok(wire::ListFeedbackResponse::default())
    }

    async fn submit_feedback(
        &self,
        call: Call,
        _request: wire::SubmitFeedbackRequest,
    ) -> Result<wire::SubmitFeedbackResponse, ApiError> {
        call.pet().await?;
        Ok(wire::SubmitFeedbackResponse::default())
    }

    /// Of no pet: its policy has no resource.
    async fn get_feedback_stats(
        &self,
        call: Call,
        _request: wire::GetFeedbackStatsRequest,
    ) -> Result<wire::GetFeedbackStatsResponse, ApiError> {
        call.pet_of(self.pet, event_not_found()).await?;
        Ok(wire::GetFeedbackStatsResponse::default())
    }
}

async fn create(auth: &Auth, event_id: &str) -> Result<wire::Feedback, Status> {
    let handler = Arc::new(Handler { pet: PetId::new(&Clock::system()) });
    let event_id = event_id.to_owned();
    let request = auth.request(wire::CreateFeedbackRequest { event_id, ..Default::default() });
    auth.gate().guard(handler).create_feedback(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn what_is_a_pet_s_is_there_for_those_who_may_read_the_pet_and_nobody_else() {
    assert_eq!(
        policy::FEEDBACK_SERVICE_CREATE_FEEDBACK.resource.unwrap().kind,
        policy::ResourceKind::OfPet,
        "what the test is about"
    );
    let auth = Auth::new(Says::Is(Role::Caregiver));
    create(&auth, "evt_1").await.unwrap();

    auth.say(Says::Is(Role::Viewer));
    let refused = create(&auth, "evt_1").await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::PermissionDenied, "PERMISSION_DENIED"));

    auth.say(Says::Nothing);
    let not_theirs = create(&auth, "evt_1").await.unwrap_err();
    assert_eq!((not_theirs.code(), reason(&not_theirs).as_str()), (Code::NotFound, "EVENT_NOT_FOUND"));
    let not_there = create(&auth, "evt_2").await.unwrap_err();
    assert_eq!(not_theirs.message(), not_there.message());
    assert_eq!(not_theirs.details(), not_there.details(), "the two cannot be told apart");

    for (says, code, told) in [
        (Says::SessionEnded, Code::Unauthenticated, "SESSION_ENDED"),
        (Says::Away, Code::Unavailable, "ACCESS_UNKNOWN"),
    ] {
        auth.say(says);
        let refused = create(&auth, "evt_1").await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (code, told));
    }
}

#[tokio::test]
async fn a_handler_that_asks_for_something_else_or_for_nothing_is_refused() {
    let auth = Auth::new(Says::Is(Role::Owner));
    let guarded = auth.gate().guard(Arc::new(Handler { pet: PetId::new(&Clock::system()) }));
    let request =
        auth.request(wire::ListFeedbackRequest { event_id: "evt_1".to_owned(), ..Default::default() });
    assert_eq!(guarded.list_feedback(request).await.unwrap_err().code(), Code::Internal);

    let request =
        auth.request(wire::SubmitFeedbackRequest { event_id: "evt_1".to_owned(), ..Default::default() });
    assert_eq!(guarded.submit_feedback(request).await.unwrap_err().code(), Code::Internal);
    assert_eq!(auth.asked(), 0);

    let empty = auth.request(wire::ListFeedbackRequest::default());
    assert_eq!(guarded.list_feedback(empty).await.unwrap_err().code(), Code::InvalidArgument);
}

//! Nutrition and feedback.

use petty_proto::feedback::v1::feedback_service_server::FeedbackService;
use petty_proto::feedback::v1::{self as feedback};
use petty_proto::nutrition::v1::nutrition_service_server::NutritionService;
use petty_proto::nutrition::v1::{self as nutrition};
use tonic::{Request, Response, Status};

use super::{Answer, StandIn, answers_default};

#[tonic::async_trait]
impl NutritionService for StandIn {
    answers_default! {
        get_plan(nutrition::GetPlanRequest) -> nutrition::Plan;
        get_pet_plan(nutrition::GetPetPlanRequest) -> nutrition::GetPetPlanResponse;
        get_nutrition_profile(nutrition::GetNutritionProfileRequest) -> nutrition::NutritionProfile;
        update_nutrition_profile(nutrition::UpdateNutritionProfileRequest) -> nutrition::NutritionProfile;
        create_weight(nutrition::CreateWeightRequest) -> nutrition::Weight;
        list_weights(nutrition::ListWeightsRequest) -> nutrition::ListWeightsResponse;
        delete_weight(nutrition::DeleteWeightRequest) -> nutrition::DeleteWeightResponse;
        list_recommendations(nutrition::ListRecommendationsRequest) -> nutrition::ListRecommendationsResponse;
        create_food(nutrition::CreateFoodRequest) -> nutrition::Food;
        list_foods(nutrition::ListFoodsRequest) -> nutrition::ListFoodsResponse;
        get_food(nutrition::GetFoodRequest) -> nutrition::Food;
        update_food(nutrition::UpdateFoodRequest) -> nutrition::Food;
        delete_food(nutrition::DeleteFoodRequest) -> nutrition::DeleteFoodResponse;
    }
}

#[tonic::async_trait]
impl FeedbackService for StandIn {
    answers_default! {
        create_feedback(feedback::CreateFeedbackRequest) -> feedback::Feedback;
        list_feedback(feedback::ListFeedbackRequest) -> feedback::ListFeedbackResponse;
        get_feedback_stats(feedback::GetFeedbackStatsRequest) -> feedback::GetFeedbackStatsResponse;
    }

    async fn submit_feedback(
        &self,
        request: Request<feedback::SubmitFeedbackRequest>,
    ) -> Result<Response<feedback::SubmitFeedbackResponse>, Status> {
        let message = request.get_ref();
        // Of the request, what of it is any JSON.
        let segment = message.segment.as_ref().map(|segment| serde_json::to_string(segment).unwrap());
        let segment = segment.unwrap_or_default();
        self.note_whole("submit_feedback", request.metadata(), &message.request_id, segment);
        Ok(Response::new(feedback::SubmitFeedbackResponse { success: true, feedback_id: "fbk_1".to_owned() }))
    }
}

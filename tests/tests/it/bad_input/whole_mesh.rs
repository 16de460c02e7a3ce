//! Bad input to feeding, feedback, days and streams.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Case, get, post, send};

fn delete(rpc: &'static str, path: impl Into<String>, field: &'static str) -> Case {
    Case { rpc, method: Method::DELETE, path: path.into(), body: None, field }
}

pub(super) fn feeding(pet: &str) -> Vec<Case> {
    let at = format!("/v1/pets/{pet}");
    let profile = format!("{at}/nutrition-profile");
    let put = |body: Value, field| send("UpdateNutritionProfile", Method::PUT, &profile, body, field);
    let food = |body: Value, field| post("CreateFood", "/v1/foods", body, field);
    let nobodys = "00000000-0000-7000-8000-000000000007";
    vec![
        get("GetPlan", "/v1/pets/rex/plan", "pet_id"),
        get("GetPlan", format!("{at}/plan?day=today"), "day"),
        get("GetPetPlan", "/v1/pet-plan", "collar_id"),
        get("GetPetPlan", format!("/v1/pet-plan?collar_id={}", "c".repeat(10_000)), "collar_id"),
        get("GetNutritionProfile", "/v1/pets/rex/nutrition-profile", "pet_id"),
        put(json!({"weight_kg": 0}), "weight_kg"),
        put(json!({"weight_kg": 1e9}), "weight_kg"),
        put(json!({"weight_kg": "heavy"}), "weight_kg"),
        put(json!({"body_condition_score": 10}), "body_condition_score"),
        put(json!({"life_stage": "TEENAGER"}), "life_stage"),
        put(json!({"mating_date": "soon"}), "mating_date"),
        put(json!({"litter_size": 0}), "litter_size"),
        put(json!({"meals_per_day": 9}), "meals_per_day"),
        put(json!({"foods": [{"food_id": "kibble"}]}), "foods[0].food_id"),
        put(json!({"foods": [{"food_id": nobodys, "share": -1}]}), "foods[0].share"),
        put(json!({"allergies": ["a".repeat(61)]}), "allergies[0]"),
        put(json!({"colour": "brown"}), "colour"),
        post("CreateWeight", format!("{at}/weights"), json!({}), "weight_kg"),
        post("CreateWeight", format!("{at}/weights"), json!({"weight_kg": -4.5}), "weight_kg"),
        post(
            "CreateWeight",
            format!("{at}/weights"),
            json!({"weight_kg": 4.5, "measure_time": "3026-01-01T00:00:00Z"}),
            "measure_time",
        ),
        get("ListWeights", format!("{at}/weights?start_time=noon"), "start_time"),
        get("ListWeights", format!("{at}/weights?page_size=-1"), "page_size"),
        delete("DeleteWeight", format!("{at}/weights/first"), "weight_id"),
        get("ListRecommendations", "/v1/pets/rex/recommendations", "pet_id"),
        food(json!({"kind": "DRY", "label_kcal_per_100g": 380}), "name"),
        food(json!({"name": "Kibble", "label_kcal_per_100g": 380}), "kind"),
        food(json!({"name": "Kibble", "kind": "DRY", "label_kcal_per_100g": 9_000}), "label_kcal_per_100g"),
        food(json!({"name": "Kibble", "kind": "DRY", "protein_percent": 101}), "protein_percent"),
        food(
            json!({"name": "Cake", "kind": "TREAT", "label_kcal_per_100g": 400, "ingredients": ["dark chocolate"]}),
            "ingredients[0]",
        ),
        get("ListFoods", "/v1/foods?page_token=%21", "page_token"),
        get("GetFood", "/v1/foods/kibble", "food_id"),
        send("UpdateFood", Method::PATCH, "/v1/foods/kibble", json!({"name": "Kibble"}), "food_id"),
        send("UpdateFood", Method::PATCH, format!("/v1/foods/{nobodys}"), json!({"name": ""}), "name"),
        delete("DeleteFood", "/v1/foods/kibble", "food_id"),
    ]
}

pub(super) fn feedback() -> Vec<Case> {
    let event = format!("evt_{:032x}", 7);
    let path = format!("/v1/events/{event}/feedback");
    vec![
        post("SubmitFeedback", "/v1/submit-feedback", json!({"user_feedback": "positive"}), "event_id"),
        post("SubmitFeedback", "/v1/submit-feedback", json!({"event_id": event}), "user_feedback"),
        post("CreateFeedback", &path, json!({}), "verdict"),
        post("CreateFeedback", &path, json!({"verdict": "PERHAPS"}), "verdict"),
        post(
            "CreateFeedback",
            &path,
            json!({"verdict": "WRONG", "actual_behavior": "Flying"}),
            "actual_behavior",
        ),
        post(
            "CreateFeedback",
            &path,
            json!({"verdict": "CORRECT", "actual_behavior": "Resting"}),
            "actual_behavior",
        ),
        post("CreateFeedback", &path, json!({"verdict": "UNSURE", "comment": "x".repeat(1_001)}), "comment"),
        post("CreateFeedback", "/v1/events/evt_7/feedback", json!({"verdict": "CORRECT"}), "event_id"),
        get("ListFeedback", "/v1/events/evt_7/feedback", "event_id"),
        get("ListFeedback", format!("{path}?page_size=1001"), "page_size"),
        get("GetFeedbackStats", "/v1/feedback/stats?start_time=noon", "start_time"),
        get(
            "GetFeedbackStats",
            "/v1/feedback/stats?start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z",
            "start_time",
        ),
    ]
}

pub(super) fn timeline(pet: &str) -> Vec<Case> {
    let at = format!("/v1/pets/{pet}");
    vec![
        get("ListTimeline", format!("{at}/timeline?kinds=PARTY"), "kinds[0]"),
        get("ListTimeline", format!("{at}/timeline?behaviors=Resting&behaviors=Flying"), "behaviors[1]"),
        get("GetDay", format!("{at}/days/today"), "date"),
        get("GetDay", format!("{at}/days/2026-02-30"), "date"),
        get("GetDay", "/v1/pets/rex/days/2026-01-01", "pet_id"),
        get("StreamTimeline", "/v1/pets/rex/stream", "pet_id"),
        get("StreamTimeline", format!("{at}/stream?last_event_id=first"), "last_event_id"),
        get("StreamTimeline", format!("{at}/stream?since=noon"), "since"),
        post("IssueStreamTicket", "/v1/stream/ticket", json!({"for": "a day"}), "for"),
    ]
}

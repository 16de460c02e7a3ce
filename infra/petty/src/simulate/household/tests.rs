//! A household against a gateway that has seen it before, and then fails for a while.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::*;
use crate::simulate::named;

/// The times of what was posted; batches are refused while `refuses` says so.
#[derive(Default)]
struct Gateway {
    refuses: bool,
    posted: Vec<String>,
}

type Shared = Arc<Mutex<Gateway>>;

async fn ingest(State(gateway): State<Shared>, Json(body): Json<Value>) -> Response {
    let mut gateway = gateway.lock().unwrap();
    if gateway.refuses {
        return (StatusCode::FORBIDDEN, Json(json!({"detail": "not now", "code": "NO"}))).into_response();
    }
    let times = body["readings"].as_array().unwrap().iter();
    let times: Vec<String> = times.map(|it| it["timestamp"].as_str().unwrap().to_owned()).collect();
    let accepted = times.len();
    gateway.posted.extend(times);
    Json(json!({"accepted": accepted, "duplicates": 0, "rejected": []})).into_response()
}

/// Another pet of that name wears another collar; ours is worn since noon. Any other call is not expected.
fn router(gateway: &Shared) -> Router {
    let collar = |id: &str| json!({"collars": [{"collar_id": id, "start_time": "2026-11-20T12:00:00Z"}]});
    let (other, ours) = (collar("c-2"), collar("c-1"));
    Router::new()
        .route("/v1/pets/p-1/collars", get(async move || Json(other)))
        .route("/v1/pets/p-2/collars", get(async move || Json(ours)))
        .route("/v1/pets/p-2/collars/c-1:rotateSecret", post(async || Json(json!({"secret": "s"}))))
        .route("/v1/collars/token", post(async || Json(json!({"access_token": "t"}))))
        .route("/v1/ingest:batch", post(ingest))
        .with_state(Arc::clone(gateway))
}

#[tokio::test]
async fn a_pet_is_found_again_by_its_collar_and_what_could_not_be_sent_is_sent_later() {
    let gateway = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let known = |id: &str| client::Pet {
        pet_id: id.to_owned(),
        name: "Rex".to_owned(),
        time_zone: "Asia/Tokyo".to_owned(),
    };
    let (known, token) = ([known("p-1"), known("p-2")], SecretString::from("t"));
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (now, interval) = (time("2026-11-20T13:00:00Z"), SignedDuration::from_secs(60));
    let quiet: Listener<'_> = &|_| {};
    let household = Household {
        client: &client,
        token: &token,
        known: &known,
        now,
        run: "1".to_owned(),
        listener: quiet,
    };
    let shutdown = Shutdown::new();
    let work = async {
        let pet = named(1, 0, "Rex", TimeZone::UTC);
        let equipped = household.equip(pet, "c-1".to_owned(), |pet| {
            assert_eq!(&*pet.zone, "Asia/Tokyo", "it lives where its owner says");
            time("2026-11-20T00:00:00Z")
        });
        let mut member = equipped.await.unwrap();
        assert_eq!(member.sent().pet_id, "p-2");
        assert_eq!(member.next(), time("2026-11-20T12:00:00Z"), "not before the collar was put on");

        gateway.lock().unwrap().refuses = true;
        assert!(!member.send(&client, now, interval, quiet, &shutdown).await);
        assert!(member.sent().gave_up.as_ref().unwrap().contains("not now"));
        gateway.lock().unwrap().refuses = false;
        let later = now + SignedDuration::from_mins(30);
        assert!(member.send(&client, later, interval, quiet, &shutdown).await);
        shutdown.begin();
        let much_later = later + SignedDuration::from_hours(1);
        assert!(!member.send(&client, much_later, interval, quiet, &shutdown).await, "nothing new then");
        member.finish()
    };
    let sent = tokio::select! {
        sent = work => sent,
        served = async { axum::serve(listener, router(&gateway)).await } => panic!("{served:?}"),
    };
    let gateway = gateway.lock().unwrap();
    assert!(sent.gave_up.is_none() && sent.readings == gateway.posted.len(), "{sent:?}");
    assert!(gateway.posted.len() > 80 && gateway.posted.is_sorted(), "each once, in order");
}

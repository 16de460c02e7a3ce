//! A plan follows what the pet weighs, eats and does; what people say of events is kept, counted, archived and forgotten.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, ToSpan as _};
use petty_chassis::types::Clock;
use petty_tests::eventually;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Account, Client};
use reqwest::Method;
use serde_json::{Value, json};

async fn put(client: &Client, path: &str, token: &str, body: &Value) -> Value {
    client.send(client.request(Method::PUT, path, Some(token)).json(body)).await.good()
}

async fn a_dog(client: &Client, owner: &Account) -> String {
    let body = json!({
        "name": "Rex", "species": "DOG", "neutered": true, "birth_date": "2022-05-01", "time_zone": "Europe/Berlin",
    });
    let pet = client.post("/v1/pets", &owner.token, &body).await.good();
    pet["pet_id"].as_str().unwrap().to_owned()
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or(f64::NAN);
    assert!((found - expected).abs() < 1.0, "{found}, not {expected}");
}

/// Two weeks of readings five minutes apart: the first of a dog that lies about, the second of one that runs for hours.
fn fortnight(collar: &str, end: Timestamp) -> Vec<Value> {
    let begin = end - SignedDuration::from_hours(14 * 24);
    (0..14 * 288)
        .map(|nth| {
            let at = begin + SignedDuration::from_mins(5 * nth);
            let (day, hour) = (nth / 288, at.to_zoned(jiff::tz::TimeZone::UTC).hour());
            let active = (9..if day < 7 { 10 } else { 14 }).contains(&hour);
            let (level, heart_rate) = if active { (2, 150 + nth % 7) } else { (0, 62 + nth % 3) };
            json!({"collar_id": collar, "timestamp": at.to_string(), "heart_rate": heart_rate, "activity_level": level})
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_follows_the_pets_weight_food_and_measured_activity() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let pet = a_dog(&client, &owner).await;
    let at = format!("/v1/pets/{pet}");
    let plan = || async { client.get(&format!("{at}/plan"), &owner.token).await.good() };

    let unknown = plan().await;
    assert_eq!((&unknown["status"], &unknown["version"]), (&json!("INCOMPLETE"), &json!(0)));
    let missing: BTreeSet<&str> = unknown["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|missing| missing["field"].as_str().unwrap())
        .collect();
    assert!(missing.contains("weight_kg"), "{missing:?}");

    let food = json!({"name": "Kibble", "kind": "DRY", "label_kcal_per_100g": 380, "moisture_percent": 9});
    let food = client.post("/v1/foods", &owner.token, &food).await.good();
    let profile =
        json!({"weight_kg": 20, "body_condition_score": 5, "foods": [{"food_id": food["food_id"]}]});
    put(&client, &format!("{at}/nutrition-profile"), &owner.token, &profile).await;
    let first = plan().await;
    assert_eq!((&first["status"], &first["life_stage"]), (&json!("READY"), &json!("ADULT")));
    // 70 × 20^0.75 = 662; the middle of 1.4 to 1.6 while nothing is measured (AAHA 2021).
    close(&first["energy"]["rer_kcal"], 70.0 * 20_f64.powf(0.75));
    close(&first["energy"]["kcal_per_day"], 70.0 * 20_f64.powf(0.75) * 1.5);
    assert_eq!(first["activity"]["status"], "CALIBRATING");
    let portion = &first["portions"][0];
    close(&portion["grams_per_day"], first["meal_kcal_per_day"].as_f64().unwrap() / 3.8);
    close(&portion["grams_per_meal"], portion["grams_per_day"].as_f64().unwrap() / 2.0);

    let now = Clock::system().now();
    let device =
        client.pair(&owner, &pet, "collar-fed", Some(now - SignedDuration::from_hours(20 * 24))).await;
    for batch in fortnight("collar-fed", now).chunks(1_000) {
        client.ingest_patiently(&device, batch).await;
    }
    // Each day that is told may change the plan; it is on the timeline, with why, and the days say so too.
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let day = (now.to_zoned(zone) - 2.days()).date();
    let told = || async {
        let plan = client.get(&format!("{at}/plan"), &owner.token).await.body;
        let notes = client.get(&format!("{at}/timeline?kinds=PLAN"), &owner.token).await.body;
        let day = client.get(&format!("{at}/days/{day}"), &owner.token).await.body;
        (plan, notes, day)
    };
    eventually("the plan follows what was measured", Duration::from_secs(120), || async {
        let (plan, notes, day) = told().await;
        let noted = &notes["entries"][0]["plan"];
        plan["activity"]["status"] == "MEASURED"
            && plan["energy"]["factor"].as_f64().is_some_and(|factor| factor > 1.5)
            && noted["plan_version"] == plan["version"]
            && day["closed"] == true
    })
    .await;
    let (second, notes, day) = told().await;
    let factor = second["energy"]["factor"].as_f64().unwrap();
    assert!(factor <= 1.6 && second["version"].as_i64() > first["version"].as_i64(), "{second}");
    close(&second["energy"]["kcal_per_day"], 70.0 * 20_f64.powf(0.75) * factor);
    let notes = notes["entries"].as_array().unwrap();
    assert!(notes.len() >= 2, "{notes:?}");
    assert!(notes.iter().all(|note| !note["plan"]["reason"].as_str().unwrap().is_empty()));
    assert_eq!(day["time_zone"], "Europe/Berlin");
    let active = day["active_minutes"].as_f64().unwrap();
    assert!((200.0..=310.0).contains(&active), "five hours of running: {day}");

    // An owner who knows better says so; a repeated write changes nothing.
    let body = json!({"weight_kg": 21.5});
    for replayed in [None, Some("true")] {
        let weight = client
            .request(Method::POST, &format!("{at}/weights"), Some(&owner.token))
            .header("idempotency-key", "the scales, this morning")
            .json(&body);
        let noted = client.send(weight).await;
        assert_eq!(noted.status.as_u16(), 201, "{}", noted.text);
        let said = noted.headers.get("idempotency-replayed").map(|value| value.to_str().unwrap());
        assert_eq!(said, replayed);
    }
    let weights = client.all(&format!("{at}/weights"), &owner.token, "weights").await;
    assert_eq!(weights.len(), 2, "{weights:?}");
    // What was read is put back as it is, and says nothing new: not even of a weight that is not the last one any more.
    let mut read = client.get(&format!("{at}/nutrition-profile"), &owner.token).await.good();
    assert_eq!(read["weight_kg"], 21.5);
    put(&client, &format!("{at}/nutrition-profile"), &owner.token, &read).await;
    let (first, time) = (&weights[1]["weight_kg"], &weights[1]["measure_time"]);
    (read["weight_kg"], read["weight_time"]) = (first.clone(), time.clone());
    put(&client, &format!("{at}/nutrition-profile"), &owner.token, &read).await;
    let after = client.all(&format!("{at}/weights"), &owner.token, "weights").await;
    assert_eq!(after, weights);
    let profile = json!({"body_condition_score": 7, "activity_level": "WEIGHT_LOSS"});
    put(&client, &format!("{at}/nutrition-profile"), &owner.token, &profile).await;
    let third = plan().await;
    // On the ideal weight: 21.5 ÷ 1.2 kg, factor 1.0.
    close(&third["energy"]["kcal_per_day"], 70.0 * (21.5_f64 / 1.2).powf(0.75));
    let recommendations = client.get(&format!("{at}/recommendations"), &owner.token).await.good();
    assert!(recommendations["recommendations"].as_array().is_some_and(|all| !all.is_empty()));
    // The first system's call tells the same.
    let old = client.get("/v1/pet-plan?collar_id=collar-fed", &owner.token).await.good();
    close(
        &old["nutrition_plan"]["energy"]["kcal_per_day"],
        third["energy"]["kcal_per_day"].as_f64().unwrap(),
    );
    close(&old["daily_goals"]["kcal"], third["energy"]["kcal_per_day"].as_f64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_food_reaches_the_pets_that_its_account_may_write_of_and_no_others() {
    let mut mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let (owner, sitter) = (client.sign_up().await, client.sign_up().await);
    let pet = a_dog(&client, &owner).await;
    let at = format!("/v1/pets/{pet}");
    let body = json!({"email": sitter.email, "role": "CAREGIVER"});
    let share = client.post(&format!("{at}/shares"), &owner.token, &body).await.good();
    let food = json!({"name": "Kibble", "kind": "DRY", "label_kcal_per_100g": 380});
    let food = client.post("/v1/foods", &sitter.token, &food).await.good();
    let food = format!("/v1/foods/{}", food["food_id"].as_str().unwrap());
    let profile = json!({"weight_kg": 20, "body_condition_score": 5, "foods": [{"food_id": &food["/v1/foods/".len()..]}]});
    let path = format!("{at}/nutrition-profile");
    eventually("the share is known", Duration::from_secs(10), || async {
        client.get(&path, &sitter.token).await.status.as_u16() == 200
    })
    .await;
    put(&client, &path, &sitter.token, &profile).await;
    let bowl = || async {
        let plan = client.get(&format!("{at}/plan"), &owner.token).await.good();
        let portion = &plan["portions"][0];
        (portion["name"].as_str().unwrap().to_owned(), portion["grams_per_day"].as_f64().unwrap())
    };
    let change = async |name: &str, kcal: u16| {
        let body = json!({"name": name, "label_kcal_per_100g": kcal});
        client.send(client.request(Method::PATCH, &food, Some(&sitter.token)).json(&body)).await
    };
    let (name, grams) = bowl().await;
    assert_eq!(name, "Kibble");
    change("Light", 190).await.good();
    let light = bowl().await;
    assert_eq!(light.0, "Light");
    assert!((light.1 / grams - 2.0).abs() < 0.02, "{light:?} after {grams}");

    let share = format!("{at}/shares/{}", share["share_id"].as_str().unwrap());
    client.delete(&share, &owner.token).await.good();
    change("Not for you to read", 38).await.good();
    assert_eq!(bowl().await, light, "of somebody who may not write of the pet any more");
    assert_eq!(client.get(&food, &sitter.token).await.good()["name"], "Not for you to read");

    // Nobody is taken to be allowed whom nobody can be asked about.
    mesh.kill("auth", 0);
    let refused = change("Unasked", 380).await;
    assert_eq!(refused.status.as_u16(), 503, "{}", refused.text);
    assert_eq!(client.get(&food, &sitter.token).await.good()["name"], "Not for you to read");
    mesh.spawn("auth", 0);
    mesh.ready().await;
    eventually("it is asked again", Duration::from_secs(10), || async {
        change("Asked", 380).await.status.as_u16() == 200
    })
    .await;
    assert_eq!(bowl().await, light);
}

/// Every line of every object of an archive.
fn archived(folder: &Path) -> Vec<Value> {
    let mut lines = Vec::new();
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                let text = std::fs::read_to_string(path).unwrap_or_default();
                lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_say_is_kept_counted_archived_and_forgotten_with_the_pet() {
    let mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let (owner, friend, stranger) = (client.sign_up().await, client.sign_up().await, client.sign_up().await);
    let pet = a_dog(&client, &owner).await;
    let begin = Clock::system().now() - SignedDuration::from_hours(2);
    let device = client.pair(&owner, &pet, "collar-said", Some(begin)).await;
    let readings: Vec<Value> = (0..30)
        .map(|minute| {
            let at = begin + SignedDuration::from_mins(minute);
            json!({"collar_id": "collar-said", "timestamp": at.to_string(), "heart_rate": 52, "activity_level": 0})
        })
        .collect();
    client.ingest_patiently(&device, &readings).await;
    let timeline = format!("/v1/pets/{pet}/timeline");
    let sleep = || async {
        let listed = client.get(&format!("{timeline}?behaviors=deep_sleep"), &owner.token).await.good();
        listed["entries"][0]["event_id"].as_str().map(str::to_owned)
    };
    eventually("the sleep is on the timeline", Duration::from_secs(20), || async { sleep().await.is_some() })
        .await;
    let event = sleep().await.unwrap();
    let body = json!({"email": friend.email, "role": "VIEWER"});
    client.post(&format!("/v1/pets/{pet}/shares"), &owner.token, &body).await.good();

    let path = format!("/v1/events/{event}/feedback");
    let wrong = json!({"verdict": "WRONG", "actual_behavior": "resting", "comment": "Eyes open."});
    client.post(&path, &owner.token, &json!({"verdict": "CORRECT"})).await.good();
    let said = client.post(&path, &owner.token, &wrong).await;
    assert_eq!(said.status.as_u16(), 201, "{}", said.text);
    let said = said.good();
    assert_eq!(
        (&said["verdict"], &said["actual_behavior"], &said["mine"]),
        (&json!("WRONG"), &json!("Resting"), &json!(true))
    );
    client.post(&path, &friend.token, &wrong).await.is_problem(403, "PERMISSION_DENIED");
    client.post(&path, &stranger.token, &wrong).await.is_problem(404, "EVENT_NOT_FOUND");
    let seen = client.get(&path, &friend.token).await.good();
    assert_eq!(seen["feedback"].as_array().unwrap().len(), 2);
    assert_eq!(seen["feedback"][0]["mine"], false);

    // The staff sees how right each rule is, by the newest word alone.
    client.get("/v1/feedback/stats", &owner.token).await.is_problem(403, "SCOPE_MISSING");
    let staff = client.staff().await;
    let stats = client.get("/v1/feedback/stats", &staff.token).await.good();
    let rule = &stats["rules"][0];
    assert_eq!(
        (&rule["rule"], &rule["correct"], &rule["wrong"], &rule["precision"]),
        (&json!("deep_sleep"), &json!(0), &json!(1), &json!(0.0)),
        "{stats}"
    );
    eventually("what was said is on the timeline, without its text", Duration::from_secs(20), || async {
        let listed = client.get(&format!("{timeline}?kinds=FEEDBACK"), &owner.token).await.good();
        assert!(!listed.to_string().contains("Eyes open"));
        listed["entries"].as_array().is_some_and(|entries| entries.len() == 2)
    })
    .await;

    // The archive holds the labelled episode, and neither the pet's nor anybody's id.
    let archive = mesh.stack.data_dir().join("archive");
    eventually("the episode is archived", Duration::from_secs(30), || async {
        archived(&archive).iter().any(|line| line["verdict"] == "wrong")
    })
    .await;
    let lines = archived(&archive);
    assert!(lines.iter().any(|line| line["event_id"] == event.as_str()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.to_string().contains(&pet)), "{lines:?}");

    client.delete(&format!("/v1/pets/{pet}"), &owner.token).await.good();
    eventually("the archive has forgotten the pet", Duration::from_secs(30), || async {
        archived(&archive).is_empty()
    })
    .await;
    client.get(&path, &owner.token).await.is_problem(404, "EVENT_NOT_FOUND");
    let stats = client.get("/v1/feedback/stats", &staff.token).await.good();
    assert_eq!(stats["rules"], json!([]));
}

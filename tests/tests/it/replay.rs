//! Real recordings, through REST, to a timeline.

use std::collections::BTreeMap;
use std::fs::File;

use petty::replay::client::{Account, Client};
use petty::replay::send::{Outcome, send};
use petty::replay::{heartbeats, plan, positions};
use petty_chassis::types::Clock;
use petty_tests::literal::Species;
use petty_tests::mesh::Mesh;
use petty_tests::recordings;

use crate::episodes;

const ANIMALS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn ten_dogs_and_ten_cats_are_stored_exactly_once_and_interpreted_by_the_rule() {
    let Some(data) = recordings() else {
        eprintln!(
            "SKIPPED: no recordings; set PETTY_DATA to the folder that holds dog-heartbeats and cats-gps"
        );
        return;
    };
    let mesh = Mesh::start(crate::NODE).await;
    let now = Clock::system().now();
    let dogs = File::open(data.join("dog-heartbeats/dogs.csv")).unwrap();
    let dogs = plan::plan(heartbeats::read(dogs).unwrap(), now, Some(ANIMALS));
    let cats = File::open(data.join("cats-gps/cats_uk.csv")).unwrap();
    // Another run's collars: the ids come from its time.
    let later = now + jiff::SignedDuration::from_millis(1);
    let cats = plan::plan(positions::read(cats).unwrap(), later, Some(ANIMALS));
    let client = Client::new(&format!("http://{}", mesh.plan.http)).unwrap();
    let account = Account {
        email: "replay@example.com".to_owned(),
        password: "recordings of real animals".to_owned().into(),
    };
    let mut species = BTreeMap::new();
    let mut planned: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (plan, kind) in [(&dogs, Species::Dog), (&cats, Species::Cat)] {
        let outcome: Outcome = send(&client, &account, plan, None, &|_| {}).await.unwrap();
        assert!(outcome.is_complete(), "{outcome:?}");
        for sent in &outcome.animals {
            species.insert(sent.pet_id.clone(), kind);
        }
        for animal in &plan.animals {
            let times = animal.readings.iter().map(|reading| reading.timestamp.as_microsecond());
            planned.entry(animal.collar_id.clone()).or_default().extend(times);
        }
    }
    assert_eq!(species.len(), 2 * ANIMALS);

    // Every acknowledged reading is there, exactly once, and nothing else is.
    let stored = episodes::stored(&mesh).await;
    let mut by_collar: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (collar, measured) in stored.values().flatten() {
        by_collar.entry(collar.clone()).or_default().push(measured.at_us);
    }
    for times in planned.values_mut() {
        times.sort_unstable();
    }
    assert_eq!(by_collar, planned);

    episodes::spine_is_literal(&stored, &species);
    episodes::agree(&mesh, &species).await;

    // The owner sees it over REST; another account sees none of it.
    let rest = mesh.client();
    let stranger = rest.sign_up().await;
    let body = serde_json::json!({"email": account.email, "password": "recordings of real animals"});
    let request = rest.request(reqwest::Method::POST, "/v1/auth/login", None).json(&body);
    let owner = rest.send(request).await.good()["access_token"].as_str().unwrap().to_owned();
    let mut seen = BTreeMap::<String, usize>::new();
    for pet in species.keys() {
        let readings = rest
            .all(
                &format!(
                    "/v1/pets/{pet}/readings?resolution=RAW&start_time={}",
                    now - jiff::SignedDuration::from_hours(720)
                ),
                &owner,
                "readings",
            )
            .await;
        assert_eq!(readings.len(), stored[pet].len());
        let path =
            format!("/v1/pets/{pet}/timeline?start_time={}", now - jiff::SignedDuration::from_hours(720));
        for entry in rest.all(&path, &owner, "entries").await {
            *seen.entry(entry["behavior"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        for path in ["", "/readings", "/timeline", "/behaviors", "/collars", "/shares"] {
            let answer = rest.get(&format!("/v1/pets/{pet}{path}"), &stranger.token).await;
            answer.is_problem(404, "PET_NOT_FOUND");
        }
    }
    for collar in planned.keys() {
        for path in ["/v1/realtime", "/v1/pet-timeline"] {
            let answer = rest.get(&format!("{path}?collar_id={collar}"), &stranger.token).await;
            answer.is_problem(404, "COLLAR_NOT_FOUND");
        }
    }
    for behavior in ["Deep Sleep", "Walking", "Running"] {
        assert!(
            seen.get(behavior).is_some_and(|count| *count > 0),
            "{behavior} is on some timeline: {seen:?}"
        );
    }
}

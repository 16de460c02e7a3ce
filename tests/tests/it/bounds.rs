//! Every bound of a reading, from outside: just inside it is stored, just outside it is 4xx that names the field, and nothing
//! is stored; one at a time and in a batch. Then everything that is no reading at all.

mod hostile;

use jiff::{SignedDuration, Timestamp};
use petty_chassis::types::Clock;
use petty_tests::mesh::Mesh;
use petty_tests::rest::{Answer, Client};
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

const COLLAR: &str = "collar-bounds";
/// A server that is slow to look at its clock is still on the right side of a bound in time.
const SLACK: SignedDuration = SignedDuration::from_secs(40);

/// A household with one collar, and what it has stored so far.
struct Scene {
    mesh: Mesh,
    client: Client,
    token: String,
    ingest: Tables,
    begin: Timestamp,
    count: i64,
    stored: i64,
}

impl Scene {
    async fn set() -> Self {
        let mesh = Mesh::start(crate::NODE).await;
        let client = mesh.client();
        let owner = client.sign_up().await;
        let pet = client.pet(&owner, "Rex", "DOG").await;
        // As far back as a pairing may begin, which is as far back as a reading may be.
        let start = Clock::system().now() - SignedDuration::from_hours(24 * 30) + SLACK / 2;
        // Ids of both lengths that are just inside among them.
        for collar in [COLLAR.to_owned(), shortest(), longest()] {
            client.pair(&owner, &pet, &collar, Some(start)).await;
        }
        let ingest = Tables::of(&mesh.stack, "ingest").await;
        let begin = Clock::system().now() - SignedDuration::from_hours(48);
        // The owner may write for all of their collars; that a collar may for its own is tried elsewhere.
        Self { mesh, client, token: owner.token, ingest, begin, count: 0, stored: 0 }
    }

    /// A good reading of a time of its own, with one thing changed. `null` takes a field away.
    fn reading(&mut self, change: &Value) -> Value {
        self.count += 1;
        let at = self.begin + SignedDuration::from_secs(self.count);
        let mut reading = json!({"collar_id": COLLAR, "timestamp": at.to_string(), "heart_rate": 70});
        for (name, value) in change.as_object().unwrap() {
            reading[name] = value.clone();
        }
        reading
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.post_as("application/json", path, body).await
    }

    async fn post_as(&self, kind: &str, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let request = self.client.request(Method::POST, path, Some(&self.token));
        self.client.send(request.header("content-type", kind).body(body)).await
    }

    /// An upload of two lines.
    async fn upload(&self, first: &str, second: &str) -> Answer {
        self.post_as("application/x-ndjson", "/v1/ingest:batch", format!("{first}\n{second}")).await
    }

    /// The table holds what was taken, and no more.
    async fn is_stored(&self, told: &str) {
        let count = self.ingest.count("SELECT count(*) FROM readings").await;
        assert_eq!(count, self.stored, "stored after {told}");
    }

    /// Taken, in every way.
    async fn takes(&mut self, change: Value) {
        // A time that the change names is the same in all of them.
        let once = change.get("timestamp").is_some();
        let reading = self.reading(&change);
        let answer = self.post("/v1/ingest", reading.to_string()).await;
        assert_eq!(answer.status.as_u16(), 201, "{change}: {}", answer.text);
        assert_eq!(answer.body["accepted"], 1, "{change}: {}", answer.text);
        let reading = self.reading(&change);
        let batch = self.post("/v1/ingest:batch", json!({"readings": [reading]}).to_string()).await;
        let reading = self.reading(&change).to_string();
        let lines = self.upload(&reading, "").await;
        for answer in [batch, lines] {
            assert_eq!(answer.status.as_u16(), 200, "{change}: {}", answer.text);
            let counted = (answer.body["accepted"].clone(), answer.body["duplicates"].clone());
            let expected = if once { (json!(0), json!(1)) } else { (json!(1), json!(0)) };
            assert_eq!(counted, expected, "{change}: {}", answer.text);
        }
        self.stored += if once { 1 } else { 3 };
        self.is_stored(&change.to_string()).await;
    }

    /// Refused in every way, by name: in a batch and in an upload alone, while its neighbour stays.
    async fn refuses(&mut self, change: Value, field: &str) {
        let reading = self.reading(&change);
        let answer = self.post("/v1/ingest", reading.to_string()).await;
        answer.names(field);
        self.is_stored(&change.to_string()).await;
        let (good, bad) = (self.reading(&json!({})), self.reading(&change));
        let batch = self.post("/v1/ingest:batch", json!({"readings": [good, bad]}).to_string()).await;
        let (good, bad) = (self.reading(&json!({})), self.reading(&change));
        let lines = self.upload(&good.to_string(), &bad.to_string()).await;
        for answer in [batch, lines] {
            assert_eq!(answer.status.as_u16(), 200, "{change}: {}", answer.text);
            assert_eq!((&answer.body["accepted"], &answer.body["duplicates"]), (&json!(1), &json!(0)));
            let rejected = answer.body["rejected"].as_array().unwrap();
            assert_eq!(rejected.len(), 1, "{change}: {}", answer.text);
            assert_eq!(
                (&rejected[0]["index"], &rejected[0]["field"]),
                (&json!(1), &json!(field)),
                "{change}"
            );
            assert!(!rejected[0]["reason"].as_str().unwrap().is_empty(), "{change}");
        }
        self.stored += 2;
        self.is_stored(&change.to_string()).await;
    }
}

fn shortest() -> String {
    "c-9".to_owned()
}

fn longest() -> String {
    format!("c{}", "_".repeat(63))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bound_is_taken_just_inside_and_named_just_outside() {
    let mut scene = Scene::set().await;
    for (field, least, most) in [
        ("heart_rate", 30.0, 300.0),
        ("temperature", 30.0, 45.0),
        ("skin_temperature", -20.0, 50.0),
        ("respiratory_rate", 1.0, 200.0),
        ("battery_level", 0.0, 100.0),
    ] {
        for value in [least, f64::next_down(most), most] {
            scene.takes(json!({field: value})).await;
        }
        for value in [f64::next_down(least), f64::next_up(most)] {
            scene.refuses(json!({field: value}), field).await;
        }
    }
    for (field, least, most) in [("activity_level", 0_i64, 2_i64), ("sequence_id", 0, i64::from(i32::MAX))] {
        for value in [least, most] {
            scene.takes(json!({field: value})).await;
        }
        scene.refuses(json!({field: least - 1}), field).await;
    }
    scene.refuses(json!({"activity_level": 3}), "activity_level").await;
    let place = |longitude: f64, latitude: f64| json!({"location": {"coordinates": [longitude, latitude]}});
    for (longitude, latitude) in
        [(-180.0, -90.0), (180.0, 90.0), (f64::next_down(180.0), f64::next_up(-90.0))]
    {
        scene.takes(place(longitude, latitude)).await;
    }
    for (longitude, latitude) in [
        (f64::next_up(180.0), 0.0),
        (f64::next_down(-180.0), 0.0),
        (0.0, f64::next_up(90.0)),
        (0.0, f64::next_down(-90.0)),
    ] {
        scene.refuses(place(longitude, latitude), "location.coordinates").await;
    }
    let accuracy = |metres: f64| json!({"location": {"coordinates": [1, 1], "accuracy": metres}});
    scene.takes(accuracy(100_000.0)).await;
    scene.refuses(accuracy(f64::next_up(100_000.0)), "location.accuracy").await;
    scene.refuses(accuracy(f64::next_down(0.0)), "location.accuracy").await;
    scene.refuses(json!({"location": {"coordinates": [1]}}), "location.coordinates").await;
    scene.refuses(json!({"location": {"coordinates": [1, 1, 1]}}), "location.coordinates").await;
    scene.refuses(json!({"location": {"type": "point", "coordinates": [1, 1]}}), "location.type").await;
    // Battery and count are no signals; each signal is, alone.
    scene.refuses(json!({"heart_rate": null, "battery_level": 50, "sequence_id": 1}), "signals").await;
    scene.takes(json!({"heart_rate": null, "skin_temperature": 20})).await;

    for collar in [shortest(), longest()] {
        scene.takes(json!({"collar_id": collar})).await;
    }
    for collar in
        ["c9".to_owned(), format!("{}c", longest()), "-c9".to_owned(), "c 9".to_owned(), "cöllar".to_owned()]
    {
        scene.refuses(json!({"collar_id": collar}), "collar_id").await;
    }

    let (ahead, age) = (SignedDuration::from_hours(1), SignedDuration::from_hours(24 * 30));
    let now = Clock::system().now();
    scene.takes(json!({"timestamp": (now + ahead - SLACK).to_string()})).await;
    scene.takes(json!({"timestamp": (now - age + SLACK).to_string()})).await;
    scene
        .refuses(json!({"timestamp": (Clock::system().now() + ahead + SLACK).to_string()}), "timestamp")
        .await;
    scene.refuses(json!({"timestamp": (Clock::system().now() - age - SLACK).to_string()}), "timestamp").await;
    // Who is refused for a clock learns what the time is.
    let late = scene.reading(&json!({"timestamp": (Clock::system().now() + ahead + SLACK).to_string()}));
    let answer = scene.post("/v1/ingest", late.to_string()).await;
    let year = Clock::system().now().strftime("%Y-").to_string();
    assert!(answer.body["errors"][0]["reason"].as_str().unwrap().contains(&year), "{}", answer.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_kept_to_six_decimals_and_a_time_to_the_microsecond() {
    let mut scene = Scene::set().await;
    let fine = scene.begin.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let change = json!({"timestamp": format!("{fine}.123456789Z"),
                        "location": {"coordinates": [13.376_543_219, -52.512_345_678]}});
    scene.takes(change).await;
    let sql = "SELECT longitude_e6::text || ' ' || latitude_e6::text || ' ' ||
               (extract(epoch FROM measured_at) * 1000000)::int8 % 1000000 FROM readings";
    assert_eq!(scene.ingest.texts(sql).await, ["13376543 -52512346 123456"]);
}

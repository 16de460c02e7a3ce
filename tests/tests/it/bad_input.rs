//! Bad input on every route: 400 with the field named, nothing stored, the process unharmed.

mod alerts;
mod grants;
mod whole_mesh;

use std::collections::BTreeSet;

use petty::mesh::{GATEWAY, SERVICES};
use petty_chassis::types::Clock;
use petty_proto::policy::{Audience, METHODS};
use petty_tests::mesh::Mesh;
use petty_tests::tables::Tables;
use reqwest::Method;
use serde_json::{Value, json};

/// A bad request: the RPC it is for, how it is sent, and the field that the answer must name.
struct Case {
    rpc: &'static str,
    method: Method,
    path: String,
    body: Option<Value>,
    field: &'static str,
}

fn get(rpc: &'static str, path: impl Into<String>, field: &'static str) -> Case {
    Case { rpc, method: Method::GET, path: path.into(), body: None, field }
}

fn send(
    rpc: &'static str,
    method: Method,
    path: impl Into<String>,
    body: Value,
    field: &'static str,
) -> Case {
    Case { rpc, method, path: path.into(), body: Some(body), field }
}

fn post(rpc: &'static str, path: impl Into<String>, body: Value, field: &'static str) -> Case {
    send(rpc, Method::POST, path, body, field)
}

fn credentials() -> Vec<Case> {
    let good = "a passphrase that is long enough";
    vec![
        post("SignUp", "/v1/auth/signup", json!({"password": good}), "email"),
        post("SignUp", "/v1/auth/signup", json!({"email": "nobody", "password": good}), "email"),
        post("SignUp", "/v1/auth/signup", json!({"email": "a@example.com", "password": "short"}), "password"),
        post(
            "SignUp",
            "/v1/auth/signup",
            json!({"email": "a@example.com", "password": "x".repeat(257)}),
            "password",
        ),
        post(
            "SignUp",
            "/v1/auth/signup",
            json!({"email": "a@example.com", "password": good, "name": "n".repeat(101)}),
            "name",
        ),
        post(
            "SignUp",
            "/v1/auth/signup",
            json!({"email": "a@example.com", "password": good, "time_zone": "Mars/Base"}),
            "time_zone",
        ),
        post(
            "SignUp",
            "/v1/auth/signup",
            json!({"email": "a@example.com", "password": good, "admin": true}),
            "admin",
        ),
        post("SignUp", "/v1/auth/signup", json!({"email": 7, "password": good}), "email"),
        post("LogIn", "/v1/auth/login", json!({"email": "a@example.com"}), "password"),
        post("LogIn", "/v1/auth/login", json!({"email": "a@example.com", "password": ["x"]}), "password"),
        post(
            "LogIn",
            "/v1/auth/login",
            json!({"email": "a@example.com", "password": good, "otp": "12345"}),
            "otp",
        ),
        post(
            "LogIn",
            "/v1/auth/login",
            json!({"email": "a@example.com", "password": good, "device_token": "d".repeat(257)}),
            "device_token",
        ),
        get("GetSecondFactor", "/v1/me/otp?verbose=1", "verbose"),
        post("EnrolSecondFactor", "/v1/me/otp", json!({}), "password"),
        post("ConfirmSecondFactor", "/v1/me/otp:confirm", json!({"otp": "one two three"}), "otp"),
        post("RenewRecoveryCodes", "/v1/me/otp:renewRecoveryCodes", json!({"password": good}), "otp"),
        post("RemoveSecondFactor", "/v1/me/otp:remove", json!({"otp": "123456"}), "password"),
        post("Refresh", "/v1/auth/refresh", json!({}), "refresh_token"),
        post("LogOut", "/v1/auth/logout", json!({"everywhere": true}), "everywhere"),
        post("IssueCollarToken", "/v1/collars/token", json!({"collar_id": "c", "secret": "s"}), "collar_id"),
        post("IssueCollarToken", "/v1/collars/token", json!({"collar_id": "collar-1"}), "secret"),
        get("GetJwks", "/.well-known/jwks.json?kid=1", "kid"),
        get("GetServerMetadata", "/.well-known/oauth-authorization-server?issuer=a", "issuer"),
        post("RevokeToken", "/v1/auth/revoke", json!({"token_type_hint": "access_token"}), "token"),
        post("RevokeToken", "/v1/auth/revoke", json!({"token": "a", "client_id": "b"}), "client_id"),
        get("GetMe", "/v1/me?verbose=1", "verbose"),
        send("CloseAccount", Method::DELETE, "/v1/me", json!({}), "password"),
        send("CloseAccount", Method::DELETE, "/v1/me", json!({"password": "x".repeat(257)}), "password"),
        send("CloseAccount", Method::DELETE, "/v1/me", json!({"password": good, "sure": true}), "sure"),
        post(
            "SignUp",
            "/v1/auth/signup",
            json!({"email": "a@example.com", "password": "passwordpassword"}),
            "password",
        ),
        send("UpdateMe", Method::PATCH, "/v1/me", json!({"name": "n".repeat(101)}), "name"),
        send("UpdateMe", Method::PATCH, "/v1/me", json!({"time_zone": "Mars/Base"}), "time_zone"),
        send("UpdateMe", Method::PATCH, "/v1/me", json!({"email": "a@example.com"}), "email"),
        post("VerifyEmail", "/v1/auth/verify", json!({"password": good}), "token"),
        post("VerifyEmail", "/v1/auth/verify", json!({"token": "t".repeat(257), "password": good}), "token"),
        post("VerifyEmail", "/v1/auth/verify", json!({"token": "t"}), "password"),
        post("ResendVerification", "/v1/auth/verify:resend", json!({"email": "nobody"}), "email"),
        post("RequestReset", "/v1/auth/reset", json!({}), "email"),
        post("ConfirmReset", "/v1/auth/reset:confirm", json!({"password": good}), "token"),
        post(
            "ConfirmReset",
            "/v1/auth/reset:confirm",
            json!({"token": "t", "password": "short"}),
            "password",
        ),
        post("ChangePassword", "/v1/me/password", json!({"new_password": good}), "current_password"),
        post("ChangePassword", "/v1/me/password", json!({"current_password": "x"}), "new_password"),
        post("ChangeEmail", "/v1/me/email", json!({"current_password": "x", "email": "a@"}), "email"),
        post("ChangeEmail", "/v1/me/email", json!({"email": "a@example.com"}), "current_password"),
        get("ListSessions", "/v1/me/sessions?page_size=1001", "page_size"),
        get("ListSessions", "/v1/me/sessions?page_token=%21", "page_token"),
        Case {
            rpc: "EndSession",
            method: Method::DELETE,
            path: "/v1/me/sessions/mine".to_owned(),
            body: None,
            field: "session_id",
        },
        Case {
            rpc: "EndOtherSessions",
            method: Method::DELETE,
            path: "/v1/me/sessions?all=true".to_owned(),
            body: None,
            field: "all",
        },
    ]
}

fn pets(pet: &str, share: &str) -> Vec<Case> {
    let at = format!("/v1/pets/{pet}");
    let collars = format!("{at}/collars");
    let soon = (Clock::system().now() + jiff::SignedDuration::from_hours(2)).to_string();
    vec![
        post("CreatePet", "/v1/pets", json!({"species": "DOG"}), "name"),
        post("CreatePet", "/v1/pets", json!({"name": "n".repeat(101), "species": "DOG"}), "name"),
        post("CreatePet", "/v1/pets", json!({"name": "Rex"}), "species"),
        post("CreatePet", "/v1/pets", json!({"name": "Rex", "species": "HORSE"}), "species"),
        post(
            "CreatePet",
            "/v1/pets",
            json!({"name": "Rex", "species": "DOG", "birth_date": "2026-02-30"}),
            "birth_date",
        ),
        post(
            "CreatePet",
            "/v1/pets",
            json!({"name": "Rex", "species": "DOG", "time_zone": "Nowhere"}),
            "time_zone",
        ),
        post(
            "CreatePet",
            "/v1/pets",
            json!({"name": "Rex", "species": "DOG", "neutered": "yes"}),
            "neutered",
        ),
        post(
            "CreatePet",
            "/v1/pets",
            json!({"name": "Rex", "species": "DOG", "request_id": "mine"}),
            "request_id",
        ),
        get("ListPets", "/v1/pets?page_size=1001", "page_size"),
        get("ListPets", "/v1/pets?page_size=many", "page_size"),
        get("ListPets", "/v1/pets?page_token=%21", "page_token"),
        get("GetPet", "/v1/pets/rex", "pet_id"),
        get("GetPet", format!("{at}?fields=name"), "fields"),
        send("UpdatePet", Method::PATCH, &at, json!({"name": ""}), "name"),
        send("UpdatePet", Method::PATCH, &at, json!({"birth_date": "3026-01-01"}), "birth_date"),
        send("UpdatePet", Method::PATCH, "/v1/pets/rex", json!({"name": "Rex"}), "pet_id"),
        Case {
            rpc: "DeletePet",
            method: Method::DELETE,
            path: "/v1/pets/rex".to_owned(),
            body: None,
            field: "pet_id",
        },
        post("PairCollar", &collars, json!({}), "collar_id"),
        post("PairCollar", &collars, json!({"collar_id": "c".repeat(10_000)}), "collar_id"),
        post("PairCollar", &collars, json!({"collar_id": "collar-1", "start_time": soon}), "start_time"),
        post(
            "PairCollar",
            &collars,
            json!({"collar_id": "collar-1", "start_time": "2020-01-01T00:00:00Z"}),
            "start_time",
        ),
        post(
            "PairCollar",
            &collars,
            json!({"collar_id": "collar-1", "start_time": "yesterday"}),
            "start_time",
        ),
        get("ListCollars", format!("{collars}?page_size=-1"), "page_size"),
        Case {
            rpc: "UnpairCollar",
            method: Method::DELETE,
            path: format!("{collars}/c"),
            body: None,
            field: "collar_id",
        },
        Case {
            rpc: "UnpairCollar",
            method: Method::DELETE,
            path: format!("{collars}/collar-1?end_time=noon"),
            body: None,
            field: "end_time",
        },
        post("RotateCollarSecret", format!("{collars}/c:rotateSecret"), json!({}), "collar_id"),
        post(
            "RotateCollarSecret",
            format!("{collars}/collar-1:rotateSecret"),
            json!({"overlap_seconds": 604_801}),
            "overlap_seconds",
        ),
        post("CreateShare", format!("{at}/shares"), json!({"email": "nobody", "role": "VIEWER"}), "email"),
        post("CreateShare", format!("{at}/shares"), json!({"email": "a@example.com"}), "role"),
        post(
            "CreateShare",
            format!("{at}/shares"),
            json!({"email": "a@example.com", "role": "OWNER"}),
            "role",
        ),
        post(
            "CreateShare",
            format!("{at}/shares"),
            json!({"email": "a@example.com", "role": "VET", "expire_time": "2020-01-01T00:00:00Z"}),
            "expire_time",
        ),
        get("ListShares", format!("{at}/shares?page_token=%21"), "page_token"),
        Case {
            rpc: "DeleteShare",
            method: Method::DELETE,
            path: format!("{at}/shares/{share}"),
            body: None,
            field: "share_id",
        },
    ]
}

fn reading(change: Value) -> Value {
    let mut reading =
        json!({"collar_id": "collar-bad", "timestamp": Clock::system().now().to_string(), "heart_rate": 70});
    for (name, value) in change.as_object().unwrap() {
        reading[name] = value.clone();
    }
    reading
}

fn readings(pet: &str) -> Vec<Case> {
    let now = Clock::system().now();
    let ahead = (now + jiff::SignedDuration::from_mins(62)).to_string();
    let old = (now - jiff::SignedDuration::from_hours(24 * 30 + 1)).to_string();
    let mut cases: Vec<Case> = [
        (json!({"collar_id": ""}), "collar_id"),
        (json!({"collar_id": "x".repeat(10_000)}), "collar_id"),
        (json!({"collar_id": "nul\u{0}nul"}), "collar_id"),
        (json!({"timestamp": null}), "timestamp"),
        (json!({"timestamp": "noon"}), "timestamp"),
        (json!({"timestamp": ahead}), "timestamp"),
        (json!({"timestamp": old}), "timestamp"),
        (json!({"heart_rate": 29.9}), "heart_rate"),
        (json!({"heart_rate": 300.1}), "heart_rate"),
        (json!({"heart_rate": "fast"}), "heart_rate"),
        (json!({"heart_rate": "NaN"}), "heart_rate"),
        (json!({"activity_level": 3}), "activity_level"),
        (json!({"activity_level": -1}), "activity_level"),
        (json!({"activity_level": 0.5}), "activity_level"),
        (json!({"location": {"coordinates": [181, 0]}}), "location.coordinates"),
        (json!({"location": {"coordinates": [0, 91]}}), "location.coordinates"),
        (json!({"location": {"coordinates": [0]}}), "location.coordinates"),
        (json!({"location": {"type": "Polygon", "coordinates": [0, 0]}}), "location.type"),
        (json!({"temperature": 29}), "temperature"),
        (json!({"skin_temperature": 51}), "skin_temperature"),
        (json!({"battery_level": 101}), "battery_level"),
        (json!({"sequence_id": 9_223_372_036_854_775_808_u64}), "sequence_id"),
    ]
    .into_iter()
    .map(|(change, field)| post("IngestReading", "/v1/ingest", reading(change), field))
    .collect();
    let at = format!("/v1/pets/{pet}");
    cases.extend([
        post("IngestReadings", "/v1/ingest:batch", json!({"readings": []}), "readings"),
        post(
            "IngestReadings",
            "/v1/ingest:batch",
            json!({"readings": vec![reading(json!({})); 1_001]}),
            "readings",
        ),
        post(
            "IngestReadings",
            "/v1/ingest:batch",
            json!({"readings": [reading(json!({"heart_rate": "fast"}))]}),
            "readings[0].heart_rate",
        ),
        post("IngestReadings", "/v1/ingest:batch", json!({"reading": []}), "reading"),
        get("GetRealtime", "/v1/realtime", "collar_id"),
        get("GetRealtime", "/v1/realtime?collar_id=c", "collar_id"),
        get("ListReadings", "/v1/pets/rex/readings", "pet_id"),
        get("ListReadings", format!("{at}/readings?start_time=noon"), "start_time"),
        get(
            "ListReadings",
            format!("{at}/readings?start_time=2026-01-02T00:00:00Z&end_time=2026-01-01T00:00:00Z"),
            "start_time",
        ),
        get("ListReadings", format!("{at}/readings?resolution=WEEK"), "resolution"),
        get("ListReadings", format!("{at}/readings?page_size=0x10"), "page_size"),
        get("ListBehaviors", format!("{at}/behaviors?end_time=noon"), "end_time"),
        get("ListBehaviors", format!("{at}/behaviors?page_token=%21"), "page_token"),
        get("GetBehavior", format!("{at}/behaviors/evt_1"), "episode_id"),
        get("ListTimeline", format!("{at}/timeline?page_size=1001"), "page_size"),
        get("ListTimeline", format!("{at}/timeline?start_time=1"), "start_time"),
        get("GetPetTimeline", "/v1/pet-timeline?hours=24", "collar_id"),
        get("GetPetTimeline", "/v1/pet-timeline?collar_id=collar-bad&hours=0", "hours"),
        get("GetPetTimeline", "/v1/pet-timeline?collar_id=collar-bad&hours=721", "hours"),
        get("GetPetTimeline", "/v1/pet-timeline?collar_id=collar-bad&hours=some", "hours"),
    ]);
    cases
}

/// How many rows there are of everything that a request could have stored.
async fn rows(mesh: &Mesh) -> Vec<i64> {
    let auth = Tables::of(&mesh.stack, "auth").await;
    let ingest = Tables::of(&mesh.stack, "ingest").await;
    let mut rows = Vec::new();
    for table in ["accounts", "pets", "pairings", "shares", "personal_tokens"] {
        rows.push(auth.count(&format!("SELECT count(*) FROM {table}")).await);
    }
    rows.push(auth.count("SELECT count(*) FROM pairings WHERE end_at IS NOT NULL").await);
    rows.push(ingest.count("SELECT count(*) FROM readings").await);
    let nutrition = Tables::of(&mesh.stack, "nutrition").await;
    for table in ["profiles", "weights", "foods", "plans"] {
        rows.push(nutrition.count(&format!("SELECT count(*) FROM {table}")).await);
    }
    let feedback = Tables::of(&mesh.stack, "feedback").await;
    rows.push(feedback.count("SELECT count(*) FROM feedback").await);
    let behavior = Tables::of(&mesh.stack, "behavior").await;
    for table in ["safe_zones", "alerts", "alert_settings"] {
        rows.push(behavior.count(&format!("SELECT count(*) FROM {table}")).await);
    }
    for tables in [&ingest, &nutrition, &feedback, &behavior] {
        rows.push(tables.count("SELECT count(*) FROM event_outbox").await);
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_on_every_route_names_the_field_and_stores_nothing() {
    let mut mesh = Mesh::start(crate::NODE).await;
    let client = mesh.client();
    let owner = client.sign_up().await;
    let pet = client.pet(&owner, "Rex", "DOG").await;
    client.pair(&owner, &pet, "collar-bad", None).await;
    let before = rows(&mesh).await;
    let staff = client.staff().await;
    let cases = [
        credentials(),
        pets(&pet, "not-a-share"),
        readings(&pet),
        whole_mesh::feeding(&pet),
        whole_mesh::feedback(),
        whole_mesh::timeline(&pet),
        alerts::alerts(&pet),
        grants::links(&pet),
        grants::tokens(),
        grants::roles(),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    for case in &cases {
        let for_staff = METHODS.iter().any(|policy| policy.method == case.rpc && policy.scope == "staff");
        let token = if for_staff { &staff.token } else { &owner.token };
        let mut request = client.request(case.method.clone(), &case.path, Some(token));
        if let Some(body) = &case.body {
            request = request.json(body);
        }
        let answer = client.send(request).await;
        let told =
            format!("{} {} {}", case.rpc, case.path.chars().take(120).collect::<String>(), answer.text);
        assert_eq!(answer.status.as_u16(), 400, "{told}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{told}");
        let named = answer.body["errors"]
            .as_array()
            .is_some_and(|errors| errors.iter().any(|error| error["field"] == case.field));
        assert!(named, "does not name {:?}: {told}", case.field);
        assert!(answer.body["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{told}");
    }
    let tried: BTreeSet<&str> = cases.iter().map(|case| case.rpc).collect();
    // What services ask each other has no route, nor has what only the operator asks; everything else has one.
    let for_services = [Audience::Service, Audience::ServiceForCaller];
    let routed: BTreeSet<&str> = METHODS
        .iter()
        .filter(|policy| !for_services.contains(&policy.audience) && policy.services.contains(&GATEWAY))
        .map(|policy| policy.method)
        .collect();
    assert_eq!(tried, routed, "every route is tried");
    assert_eq!(rows(&mesh).await, before, "nothing was stored");
    for service in SERVICES.into_iter().chain([GATEWAY]) {
        assert!(mesh.is_alive(service, 0), "{service} is unharmed");
    }
    assert!(!mesh.logs().contains("panic"), "nothing panicked");
}

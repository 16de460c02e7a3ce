use super::*;
use crate::routes::ROUTES;

fn find(method: &str, path: &str) -> String {
    let router = Router::new(ROUTES).unwrap();
    match router.find(&method.parse().unwrap(), path) {
        Found::Route(route, fields) => {
            let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {}", route.policy.method, fields.join(" ")).trim().to_owned()
        }
        Found::BadSegment(_, name) => format!("bad {name}"),
        Found::OtherVerbs(allow) => format!("405 {allow}"),
        Found::Options(allow) => format!("204 {allow}"),
        Found::Nothing => "404".to_owned(),
    }
}

#[test]
fn verbs_and_paths_find_their_method() {
    for (method, path, found) in [
        ("POST", "/v1/ingest", "IngestReading"),
        ("POST", "/ingest", "IngestReading"),
        ("POST", "/v1/ingest:batch", "IngestReadings"),
        ("GET", "/v1/realtime", "GetRealtime"),
        ("GET", "/pet-timeline", "GetPetTimeline"),
        ("GET", "/v1/pets", "ListPets"),
        ("HEAD", "/v1/pets", "ListPets"),
        ("POST", "/v1/pets", "CreatePet"),
        ("GET", "/v1/pets/p-1", "GetPet pet_id=p-1"),
        ("PATCH", "/v1/pets/a%20b", "UpdatePet pet_id=a b"),
        ("DELETE", "/v1/pets/p-1/collars/SN-1", "UnpairCollar pet_id=p-1 collar_id=SN-1"),
        ("POST", "/v1/pets/p-1/collars/SN-1:rotateSecret", "RotateCollarSecret pet_id=p-1 collar_id=SN-1"),
        ("GET", "/.well-known/jwks.json", "GetJwks"),
        ("GET", "/v1/pets/%2e%2e", "GetPet pet_id=.."),
    ] {
        assert_eq!(find(method, path), found, "{method} {path}");
    }
}

#[test]
fn what_is_not_there_is_told_from_what_has_other_verbs() {
    for (method, path, found) in [
        ("GET", "/", "404"),
        ("GET", "/v1/pets/", "404"),
        ("GET", "/v1/pets//shares", "404"),
        ("GET", "/v2/pets", "404"),
        ("GET", "/V1/pets", "404"),
        ("POST", "/v1/ingest:", "404"),
        ("POST", "/petty.auth.v1.AccessService/CheckAccess", "404"),
        ("DELETE", "/v1/pets", "405 GET, POST, HEAD, OPTIONS"),
        ("GET", "/v1/ingest", "405 POST, OPTIONS"),
        ("TRACE", "/v1/pets/p", "405 GET, DELETE, PATCH, HEAD, OPTIONS"),
        ("OPTIONS", "/v1/pets", "204 GET, POST, HEAD, OPTIONS"),
        ("GET", "/v1/pets/%ff", "bad pet_id"),
    ] {
        assert_eq!(find(method, path), found, "{method} {path}");
    }
}

#[test]
fn only_paths_without_a_version_have_a_successor() {
    for route in ROUTES {
        let versioned = route.template.starts_with("/v1/") || route.template.starts_with("/.well-known/");
        assert_eq!(route.successor.is_none(), versioned, "{}", route.template);
        if let Some(successor) = route.successor {
            assert_eq!(successor, format!("/v1{}", route.template));
        }
    }
}

#[test]
fn no_method_for_services_has_a_route() {
    use petty_proto::policy::Audience;
    for route in ROUTES {
        assert!(
            !matches!(route.policy.audience, Audience::Service | Audience::ServiceForCaller),
            "{route:?}"
        );
        assert!(route.policy.services.contains(&"gateway"));
    }
}

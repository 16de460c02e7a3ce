use petty_proto::auth::v1::Pet;
use petty_proto::events::v1 as wire;
use prost::Message as _;

use super::*;

fn of(fields: &[OutlinedField], path: &str) -> (i32, Vec<String>) {
    let field = fields.iter().find(|field| field.path == path);
    let field = field.unwrap_or_else(|| panic!("no {path} in {fields:?}"));
    (field.count, field.values.clone())
}

#[test]
fn every_topic_has_an_outline() {
    for topic in topics::ALL {
        assert_eq!(outline(topic, &[]), Ok(Vec::new()), "{}", topic.name);
    }
}

#[test]
fn of_readings_it_shows_how_many_and_neither_positions_nor_times_nor_measurements() {
    let reading = |heart_rate| wire::AcceptedReading {
        collar_id: "collar-1".to_owned(),
        time_us: 1_767_225_600_123_456,
        heart_rate,
        longitude: Some(13.377_704),
        latitude: Some(52.516_275),
        accuracy_m: Some(4.25),
        battery_level: Some(77.5),
        ..Default::default()
    };
    let pet_id = "018f3b2e-7c1a-7d60-9c1b-1f4e5a6b7c8e".to_owned();
    let readings = vec![reading(Some(61.75)), reading(None), reading(Some(62.75))];
    let payload = wire::PetReadings { pet_id: pet_id.clone(), readings, ..Default::default() };
    let payload = wire::ReadingsAccepted { pets: vec![payload] };
    let fields = outline(&topics::READINGS_ACCEPTED, &payload.encode_to_vec()).unwrap();
    assert_eq!(of(&fields, "pets[].pet_id"), (1, vec![pet_id]));
    assert_eq!(of(&fields, "pets[].readings[]"), (3, vec![]));
    assert_eq!(of(&fields, "pets[].readings[].heart_rate"), (2, vec![]));
    assert_eq!(of(&fields, "pets[].readings[].collar_id"), (3, vec!["collar-1".to_owned()]));
    let all = format!("{fields:?}");
    for secret in ["13.37", "52.51", "61.75", "77.5", "4.25", "1767225600", "176722"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[test]
fn names_are_not_shown_nor_what_stands_where_an_id_should() {
    let pet =
        Pet { pet_id: "Bello of 5 Long Street".to_owned(), name: "Bello".to_owned(), ..Default::default() };
    let changed = wire::PetChanged { pet: Some(pet), account_id: String::new(), deleted: true };
    let fields = outline(&topics::PET_CHANGED, &changed.encode_to_vec()).unwrap();
    assert_eq!(of(&fields, "pet.pet_id"), (1, vec!["(no id: 22 bytes)".to_owned()]));
    assert_eq!(of(&fields, "pet.name"), (1, vec![]));
    assert_eq!(of(&fields, "deleted"), (1, vec!["true".to_owned()]));
    let plan = wire::PlanChanged { rule_version: "call 555 1234 now".to_owned(), ..Default::default() };
    let fields = outline(&topics::PLAN_CHANGED, &plan.encode_to_vec()).unwrap();
    assert_eq!(of(&fields, "rule_version"), (1, vec!["(no version: 17 bytes)".to_owned()]));
}

#[test]
fn bytes_that_are_no_such_payload_are_said_to_be_none() {
    let error = outline(&topics::PET_CHANGED, b"\xff\xff\xff").unwrap_err();
    assert!(error.starts_with("3 bytes that are no petty.events.v1.PetChanged"), "{error}");
}

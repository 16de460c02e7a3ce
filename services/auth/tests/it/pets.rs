//! Pets.

use petty_proto::auth::v1 as wire;
use petty_proto::events::v1::{PetChanged, PetErasing};
use tonic::Code;

use crate::harness::{Harness, User, fields, refusal};

type Change<'a> = &'a dyn Fn(&mut wire::CreatePetRequest);

fn create(name: &str) -> wire::CreatePetRequest {
    wire::CreatePetRequest {
        name: name.to_owned(),
        species: wire::pet::Species::Cat.into(),
        ..Default::default()
    }
}

/// The payloads of a topic, in the order they were written.
pub(crate) async fn events<M: prost::Message + Default>(harness: &Harness, topic: &str) -> Vec<(i64, M)> {
    let sql = format!(
        "SELECT version, encode(payload, 'hex') FROM event_outbox WHERE topic = '{topic}' ORDER BY id"
    );
    let rows = harness.rows(&sql).await.unwrap();
    let read = |row: &Vec<String>| {
        let bytes: Vec<u8> = (0..row[1].len())
            .step_by(2)
            .map(|index| u8::from_str_radix(&row[1][index..index + 2], 16).unwrap())
            .collect();
        (row[0].parse().unwrap(), M::decode(bytes.as_slice()).unwrap())
    };
    rows.iter().map(read).collect()
}

async fn names(harness: &Harness, user: &User, size: i32) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListPetsRequest { page_size: size, page_token: page_token.clone() };
        let page = harness.pets().list_pets(harness.with(&user.token, request)).await.unwrap().into_inner();
        pages.push(page.pets.into_iter().map(|pet| pet.name).collect());
        if page.next_page_token.is_empty() {
            return pages;
        }
        page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn a_pet_is_created_changed_and_deleted_and_everybody_is_told() {
    let harness = Harness::start().await;
    let (ada, bob) = (harness.user("ada").await, harness.user("bob").await);
    let mut request = create(" Tom ");
    request.breed = Some("Maine Coon".to_owned());
    request.birth_date = Some("2021-05-30".to_owned());
    request.time_zone = Some("europe/berlin".to_owned());
    let pet = harness.pets().create_pet(harness.with(&ada.token, request)).await.unwrap().into_inner();
    assert_eq!((pet.name.as_str(), pet.version, pet.role()), ("Tom", 1, wire::pet::Role::Owner));
    assert_eq!(pet.time_zone, "Europe/Berlin");

    let mut change = wire::UpdatePetRequest { pet_id: pet.pet_id.clone(), ..Default::default() };
    change.breed = Some(String::new());
    change.neutered = Some(true);
    harness.pass(1);
    let changed =
        harness.pets().update_pet(harness.with(&ada.token, change.clone())).await.unwrap().into_inner();
    assert_eq!((changed.version, changed.breed, changed.neutered), (2, None, Some(true)));
    assert_eq!(changed.birth_date.as_deref(), Some("2021-05-30"));
    // Sent again it changes nothing.
    let again = harness.pets().update_pet(harness.with(&ada.token, change)).await.unwrap().into_inner();
    assert_eq!((again.version, again.update_time), (2, changed.update_time));

    let get = wire::GetPetRequest { pet_id: pet.pet_id.clone() };
    let not_found = (Code::NotFound, "PET_NOT_FOUND".to_owned());
    assert_eq!(refusal(harness.pets().get_pet(harness.with(&bob.token, get.clone())).await), not_found);
    let delete = wire::DeletePetRequest { pet_id: pet.pet_id.clone() };
    assert_eq!(refusal(harness.pets().delete_pet(harness.with(&bob.token, delete.clone())).await), not_found);
    // Deleting is idempotent for whose pet it was; to others it never existed.
    for _ in 0..2 {
        assert!(
            harness
                .pets()
                .delete_pet(harness.with(&ada.token, delete.clone()))
                .await
                .unwrap()
                .into_inner()
                .success
        );
    }
    assert_eq!(refusal(harness.pets().delete_pet(harness.with(&bob.token, delete)).await), not_found);
    assert_eq!(refusal(harness.pets().get_pet(harness.with(&ada.token, get)).await), not_found);

    let told: Vec<(i64, PetChanged)> = events(&harness, "pet.changed").await;
    let versions: Vec<(i64, bool)> =
        told.iter().map(|(version, change)| (*version, change.deleted)).collect();
    assert_eq!(versions, [(1, false), (2, false), (3, true)]);
    assert_eq!(told[1].1.pet.as_ref().unwrap().version, 2);
    let last = told[2].1.pet.clone().unwrap();
    assert_eq!((last.pet_id.as_str(), last.name.as_str()), (pet.pet_id.as_str(), ""));
    let erasing: Vec<(i64, PetErasing)> = events(&harness, "pet.erasing").await;
    assert_eq!(erasing.len(), 1);
    assert_eq!((&erasing[0].1.pet_id, &erasing[0].1.account_id), (&pet.pet_id, &ada.account_id));
}

#[tokio::test]
async fn bad_pets_name_their_fields_and_store_nothing() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let long = "x".repeat(101);
    let cases: [(&str, Change<'_>); 10] = [
        ("name", &|request| request.name = String::new()),
        ("name", &|request| request.name.clone_from(&long)),
        ("species", &|request| request.species = 0),
        ("species", &|request| request.species = 99),
        ("breed", &|request| request.breed = Some(long.clone())),
        ("sex", &|request| request.sex = -1),
        ("birth_date", &|request| request.birth_date = Some("2021-02-30".to_owned())),
        ("birth_date", &|request| request.birth_date = Some("2999-01-01".to_owned())),
        ("time_zone", &|request| request.time_zone = Some("Mars/Olympus".to_owned())),
        ("request_id", &|request| request.request_id.clone_from(&long)),
    ];
    for (field, change) in cases {
        let mut request = create("Tom");
        change(&mut request);
        assert_eq!(fields(harness.pets().create_pet(harness.with(&ada.token, request)).await), [field]);
    }
    let everything = wire::CreatePetRequest { birth_date: Some("x".to_owned()), ..Default::default() };
    let named = fields(harness.pets().create_pet(harness.with(&ada.token, everything)).await);
    assert_eq!(named, ["name", "species", "birth_date"]);
    assert_eq!(harness.value("SELECT count(*) FROM pets").await, "0");
    assert_eq!(harness.value("SELECT count(*) FROM event_outbox").await, "0");

    let pet = harness.pet(&ada, "Rex").await;
    let change =
        wire::UpdatePetRequest { pet_id: pet.pet_id, name: Some("  ".to_owned()), ..Default::default() };
    assert_eq!(fields(harness.pets().update_pet(harness.with(&ada.token, change)).await), ["name"]);
    for bad in ["", "x", "00000000-0000-0000-0000-00000000000g"] {
        let get = wire::GetPetRequest { pet_id: bad.to_owned() };
        assert_eq!(fields(harness.pets().get_pet(harness.with(&ada.token, get)).await), ["pet_id"], "{bad}");
    }
}

#[tokio::test]
async fn one_request_id_makes_one_pet() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    let mut request = create("Tom");
    request.request_id = "key-1".to_owned();
    let mut clients: Vec<_> = (0..8).map(|_| harness.pets()).collect();
    let storm = clients.iter_mut().map(|client| client.create_pet(harness.with(&ada.token, request.clone())));
    let answers: Vec<wire::Pet> = futures::future::join_all(storm)
        .await
        .into_iter()
        .map(|answer| answer.unwrap().into_inner())
        .collect();
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let mut other = request.clone();
    other.name = "Tim".to_owned();
    let reused = refusal(harness.pets().create_pet(harness.with(&ada.token, other)).await);
    assert_eq!(reused, (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED".to_owned()));
    assert_eq!(harness.value("SELECT count(*) FROM pets").await, "1");
    assert_eq!(harness.value("SELECT count(*) FROM event_outbox WHERE topic = 'pet.changed'").await, "1");
}

#[tokio::test]
async fn lists_are_newest_first_and_stable_under_inserts() {
    let harness = Harness::start().await;
    let ada = harness.user("ada").await;
    for name in ["a", "b", "c", "d", "e"] {
        harness.pass(1);
        harness.pet(&ada, name).await;
    }
    assert_eq!(names(&harness, &ada, 2).await, [vec!["e", "d"], vec!["c", "b"], vec!["a"]]);
    assert_eq!(names(&harness, &ada, 0).await, [vec!["e", "d", "c", "b", "a"]]);
    let request = wire::ListPetsRequest { page_size: 3, page_token: String::new() };
    let first = harness.pets().list_pets(harness.with(&ada.token, request)).await.unwrap().into_inner();
    harness.pass(1);
    harness.pet(&ada, "f").await;
    let request = wire::ListPetsRequest { page_size: 3, page_token: first.next_page_token };
    let second = harness.pets().list_pets(harness.with(&ada.token, request)).await.unwrap().into_inner();
    assert_eq!(second.pets.iter().map(|pet| pet.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    for (page_size, page_token, expected) in
        [(1_001, "", "page_size"), (-1, "", "page_size"), (1, "nonsense", "page_token")]
    {
        let request = wire::ListPetsRequest { page_size, page_token: page_token.to_owned() };
        assert_eq!(fields(harness.pets().list_pets(harness.with(&ada.token, request)).await), [expected]);
    }
}

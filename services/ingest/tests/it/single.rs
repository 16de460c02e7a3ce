//! One reading in.

use jiff::SignedDuration;
use petty_chassis::access::Role;
use petty_proto::events::v1::AcceptedReading;
use petty_proto::ingest::v1 as wire;
use petty_proto::wkt;
use tonic::Code;

use crate::world::{World, ago, at, place, reading, refusal};

#[tokio::test]
async fn a_reading_is_stored_and_announced_once_and_the_first_one_stays() {
    let world = World::new("single_once").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let full = wire::Reading {
        timestamp: Some(at("2026-06-15T11:59:00.123456789Z").into()),
        activity_level: Some(1),
        location: place(13.376_543_21, 52.512_345_67),
        temperature: Some(38.4),
        skin_temperature: Some(31.5),
        respiratory_rate: Some(22.0),
        battery_level: Some(87.5),
        sequence_id: Some(7),
        ..reading("collar-1", ago(60))
    };
    let answer = world.ingest(&owner, full.clone()).await.unwrap();
    assert_eq!(answer, wire::IngestReadingResponse { success: true, accepted: 1, duplicates: 0 });

    let again = [full.clone(), wire::Reading { heart_rate: Some(200.0), ..full }];
    for repeated in again {
        let answer = world.ingest(&owner, repeated).await.unwrap();
        assert_eq!(answer, wire::IngestReadingResponse { success: true, accepted: 0, duplicates: 1 });
    }

    let time = at("2026-06-15T11:59:00.123456Z");
    assert_eq!(world.stored().await, [("collar-1".to_owned(), time.as_microsecond(), pet)]);
    let entries = world.entries().await;
    let [(shard, entry)] = entries.as_slice() else { panic!("{} entries", entries.len()) };
    assert_eq!(*shard, petty_chassis::events::shard_of(pet, world.base.events.shards()));
    assert_eq!(entry.pets.len(), 1);
    assert_eq!(entry.pets[0].pet_id, pet.to_string());
    assert_eq!(entry.pets[0].collar_id, "collar-1");
    let expected = AcceptedReading {
        collar_id: String::new(),
        time_us: time.as_microsecond(),
        heart_rate: Some(80.0),
        activity_level: Some(1),
        longitude: Some(13.376_543),
        latitude: Some(52.512_346),
        accuracy_m: Some(4.5),
        respiratory_rate: Some(22.0),
        temperature: Some(38.4),
        battery_level: Some(87.5),
    };
    assert_eq!(entry.pets[0].readings, [expected]);

    let newest = world.realtime(&owner, "collar-1").await.unwrap();
    assert_eq!(newest.timestamp, Some(time.into()));
    assert_eq!(newest.heart_rate, Some(80.0));
    assert_eq!((newest.skin_temperature, newest.sequence_id), (Some(31.5), Some(7)));
    assert_eq!(newest.location.unwrap().coordinates, [13.376_54, 52.512_35]);
}

#[tokio::test]
async fn bad_input_names_its_field_and_stores_nothing() {
    type Set = fn(&mut wire::Reading);
    let world = World::new("single_bad").await;
    let owner = world.person();
    world.owned(&owner, "collar-1");
    let cases: &[(&str, Set)] = &[
        ("collar_id", |r| r.collar_id = String::new()),
        ("collar_id", |r| r.collar_id = "ab".to_owned()),
        ("collar_id", |r| r.collar_id = "-collar".to_owned()),
        ("collar_id", |r| r.collar_id = "collar\0".to_owned()),
        ("collar_id", |r| r.collar_id = "c".repeat(65)),
        ("timestamp", |r| r.timestamp = None),
        ("timestamp", |r| r.timestamp = Some(wkt::Timestamp { seconds: i64::MAX, nanos: 0 })),
        ("timestamp", |r| r.timestamp = Some(wkt::Timestamp { seconds: 0, nanos: -1 })),
        ("timestamp", |r| r.timestamp = Some(ago(-3_601).into())),
        ("timestamp", |r| r.timestamp = Some(ago(30 * 86_400 + 1).into())),
        ("heart_rate", |r| r.heart_rate = Some(29.999)),
        ("heart_rate", |r| r.heart_rate = Some(300.001)),
        ("heart_rate", |r| r.heart_rate = Some(f64::NAN)),
        ("heart_rate", |r| r.heart_rate = Some(f64::INFINITY)),
        ("activity_level", |r| r.activity_level = Some(-1)),
        ("activity_level", |r| r.activity_level = Some(3)),
        ("location.type", |r| {
            r.location = place(1.0, 1.0).map(|l| wire::Location { r#type: "Line".to_owned(), ..l })
        }),
        ("location.coordinates", |r| r.location = Some(wire::Location::default())),
        ("location.coordinates", |r| {
            r.location = place(1.0, 1.0).map(|l| wire::Location { coordinates: vec![1.0], ..l })
        }),
        ("location.coordinates", |r| r.location = place(180.000_001, 1.0)),
        ("location.coordinates", |r| r.location = place(1.0, f64::NAN)),
        ("location.accuracy", |r| {
            r.location = place(1.0, 1.0).map(|l| wire::Location { accuracy: Some(-1.0), ..l })
        }),
        ("temperature", |r| r.temperature = Some(29.9)),
        ("skin_temperature", |r| r.skin_temperature = Some(50.1)),
        ("respiratory_rate", |r| r.respiratory_rate = Some(0.9)),
        ("battery_level", |r| r.battery_level = Some(100.1)),
        ("sequence_id", |r| r.sequence_id = Some(-1)),
        ("signals", |r| r.heart_rate = None),
    ];
    for (index, (field, set)) in cases.iter().enumerate() {
        let mut bad = reading("collar-1", ago(60));
        set(&mut bad);
        let status = world.ingest(&owner, bad).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::InvalidArgument, "INVALID_ARGUMENT".to_owned(), vec![(*field).to_owned()]),
            "case {index}"
        );
    }
    assert_eq!(world.stored().await, []);
    assert_eq!(world.announced().await, []);
    assert!(world.query("-- collars\nSELECT collar_id FROM collars", &[]).await.is_empty());
    // The process is unharmed, and what is just inside is taken.
    for time in [ago(-3_600), ago(30 * 86_400)] {
        assert_eq!(world.ingest(&owner, reading("collar-1", time)).await.unwrap().accepted, 1);
    }
}

#[tokio::test]
async fn a_collar_moved_at_noon_measures_each_pet_in_its_own_time() {
    let world = World::new("single_moved").await;
    world.clock.set(at("2026-06-15T13:00:00Z"));
    let noon = ago(0);
    let (first, second) = (world.person(), world.person());
    let (old, new) = (world.pet_id(), world.pet_id());
    world.pair(&first, Role::Owner, "collar-1", old, ago(86_400), Some(noon));
    world.pair(&second, Role::Owner, "collar-1", new, noon, None);
    let before = noon - SignedDuration::from_micros(1);

    assert_eq!(world.ingest(&first, reading("collar-1", before)).await.unwrap().accepted, 1);
    assert_eq!(world.ingest(&second, reading("collar-1", noon)).await.unwrap().accepted, 1);
    for (person, time) in [(&first, noon), (&second, before), (&first, ago(86_401))] {
        let status = world.ingest(person, reading("collar-1", time)).await.unwrap_err();
        let expected = (Code::InvalidArgument, "OUTSIDE_PAIRING".to_owned(), vec!["timestamp".to_owned()]);
        assert_eq!(refusal(&status), expected);
    }
    let collar = || "collar-1".to_owned();
    let expected = [(collar(), before.as_microsecond(), old), (collar(), noon.as_microsecond(), new)];
    assert_eq!(world.stored().await, expected);
    let mut announced = expected.to_vec();
    announced.sort();
    assert_eq!(world.announced().await, announced);

    // Each owner sees only their own, the newest included.
    for (person, pet, time, other) in [(&first, old, before, new), (&second, new, noon, old)] {
        let newest = world.realtime(person, "collar-1").await.unwrap();
        assert_eq!((newest.pet_id, newest.timestamp), (pet.to_string(), Some(time.into())));
        let span = |pet: petty_chassis::types::PetId| wire::ListReadingsRequest {
            pet_id: pet.to_string(),
            start_time: Some(ago(86_400).into()),
            ..wire::ListReadingsRequest::default()
        };
        let listed = world.list(person, span(pet)).await.unwrap();
        assert_eq!(listed.readings.iter().map(|r| r.timestamp).collect::<Vec<_>>(), [Some(time.into())]);
        let status = world.list(person, span(other)).await.unwrap_err();
        assert_eq!(refusal(&status).1, "PET_NOT_FOUND");
    }
}

//! A pet's readings of a span of time.

use petty_chassis::access::Role;
use petty_chassis::types::PetId;
use petty_proto::ingest::v1 as wire;
use petty_proto::ingest::v1::list_readings_request::Resolution;
use petty_proto::wkt;
use tonic::Code;

use crate::world::{Person, World, ago, at, place, reading, refusal};

fn of(pet: PetId) -> wire::ListReadingsRequest {
    wire::ListReadingsRequest {
        pet_id: pet.to_string(),
        end_time: Some(ago(-1).into()),
        ..Default::default()
    }
}

/// Collar and seconds before noon of each reading, page after page.
async fn pages(
    world: &World,
    person: &Person,
    request: wire::ListReadingsRequest,
) -> Vec<Vec<(String, i64)>> {
    let mut pages = Vec::new();
    let mut request = request;
    loop {
        let answer = world.list(person, request.clone()).await.unwrap();
        let page = answer
            .readings
            .iter()
            .map(|one| (one.collar_id.clone(), ago(0).as_second() - one.timestamp.unwrap().seconds));
        pages.push(page.collect());
        if answer.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = answer.next_page_token;
    }
}

#[tokio::test]
async fn pages_are_newest_first_and_stable_under_inserts() {
    let world = World::new("list_pages").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    world.pair(&owner, Role::Owner, "collar-2", pet, at("2020-01-01T00:00:00Z"), None);
    // Two collars at the same moments: the key decides.
    let both = |seconds| [reading("collar-1", ago(seconds)), reading("collar-2", ago(seconds))];
    world.ingest_batch(&owner, (0..5).flat_map(|n| both(n * 10)).collect()).await.unwrap();

    // One event of the flush, each reading with the collar that took it.
    let told = |collar: &str, n: i64| (collar.to_owned(), ago(n * 10).as_microsecond(), pet);
    let mut expected: Vec<_> = (0..5).flat_map(|n| [told("collar-1", n), told("collar-2", n)]).collect();
    expected.sort();
    assert_eq!(world.announced().await, expected);

    let whole = pages(&world, &owner, wire::ListReadingsRequest { page_size: 1_000, ..of(pet) }).await;
    assert_eq!(whole.len(), 1);
    assert_eq!(
        whole[0].iter().map(|(_, seconds)| *seconds).collect::<Vec<_>>(),
        [0, 0, 10, 10, 20, 20, 30, 30, 40, 40]
    );
    for page_size in [1, 3, 5, 9, 10] {
        let paged = pages(&world, &owner, wire::ListReadingsRequest { page_size, ..of(pet) }).await;
        assert!(paged.iter().all(|page| !page.is_empty()), "{page_size}");
        assert_eq!(paged.concat(), whole[0], "{page_size}");
    }

    let first = world.list(&owner, wire::ListReadingsRequest { page_size: 4, ..of(pet) }).await.unwrap();
    world
        .ingest_batch(&owner, vec![reading("collar-1", ago(5)), reading("collar-1", ago(25))])
        .await
        .unwrap();
    let next = wire::ListReadingsRequest { page_size: 1_000, page_token: first.next_page_token, ..of(pet) };
    let rest = pages(&world, &owner, next).await.concat();
    assert_eq!(rest.iter().map(|(_, seconds)| *seconds).collect::<Vec<_>>(), [20, 20, 25, 30, 30, 40, 40]);
}

/// What is read of one collar is bounded by what was found of those before it: nothing that is on a page may be left out by that.
#[tokio::test]
async fn pages_of_a_pet_that_has_worn_many_collars_hold_the_newest_of_all() {
    let world = World::new("list_collars").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-0");
    // Some shared moments, some of one's own, and some collars wholly before or after the others.
    let times = |n: i64| (0..12_i64).map(move |k| 10 * (k * (n % 3 + 1) + 20 * (n % 4)));
    let mut expected = Vec::new();
    for n in 0..8 {
        let collar = format!("collar-{n}");
        world.pair(&owner, Role::Owner, &collar, pet, at("2020-01-01T00:00:00Z"), None);
        // One after the other, so that their keys are in this order.
        let readings = times(n).map(|seconds| reading(&collar, ago(seconds))).collect();
        world.ingest_batch(&owner, readings).await.unwrap();
        expected.extend(times(n).map(|seconds| (collar.clone(), seconds)));
    }
    expected.sort_by_key(|(collar, seconds)| (*seconds, std::cmp::Reverse(collar.clone())));
    for page_size in [1, 2, 3, 7, 20, 95, 96, 1_000] {
        let paged = pages(&world, &owner, wire::ListReadingsRequest { page_size, ..of(pet) }).await;
        assert_eq!(paged.concat(), expected, "{page_size}");
    }
}

#[tokio::test]
async fn a_span_holds_its_start_and_not_its_end_and_is_a_day_by_default() {
    let world = World::new("list_span").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let times = [0, 10, 86_400, 86_401, 40_000];
    world.ingest_batch(&owner, times.iter().map(|n| reading("collar-1", ago(*n))).collect()).await.unwrap();
    let span = |start: Option<i64>, end: Option<i64>| wire::ListReadingsRequest {
        start_time: start.map(|n| ago(n).into()),
        end_time: end.map(|n| ago(n).into()),
        ..of(pet)
    };
    for (request, expected) in [
        (span(None, None), vec![10, 40_000, 86_400]),
        (span(Some(40_000), Some(10)), vec![40_000]),
        (span(Some(39_999), Some(10)), vec![]),
        (span(Some(90_000), Some(-1)), vec![0, 10, 40_000, 86_400, 86_401]),
        (span(None, Some(86_400)), vec![86_401]),
    ] {
        let listed = pages(&world, &owner, request).await.concat();
        assert_eq!(listed.into_iter().map(|(_, seconds)| seconds).collect::<Vec<_>>(), expected);
    }
    // The default end is where the first page was asked: later pages keep to it.
    let request = wire::ListReadingsRequest { page_size: 1, ..span(None, None) };
    let first = world.list(&owner, request.clone()).await.unwrap();
    world.clock.set(ago(-3_000));
    let next = wire::ListReadingsRequest { page_token: first.next_page_token, page_size: 10, ..request };
    assert_eq!(pages(&world, &owner, next).await.concat().len(), 2);
}

#[tokio::test]
async fn points_of_a_minute_and_an_hour_are_means_without_positions() {
    let world = World::new("list_means").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let beat = |seconds, heart_rate| wire::Reading {
        heart_rate: Some(heart_rate),
        location: place(1.0, 2.0),
        sequence_id: Some(1),
        ..reading("collar-1", ago(seconds))
    };
    let lively = wire::Reading { heart_rate: None, activity_level: Some(2), ..reading("collar-1", ago(61)) };
    world
        .ingest_batch(&owner, vec![beat(1, 100.0), beat(59, 80.0), beat(62, 60.0), lively, beat(3_601, 50.0)])
        .await
        .unwrap();
    world.rolled_up().await;

    let points = async |resolution: Resolution| {
        let request = wire::ListReadingsRequest { resolution: resolution.into(), page_size: 2, ..of(pet) };
        let mut points = Vec::new();
        let mut token = String::new();
        loop {
            let answer = world
                .list(&owner, wire::ListReadingsRequest { page_token: token, ..request.clone() })
                .await
                .unwrap();
            for point in answer.readings {
                assert!(point.location.is_none() && point.sequence_id.is_none());
                assert_eq!(point.collar_id, "collar-1");
                let seconds = ago(0).as_second() - point.timestamp.unwrap().seconds;
                points.push((seconds, point.heart_rate, point.activity_level));
            }
            token = answer.next_page_token;
            if token.is_empty() {
                return points;
            }
        }
    };
    let minutes = [(60, Some(90.0), None), (120, Some(60.0), Some(2)), (3_660, Some(50.0), None)];
    assert_eq!(points(Resolution::Minute).await, minutes);
    let hours = [(3_600, Some(80.0), Some(2)), (7_200, Some(50.0), None)];
    assert_eq!(points(Resolution::Hour).await, hours);
}

/// Means of one collar are read otherwise than those of several: a second one that only was worn must change nothing.
#[tokio::test]
async fn means_of_a_pet_with_one_collar_are_those_of_a_pet_that_has_two() {
    let world = World::new("list_means_agree").await;
    let owner = world.person();
    let (one, two) = (world.owned(&owner, "collar-1"), world.owned(&owner, "collar-2"));
    world.pair(&owner, Role::Owner, "collar-3", two, at("2020-01-01T00:00:00Z"), None);
    world.ingest(&owner, reading("collar-3", ago(80_000))).await.unwrap();
    let beats = |collar: &'static str| {
        (0..2_500_i64).map(move |n| wire::Reading {
            heart_rate: (n % 7 != 0).then(|| 60.0 + f64::from(i32::try_from(n * n % 41).unwrap())),
            activity_level: (n % 3 != 0).then(|| i32::try_from(n % 5 % 3).unwrap()),
            ..reading(collar, ago(n * 17))
        })
    };
    for collar in ["collar-1", "collar-2"] {
        for part in beats(collar).collect::<Vec<_>>().chunks(1_000) {
            world.ingest_batch(&owner, part.to_vec()).await.unwrap();
        }
    }
    world.rolled_up().await;
    // The last reading of the third collar is of a day before: within what is listed, it is the same.
    let points = async |pet, resolution: Resolution, start: i64, page_size| {
        let mut request = wire::ListReadingsRequest {
            start_time: Some(ago(start).into()),
            resolution: resolution.into(),
            page_size,
            ..of(pet)
        };
        let mut points = Vec::new();
        loop {
            let answer = world.list(&owner, request.clone()).await.unwrap();
            points.extend(answer.readings.iter().map(|point| {
                (
                    point.timestamp.unwrap().seconds,
                    point.heart_rate,
                    point.activity_level,
                    answer.point_seconds,
                )
            }));
            request.page_token = answer.next_page_token;
            if request.page_token.is_empty() {
                return points;
            }
        }
    };
    for (resolution, start, page_size, seconds, count) in [
        (Resolution::Minute, 42_000, 300, 60, 700),
        (Resolution::Hour, 42_000, 5, 3_600, 12),
        // As fits: of readings too many, of minutes few enough; then of two minutes, and of three hours.
        (Resolution::Unspecified, 42_000, 300, 60, 700),
        (Resolution::Unspecified, 70_000, 300, 120, 354),
        (Resolution::Unspecified, 10_000_000, 300, 10_800, 4),
    ] {
        let of_one = points(one, resolution, start, page_size).await;
        assert_eq!(of_one.len(), count, "{resolution:?} of {start}");
        assert!(of_one.iter().all(|(.., told)| *told == seconds), "{resolution:?} of {start}");
        let mut of_two = points(two, resolution, start, page_size).await;
        of_two.truncate(count);
        assert_eq!(of_one, of_two, "{resolution:?} of {start}");
    }
}

#[tokio::test]
async fn what_cannot_be_listed_is_named() {
    let world = World::new("list_bad").await;
    let owner = world.person();
    let pet = world.owned(&owner, "collar-1");
    let mine = world.owned(&owner, "collar-2");
    let readings = (0..3).map(|n| reading("collar-1", ago(n))).collect();
    world.ingest_batch(&owner, readings).await.unwrap();
    let first = world.list(&owner, wire::ListReadingsRequest { page_size: 1, ..of(pet) }).await.unwrap();
    let token = first.next_page_token;
    assert!(!token.is_empty());
    let never = Some(wkt::Timestamp { seconds: i64::MIN, nanos: 0 });
    let cases = [
        ("pet_id", wire::ListReadingsRequest { pet_id: String::new(), ..of(pet) }),
        ("pet_id", wire::ListReadingsRequest { pet_id: "pet".to_owned(), ..of(pet) }),
        ("start_time", wire::ListReadingsRequest { start_time: never, ..of(pet) }),
        ("end_time", wire::ListReadingsRequest { end_time: never, ..of(pet) }),
        ("start_time", wire::ListReadingsRequest { start_time: Some(ago(-1).into()), ..of(pet) }),
        ("start_time", wire::ListReadingsRequest { start_time: Some(ago(-2).into()), ..of(pet) }),
        ("resolution", wire::ListReadingsRequest { resolution: 9, ..of(pet) }),
        ("page_size", wire::ListReadingsRequest { page_size: -1, ..of(pet) }),
        ("page_size", wire::ListReadingsRequest { page_size: 1_001, ..of(pet) }),
        ("page_token", wire::ListReadingsRequest { page_token: "x".to_owned(), ..of(pet) }),
        ("page_token", wire::ListReadingsRequest { page_token: token.clone(), ..of(mine) }),
        ("page_token", wire::ListReadingsRequest { page_token: token.clone(), resolution: 2, ..of(pet) }),
        (
            "page_token",
            wire::ListReadingsRequest { page_token: token, end_time: Some(ago(9).into()), ..of(pet) },
        ),
    ];
    for (field, request) in cases {
        let status = world.list(&owner, request.clone()).await.unwrap_err();
        let (code, _, fields) = refusal(&status);
        assert_eq!((code, fields), (Code::InvalidArgument, vec![field.to_owned()]), "{request:?}");
    }
}

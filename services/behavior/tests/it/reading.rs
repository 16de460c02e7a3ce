//! What callers are answered.

use jiff::Timestamp;
use petty_behavior::domain::Species;
use petty_chassis::types::{AccountId, PetId};
use petty_proto::behavior::v1::behavior_service_server::BehaviorService as _;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::behavior::v1::{Episode, GetBehaviorRequest, ListBehaviorsRequest, ListBehaviorsResponse};
use petty_testbench::{at, field, reason};
use tonic::{Code, Status};

use crate::bench::{Bench, asleep, reading, walking};

async fn list(
    bench: &Bench,
    account: AccountId,
    request: ListBehaviorsRequest,
) -> Result<ListBehaviorsResponse, Status> {
    Ok(bench.grpc.list_behaviors(bench.request(account, request)).await?.into_inner())
}

async fn get(bench: &Bench, account: AccountId, pet: PetId, id: &str) -> Result<Episode, Status> {
    let request = GetBehaviorRequest { pet_id: pet.to_string(), episode_id: id.to_owned() };
    Ok(bench.grpc.get_behavior(bench.request(account, request)).await?.into_inner())
}

/// Of the whole day around noon.
fn of_the_day(pet: PetId) -> ListBehaviorsRequest {
    let (start_time, end_time) = (Some(at(-43_200).into()), Some(at(43_200).into()));
    ListBehaviorsRequest { pet_id: pet.to_string(), start_time, end_time, ..Default::default() }
}

/// Heard of for two minutes of every thirteen: an episode each.
async fn now_and_then(bench: &Bench, episodes: i64) -> PetId {
    let pet = bench.pet(Species::Dog);
    let readings: Vec<_> =
        (0..episodes * 3).map(|nth| reading(780 * (nth / 3) + 60 * (nth % 3), 55.0, 0)).collect();
    bench.take(pet, &readings).await;
    pet
}

#[tokio::test]
async fn pages_cover_everything_once_newest_first_though_more_comes_in() {
    let bench = Bench::new("pages").await;
    let pet = now_and_then(&bench, 50).await;
    let account = bench.owner_of(pet);
    let whole =
        list(&bench, account, ListBehaviorsRequest { page_size: 1_000, ..of_the_day(pet) }).await.unwrap();
    assert_eq!(whole.next_page_token, "");
    let mut found: Vec<Episode> = Vec::new();
    let mut page_token = String::new();
    for round in 0.. {
        let request = ListBehaviorsRequest { page_size: 7, page_token, ..of_the_day(pet) };
        let page = list(&bench, account, request).await.unwrap();
        found.extend(page.episodes);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Newer than anything a later page holds.
        bench.take(pet, &[reading(60 * (705 + round), 90.0, 0)]).await;
    }
    assert!(found.len() > 45, "{}", found.len());
    // The newest one closed when more came in; but for that nothing moved.
    assert_eq!(found, whole.episodes);
    let starts: Vec<Timestamp> =
        found.iter().map(|episode| episode.start_time.unwrap().try_into().unwrap()).collect();
    assert!(starts.windows(2).all(|pair| pair[0] > pair[1]));
}

#[tokio::test]
async fn a_span_holds_what_reaches_into_it() {
    let bench = Bench::new("span").await;
    let pet = bench.pet(Species::Dog);
    let account = bench.owner_of(pet);
    // Asleep for half an hour, then walking for as long.
    let mut readings = asleep(0, 31);
    readings.extend(walking(31, 30));
    bench.take(pet, &readings).await;
    let [walk, sleep] = list(&bench, account, of_the_day(pet)).await.unwrap().episodes.try_into().unwrap();
    assert_eq!(walk.start_time, sleep.end_time);
    let turn: Timestamp = sleep.end_time.unwrap().try_into().unwrap();
    let turn = (turn - at(0)).get_seconds();
    assert!((1_500..2_100).contains(&turn), "{turn}");
    for (start, end, expected) in [
        (0, 3_600, &[Behavior::Walking, Behavior::DeepSleep][..]),
        (turn, 3_600, &[Behavior::Walking, Behavior::DeepSleep]),
        (turn + 1, 3_600, &[Behavior::Walking]),
        (0, turn, &[Behavior::DeepSleep]),
        (100, 101, &[Behavior::DeepSleep]),
        (-600, 0, &[]),
        (3_601, 4_000, &[]),
    ] {
        let (start_time, end_time) = (Some(at(start).into()), Some(at(end).into()));
        let request = ListBehaviorsRequest { start_time, end_time, ..of_the_day(pet) };
        let answer = list(&bench, account, request).await.unwrap();
        let found: Vec<Behavior> = answer.episodes.iter().map(Episode::behavior).collect();
        assert_eq!(found, expected, "{start} to {end}");
    }
}

#[tokio::test]
async fn unknown_is_listed() {
    let bench = Bench::new("unknown").await;
    let pet = bench.pet(Species::Dog);
    let account = bench.owner_of(pet);
    let rates = (0..3).map(|minute| petty_proto::events::v1::AcceptedReading {
        activity_level: None,
        ..reading(60 * minute, 200.0, 0)
    });
    bench.take(pet, &rates.collect::<Vec<_>>()).await;
    let answer = list(&bench, account, of_the_day(pet)).await.unwrap();
    assert_eq!(answer.episodes.iter().map(Episode::behavior).collect::<Vec<_>>(), [Behavior::Unknown]);
}

#[tokio::test]
async fn a_superseded_id_answers_what_took_its_place() {
    let bench = Bench::new("heirs").await;
    let pet = bench.pet(Species::Dog);
    let account = bench.owner_of(pet);
    bench.take(pet, &asleep(0, 30)).await;
    let [sleep] = list(&bench, account, of_the_day(pet)).await.unwrap().episodes.try_into().unwrap();
    assert_eq!(get(&bench, account, pet, &sleep.episode_id).await.unwrap(), sleep);
    // It walked all the time, as the collar says after all.
    bench.take(pet, &walking(0, 30)).await;
    let [walk] = list(&bench, account, of_the_day(pet)).await.unwrap().episodes.try_into().unwrap();
    assert_eq!(walk.behavior(), Behavior::Walking);
    for id in [&sleep.episode_id, &walk.episode_id] {
        assert_eq!(get(&bench, account, pet, id).await.unwrap(), walk);
    }
}

#[tokio::test]
async fn others_see_nothing() {
    let bench = Bench::new("others").await;
    let (mine, theirs) = (now_and_then(&bench, 3).await, now_and_then(&bench, 3).await);
    let (me, them) = (bench.owner_of(mine), bench.owner_of(theirs));
    let id = list(&bench, them, of_the_day(theirs)).await.unwrap().episodes[0].episode_id.clone();
    for (status, expected) in [
        (list(&bench, me, of_the_day(theirs)).await.unwrap_err(), "PET_NOT_FOUND"),
        (get(&bench, me, theirs, &id).await.unwrap_err(), "PET_NOT_FOUND"),
        (get(&bench, me, bench.pet_id(), &id).await.unwrap_err(), "PET_NOT_FOUND"),
        // Somebody else's episode under my own pet, and one that never was.
        (get(&bench, me, mine, &id).await.unwrap_err(), "EPISODE_NOT_FOUND"),
        (get(&bench, me, mine, &format!("evt_{}", "0".repeat(32))).await.unwrap_err(), "EPISODE_NOT_FOUND"),
    ] {
        assert_eq!((status.code(), reason(&status)), (Code::NotFound, expected.to_owned()));
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named_before_access_is_asked() {
    let bench = Bench::new("fields").await;
    // Nobody's pet.
    let (pet, nobody) = (bench.pet_id(), bench.account_id());
    for (request, expected) in [
        (ListBehaviorsRequest { page_size: -1, ..of_the_day(pet) }, "page_size"),
        (ListBehaviorsRequest { page_token: "?".to_owned(), ..of_the_day(pet) }, "page_token"),
        (ListBehaviorsRequest { end_time: Some(at(-86_400).into()), ..of_the_day(pet) }, "start_time"),
        (ListBehaviorsRequest { pet_id: "rex".to_owned(), ..of_the_day(pet) }, "pet_id"),
    ] {
        assert_eq!(field(&list(&bench, nobody, request).await.unwrap_err()), expected);
    }
    for id in
        ["", "evt_", "1", "evt_g0000000000000000000000000000000", "evt_0000000000000000000000000000000 "]
    {
        assert_eq!(field(&get(&bench, nobody, pet, id).await.unwrap_err()), "episode_id", "{id:?}");
    }
}

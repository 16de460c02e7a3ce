//! The first system's call: what a collar saw.

use petty_chassis::types::AccountId;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::timeline::v1::timeline_service_server::TimelineService as _;
use petty_proto::timeline::v1::{GetPetTimelineRequest, GetPetTimelineResponse};
use petty_testbench::{at, field, reason};
use tonic::{Code, Status};

use crate::bench::{Bench, Told};

const COLLAR: &str = "SN-1A4B7C-9Z";
const HOUR: i64 = 3_600;

async fn get(
    bench: &Bench,
    account: AccountId,
    hours: Option<i32>,
) -> Result<GetPetTimelineResponse, Status> {
    let request = GetPetTimelineRequest { collar_id: COLLAR.to_owned(), hours };
    Ok(bench.grpc.get_pet_timeline(bench.request(account, request)).await?.into_inner())
}

fn ids(answer: &GetPetTimelineResponse) -> Vec<u128> {
    let digits = answer.timeline.iter().map(|event| event.event_id.strip_prefix("evt_").unwrap());
    digits.map(|digits| u128::from_str_radix(digits, 16).unwrap()).collect()
}

#[tokio::test]
async fn the_last_hours_are_answered_newest_first() {
    let bench = Bench::new("hours").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    bench.wear(COLLAR, pet, -100 * HOUR, None);
    for (nth, from, to) in
        [(1, -50 * HOUR, -49 * HOUR), (2, -25 * HOUR, -23 * HOUR), (3, -3 * HOUR, -2 * HOUR), (4, -HOUR, 0)]
    {
        bench.tell(&Told { open: nth == 4, ..Told::new(pet, nth, Behavior::DeepSleep, from, to) }).await;
    }
    let answer = get(&bench, account, None).await.unwrap();
    assert_eq!((answer.collar_id.as_str(), ids(&answer)), (COLLAR, vec![4, 3, 2]));
    let (newest, before) = (&answer.timeline[0], &answer.timeline[1]);
    assert_eq!((newest.behavior.as_str(), newest.end_timestamp), ("Deep Sleep", None), "it goes on");
    assert_eq!(newest.timestamp, Some(at(-HOUR).into()));
    assert_eq!(before.end_timestamp, Some(at(-2 * HOUR).into()));
    assert_eq!(newest.metadata.as_ref().unwrap().rule, "a_rule");
    let about = answer.metadata.unwrap();
    assert_eq!((about.hours, about.count, about.truncated, about.poll_after_seconds), (24, 3, false, 5));
    assert_eq!((about.start_time, about.end_time), (Some(at(-24 * HOUR).into()), Some(at(300).into())));
    assert_eq!(ids(&get(&bench, account, Some(1)).await.unwrap()), [4]);
    assert_eq!(ids(&get(&bench, account, Some(720)).await.unwrap()), [4, 3, 2, 1]);
}

#[tokio::test]
async fn who_asks_again_is_answered_the_same_for_five_minutes_unless_something_happened() {
    let bench = Bench::new("again").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    bench.wear(COLLAR, pet, -100 * HOUR, None);
    bench.tell(&Told::new(pet, 1, Behavior::DeepSleep, -2 * HOUR, -HOUR)).await;
    let first = get(&bench, account, None).await.unwrap();
    for seconds in [1, 45, 299] {
        bench.clock.set(at(seconds));
        assert_eq!(get(&bench, account, None).await.unwrap(), first, "{seconds}");
    }
    // What is told meanwhile is there at once: it grows, another begins, one of a collar whose clock is ahead.
    let mut before = first;
    for (told, newest) in [
        (Told { open: true, ..Told::new(pet, 2, Behavior::Walking, 290, 295) }, 2),
        (
            Told {
                open: true,
                version: 2,
                behavior: Behavior::Running,
                ..Told::new(pet, 2, Behavior::Walking, 290, 298)
            },
            2,
        ),
        (Told { open: true, ..Told::new(pet, 3, Behavior::Resting, 299, 299) }, 3),
    ] {
        bench.tell(&told).await;
        let now = get(&bench, account, None).await.unwrap();
        assert_eq!(ids(&now)[0], newest);
        assert_ne!(now, before);
        before = now;
    }
    // The next five minutes are another window; nothing of the hours is missing from it.
    bench.clock.set(at(300));
    let later = get(&bench, account, None).await.unwrap();
    assert_eq!(later.timeline, before.timeline);
    let about = later.metadata.unwrap();
    assert_eq!((about.start_time, about.end_time), (Some(at(300 - 24 * HOUR).into()), Some(at(600).into())));
}

#[tokio::test]
async fn a_collar_that_saw_nothing_is_answered_an_empty_list() {
    let bench = Bench::new("empty").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    // Worn long ago, but nothing since.
    bench.wear(COLLAR, pet, -100 * HOUR, Some(-50 * HOUR));
    bench.tell(&Told::new(pet, 1, Behavior::Resting, -HOUR, 0)).await;
    let answer = get(&bench, account, None).await.unwrap();
    let about = answer.metadata.unwrap();
    assert_eq!((answer.timeline.len(), about.count, about.poll_after_seconds), (0, 0, 45));
}

#[tokio::test]
async fn a_collar_that_moved_shows_each_owner_their_own_pet() {
    let bench = Bench::new("moved").await;
    let (first, second) = (bench.pet_id(), bench.pet_id());
    let owner = bench.owner_of(first);
    let other = bench.owner_of(second);
    bench.wear(COLLAR, first, -10 * HOUR, Some(-5 * HOUR));
    bench.wear(COLLAR, second, -5 * HOUR, None);
    // Before the collar, with it, after it.
    for (nth, pet, from) in
        [(1, first, -12), (2, first, -8), (3, first, -2), (4, second, -8), (5, second, -2)]
    {
        bench.tell(&Told::new(pet, nth, Behavior::Walking, from * HOUR, (from + 1) * HOUR)).await;
    }
    assert_eq!(ids(&get(&bench, owner, None).await.unwrap()), [2]);
    assert_eq!(ids(&get(&bench, other, None).await.unwrap()), [5]);
    // Both pets in one hand.
    bench.access.give(second, owner);
    assert_eq!(ids(&get(&bench, owner, None).await.unwrap()), [5, 2]);
}

#[tokio::test]
async fn what_two_pairings_saw_is_answered_once() {
    let bench = Bench::new("once").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    bench.wear(COLLAR, pet, -10 * HOUR, Some(-5 * HOUR));
    bench.wear(COLLAR, pet, -5 * HOUR, None);
    bench.tell(&Told::new(pet, 1, Behavior::Walking, -6 * HOUR, -4 * HOUR)).await;
    assert_eq!(ids(&get(&bench, account, None).await.unwrap()), [1]);
}

#[tokio::test]
async fn a_thousand_is_the_most() {
    let bench = Bench::new("thousand").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    bench.wear(COLLAR, pet, -24 * HOUR, None);
    for nth in 1..=1_000 {
        let from = -i64::try_from(nth).unwrap() * 60;
        bench.tell(&Told::new(pet, nth, Behavior::Walking, from, from + 30)).await;
    }
    let answer = get(&bench, account, None).await.unwrap();
    let about = answer.metadata.unwrap();
    assert_eq!((answer.timeline.len(), about.count, about.truncated), (1_000, 1_000, false));
    bench.tell(&Told::new(pet, 1_001, Behavior::Walking, -70_000, -69_900)).await;
    let answer = get(&bench, account, None).await.unwrap();
    let about = answer.metadata.unwrap();
    assert_eq!((answer.timeline.len(), about.count, about.truncated), (1_000, 1_000, true));
    assert_eq!(answer.timeline[999].timestamp, Some(at(-60_000).into()), "the oldest is left out");
}

#[tokio::test]
async fn what_cannot_be_used_is_named_and_others_see_nothing() {
    let bench = Bench::new("refused").await;
    let pet = bench.pet_id();
    bench.owner_of(pet);
    bench.wear(COLLAR, pet, -HOUR, None);
    let stranger = bench.account_id();
    for hours in [0, -1, 721, i32::MAX, i32::MIN] {
        assert_eq!(field(&get(&bench, stranger, Some(hours)).await.unwrap_err()), "hours", "{hours}");
    }
    let status = get(&bench, stranger, None).await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), (Code::NotFound, "COLLAR_NOT_FOUND".to_owned()));
    for collar_id in ["", "no", "a b"] {
        let request = GetPetTimelineRequest { collar_id: collar_id.to_owned(), hours: None };
        let status = bench.grpc.get_pet_timeline(bench.request(stranger, request)).await.unwrap_err();
        assert_eq!(field(&status), "collar_id", "{collar_id:?}");
    }
}

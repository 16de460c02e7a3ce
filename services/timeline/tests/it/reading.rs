//! A pet's timeline, as callers are answered it.

use petty_chassis::events::topics;
use petty_chassis::types::{AccountId, PetId};
use petty_proto::behavior::v1::Alert;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::AlertChanged;
use petty_proto::timeline::v1::entry::Kind;
use petty_proto::timeline::v1::timeline_service_server::TimelineService as _;
use petty_proto::timeline::v1::{Entry, ListTimelineRequest, ListTimelineResponse};
use petty_testbench::{at, field, reason};
use tonic::{Code, Status};

use crate::bench::{Bench, Told};

async fn list(
    bench: &Bench,
    account: AccountId,
    request: ListTimelineRequest,
) -> Result<ListTimelineResponse, Status> {
    Ok(bench.grpc.list_timeline(bench.request(account, request)).await?.into_inner())
}

fn of(pet: PetId) -> ListTimelineRequest {
    ListTimelineRequest { pet_id: pet.to_string(), ..Default::default() }
}

fn ids(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry.event_id.as_str()).collect()
}

#[tokio::test]
async fn an_entry_says_what_was_told() {
    let bench = Bench::new("entry").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    let told = Told { version: 3, open: true, ..Told::new(pet, 7, Behavior::PlayingFetch, -600, -300) };
    bench.tell(&told).await;
    let [entry] = list(&bench, account, of(pet)).await.unwrap().entries.try_into().unwrap();
    assert_eq!((entry.event_id.as_str(), entry.behavior.as_str()), (told.id().as_str(), "Playing Fetch"));
    assert_eq!((entry.kind(), entry.version, entry.open, entry.confidence), (Kind::Behavior, 3, true, 0.75));
    assert_eq!((entry.start_time, entry.end_time), (Some(at(-600).into()), Some(at(-300).into())));
    let metadata = entry.metadata.unwrap();
    assert_eq!(
        (metadata.rule.as_str(), metadata.readings, metadata.mean_heart_rate),
        ("a_rule", 4, Some(55.25))
    );
    assert_eq!(metadata.distance_m, None);
}

#[tokio::test]
async fn an_open_alert_is_there_however_long_ago_it_was_raised() {
    let bench = Bench::new("open_alerts").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    const DAY: i64 = 86_400;
    let alert = |raised: i64, cleared: Option<i64>, version: i64| {
        let alert = Alert {
            alert_id: uuid::Uuid::from_u128(7).to_string(),
            pet_id: pet.to_string(),
            raise_time: Some(at(raised).into()),
            clear_time: cleared.map(|cleared| at(cleared).into()),
            ..Default::default()
        };
        bench.event(&topics::ALERT_CHANGED, pet, version, &AlertChanged { alert: Some(alert) })
    };
    // A walk whose collar told nothing since is known to have gone on until then, and no longer.
    let walk = Told { open: true, ..Told::new(pet, 1, Behavior::Walking, -9 * DAY, -8 * DAY) };
    bench.tell(&walk).await;
    bench.apply(&alert(-8 * DAY, None, 1)).await.unwrap();
    for kinds in [vec![], vec![Kind::Alert.into()]] {
        let request = ListTimelineRequest { kinds, ..of(pet) };
        let [entry] = list(&bench, account, request).await.unwrap().entries.try_into().unwrap();
        assert_eq!((entry.kind(), entry.open), (Kind::Alert, true));
        assert_eq!(entry.start_time, Some(at(-8 * DAY).into()));
    }
    // Of a span before it was raised it is no part, and on the page after it no more.
    let before = ListTimelineRequest {
        start_time: Some(at(-20 * DAY).into()),
        end_time: Some(at(-8 * DAY).into()),
        ..of(pet)
    };
    let found = list(&bench, account, before).await.unwrap().entries;
    assert_eq!(found.iter().map(Entry::kind).collect::<Vec<_>>(), [Kind::Behavior]);
    bench.tell(&Told::new(pet, 2, Behavior::Resting, -60, -30)).await;
    let first = ListTimelineRequest { page_size: 1, ..of(pet) };
    let page = list(&bench, account, first.clone()).await.unwrap();
    let next = ListTimelineRequest { page_token: page.next_page_token, ..first };
    let page = list(&bench, account, next).await.unwrap();
    assert_eq!(page.entries.iter().map(Entry::kind).collect::<Vec<_>>(), [Kind::Alert]);
    assert_eq!(page.next_page_token, "");
    // Cleared, it ended then.
    bench.apply(&alert(-8 * DAY, Some(-7 * DAY - 1), 2)).await.unwrap();
    let alerts = ListTimelineRequest { kinds: vec![Kind::Alert.into()], ..of(pet) };
    assert_eq!(list(&bench, account, alerts).await.unwrap().entries, []);
}

#[tokio::test]
async fn a_week_until_now_is_answered_where_nothing_is_said() {
    let bench = Bench::new("week").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    const WEEK: i64 = 7 * 86_400;
    for (nth, from, to) in
        [(1, -WEEK - 60, -WEEK - 1), (2, -WEEK - 60, -WEEK), (3, -60, 60), (4, 0, 60), (5, 60, 120)]
    {
        bench.tell(&Told::new(pet, nth, Behavior::Walking, from, to)).await;
    }
    let answer = list(&bench, account, of(pet)).await.unwrap();
    let expected =
        [Told::new(pet, 3, Behavior::Walking, 0, 0).id(), Told::new(pet, 2, Behavior::Walking, 0, 0).id()];
    assert_eq!(ids(&answer.entries), expected);
    assert_eq!(answer.next_page_token, "");
}

#[tokio::test]
async fn pages_cover_everything_once_newest_first_though_more_comes_in() {
    let bench = Bench::new("pages").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    // Two of each start, so that the place within one start counts.
    for nth in 0..40_u128 {
        let from = -100 * (i64::try_from(nth).unwrap() / 2 + 1);
        bench.tell(&Told::new(pet, nth, Behavior::Walking, from, from + 50)).await;
    }
    let whole = list(&bench, account, ListTimelineRequest { page_size: 40, ..of(pet) }).await.unwrap();
    assert_eq!(
        (whole.entries.len(), whole.next_page_token.as_str()),
        (40, ""),
        "a full last page is the last"
    );
    let mut found = Vec::new();
    let mut page_token = String::new();
    for round in 0.. {
        let page =
            list(&bench, account, ListTimelineRequest { page_size: 7, page_token, ..of(pet) }).await.unwrap();
        found.extend(page.entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
        // Time goes on, and so does the pet.
        bench.clock.set(at(60 * (round + 1)));
        bench
            .tell(&Told::new(
                pet,
                1_000 + u128::try_from(round).unwrap(),
                Behavior::Resting,
                60 * round,
                60 * round + 30,
            ))
            .await;
    }
    assert_eq!(found, whole.entries);
}

#[tokio::test]
async fn others_see_nothing() {
    let bench = Bench::new("others").await;
    let (mine, theirs) = (bench.pet_id(), bench.pet_id());
    let me = bench.owner_of(mine);
    bench.owner_of(theirs);
    bench.tell(&Told::new(theirs, 1, Behavior::Resting, -60, -30)).await;
    for pet in [theirs, bench.pet_id()] {
        let status = list(&bench, me, of(pet)).await.unwrap_err();
        assert_eq!((status.code(), reason(&status)), (Code::NotFound, "PET_NOT_FOUND".to_owned()));
    }
    let empty = ListTimelineResponse { last_event_id: "0".to_owned(), ..Default::default() };
    assert_eq!(list(&bench, me, of(mine)).await.unwrap(), empty);
}

#[tokio::test]
async fn what_cannot_be_used_is_named_before_access_is_asked() {
    let bench = Bench::new("fields").await;
    let (pet, nobody) = (bench.pet_id(), bench.account_id());
    for (request, expected) in [
        (ListTimelineRequest { page_size: 1_001, ..of(pet) }, "page_size"),
        (ListTimelineRequest { page_token: "?".to_owned(), ..of(pet) }, "page_token"),
        (
            ListTimelineRequest { start_time: Some(at(1).into()), end_time: Some(at(0).into()), ..of(pet) },
            "start_time",
        ),
        (ListTimelineRequest { pet_id: "rex".to_owned(), ..of(pet) }, "pet_id"),
    ] {
        assert_eq!(field(&list(&bench, nobody, request).await.unwrap_err()), expected);
    }
}

//! Plans and feedback on the timeline, and what is found among them.

use petty_chassis::events::{Event, Failure, topics};
use petty_chassis::types::{AccountId, PetId};
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::{FeedbackSubmitted, PlanChanged};
use petty_proto::feedback::v1::feedback::Verdict;
use petty_proto::timeline::v1::entry::Kind;
use petty_proto::timeline::v1::timeline_service_server::TimelineService as _;
use petty_proto::timeline::v1::timeline_update::Type;
use petty_proto::timeline::v1::{
    FeedbackNote, GetPetTimelineRequest, ListTimelineRequest, ListTimelineResponse, PlanNote,
};
use petty_testbench::{at, fields};
use tonic::Status;

use crate::bench::{Bench, Told};
use crate::following::{expected, open};

const FEEDBACK: &str = "fbk_0123456789abcdef0123456789abcdef";
const EVENT: &str = "evt_00000000000000000000000000000001";

fn plan(pet: PetId, version: i32) -> PlanChanged {
    PlanChanged {
        pet_id: pet.to_string(),
        plan_version: version,
        kcal_per_day: Some(812.5),
        previous_kcal_per_day: None,
        life_stage: "ADULT".to_owned(),
        reason: "a weight was noted".to_owned(),
        rule_version: "nutrition/1".to_owned(),
    }
}

fn feedback(pet: PetId) -> FeedbackSubmitted {
    FeedbackSubmitted {
        feedback_id: FEEDBACK.to_owned(),
        pet_id: pet.to_string(),
        event_id: EVENT.to_owned(),
        verdict: Verdict::Wrong.into(),
        actual_behavior: Behavior::Resting.into(),
        behavior: Behavior::DeepSleep.into(),
        rule: "deep_sleep".to_owned(),
        rule_version: "spine/1".to_owned(),
        time: Some(at(-30).into()),
    }
}

fn planned(bench: &Bench, pet: PetId, version: i32) -> Event {
    bench.event(&topics::PLAN_CHANGED, pet, version.into(), &plan(pet, version))
}

fn submitted(bench: &Bench, pet: PetId) -> Event {
    bench.event(&topics::FEEDBACK_SUBMITTED, pet, 0, &feedback(pet))
}

async fn list(
    bench: &Bench,
    account: AccountId,
    request: ListTimelineRequest,
) -> Result<ListTimelineResponse, Status> {
    Ok(bench.grpc.list_timeline(bench.request(account, request)).await?.into_inner())
}

fn of(pet: PetId) -> ListTimelineRequest {
    ListTimelineRequest { pet_id: pet.to_string(), end_time: Some(at(1).into()), ..Default::default() }
}

/// A pet with one of each kind, newest last: a sleep, a walk, feedback, a plan.
async fn full(bench: &Bench) -> (PetId, AccountId) {
    let pet = bench.pet_id();
    bench.tell(&Told::new(pet, 1, Behavior::DeepSleep, -300, -200)).await;
    bench.tell(&Told::new(pet, 2, Behavior::Walking, -200, -100)).await;
    bench.apply(&submitted(bench, pet)).await.unwrap();
    bench.apply(&planned(bench, pet, 1)).await.unwrap();
    (pet, bench.owner_of(pet))
}

#[tokio::test]
async fn a_changed_plan_is_an_entry() {
    let bench = Bench::new("plan").await;
    let pet = bench.pet_id();
    bench.apply(&planned(&bench, pet, 3)).await.unwrap();
    let [entry] = list(&bench, bench.owner_of(pet), of(pet)).await.unwrap().entries.try_into().unwrap();
    assert_eq!((entry.kind(), entry.behavior.as_str(), entry.metadata), (Kind::Plan, "", None));
    assert_eq!((entry.start_time, entry.end_time), (Some(at(0).into()), Some(at(0).into())));
    assert_eq!((entry.open, entry.confidence, entry.version, entry.feedback), (false, 1.0, 1, None));
    let note = PlanNote {
        plan_version: 3,
        kcal_per_day: Some(812.5),
        previous_kcal_per_day: None,
        life_stage: "ADULT".to_owned(),
        reason: "a weight was noted".to_owned(),
        rule_version: "nutrition/1".to_owned(),
    };
    assert_eq!(entry.plan, Some(note));
    assert!(entry.event_id.starts_with("evt_") && entry.event_id.len() == 36, "{}", entry.event_id);
}

#[tokio::test]
async fn feedback_is_an_entry_without_anybodys_words() {
    let bench = Bench::new("feedback").await;
    let pet = bench.pet_id();
    bench.apply(&submitted(&bench, pet)).await.unwrap();
    let [entry] = list(&bench, bench.owner_of(pet), of(pet)).await.unwrap().entries.try_into().unwrap();
    assert_eq!((entry.kind(), entry.start_time), (Kind::Feedback, Some(at(-30).into())));
    let note = FeedbackNote {
        feedback_id: FEEDBACK.to_owned(),
        event_id: EVENT.to_owned(),
        verdict: "WRONG".to_owned(),
        actual_behavior: "Resting".to_owned(),
    };
    assert_eq!((entry.feedback, entry.plan), (Some(note), None));
}

#[tokio::test]
async fn what_is_told_again_or_late_changes_nothing_else() {
    let bench = Bench::new("notes_again").await;
    let pet = bench.pet_id();
    let caller = (bench.owner_of(pet), pet);
    for event in [
        planned(&bench, pet, 2),
        planned(&bench, pet, 2),
        submitted(&bench, pet),
        // Each version of a plan is an entry of its own, whatever the order.
        planned(&bench, pet, 1),
        submitted(&bench, pet),
        planned(&bench, pet, 2),
    ] {
        bench.apply(&event).await.unwrap();
    }
    let mut stream = open(&bench.grpc, &bench, caller, "0").await.unwrap();
    assert_eq!(stream.told(3).await, expected(&[(1, Type::Entry), (2, Type::Entry), (3, Type::Entry)]));
    assert!(stream.is_silent());
    assert_eq!(list(&bench, caller.0, of(pet)).await.unwrap().entries.len(), 3);
    // Another pet's plan of that version is another entry.
    let other = bench.pet_id();
    bench.apply(&planned(&bench, other, 2)).await.unwrap();
    assert_eq!(bench.count("-- entries\nSELECT count(*) FROM entries").await, 4);
}

#[tokio::test]
async fn notes_that_cannot_be_used_are_refused() {
    let bench = Bench::new("bad_notes").await;
    let (pet, other) = (bench.pet_id(), bench.pet_id());
    let plans = [
        plan(other, 1),
        plan(pet, 0),
        PlanChanged { kcal_per_day: Some(f64::NAN), ..plan(pet, 1) },
        PlanChanged { previous_kcal_per_day: Some(-1.0), ..plan(pet, 1) },
    ];
    let words = [
        feedback(other),
        FeedbackSubmitted { feedback_id: "fbk_1".to_owned(), ..feedback(pet) },
        FeedbackSubmitted { event_id: FEEDBACK.to_owned(), ..feedback(pet) },
        FeedbackSubmitted { verdict: 0, ..feedback(pet) },
        FeedbackSubmitted { actual_behavior: 99, ..feedback(pet) },
        FeedbackSubmitted { time: None, ..feedback(pet) },
    ];
    let plans = plans.iter().map(|plan| bench.event(&topics::PLAN_CHANGED, pet, 1, plan));
    let words = words.iter().map(|word| bench.event(&topics::FEEDBACK_SUBMITTED, pet, 1, word));
    for event in plans.chain(words).collect::<Vec<_>>() {
        assert!(matches!(bench.apply(&event).await, Err(Failure::Poison(_))), "{event:?}");
    }
    assert_eq!(bench.count("-- entries\nSELECT count(*) FROM entries").await, 0);
}

#[tokio::test]
async fn the_first_systems_call_knows_behaviors_only() {
    let bench = Bench::new("behaviors_only").await;
    let (pet, account) = full(&bench).await;
    bench.access.wear(&bench.clock, "SN-1", pet, at(-100_000), None);
    let request = GetPetTimelineRequest { collar_id: "SN-1".to_owned(), hours: None };
    let answer = bench.grpc.get_pet_timeline(bench.request(account, request)).await.unwrap().into_inner();
    let found: Vec<&str> = answer.timeline.iter().map(|event| event.behavior.as_str()).collect();
    assert_eq!(found, ["Walking", "Deep Sleep"]);
    assert_eq!(answer.metadata.unwrap().count, 2);
}

#[tokio::test]
async fn a_list_is_of_the_kinds_and_behaviors_that_are_asked_for() {
    let bench = Bench::new("filters").await;
    let (pet, account) = full(&bench).await;
    let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let all = [Kind::Plan, Kind::Feedback, Kind::Behavior, Kind::Behavior];
    for (kinds, behaviors, expected) in [
        (vec![], vec![], &all[..]),
        (vec![Kind::Behavior, Kind::Plan, Kind::Feedback, Kind::Plan], vec![], &all[..]),
        (vec![Kind::Plan], vec![], &all[..1]),
        (vec![Kind::Feedback, Kind::Plan], vec![], &all[..2]),
        (vec![], text(&["Deep Sleep", "walking"]), &all[2..]),
        (vec![], text(&["DEEP_SLEEP"]), &all[3..]),
        (vec![], text(&["running"]), &[]),
        (vec![Kind::Behavior], text(&["deep sleep"]), &all[3..]),
        (vec![Kind::Plan], text(&["deep sleep"]), &[]),
    ] {
        let kinds = kinds.iter().map(|kind| i32::from(*kind)).collect();
        let request = ListTimelineRequest { kinds, behaviors, ..of(pet) };
        let answer = list(&bench, account, request.clone()).await.unwrap();
        let found: Vec<Kind> = answer.entries.iter().map(|entry| entry.kind()).collect();
        assert_eq!((found.as_slice(), answer.last_event_id.as_str()), (expected, "4"), "{request:?}");
    }
}

#[tokio::test]
async fn filters_that_cannot_be_used_are_named() {
    let bench = Bench::new("bad_filters").await;
    let (pet, nobody) = (bench.pet_id(), bench.account_id());
    let text = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (request, expected) in [
        (ListTimelineRequest { kinds: vec![1, 0, 9], ..of(pet) }, vec!["kinds[1]", "kinds[2]"]),
        (ListTimelineRequest { behaviors: text(&["walking", "Barking"]), ..of(pet) }, vec!["behaviors[1]"]),
        (ListTimelineRequest { behaviors: text(&[""]), ..of(pet) }, vec!["behaviors[0]"]),
        (ListTimelineRequest { behaviors: text(&["walking"; 21]), ..of(pet) }, vec!["behaviors"]),
        (ListTimelineRequest { kinds: vec![9], page_size: -1, ..of(pet) }, vec!["kinds[0]", "page_size"]),
    ] {
        assert_eq!(fields(&list(&bench, nobody, request).await.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn a_page_belongs_to_its_filter() {
    let bench = Bench::new("filter_pages").await;
    let pet = bench.pet_id();
    let account = bench.owner_of(pet);
    for nth in 0..9 {
        let behavior = if nth % 2 == 0 { Behavior::Walking } else { Behavior::Resting };
        let from = -100 * i64::try_from(nth).unwrap() - 100;
        bench.tell(&Told::new(pet, nth, behavior, from, from + 50)).await;
    }
    let walks = |page_token: String| ListTimelineRequest {
        behaviors: vec!["walking".to_owned()],
        page_size: 2,
        page_token,
        ..of(pet)
    };
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&bench, account, walks(token)).await.unwrap();
        found.extend(page.entries.into_iter().map(|entry| entry.behavior));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
        // The same filter, said otherwise.
        let same = ListTimelineRequest {
            behaviors: vec!["WALKING".to_owned(), "Walking".to_owned()],
            ..walks(token.clone())
        };
        list(&bench, account, same).await.unwrap();
        for other in [
            ListTimelineRequest { behaviors: vec![], ..walks(token.clone()) },
            ListTimelineRequest { behaviors: vec!["resting".to_owned()], ..walks(token.clone()) },
            ListTimelineRequest { kinds: vec![1], ..walks(token.clone()) },
        ] {
            assert_eq!(fields(&list(&bench, account, other).await.unwrap_err()), ["page_token"]);
        }
    }
    assert_eq!(found, ["Walking"; 5]);
}

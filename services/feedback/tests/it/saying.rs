//! Words, as they are taken and refused.

use jiff::SignedDuration;
use petty_chassis::access::Role;
use petty_chassis::events::topics;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::events::v1::FeedbackSubmitted;
use petty_proto::feedback::v1 as wire;
use petty_proto::feedback::v1::feedback::Verdict;
use petty_proto::feedback::v1::feedback_service_server::FeedbackService as _;
use petty_proto::wkt;
use petty_testbench::{Badge, at, fields, now, reason};
use serde_json::json;
use tonic::Code;

use crate::bench::{Bench, Told, creation, event_id, listing, submission};

const KEPT: &str = "-- kept\nSELECT concat_ws(' ', verdict, actual_behavior, comment, segment, counts) FROM feedback ORDER BY feedback_id";

fn value(json: serde_json::Value) -> Option<wkt::Value> {
    Some(serde_json::from_value(json).unwrap())
}

#[tokio::test]
async fn the_first_systems_words_become_verdicts_and_comments() {
    let bench = Bench::new("words").await;
    let (_, account, told) = bench.told_pet(1).await;
    for (text, kept) in [
        ("positive", "correct"),
        ("NEGATIVE", "wrong"),
        (" He was asleep ", "unsure He was asleep"),
        (&"ß".repeat(1_000), &format!("unsure {}", "ß".repeat(1_000))),
    ] {
        let answer = bench.submit(account, submission(&told, text)).await.unwrap();
        assert!(answer.success);
        let digits = answer.feedback_id.strip_prefix("fbk_").unwrap();
        assert!(digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digits}");
        assert_eq!(bench.rows(KEPT).await.last().unwrap(), &format!("{kept} t"));
    }
}

#[tokio::test]
async fn a_creation_answers_what_is_kept_and_tells_it_without_words() {
    let bench = Bench::new("creation").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let request = wire::CreateFeedbackRequest {
        actual_behavior: Some("deep_SLEEP".to_owned()),
        comment: Some(" Snored. ".to_owned()),
        ..creation(&told, Verdict::Wrong)
    };
    let said = bench.create(account, request).await.unwrap();
    let expected = wire::Feedback {
        feedback_id: said.feedback_id.clone(),
        event_id: told.id(),
        pet_id: pet.to_string(),
        verdict: Verdict::Wrong.into(),
        actual_behavior: Some("Deep Sleep".to_owned()),
        comment: Some("Snored.".to_owned()),
        create_time: Some(now().into()),
        mine: true,
        behavior: "Resting".to_owned(),
        rule: "resting".to_owned(),
        rule_version: "spine/1".to_owned(),
    };
    assert_eq!(said, expected);
    assert_eq!(bench.list(account, listing(&told)).await.unwrap().feedback, [expected]);
    let [told_of] = bench.outbox::<FeedbackSubmitted>(&topics::FEEDBACK_SUBMITTED).await.try_into().unwrap();
    assert_eq!((told_of.subject, told_of.version), (pet.0, 0));
    let expected = FeedbackSubmitted {
        feedback_id: said.feedback_id,
        pet_id: pet.to_string(),
        event_id: told.id(),
        verdict: Verdict::Wrong.into(),
        actual_behavior: Behavior::DeepSleep.into(),
        behavior: Behavior::Resting.into(),
        rule: "resting".to_owned(),
        rule_version: "spine/1".to_owned(),
        time: Some(now().into()),
    };
    assert_eq!(told_of.payload, expected);
}

#[tokio::test]
async fn what_cannot_be_used_of_a_submission_is_named_before_the_event_is_looked_for() {
    let bench = Bench::new("submission_faults").await;
    let nobody = bench.account_id();
    let told = Told::new(bench.pet_id(), 1);
    let good = submission(&told, "positive");
    let hours = |hours| Some((now() + SignedDuration::from_hours(hours)).into());
    for (request, expected) in [
        (submission(&told, ""), "user_feedback"),
        (submission(&told, " \n"), "user_feedback"),
        (submission(&told, &"x".repeat(1_001)), "user_feedback"),
        (submission(&told, "a\0b"), "user_feedback"),
        (wire::SubmitFeedbackRequest { event_id: String::new(), ..good.clone() }, "event_id"),
        (wire::SubmitFeedbackRequest { event_id: "evt_1".to_owned(), ..good.clone() }, "event_id"),
        (wire::SubmitFeedbackRequest { event_id: told.id()[4..].to_owned(), ..good.clone() }, "event_id"),
        (
            wire::SubmitFeedbackRequest { event_id: event_id(0xabc).to_uppercase(), ..good.clone() },
            "event_id",
        ),
        (wire::SubmitFeedbackRequest { timestamp: hours(2), ..good.clone() }, "timestamp"),
        (wire::SubmitFeedbackRequest { timestamp: hours(-721), ..good.clone() }, "timestamp"),
        (
            wire::SubmitFeedbackRequest {
                timestamp: Some(wkt::Timestamp { seconds: i64::MAX, nanos: 0 }),
                ..good.clone()
            },
            "timestamp",
        ),
        (
            wire::SubmitFeedbackRequest { segment: value(json!("x".repeat(65_535))), ..good.clone() },
            "segment",
        ),
        (wire::SubmitFeedbackRequest { segment: value(json!({"a": ["\0"]})), ..good.clone() }, "segment"),
        (wire::SubmitFeedbackRequest { segment: value(json!({"\0": 1})), ..good.clone() }, "segment"),
        (wire::SubmitFeedbackRequest { request_id: "r".repeat(101), ..good.clone() }, "request_id"),
    ] {
        let status = bench.submit(nobody, request.clone()).await.unwrap_err();
        assert_eq!(fields(&status), [expected], "{request:?}");
    }
    let all = wire::SubmitFeedbackRequest { timestamp: hours(2), ..submission(&told, "") };
    assert_eq!(fields(&bench.submit(nobody, all).await.unwrap_err()), ["user_feedback", "timestamp"]);
    assert_eq!(bench.episodes.asked(), 0);
}

#[tokio::test]
async fn what_cannot_be_used_of_a_creation_is_named() {
    let bench = Bench::new("creation_faults").await;
    let (_, account, told) = bench.told_pet(1).await;
    let with = |verdict, actual: Option<&str>, comment: Option<&str>| wire::CreateFeedbackRequest {
        actual_behavior: actual.map(str::to_owned),
        comment: comment.map(str::to_owned),
        ..creation(&told, verdict)
    };
    for (request, expected) in [
        (with(Verdict::Unspecified, None, None), "verdict"),
        (wire::CreateFeedbackRequest { verdict: 7, ..creation(&told, Verdict::Wrong) }, "verdict"),
        (with(Verdict::Correct, Some("Walking"), None), "actual_behavior"),
        (with(Verdict::Wrong, Some("flying"), None), "actual_behavior"),
        (with(Verdict::Wrong, Some(""), None), "actual_behavior"),
        (with(Verdict::Wrong, Some("Unknown"), None), "actual_behavior"),
        (with(Verdict::Wrong, None, Some("")), "comment"),
        (with(Verdict::Wrong, None, Some(&"x".repeat(1_001))), "comment"),
        (with(Verdict::Wrong, None, Some("\0")), "comment"),
    ] {
        let status = bench.create(account, request.clone()).await.unwrap_err();
        assert_eq!(fields(&status), [expected], "{request:?}");
    }
    assert!(bench.rows(KEPT).await.is_empty());
    for good in [with(Verdict::Unsure, Some("walking"), None), with(Verdict::Correct, None, Some("Yes."))] {
        bench.create(account, good).await.unwrap();
    }
}

#[tokio::test]
async fn a_segment_of_64_kib_is_kept_as_it_came() {
    let bench = Bench::new("segment").await;
    let (_, account, told) = bench.told_pet(1).await;
    let segment = json!({"note": "x".repeat(65_536 - r#"{"note":""}"#.len())});
    assert_eq!(segment.to_string().len(), 65_536);
    let request =
        wire::SubmitFeedbackRequest { segment: value(segment.clone()), ..submission(&told, "positive") };
    bench.submit(account, request).await.unwrap();
    let null = wire::SubmitFeedbackRequest { segment: value(json!(null)), ..submission(&told, "positive") };
    bench.submit(account, null).await.unwrap();
    let kept = "-- segments\nSELECT coalesce(segment::text, 'none') FROM feedback ORDER BY feedback_id";
    let [kept, none] = bench.rows(kept).await.try_into().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&kept).unwrap(), segment);
    assert_eq!(none, "none");
}

#[tokio::test]
async fn a_segment_is_as_large_as_it_came() {
    let bench = Bench::new("segment_numbers").await;
    let (_, account, told) = bench.told_pet(1).await;
    // Of two bytes a number: as 1.0 each would be twice as many.
    let levels = |count| wire::SubmitFeedbackRequest {
        segment: value(json!(vec![1; count])),
        ..submission(&told, "positive")
    };
    // [1,1,…,1] has a bracket more than commas at its ends.
    bench.submit(account, levels(32_767)).await.unwrap();
    let refused = bench.submit(account, levels(32_768)).await.unwrap_err();
    assert_eq!(fields(&refused), ["segment"]);
}

#[tokio::test]
async fn of_an_accounts_words_on_an_event_the_newest_counts() {
    let bench = Bench::new("newest").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let other = bench.account_id();
    bench.access.share(pet, other, Role::Caregiver);
    let earlier = |seconds, text| wire::SubmitFeedbackRequest {
        timestamp: Some(at(seconds).into()),
        ..submission(&told, text)
    };
    bench.submit(account, earlier(-60, "positive")).await.unwrap();
    bench.submit(account, earlier(-30, "negative")).await.unwrap();
    // Said before, and come in late.
    bench.submit(account, earlier(-90, "hm")).await.unwrap();
    bench.submit(other, earlier(-300, "positive")).await.unwrap();
    let expected = ["correct f", "wrong t", "unsure hm f", "correct t"];
    assert_eq!(bench.rows(KEPT).await, expected);
    // Of one time, the one that came last.
    bench.submit(account, earlier(-30, "positive")).await.unwrap();
    assert_eq!(bench.rows(KEPT).await[1], "wrong f");
    // A clock that is ahead does not stay the newest.
    bench.submit(account, earlier(3_000, "negative")).await.unwrap();
    bench.clock.set(at(1));
    bench.submit(account, submission(&told, "positive")).await.unwrap();
    assert_eq!(bench.rows(KEPT).await[5..], ["wrong f", "correct t"]);
}

#[tokio::test]
async fn sent_again_it_is_said_once() {
    let bench = Bench::new("again").await;
    let (_, account, told) = bench.told_pet(1).await;
    let segment = value(json!({"b": 1, "a": [2], "c": {"z": 1, "y": 2}}));
    let request = wire::SubmitFeedbackRequest {
        request_id: "one".to_owned(),
        segment,
        ..submission(&told, "positive")
    };
    let first = bench.submit(account, request.clone()).await.unwrap();
    bench.clock.set(at(60));
    assert_eq!(bench.submit(account, request.clone()).await.unwrap(), first);
    let created = wire::CreateFeedbackRequest {
        request_id: "two".to_owned(),
        comment: Some("Snored.".to_owned()),
        ..creation(&told, Verdict::Wrong)
    };
    let second = bench.create(account, created.clone()).await.unwrap();
    bench.clock.set(at(120));
    assert_eq!(bench.create(account, created.clone()).await.unwrap(), second);
    assert_eq!(bench.rows(KEPT).await.len(), 2);
    assert_eq!(bench.outbox::<FeedbackSubmitted>(&topics::FEEDBACK_SUBMITTED).await.len(), 2);
    // The same key for something else.
    let other = wire::SubmitFeedbackRequest { user_feedback: "negative".to_owned(), ..request };
    let across = wire::CreateFeedbackRequest { request_id: "one".to_owned(), ..created };
    for status in
        [bench.submit(account, other).await.unwrap_err(), bench.create(account, across).await.unwrap_err()]
    {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED")
        );
    }
    assert_eq!(bench.rows(KEPT).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn said_many_times_at_once_one_counts() {
    let bench = Bench::new("at_once").await;
    let (_, account, told) = bench.told_pet(1).await;
    let said = (0..16).map(|_| bench.say(account, &told, Verdict::Wrong));
    futures::future::join_all(said).await;
    assert_eq!(bench.count("-- all\nSELECT count(*) FROM feedback").await, 16);
    assert_eq!(bench.count("-- counting\nSELECT count(*) FROM feedback WHERE counts").await, 1);
}

#[tokio::test]
async fn who_may_only_look_may_not_say() {
    let bench = Bench::new("roles").await;
    let (pet, owner, told) = bench.told_pet(1).await;
    for (role, may) in [(Role::Viewer, false), (Role::Vet, false), (Role::Caregiver, true)] {
        let account = bench.account_id();
        bench.access.share(pet, account, role);
        let said = bench.submit(account, submission(&told, "positive")).await;
        let created = bench.create(account, creation(&told, Verdict::Wrong)).await;
        for refused in [said.err(), created.err()] {
            let code = refused.map(|status| status.code());
            assert_eq!(code, (!may).then_some(Code::PermissionDenied), "{role:?}");
        }
        bench.list(account, listing(&told)).await.unwrap();
    }
    let unsaid = Badge::account(owner).scope("pets:read");
    let status = bench
        .grpc
        .submit_feedback(bench.request_of(&unsaid, submission(&told, "positive")))
        .await
        .unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    let collar = Badge::collar("SN-1", pet, owner).scope("feedback:write");
    let status = bench
        .grpc
        .submit_feedback(bench.request_of(&collar, submission(&told, "positive")))
        .await
        .unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "DEVICE_NOT_ALLOWED"));
}

#[tokio::test]
async fn auth_away_is_no_refusal() {
    let bench = Bench::new("auth_away").await;
    let (_, account, told) = bench.told_pet(1).await;
    bench.access.set_away(true);
    let status = bench.submit(account, submission(&told, "positive")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    bench.access.set_away(false);
    bench.access.end_session(Badge::account(account).session_id());
    let unknown = Told::new(bench.pet_id(), 99);
    for told in [&told, &unknown] {
        let status = bench.submit(account, submission(told, "positive")).await.unwrap_err();
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Unauthenticated, "SESSION_ENDED"));
    }
    assert_eq!(bench.episodes.asked(), 0, "nobody has behavior asked whose session has ended");
}

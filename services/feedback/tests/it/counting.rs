//! How often the rules were right.

use petty_chassis::access::Role;
use petty_proto::behavior::v1::episode::Behavior;
use petty_proto::feedback::v1::feedback::Verdict;
use petty_proto::feedback::v1::feedback_service_server::FeedbackService as _;
use petty_proto::feedback::v1::{GetFeedbackStatsRequest, RuleStats};
use petty_testbench::{Badge, at, fields, reason};
use tonic::{Code, Status};

use crate::bench::{Bench, Told};

async fn stats(bench: &Bench, request: GetFeedbackStatsRequest) -> Result<Vec<RuleStats>, Status> {
    let staff = Badge::account(bench.account_id()).scope("staff").role("support");
    Ok(bench.grpc.get_feedback_stats(bench.request_of(&staff, request)).await?.into_inner().rules)
}

fn counts(stats: &[RuleStats]) -> Vec<(&str, &str, &str, [i32; 3])> {
    stats
        .iter()
        .map(|stats| {
            let RuleStats { rule_version, rule, behavior, correct, wrong, unsure, .. } = stats;
            (rule_version.as_str(), rule.as_str(), behavior.as_str(), [*correct, *wrong, *unsure])
        })
        .collect()
}

#[tokio::test]
async fn the_newest_words_are_counted_by_rule_and_version() {
    let bench = Bench::new("stats").await;
    // Ten pets, of eight of which the rule was right.
    for nth in 0..10 {
        let (_, account, told) = bench.told_pet(nth).await;
        bench.say(account, &told, Verdict::Wrong).await;
        bench.say(account, &told, if nth < 8 { Verdict::Correct } else { Verdict::Wrong }).await;
    }
    let pet = bench.pet_id();
    let (owner, other) = (bench.owner_of(pet), bench.account_id());
    bench.access.share(pet, other, Role::Caregiver);
    let walking =
        Told { behavior: Behavior::Walking, rule: "walking", rule_version: "spine/2", ..Told::new(pet, 20) };
    let resting = Told { rule_version: "spine/2", ..Told::new(pet, 21) };
    for told in [&walking, &resting] {
        bench.tell(told).await;
    }
    bench.say(owner, &walking, Verdict::Wrong).await;
    bench.say(other, &walking, Verdict::Unsure).await;
    bench.say(owner, &resting, Verdict::Unsure).await;
    let found = stats(&bench, GetFeedbackStatsRequest::default()).await.unwrap();
    let expected = [
        ("spine/1", "resting", "Resting", [8, 2, 0]),
        ("spine/2", "resting", "Resting", [0, 0, 1]),
        ("spine/2", "walking", "Walking", [0, 1, 1]),
    ];
    assert_eq!(counts(&found), expected);
    let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-6;
    assert!(near(found[0].precision, 0.8), "{found:?}");
    assert!(near(found[0].precision_low, 0.490_162) && near(found[0].precision_high, 0.943_318), "{found:?}");
    assert_eq!((found[1].precision, found[1].precision_low, found[1].precision_high), (None, None, None));
    assert_eq!((found[2].precision, found[2].precision_low), (Some(0.0), Some(0.0)));
    let second = GetFeedbackStatsRequest { rule_version: "spine/2".to_owned(), ..Default::default() };
    assert_eq!(counts(&stats(&bench, second).await.unwrap()), expected[1..]);
    let none = GetFeedbackStatsRequest { rule_version: "spine/3".to_owned(), ..Default::default() };
    assert!(stats(&bench, none).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_span_holds_its_start_and_not_its_end() {
    let bench = Bench::new("stats_span").await;
    for seconds in 0..3 {
        bench.clock.set(at(seconds));
        let (_, account, told) = bench.told_pet(u128::try_from(seconds).unwrap()).await;
        bench.say(account, &told, Verdict::Correct).await;
    }
    for (start, end, expected) in [
        (None, None, 3),
        (Some(1), None, 2),
        (None, Some(1), 1),
        (Some(1), Some(2), 1),
        (Some(1), Some(1), 0),
    ] {
        let request = GetFeedbackStatsRequest {
            start_time: start.map(|seconds| at(seconds).into()),
            end_time: end.map(|seconds| at(seconds).into()),
            ..Default::default()
        };
        let found = stats(&bench, request).await.unwrap();
        assert_eq!(found.iter().map(|stats| stats.correct).sum::<i32>(), expected, "{start:?} {end:?}");
    }
    let backwards = GetFeedbackStatsRequest {
        start_time: Some(at(2).into()),
        end_time: Some(at(1).into()),
        ..Default::default()
    };
    assert_eq!(fields(&stats(&bench, backwards).await.unwrap_err()), ["start_time"]);
    let unreadable = petty_proto::wkt::Timestamp { seconds: i64::MAX, nanos: 0 };
    let request = GetFeedbackStatsRequest {
        start_time: Some(unreadable),
        end_time: Some(unreadable),
        rule_version: "a\0b".to_owned(),
    };
    let status = stats(&bench, request).await.unwrap_err();
    assert_eq!(fields(&status), ["start_time", "end_time", "rule_version"]);
}

#[tokio::test]
async fn statistics_are_the_staffs() {
    let bench = Bench::new("staff").await;
    let badge = Badge::account(bench.account_id());
    let request = bench.request_of(&badge, GetFeedbackStatsRequest::default());
    let status = bench.grpc.get_feedback_stats(request).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "SCOPE_MISSING"));
    let no_role = bench.request_of(&badge.clone().scope("staff"), GetFeedbackStatsRequest::default());
    let status = bench.grpc.get_feedback_stats(no_role).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "ROLE_MISSING"));
    let staff = badge.scope("staff").role("support");
    bench.access.end_session(staff.session_id());
    let request = bench.request_of(&staff, GetFeedbackStatsRequest::default());
    let status = bench.grpc.get_feedback_stats(request).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

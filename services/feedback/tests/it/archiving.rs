//! The archive in a folder: what its lines say, and that it follows whatever happens.

use std::collections::BTreeSet;
use std::fs;

use petty_chassis::access::Role;
use petty_chassis::events::topics;
use petty_chassis::telemetry;
use petty_feedback::archive::Round;
use petty_proto::events::v1::DataErased;
use petty_proto::feedback::v1 as wire;
use petty_proto::feedback::v1::feedback::Verdict;
use petty_testbench::{at, eventually};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::bench::{Bench, Told, creation, plan, submission};

fn written(written: usize) -> Round {
    Round { written, ..Round::default() }
}

/// What readiness says of the archive; it must not keep the service from being ready.
fn readiness(bench: &Bench) -> String {
    let report = bench.base.context.readiness.report();
    let check = report.checks.into_iter().find(|check| check.name == "archive").unwrap();
    assert!(check.ok, "{check:?}");
    check.detail
}

#[tokio::test]
async fn a_line_says_what_was_told_and_said_and_of_whom_nothing() {
    let bench = Bench::new("line").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let segment = json!({
        "collar_id": "SN-1",
        "readings": [{"timestamp": "2026-01-10T11:50:00Z", "heart_rate": 55, "location": {"coordinates": [13.4, 52.5]}}],
    });
    let request = wire::SubmitFeedbackRequest {
        timestamp: Some(at(-60).into()),
        segment: Some(serde_json::from_value(segment).unwrap()),
        ..submission(&told, "At Mrs Miller's he never rests")
    };
    let said = bench.submit(account, request).await.unwrap();
    assert_eq!(bench.archive.round().await.unwrap(), written(1));
    let [(name, lines)] = bench.objects().into_iter().collect::<Vec<_>>().try_into().unwrap();
    let object =
        name.strip_prefix("/labels/v1/date=2026-01-10/").and_then(|name| name.strip_suffix(".jsonl"));
    assert!(object.is_some_and(|object| Uuid::try_parse(object).is_ok()), "{name}");
    let pseudonym: Uuid = lines[0]["pet"].as_str().unwrap().parse().unwrap();
    let expected = json!({
        "feedback_id": said.feedback_id,
        "event_id": told.id(),
        "pet": pseudonym,
        "event_version": 1,
        "behavior": "resting",
        "rule": "resting",
        "rule_version": "spine/1",
        "start_time": "2026-01-10T11:50:00Z",
        "end_time": "2026-01-10T11:55:00Z",
        "open": false,
        "evidence": {"readings": 4, "mean_heart_rate": 55.25},
        "replaced_by": [],
        "verdict": "unsure",
        "actual_behavior": null,
        "segment": {"readings": [{"timestamp": "2026-01-10T11:50:00Z", "heart_rate": 55}]},
        "said_at": "2026-01-10T11:59:00Z",
    });
    assert_eq!(lines, std::slice::from_ref(&expected));
    let text = fs::read_to_string(format!("{}{name}", bench.folder().display())).unwrap();
    assert!(text.starts_with(r#"{"feedback_id":"#), "the order of members is fixed: {text}");
    for secret in [&pet.to_string(), &account.to_string(), "Miller", "SN-1", "52.5"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_ne!(pseudonym, pet.0);
}

#[tokio::test]
async fn objects_with_segments_are_written_anew_once_less_of_those_is_archived() {
    let bench = Bench::new("anew").await;
    let (_, account, told) = bench.told_pet(1).await;
    let segment = json!({"start": [13.4, 52.5], "heart_rate": 55});
    let segment = Some(serde_json::from_value(segment).unwrap());
    let request = wire::SubmitFeedbackRequest { segment, ..submission(&told, "positive") };
    bench.submit(account, request).await.unwrap();
    assert_eq!(bench.archive.round().await.unwrap(), written(1));
    assert_eq!(bench.lines()[0]["segment"], json!({"heart_rate": 55}));
    // The next day, and so in another object: a word without a segment.
    bench.clock.set(at(24 * 3_600));
    let (_, other, theirs) = bench.told_pet(2).await;
    bench.say(other, &theirs, Verdict::Correct).await;
    assert_eq!(bench.archive.round().await.unwrap(), written(1));
    bench.execute(include_str!("../../migrations/V3__archive_anew.sql"), &[]).await;
    assert_eq!(bench.archive.round().await.unwrap(), written(1));
    assert_eq!(bench.archive.round().await.unwrap(), written(0));
}

#[tokio::test]
async fn a_pet_has_one_pseudonym_and_a_verdict_its_correction() {
    let bench = Bench::new("pseudonyms").await;
    let (pet, account, told) = bench.told_pet(1).await;
    bench.say(account, &told, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    let second = Told::new(pet, 2);
    bench.tell(&second).await;
    let request = wire::CreateFeedbackRequest {
        actual_behavior: Some("Anxious Pacing".to_owned()),
        ..creation(&second, Verdict::Wrong)
    };
    bench.create(account, request).await.unwrap();
    let (_, stranger, theirs) = bench.told_pet(3).await;
    bench.say(stranger, &theirs, Verdict::Unsure).await;
    bench.archive.round().await.unwrap();
    let lines = bench.lines();
    let verdicts: Vec<_> = lines.iter().map(|line| (&line["verdict"], &line["actual_behavior"])).collect();
    let (correct, wrong, unsure) = (json!("correct"), json!("wrong"), json!("unsure"));
    let pacing = json!("anxious_pacing");
    assert_eq!(verdicts, [(&correct, &Value::Null), (&wrong, &pacing), (&unsure, &Value::Null)]);
    assert_eq!(lines[0]["pet"], lines[1]["pet"]);
    assert_ne!(lines[0]["pet"], lines[2]["pet"]);
}

#[tokio::test]
async fn only_the_newest_word_of_an_account_is_there() {
    let bench = Bench::new("newest_word").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let other = bench.account_id();
    bench.access.share(pet, other, Role::Caregiver);
    bench.say(account, &told, Verdict::Correct).await;
    bench.say(other, &told, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    assert_eq!(bench.lines().len(), 2);
    // The next day, so that it comes into another object, and the first one is written anew.
    bench.clock.set(at(24 * 3_600));
    let newest = bench.say(account, &told, Verdict::Wrong).await;
    assert_eq!(bench.archive.round().await.unwrap(), written(2));
    let objects = bench.objects();
    assert!(
        objects
            .keys()
            .map(|name| &name[..27])
            .eq(["/labels/v1/date=2026-01-10/", "/labels/v1/date=2026-01-11/"])
    );
    let verdicts: Vec<_> = bench.lines().iter().map(|line| line["verdict"].clone()).collect();
    assert_eq!(verdicts, ["correct", "wrong"]);
    assert_eq!(bench.lines()[1]["feedback_id"], json!(newest.feedback_id));
    // An object that has become empty is removed.
    bench.say(other, &told, Verdict::Wrong).await;
    bench.archive.round().await.unwrap();
    assert_eq!(bench.objects().len(), 1);
    assert_eq!(bench.lines().len(), 2);
    assert_eq!(bench.archive.round().await.unwrap(), written(0), "nothing is left to do");
}

#[tokio::test]
async fn an_object_has_a_thousand_lines_or_four_mebibytes() {
    let bench = Bench::new("sizes").await;
    let (pet, _, told) = bench.told_pet(1).await;
    let fill = "-- fill\nINSERT INTO feedback
                (feedback_id, event_id, pet_id, account_id, verdict, segment, said_at, created_at, counts, version, behavior, rule,
                 rule_version, start_at, end_at, open, evidence, replaced_by, secondhand)
                SELECT gen_random_uuid(), e.event_id, e.pet_id, gen_random_uuid(), 'correct', $1, $2, $2, true, 1, 'resting', 'r', 'v',
                       e.start_at, e.end_at, false, e.evidence, '{}', false
                FROM episodes e, generate_series(1, $3)";
    let none: Option<Value> = None;
    let day = |days: i64| at(days * 24 * 3_600);
    for count in [600, 600] {
        assert_eq!(bench.execute(fill, &[&none, &day(0), &count]).await, u64::try_from(count).unwrap());
        bench.archive.round().await.unwrap();
    }
    bench.execute(fill, &[&Some(json!({"heart_rate": vec![55; 20_000]})), &day(1), &150]).await;
    bench.archive.round().await.unwrap();
    let sizes: Vec<_> = bench.objects().values().map(Vec::len).collect();
    // A line of about 80 kB more fits until there are 4 MiB.
    assert_eq!(sizes, [1_000, 200, 52, 52, 46]);
    let ids: BTreeSet<_> = bench.lines().iter().map(|line| line["feedback_id"].to_string()).collect();
    assert_eq!(ids.len(), 1_350, "each once");
    // All of them are gone with the pet.
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert_eq!(bench.archive.round().await.unwrap(), written(5));
    assert!(bench.objects().is_empty());
    assert_eq!(bench.erased().await, [told.pet.to_string()]);
}

#[tokio::test]
async fn what_was_said_is_taken_while_the_store_is_away_and_written_when_it_is_back() {
    let bench = Bench::new("store_away").await;
    let (_, account, told) = bench.told_pet(1).await;
    // A file where the folder is to be.
    fs::write(bench.folder(), "").unwrap();
    bench.say(account, &told, Verdict::Correct).await;
    let round = bench.archive.round().await.unwrap();
    assert_eq!((round.written, round.failed), (0, 1));
    assert!(round.failure.is_some());
    assert!(readiness(&bench).starts_with("1 objects to write; tried again: "), "{}", readiness(&bench));
    let metrics = telemetry::prometheus_text();
    assert!(metrics.contains("petty_feedback_archive_dirty_objects"), "{metrics}");
    bench.say(account, &told, Verdict::Wrong).await;
    fs::remove_file(bench.folder()).unwrap();
    assert_eq!(bench.archive.round().await.unwrap(), written(1));
    assert_eq!(bench.lines().len(), 1);
    assert_eq!(readiness(&bench), "0 objects to write");
}

#[tokio::test]
async fn one_object_that_cannot_be_written_holds_up_no_other() {
    let bench = Bench::new("one_bad").await;
    let (_, account, told) = bench.told_pet(1).await;
    bench.say(account, &told, Verdict::Correct).await;
    bench.clock.set(at(24 * 3_600));
    let (_, other, theirs) = bench.told_pet(2).await;
    bench.say(other, &theirs, Verdict::Correct).await;
    let bad = bench.folder().join("labels/v1/date=2026-01-10");
    fs::create_dir_all(bad.parent().unwrap()).unwrap();
    fs::write(&bad, "").unwrap();
    let round = bench.archive.round().await.unwrap();
    assert_eq!((round.written, round.failed), (1, 1));
    fs::remove_file(bad).unwrap();
    assert_eq!(bench.archive.round().await.unwrap(), written(1));
    assert_eq!(bench.lines().len(), 2);
}

#[tokio::test]
async fn without_an_archive_words_wait_for_one_and_erasures_do_not() {
    let bench = Bench::planned(plan(), "no_archive").await;
    let (pet, account, told) = bench.told_pet(1).await;
    bench.say(account, &told, Verdict::Correct).await;
    assert_eq!(bench.archive.round().await.unwrap(), Round::default());
    assert_eq!(readiness(&bench), "none: PETTY_ARCHIVE_URL is not set");
    assert_eq!(bench.count("-- waiting\nSELECT count(*) FROM feedback WHERE object_id IS NULL").await, 1);
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert_eq!(bench.outbox::<DataErased>(&topics::DATA_ERASED).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_work_and_come_to_what_the_database_says() {
    let bench = Bench::new("replicas").await;
    let (one, other) = (bench.archive.clone(), bench.replica());
    let mut said = BTreeSet::new();
    for round in 0..10 {
        let mut words = Vec::new();
        for nth in 0..4 {
            let (_, account, told) = bench.told_pet(round * 4 + nth).await;
            words.push((account, told));
        }
        // On several days, so that there are several objects.
        bench.clock.set(at(i64::try_from(round % 3).unwrap() * 24 * 3_600));
        let saying = words.iter().map(|(account, told)| bench.say(*account, told, Verdict::Wrong));
        let (spoken, first, second) =
            tokio::join!(futures::future::join_all(saying), one.round(), other.round());
        said.extend(spoken.into_iter().map(|said| said.feedback_id));
        assert_eq!((first.unwrap().failed, second.unwrap().failed), (0, 0));
    }
    one.round().await.unwrap();
    assert_eq!(other.round().await.unwrap(), written(0));
    let lines = bench.lines();
    let archived: BTreeSet<_> =
        lines.iter().map(|line| line["feedback_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((lines.len(), archived), (40, said));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_archived_soon_by_itself() {
    let bench = Bench::new("by_itself").await;
    bench.archive.start();
    for nth in 0..3 {
        let (_, account, told) = bench.told_pet(nth).await;
        bench.say(account, &told, Verdict::Correct).await;
        eventually("it is archived", || async { bench.lines().len() == usize::try_from(nth + 1).unwrap() })
            .await;
    }
}

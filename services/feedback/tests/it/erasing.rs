//! Erasure: told only once the store has followed.

use std::fs;

use petty_proto::feedback::v1::feedback::Verdict;
use petty_testbench::at;

use crate::bench::{Bench, Told};

/// Takes the archive's folder away, or gives it back.
fn set_away(bench: &Bench, away: bool) {
    let (labels, aside) = (bench.folder().join("labels"), bench.folder().join("aside"));
    if away {
        fs::rename(&labels, &aside).unwrap();
        fs::write(&labels, "").unwrap();
    } else {
        fs::remove_file(&labels).unwrap();
        fs::rename(&aside, &labels).unwrap();
    }
}

#[tokio::test]
async fn a_pet_is_told_as_erased_once_no_object_holds_anything_of_it() {
    let bench = Bench::new("erasing").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let (_, other, theirs) = bench.told_pet(2).await;
    bench.say(account, &told, Verdict::Correct).await;
    let stays = bench.say(other, &theirs, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    // Of another day, an object of its own.
    bench.clock.set(at(24 * 3_600));
    let second = Told::new(pet, 3);
    bench.tell(&second).await;
    bench.say(account, &second, Verdict::Wrong).await;
    bench.archive.round().await.unwrap();
    assert_eq!(bench.objects().len(), 2);

    set_away(&bench, true);
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert_eq!(bench.count("-- rows\nSELECT count(*) FROM feedback").await, 1);
    let round = bench.archive.round().await.unwrap();
    assert_eq!((round.written, round.failed), (0, 2));
    assert!(bench.erased().await.is_empty());
    // Told again meanwhile, it still waits.
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert!(bench.erased().await.is_empty());

    set_away(&bench, false);
    let round = bench.archive.round().await.unwrap();
    assert_eq!((round.written, round.failed), (2, 0));
    let [line] = bench.lines().try_into().unwrap();
    assert_eq!(line["feedback_id"].as_str(), Some(stays.feedback_id.as_str()));
    assert_eq!(bench.objects().len(), 1, "the empty one is removed");
    assert_eq!(bench.erased().await, [pet.to_string()]);
    assert_eq!(bench.count("-- names\nSELECT count(*) FROM archive_pets").await, 1);
    // Told once more, there is nothing to wait for.
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert_eq!(bench.erased().await.len(), 2);
}

#[tokio::test]
async fn of_two_objects_the_first_is_not_enough() {
    let bench = Bench::new("two_objects").await;
    let (pet, account, told) = bench.told_pet(1).await;
    bench.say(account, &told, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    bench.clock.set(at(24 * 3_600));
    let second = Told::new(pet, 2);
    bench.tell(&second).await;
    bench.say(account, &second, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    bench.apply(&bench.erasing(pet)).await.unwrap();
    // Only the second can be written: the first day's folder is a file.
    let day = bench.folder().join("labels/v1/date=2026-01-10");
    let aside = bench.folder().join("aside");
    fs::rename(&day, &aside).unwrap();
    fs::write(&day, "").unwrap();
    let round = bench.archive.round().await.unwrap();
    assert_eq!((round.written, round.failed), (1, 1));
    assert!(bench.erased().await.is_empty());
    fs::remove_file(&day).unwrap();
    fs::rename(&aside, &day).unwrap();
    bench.archive.round().await.unwrap();
    assert_eq!(bench.erased().await, [pet.to_string()]);
    assert!(bench.objects().is_empty());
}

#[tokio::test]
async fn a_word_that_counts_no_more_is_waited_for_too() {
    let bench = Bench::new("old_word").await;
    let (pet, account, told) = bench.told_pet(1).await;
    bench.say(account, &told, Verdict::Correct).await;
    bench.archive.round().await.unwrap();
    bench.clock.set(at(24 * 3_600));
    bench.say(account, &told, Verdict::Wrong).await;
    // The archive still has the first word, and nothing of the second.
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert!(bench.erased().await.is_empty());
    assert_eq!(bench.objects().len(), 1);
    bench.archive.round().await.unwrap();
    assert!(bench.objects().is_empty());
    assert_eq!(bench.erased().await, [pet.to_string()]);
}

#[tokio::test]
async fn of_whom_nothing_was_said_nothing_is_waited_for() {
    let bench = Bench::new("unsaid").await;
    let (pet, account, told) = bench.told_pet(1).await;
    let silent = bench.pet_id();
    bench.apply(&bench.erasing(silent)).await.unwrap();
    assert_eq!(bench.erased().await, [silent.to_string()]);
    // Said, but in no object yet.
    bench.say(account, &told, Verdict::Correct).await;
    bench.apply(&bench.erasing(pet)).await.unwrap();
    assert_eq!(bench.erased().await.len(), 2);
}

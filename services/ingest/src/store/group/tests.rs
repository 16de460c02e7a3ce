//! When a writer is started, what it takes, and when it leaves.

use petty_chassis::types::{Clock, CollarId, PetId};

use super::*;
use crate::admission::Admission;
use crate::domain::reading::{Reading, Signals};
use crate::domain::shares::Load;

/// A request of so many readings, which nobody waits for.
fn waiting(readings: usize) -> Waiting {
    let clock = Clock::system();
    let collar: CollarId = "collar-1".parse().unwrap();
    let reading = Reading { collar, measured_at: clock.now(), signals: Signals::default() };
    let readings = vec![Stamped { reading, pet: PetId::new(&clock) }; readings];
    let load = Load { account: petty_chassis::types::AccountId::new(&clock), collars: Vec::new() };
    let place = Admission::new(1).enter(load).unwrap();
    Waiting { readings, traceparent: String::new(), place, answer: oneshot::channel().0 }
}

/// How many readings the next flush takes.
fn taken(group: &Group) -> Option<usize> {
    group.take().map(|requests| requests.iter().map(|request| request.readings.len()).sum())
}

#[test]
fn one_writer_takes_all_of_the_little_that_came_meanwhile() {
    let group = Group::default();
    assert!(group.put(waiting(1)), "somebody must write it");
    assert_eq!(taken(&group), Some(1));
    for _ in 1..MUCH {
        assert!(!group.put(waiting(1)), "it waits for the flush before");
    }
    assert_eq!(taken(&group), Some(MUCH - 1));
    assert_eq!(taken(&group), None);
    assert!(group.put(waiting(1)), "the writer left");
}

#[test]
fn much_that_waits_gets_a_second_writer_and_no_third() {
    let group = Group::default();
    assert!(group.put(waiting(1)));
    assert_eq!(taken(&group), Some(1));
    assert!(!group.put(waiting(MUCH - 1)));
    assert!(group.put(waiting(1)));
    assert!(!group.put(waiting(FLUSH_READINGS)), "two are writing");
    assert_eq!(taken(&group), Some(MUCH), "whole requests, and no more than a flush takes");
    assert_eq!(taken(&group), Some(FLUSH_READINGS));
}

#[test]
fn what_a_second_writer_leaves_is_taken_by_the_first() {
    let group = Group::default();
    assert!(group.put(waiting(1)));
    assert_eq!(taken(&group), Some(1));
    assert!(group.put(waiting(MUCH)));
    assert_eq!(taken(&group), Some(MUCH));
    assert!(!group.put(waiting(1)));
    assert_eq!(taken(&group), None, "little is left to the one that is still writing");
    assert_eq!(taken(&group), Some(1));
    assert_eq!(taken(&group), None);
    assert_eq!(group.0.lock().unwrap().writers, 0);
}

#[test]
fn a_writer_that_is_dropped_amid_a_flush_keeps_nobody_waiting() {
    let group = Group::default();
    assert!(group.put(waiting(1)));
    let writer = Writer(Some(&group));
    assert_eq!(taken(&group), Some(1));
    let (answer, mut answered) = oneshot::channel();
    assert!(!group.put(Waiting { answer, ..waiting(1) }), "it waits for the flush before");
    drop(writer);
    assert_eq!(answered.try_recv().unwrap_err(), oneshot::error::TryRecvError::Closed);
    assert!(group.put(waiting(1)), "another writer is started");
    assert_eq!(taken(&group), Some(1));
    assert_eq!(taken(&group), None);
}

//! Ids and versions through revisions, and what a window does at its edges.

use jiff::SignedDuration;
use uuid::Uuid;

use super::build::{CAT, DOG, at, read, short};
use crate::domain::Behavior::{Resting, Walking};
use crate::domain::{Changes, Params, PetState, Reading, StateError, interpret};

const PET: Uuid = Uuid::from_u128(7);

/// Level readings a minute apart from a given minute.
fn minutes(from: u32, levels: &[u8]) -> Vec<Reading> {
    let times = (from..).map(|minute| f64::from(minute) * 60.0);
    times.zip(levels).map(|(seconds, level)| read(seconds).level(*level)).collect()
}

fn apply(state: &mut PetState, readings: &[Reading]) -> Changes {
    state.apply(PET, &DOG, readings)
}

#[test]
fn an_episode_keeps_its_id_while_it_grows_either_way_and_closes() {
    let mut state = PetState::default();
    let first = apply(&mut state, &minutes(10, &[0, 0, 0]));
    let [born] = first.upserts.try_into().unwrap();
    assert_eq!((born.version, short(&born.episode)), (1, (Resting, 600.0, 720.0, 0.6)));
    let [later] = apply(&mut state, &minutes(13, &[0])).upserts.try_into().unwrap();
    assert_eq!((later.id, later.version, short(&later.episode)), (born.id, 2, (Resting, 600.0, 780.0, 0.6)));
    let [earlier] = apply(&mut state, &minutes(9, &[0])).upserts.try_into().unwrap();
    assert_eq!(
        (earlier.id, earlier.version, short(&earlier.episode)),
        (born.id, 3, (Resting, 540.0, 780.0, 0.6))
    );
    let closing = apply(&mut state, &minutes(14, &[1])).upserts;
    assert_eq!((closing[0].id, closing[0].version, closing[0].episode.open), (born.id, 4, false));
    assert_eq!((closing[1].episode.behavior, closing[1].version), (Walking, 1));
}

#[test]
fn an_open_episode_closes_however_much_later_the_next_reading_comes() {
    let mut state = PetState::default();
    let [born] = apply(&mut state, &minutes(0, &[0, 0])).upserts.try_into().unwrap();
    assert!(born.episode.open);
    let [closed] = apply(&mut state, &[read(40.0 * 3_600.0).level(0)]).upserts.try_into().unwrap();
    assert_eq!((closed.id, closed.version, closed.episode.open), (born.id, 2, false));
}

#[test]
fn a_repeat_changes_nothing_and_is_counted() {
    let mut state = PetState::default();
    apply(&mut state, &minutes(0, &[0, 0, 1]));
    let before = state.clone();
    let again = apply(&mut state, &minutes(0, &[0, 0, 1]));
    assert!(again.is_empty());
    assert_eq!((again.duplicates, again.ignored_late), (3, 0));
    assert_eq!(state, before);
}

#[test]
fn a_vanished_episode_points_to_what_took_its_time() {
    let mut state = PetState::default();
    let gait = apply(&mut state, &minutes(0, &[1, 1])).upserts;
    // The second collar of the pet adds fixes at the same instants: now it ran.
    let ran: Vec<Reading> =
        [0.0, 60.0].into_iter().map(|seconds| read(seconds).north(seconds * 3.0)).collect();
    let changes = apply(&mut state, &ran);
    let [heir] = changes.upserts.try_into().unwrap();
    let [gone] = changes.superseded.try_into().unwrap();
    assert_eq!((gone.id, gone.version), (gait[0].id, 2));
    assert_eq!(gone.replaced_by, [heir.id]);
}

#[test]
fn of_two_that_merge_the_longer_lives_and_of_a_split_the_longer_part() {
    let mut state = PetState::default();
    let short_one = apply(&mut state, &minutes(0, &[0, 0, 0])).upserts[0].id;
    let long_one = apply(&mut state, &minutes(9, &[0, 0, 0, 0, 0])).upserts.last().unwrap().id;
    assert_ne!(short_one, long_one);
    let merged = apply(&mut state, &minutes(3, &[0, 0, 0, 0, 0, 0]));
    assert_eq!(merged.upserts.iter().map(|change| change.id).collect::<Vec<_>>(), [long_one]);
    assert_eq!(
        (merged.superseded[0].id, &merged.superseded[0].replaced_by[..]),
        (short_one, &[long_one][..])
    );
    // Half a minute of walking at 3:30 splits it; the ids' own starts are taken, so the new part gets another.
    let split = apply(&mut state, &[read(210.0).level(1)]);
    let parts: Vec<_> = split.upserts.iter().map(|change| (change.id, short(&change.episode))).collect();
    assert_eq!(
        parts.iter().map(|part| part.1).collect::<Vec<_>>(),
        [(Resting, 0.0, 180.0, 0.6), (Walking, 180.0, 210.0, 0.6), (Resting, 210.0, 780.0, 0.6),]
    );
    assert_eq!(parts[2].0, long_one);
    assert!(parts[0].0 != long_one && parts[0].0 != short_one, "an id is never given twice");
    assert!(split.superseded.is_empty());
}

#[test]
fn replicas_give_the_same_ids() {
    let (mut one, mut two) = (PetState::default(), PetState::default());
    assert_eq!(apply(&mut one, &minutes(0, &[0, 0, 1])), apply(&mut two, &minutes(0, &[0, 0, 1])));
    let elsewhere = PetState::default().apply(Uuid::from_u128(8), &DOG, &minutes(0, &[0, 0, 1]));
    let here = PetState::default().apply(PET, &DOG, &minutes(0, &[0, 0, 1]));
    assert_ne!(here.upserts[0].id, elsewhere.upserts[0].id, "pets do not share ids");
}

#[test]
fn other_params_compute_the_window_anew() {
    let steady: Vec<Reading> = (0..6).map(|nth| read(f64::from(nth) * 60.0).bpm(110.0)).collect();
    let mut state = PetState::default();
    let as_dog = apply(&mut state, &steady).upserts;
    let as_cat = state.apply(PET, &CAT, &[]);
    assert_eq!(as_cat.superseded[0].id, as_dog[0].id);
    assert_eq!(as_cat.upserts[0].episode, interpret(&CAT, &steady)[0]);
    let declared = Params { sampling_interval: Some(SignedDuration::from_secs(5)), ..CAT };
    assert!(state.apply(PET, &declared, &[]).is_empty(), "a minute is always borne");
    let restored = PetState::decode(&state.encode().unwrap()).unwrap();
    assert_eq!(restored, state);
}

/// A long stream of readings, rest and walk by turns of an hour, and the whole of it in one batch.
fn weeks(count: u32, interval: f64) -> Vec<Reading> {
    (0..count)
        .map(|nth| {
            let seconds = f64::from(nth) * interval;
            let awake = (seconds / 3_600.0).rem_euclid(2.0) >= 1.0;
            read(seconds).bpm(55.0 + f64::from(nth % 3)).level(u8::from(awake)).north(if awake {
                seconds
            } else {
                0.0
            })
        })
        .collect()
}

#[test]
fn a_batch_longer_than_the_window_is_interpreted_whole() {
    let all = weeks(20_000, 60.0);
    let mut state = PetState::default();
    let told = apply(&mut state, &all).upserts;
    assert_eq!(told.into_iter().map(|change| change.episode).collect::<Vec<_>>(), interpret(&DOG, &all));
    assert!(state.encode().unwrap().len() < 600_000);
}

#[test]
fn a_reading_too_late_changes_nothing_but_the_count() {
    let mut state = PetState::default();
    apply(&mut state, &weeks(20_000, 60.0));
    let from = state.accepts_from().expect("the window has moved");
    assert!(from > at(0.0) && from + SignedDuration::from_hours(24) < state.newest().unwrap());
    let known_before = state.encode().unwrap().len();
    let late = apply(&mut state, &[read(30.0).level(2)]);
    assert!(late.is_empty());
    assert_eq!((late.ignored_late, state.ignored_late()), (1, 1));
    assert_eq!(state.encode().unwrap().len(), known_before);
    // The first that counts, between two of the stream's, does change its episode.
    let counts = Reading { at: from + SignedDuration::from_secs(30), ..read(0.0).level(2) };
    assert!(!apply(&mut state, &[counts]).is_empty());
}

#[test]
fn a_stream_at_one_hertz_keeps_taking_what_comes() {
    let all = weeks(30_000, 1.0);
    let mut state = PetState::default();
    for batch in all.chunks(1_000) {
        assert_eq!(apply(&mut state, batch).ignored_late, 0);
    }
}

#[test]
fn a_state_of_another_format_is_named() {
    assert!(matches!(PetState::decode(&[]), Err(StateError::Empty)));
    assert!(matches!(PetState::decode(&[9, 1, 2]), Err(StateError::Format(9))));
    assert!(matches!(PetState::decode(&[1, 255]), Err(StateError::Corrupt(_))));
}

//! The stream against the whole: any order, any batches, any repeats, with and without a cut window.

use std::collections::HashMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::build::{CAT, DOG, at, place};
use crate::domain::canon::SECOND;
use crate::domain::state::{RETENTION, Retention};
use crate::domain::{Changes, Episode, Params, PetState, Reading, interpret};

const PET: Uuid = Uuid::from_u128(7);

/// What a store would hold after all changes; it checks each against the promises of [`Changes`].
#[derive(Debug, Default)]
struct Store {
    /// None once superseded.
    episodes: HashMap<Uuid, (u64, Option<Episode>)>,
}

impl Store {
    fn take(&mut self, changes: &Changes) {
        for change in &changes.upserts {
            let row = self.episodes.entry(change.id).or_insert_with(|| (0, Some(change.episode.clone())));
            assert_eq!(row.0 + 1, change.version, "versions go up by one");
            let before = row.1.as_ref().expect("a superseded id never comes back");
            assert_eq!(before.behavior, change.episode.behavior, "an id keeps its behaviour");
            *row = (change.version, Some(change.episode.clone()));
        }
        for gone in &changes.superseded {
            let row = self.episodes.get_mut(&gone.id).expect("only what was told can go");
            assert_eq!(row.0 + 1, gone.version, "versions go up by one");
            assert!(row.1.is_some(), "nothing goes twice");
            *row = (gone.version, None);
        }
        for heir in changes.superseded.iter().flat_map(|gone| &gone.replaced_by) {
            assert!(self.episodes[heir].1.is_some(), "what replaces an episode stands");
        }
    }

    fn standing(&self) -> Vec<Episode> {
        let mut standing: Vec<Episode> =
            self.episodes.values().filter_map(|(_, episode)| episode.clone()).collect();
        standing.sort_by_key(|episode| episode.start);
        standing
    }
}

/// Streams the batches through a state that is written and read between them. Answers what stands at the end, and
/// the readings that came in time.
fn stream(
    retention: Retention,
    params: &Params,
    batches: &[Vec<Reading>],
) -> (Vec<Episode>, Vec<Reading>, PetState) {
    let (mut store, mut state, mut timely) = (Store::default(), PetState::default(), Vec::new());
    for batch in batches {
        let from = state.accepts_from();
        let counts = |reading: &&Reading| from.is_none_or(|from| reading.at >= from);
        timely.extend(batch.iter().filter(counts).cloned());
        let changes = state.apply_within(retention, PET, params, batch);
        let again = state.clone().apply_within(retention, PET, params, batch);
        assert!(again.is_empty(), "a repeat changes nothing");
        store.take(&changes);
        state = PetState::decode(&state.encode().unwrap()).unwrap();
    }
    (store.standing(), timely, state)
}

/// Readings with long stretches of one kind, so that every rule has its turn; jumps and gaps of every size between.
fn readings(stretches: usize, gaps: &'static [f64]) -> impl Strategy<Value = Vec<Reading>> {
    let step = (
        prop::sample::select(gaps),
        prop::option::weighted(0.8, -2.0..2.0_f64),
        prop::bool::weighted(0.8),
        prop::option::weighted(0.8, -1.0..1.0_f64),
        prop::bool::weighted(0.03),
    );
    let stretch = (
        prop::sample::select(vec![52.0, 63.0, 64.5, 90.0, 109.0, 130.0]),
        prop::option::weighted(0.7, 0..4_u8),
        prop::sample::select(vec![0.0, 20.0, 60.0, 150.0, 900.0]),
        prop::sample::select(vec![5.0, 30.0, 60.0, 250.0]),
        prop::collection::vec(step, 1..14),
    );
    prop::collection::vec(stretch, 0..stretches).prop_map(|stretches| {
        let (mut now, mut whole) = (0.0, Vec::new());
        for (bpm, level, stride, pace, steps) in stretches {
            for (nth, (gap, noise, with_level, way, odd)) in steps.into_iter().enumerate() {
                now += if odd { gap } else { pace };
                // Level 3 stands for turns of high and rest.
                let level = level.map(|level| if level == 3 { 2 * u8::from(nth % 2 == 0) } else { level });
                whole.push(Reading {
                    at: at(now),
                    heart_rate: noise.map(|noise| bpm + noise),
                    activity_level: level.filter(|_| with_level),
                    position: way.map(|way| place(way * stride + if odd { 40_000.0 } else { 0.0 }, 0.0)),
                });
            }
        }
        whole
    })
}

/// Repeats some, shuffles all, cuts into batches.
fn any_batches(readings: Vec<Reading>) -> impl Strategy<Value = (Vec<Reading>, Vec<Vec<Reading>>)> {
    let repeats = prop::collection::vec(any::<prop::sample::Index>(), 0..10);
    let sizes = prop::collection::vec(1..40_usize, 1..8);
    (Just(readings), repeats, sizes, any::<bool>()).prop_flat_map(|(readings, repeats, sizes, shuffled)| {
        let mut sent = readings.clone();
        if !readings.is_empty() {
            sent.extend(repeats.iter().map(|index| index.get(&readings).clone()));
        }
        let sent = if shuffled { Just(sent).prop_shuffle().boxed() } else { Just(sent).boxed() };
        (Just(readings), sent.prop_map(move |sent| batches(&sent, &sizes)))
    })
}

fn batches(sent: &[Reading], sizes: &[usize]) -> Vec<Vec<Reading>> {
    let (mut rest, mut cut) = (sent, Vec::new());
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at((*size).min(rest.len()));
        cut.push(head.to_vec());
        rest = tail;
    }
    cut
}

const WIDE: &[f64] = &[0.3, 1.0, 59.0, 61.0, 170.0, 400.0, 610.0, 3_600.0, 90_000.0];
const NARROW: &[f64] = &[0.3, 61.0, 170.0, 400.0, 610.0, 1_500.0];

/// Little enough that the window moves often.
const TIGHT: Retention = Retention { readings: 24, span: RETENTION.span };
/// Cuts by age.
const BRIEF: Retention = Retention { readings: RETENTION.readings, span: 6 * 3_600 * SECOND };

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn any_order_and_batches_and_repeats_come_to_the_same(
        (whole, batches) in readings(20, WIDE).prop_flat_map(any_batches),
        dog in any::<bool>(),
    ) {
        let params = if dog { DOG } else { CAT };
        let (standing, _, state) = stream(RETENTION, &params, &batches);
        prop_assert_eq!(state.ignored_late(), 0);
        prop_assert_eq!(standing, interpret(&params, &whole));
    }

    #[test]
    fn a_cut_window_comes_to_the_same_for_what_came_in_time(
        whole in readings(90, NARROW),
        // A few come very late: some of them too late, some at the last moment.
        delays in prop::collection::vec(prop_oneof![9 => 0..14_usize, 1 => 14..200_usize], 1_200),
        sizes in prop::collection::vec(1..60_usize, 1..8),
        brief in any::<bool>(),
    ) {
        let mut order: Vec<usize> = (0..whole.len()).collect();
        order.sort_by_key(|index| index + delays[*index]);
        let sent: Vec<Reading> = order.into_iter().map(|index| whole[index].clone()).collect();
        let retention = if brief { BRIEF } else { TIGHT };
        let (standing, timely, _) = stream(retention, &DOG, &batches(&sent, &sizes));
        prop_assert_eq!(standing, interpret(&DOG, &timely));
    }

    #[test]
    fn episodes_do_not_overlap_and_last_some_time(whole in readings(20, WIDE)) {
        let episodes = interpret(&DOG, &whole);
        for episode in &episodes {
            prop_assert!(episode.start < episode.end);
            prop_assert!((0.0..=1.0).contains(&episode.confidence));
        }
        for pair in episodes.windows(2) {
            prop_assert!(pair[0].end <= pair[1].start);
            prop_assert!(pair[0].end < pair[1].start || pair[0].behavior != pair[1].behavior, "same ones merge");
        }
    }

    #[test]
    fn bytes_that_are_no_state_are_refused_or_read_never_worse(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = PetState::decode(&bytes);
    }
}

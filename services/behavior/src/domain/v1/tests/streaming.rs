//! The same as readings arrive: what is told stands for the readings there are, whatever came when.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::super::super::Species;
use super::super::*;
use super::{dog, hours, rules};

/// What the service keeps in tables, in memory.
#[derive(Default)]
struct Shelf {
    head: Vec<u8>,
    slices: BTreeMap<i64, Vec<u8>>,
    quarters: BTreeMap<i64, Quarter>,
    told: BTreeMap<Uuid, (u64, Episode, i64)>,
    gone: Vec<Uuid>,
    /// How many slices a flush read at most.
    most_read: usize,
    /// How many flushes needed other slices than the usual ones.
    reads_again: usize,
}

impl Shelf {
    fn slices(&self, wanted: impl Fn(i64) -> bool) -> BTreeMap<i64, Slice> {
        let wanted = self.slices.iter().filter(|(number, _)| wanted(**number));
        wanted.map(|(number, bytes)| (*number, Slice::decode(*number, bytes).unwrap())).collect()
    }

    /// As the service does, from tables of bytes.
    fn take(&mut self, rules: &Rules, params: &Params, readings: &[Reading]) {
        let mut head = if self.head.is_empty() { Head::default() } else { Head::decode(&self.head).unwrap() };
        let came = head.sort(readings);
        let numbers = came.numbers();
        let usual = head.usual().filter(|first| numbers.first().is_some_and(|number| number >= first));
        let mut read = match usual {
            Some(first) => self.slices(|number| number >= first),
            None => self.slices(|number| numbers.contains(&number)),
        };
        let before = numbers.iter().filter_map(|number| Some((*number, read.get(number)?.clone()))).collect();
        let touched = Touched::of(before, came);
        if let Some(resume) = head.resume(params.species, &touched, usual.map(|_| &read)) {
            let kept_from = head.dropped_to().unwrap_or(i64::MIN);
            let mut carries =
                self.quarters.range(kept_from..).filter_map(|(at, kept)| Some((*at, kept.carry.clone()?)));
            let found = match resume {
                Resume::Head => None,
                Resume::Before(quarter) => carries.take_while(|(at, _)| *at < quarter).last(),
                Resume::Oldest if head.dropped_to().is_some() => carries.next(),
                Resume::Oldest => None,
            };
            let found = found.as_ref().map(|(at, carry)| (*at, carry.as_slice()));
            let wants = head.wants(params.species, &touched, &resume, found).unwrap();
            let slices = match usual {
                Some(first) if first <= wants.slices_from => read.split_off(&wants.slices_from),
                _ => {
                    self.reads_again += 1;
                    self.slices(|number| number >= wants.slices_from)
                }
            };
            self.most_read = self.most_read.max(slices.len());
            let rests = self.quarters.iter().filter(|(at, _)| wants.rests.contains(at));
            let rests = rests.filter_map(|(at, kept)| Some((*at, kept.rest.clone()?))).collect();
            let done = head.revise((rules, params), &touched, wants, Kept { slices, rests }).unwrap();
            for (number, slice) in &touched.slices {
                self.slices.insert(*number, slice.encode().unwrap());
            }
            for (number, quarter) in done.quarters {
                let kept = self.quarters.entry(number).or_default();
                kept.rest = quarter.rest.or(kept.rest.take());
                kept.carry = quarter.carry.or(kept.carry.take());
            }
            if let Some((slice, quarter)) = done.drop_before {
                self.slices = self.slices.split_off(&slice);
                self.quarters = self.quarters.split_off(&quarter);
            }
            let old: Vec<Known> = self.known(done.since);
            let changes = revise(Uuid::nil(), &old, &done.episodes, &mut head.serial);
            for change in changes.upserts {
                assert!(!self.gone.contains(&change.id), "an id is never given twice");
                let before = self.told.insert(change.id, (change.version, change.episode, change.digest));
                assert_eq!(before.map_or(0, |(version, ..)| version) + 1, change.version);
            }
            for gone in changes.superseded {
                assert_eq!(self.told.remove(&gone.id).unwrap().0 + 1, gone.version);
                assert!(gone.replaced_by.iter().all(|heir| self.told.contains_key(heir)));
                self.gone.push(gone.id);
            }
        }
        self.head = head.encode().unwrap();
        assert!(self.head.len() < 2_000, "a head of {} bytes", self.head.len());
    }

    fn known(&self, since: i64) -> Vec<Known> {
        let known = self.told.iter().map(|(id, (version, episode, digest))| Known {
            id: *id,
            version: *version,
            behavior: episode.behavior,
            start: episode.start.as_microsecond(),
            end: episode.end.as_microsecond(),
            digest: *digest,
        });
        let mut known: Vec<Known> = known.filter(|known| known.end > since).collect();
        known.sort_by_key(|known| known.start);
        known
    }

    fn episodes(&self) -> Vec<Episode> {
        let mut episodes: Vec<Episode> = self.told.values().map(|(_, episode, _)| episode.clone()).collect();
        episodes.sort_by_key(|episode| episode.start);
        episodes
    }
}

#[test]
fn a_flush_in_order_reads_a_few_hours_and_a_repeated_one_changes_nothing() {
    let (rules, mut shelf) = (rules(), Shelf::default());
    let readings = hours(0, 40, 30, 5);
    for some in readings.chunks(60) {
        shelf.take(&rules, &dog(), some);
    }
    assert_eq!(shelf.episodes(), interpret(&rules, &dog(), &readings));
    // The quarter of a day that ended is summed up once: six hours, and some before.
    assert!(shelf.most_read <= 12 * 9, "{} slices", shelf.most_read);
    // The first, and one a quarter: all others read their slices once.
    assert!(shelf.reads_again <= 2 + 40 / 6 + 1, "{} read again", shelf.reads_again);
    let (head, told) = (shelf.head.clone(), shelf.told.clone());
    for some in readings.chunks(500) {
        shelf.take(&rules, &dog(), some);
    }
    assert_eq!((shelf.head, shelf.told), (head, told));
}

#[test]
fn what_comes_a_few_minutes_late_costs_what_comes_in_order() {
    // Half of it up to three minutes late, in flushes of five.
    let readings = hours(0, 9, 30, 5);
    let mut arriving: Vec<(i64, Reading)> = readings
        .iter()
        .enumerate()
        .map(|(nth, reading)| (reading.at.as_second() + i64::from(nth % 2 == 1) * 180, reading.clone()))
        .collect();
    arriving.sort_by_key(|(at, _)| *at);
    let (rules, mut shelf) = (rules(), Shelf::default());
    for some in arriving.chunks(5) {
        let some: Vec<Reading> = some.iter().map(|(_, reading)| reading.clone()).collect();
        let reads_again = shelf.reads_again;
        shelf.most_read = 0;
        shelf.take(&rules, &dog(), &some);
        // 48 to 63 minutes of readings, in slices of five.
        assert!(shelf.reads_again > reads_again || shelf.most_read <= 15, "{} slices", shelf.most_read);
    }
    assert_eq!(shelf.episodes(), interpret(&rules, &dog(), &readings));
    // The first, while there are too few to tell what they bear upon, and as the quarter of a day ends.
    assert!(shelf.reads_again <= 4, "{} read again", shelf.reads_again);
}

#[test]
fn another_species_computes_what_is_kept_anew() {
    let (rules, mut shelf) = (rules(), Shelf::default());
    let readings = hours(0, 12, 30, 6);
    for some in readings.chunks(200) {
        shelf.take(&rules, &dog(), some);
    }
    shelf.take(&rules, &Params::of(Species::Cat), &[]);
    assert_eq!(shelf.episodes(), interpret(&rules, &Params::of(Species::Cat), &readings));
}

#[test]
fn a_stream_of_months_stays_bounded_and_too_late_is_too_late() {
    let (rules, mut shelf) = (rules(), Shelf::default());
    // A collar that is worn two hours a day.
    let day = |day: i64| hours(day * 86_400, 2, 60, 7);
    for nth in 0..90 {
        shelf.take(&rules, &dog(), &day(nth));
    }
    assert!(shelf.slices.len() < 34 * 25 && shelf.quarters.len() < 45 * 2, "{}", shelf.slices.len());
    let before = shelf.told.clone();
    shelf.take(&rules, &dog(), &hours(40 * 86_400 + 40_000, 1, 60, 8));
    assert_eq!(shelf.told, before, "what is older than is kept changes nothing");
    assert!(Head::decode(&shelf.head).unwrap().late() > 20);
    // What is as old as may be changes its own time alone.
    shelf.take(&rules, &dog(), &hours(59 * 86_400 + 40_000, 1, 60, 8));
    let all: Vec<Reading> = (0..90).flat_map(day).chain(hours(59 * 86_400 + 40_000, 1, 60, 8)).collect();
    assert_eq!(shelf.episodes(), interpret(&rules, &dog(), &all));
}

/// Readings as they arrive: each later than it was taken by what its place in the list says, and some of them again.
fn arriving(readings: &[Reading], late_s: impl Fn(usize) -> i64, again: usize) -> Vec<Reading> {
    let all = readings.iter().enumerate();
    let mut arriving: Vec<(i64, &Reading)> =
        all.map(|(nth, reading)| (reading.at.as_second() + late_s(nth), reading)).collect();
    let repeats: Vec<(i64, &Reading)> = arriving.iter().skip(again / 2).step_by(again).copied().collect();
    arriving.extend(repeats);
    arriving.sort_by_key(|(at, _)| *at);
    arriving.into_iter().map(|(_, reading)| reading.clone()).collect()
}

/// Any number of 64 bits for a place in a list, by a seed (splitmix64).
fn mixed(seed: u64, nth: usize) -> u64 {
    let mut mixed = seed.wrapping_add((nth as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Some time of a collar: minutes since the first day's begin, for how many, seconds between its readings, which.
type Worn = (i64, i64, i64, u64);

/// A few times within thirty days, two hours or less each, so that many cases are cheap; a month's worth of baselines may change all the same.
fn weeks() -> impl Strategy<Value = Vec<Reading>> {
    let every_s = prop::sample::select(vec![30_i64, 60, 60, 90, 200, 350]);
    let worn = (0_i64..30 * 1_440, 10_i64..120, every_s, 0_u64..1_000);
    prop::collection::vec(worn, 1..6).prop_map(|worn| {
        let of = |(from, minutes, every_s, salt): Worn| {
            let readings = hours(60 * from, 2, every_s, salt);
            readings.into_iter().take(usize::try_from(60 * minutes / every_s).unwrap())
        };
        let mut readings: Vec<Reading> = worn.into_iter().flat_map(of).collect();
        readings.sort_by_key(|reading| reading.at);
        readings.dedup_by_key(|reading| reading.at);
        readings
    })
}

/// The same in some order: any at all, or each late by anything up to so many seconds; with some of them again.
fn weeks_in_any_order() -> impl Strategy<Value = (Vec<Reading>, Vec<Reading>)> {
    let shuffled = |readings: Vec<Reading>| (Just(readings.clone()), Just(readings).prop_shuffle()).boxed();
    let late = |readings: Vec<Reading>| {
        let most_s = prop::sample::select(vec![180_i64, 3_600, 86_400, 8 * 86_400, 20 * 86_400, 30 * 86_400]);
        let late_s = most_s.prop_flat_map({
            let count = readings.len();
            move |most_s| prop::collection::vec(0..=most_s, count)
        });
        (Just(readings), late_s, 2_usize..9)
            .prop_map(|(readings, late_s, again)| {
                let arriving = arriving(&readings, |nth| late_s[nth], again);
                (readings, arriving)
            })
            .boxed()
    };
    weeks().prop_flat_map(move |readings| prop_oneof![1 => shuffled(readings.clone()), 2 => late(readings)])
}

fn streaming_is_batch(readings: &[Reading], flushes: &[&[Reading]]) -> Result<(), TestCaseError> {
    let (rules, mut shelf) = (rules(), Shelf::default());
    for flush in flushes {
        shelf.take(&rules, &dog(), flush);
    }
    prop_assert_eq!(Head::decode(&shelf.head).unwrap().late(), 0);
    let (streamed, whole) = (shelf.episodes(), interpret(&rules, &dog(), readings));
    let differs = streamed.iter().zip(&whole).find(|(one, other)| one != other);
    let counts = (streamed.len(), whole.len());
    prop_assert!(differs.is_none() && counts.0 == counts.1, "{differs:#?}, {counts:?}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Weeks of it in any chunks, with repeats, in any order that the lateness bound allows: up to all of it.
    #[test]
    fn weeks_in_any_order_say_what_batch_says(
        (readings, arriving) in weeks_in_any_order(),
        chunks in prop::collection::vec(1_usize..60, 1..8),
    ) {
        // At most a dozen flushes: each may compute all of it.
        let least = arriving.len() / 8;
        let (mut rest, mut flushes) = (&arriving[..], Vec::new());
        for chunk in chunks.iter().cycle() {
            let (some, after) = rest.split_at(rest.len().min(*chunk + least / 2));
            flushes.push(some);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        streaming_is_batch(&readings, &flushes)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Two days of many readings, with a night between that lets the baseline change, and gaps; each late by anything up to two days.
    #[test]
    fn streaming_says_what_batch_says(
        salt in 0_u64..1_000,
        every_s in prop::sample::select(vec![5_i64, 15, 30, 50, 60, 90, 200, 350]),
        chunk in 1_usize..700,
        lateness_s in prop::sample::select(vec![0_u64, 600, 3_500, 40_000, 200_000]),
        order in any::<u64>(),
        again in 2_usize..9,
    ) {
        let mut readings = hours(0, 7, every_s, salt);
        readings.extend(hours(20 * 3_600, 9, every_s, salt + 1));
        let late_s = |nth: usize| i64::try_from(mixed(order, nth) % (lateness_s + 1)).unwrap();
        let arriving = arriving(&readings, late_s, again);
        // At most a hundred flushes: each costs hours of readings.
        let flushes: Vec<&[Reading]> = arriving.chunks(chunk.max(arriving.len() / 100)).collect();
        streaming_is_batch(&readings, &flushes)?;
    }
}

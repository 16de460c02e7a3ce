//! Behaviour as readings arrive, in bounded state: what is kept of a pet, what of it a change needs, and what comes of it.
//!
//! A pet's [`Head`] is under 2,000 B and is read and written with each flush. Its readings lie in [`Slice`]s, of which a
//! flush rewrites those it touches; its quarters of days are summed up once ([`Quarter`]): the rates at rest that baselines
//! stand on, and the episode that crosses the quarter's end, as far as it.
//!
//! Invariant: as long as no reading is more than [`KEPT`] older than the newest one, the episodes told are those that
//! [`super::interpret`] finds in all readings together, to the bit. For that, everything that the earliest changed reading may bear upon
//! ([`affected`]) is computed anew, out of the readings that bear upon that, with the baselines as they now are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::canon::{self, SECOND, Sample};
use super::super::kin::{Build, Kin};
use super::super::rules::{self as spine, MAX_GAP_US, MIN_GAP_US, NEIGHBOURS};
use super::super::{Params, Reading, Species};
use super::baseline::{QUARTER_US, QUARTERS, Rest, quarter};
use super::chain::{self, Chain};
use super::slices::{SLICE_US, Slice, SliceError, decoded, encoded, slice_of};
use super::smooth::{AFTER_US, BLOCK_US, Forward, Smoother};
use super::{Baseline, Baselines, Episode, Own, Rules, epochs, features, rules};

/// Readings count that are at most this much older than the newest: ingest takes them 30 days back.
pub const KEPT: i64 = 31 * 86_400 * SECOND;
/// What an epoch is said to be depends on no reading further ahead of its quarter of an hour's end, but where it follows gaps: a quarter of
/// an hour of smoothing, six minutes of windows, five of heart rates around one, and a slot.
const AHEAD: i64 = AFTER_US + 12 * 60 * SECOND;
/// Whether readings over a minute apart are of one run is told by four intervals of at most ten minutes on each side.
const AROUND_GAPS: i64 = NEIGHBOURS as i64 * MAX_GAP_US;
/// Readings that come so much later than others cost no more than if they came in order.
const SLACK: i64 = 3 * 60 * SECOND;
/// Smoothing goes on from what is known of the epoch before. What an epoch looks like depends on no reading further behind it: ten minutes of
/// the way since the fix before, and five of the fixes around that, a slot, and what is to be known of gaps.
const LOOKS_BEHIND: i64 = 12 * 60 * SECOND;
const READS_BEHIND: i64 = LOOKS_BEHIND + 6 * 60 * SECOND;
const BEHIND: i64 = READS_BEHIND + AROUND_GAPS + MAX_GAP_US;

/// A pet's head; [`Head::default`] is that of one never heard of.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Head {
    /// What the episodes were computed by; another one computes them anew.
    basis: Option<(String, Species)>,
    newest: Option<i64>,
    /// A quarter of an hour of the clock: epochs that end before it are in `carry`, or in episodes that ended.
    boundary: Option<i64>,
    carry: Option<Chain>,
    /// Quarters before are summed up.
    counted_to: Option<i64>,
    /// Of the quarters that are still computed with.
    baselines: Vec<(i64, Baseline)>,
    /// The quarter of the oldest reading that is kept.
    oldest: Option<i64>,
    /// Readings and quarters before were dropped.
    dropped_to: Option<i64>,
    /// So many ids were given.
    pub serial: u64,
    /// So many readings came too late to count.
    late: u64,
    /// What alerts hold readings against, of the quarter that was last counted.
    own: Option<Own>,
    /// The rest of the basis.
    build: Build,
    /// What is known of the last epoch before the boundary.
    forward: Option<Forward>,
    /// What follows the boundary is computed out of readings from here on.
    context: Option<i64>,
    /// As `baselines`: breaths per minute, asleep.
    breaths: Vec<(i64, f64)>,
}

/// What crosses a quarter's end: the episode as far as it, and what is known of the last epoch before it.
type Crossing = (Option<Chain>, Option<Forward>);

/// A quarter of a day, summed up.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Quarter {
    /// The heart rates at rest, encoded; `None` where they were not counted now.
    pub rest: Option<Vec<u8>>,
    /// The episode that may go on beyond its end, encoded; `None` where that is not certain yet.
    pub carry: Option<Vec<u8>>,
}

/// Readings by slice.
#[derive(Debug, Default)]
pub struct Came(BTreeMap<i64, Vec<Sample>>);

impl Came {
    /// Of which slices.
    #[must_use]
    pub fn numbers(&self) -> Vec<i64> {
        self.0.keys().copied().collect()
    }
}

/// What a flush does to the slices it touches.
#[derive(Debug, Default)]
pub struct Touched {
    /// Those that changed, as they now are.
    pub slices: BTreeMap<i64, Slice>,
    /// The earliest instant of which something changed.
    earliest: Option<i64>,
    /// Readings that said nothing new.
    pub duplicates: u64,
}

/// Where computing goes on from.
#[derive(Debug, Clone, PartialEq)]
pub enum Resume {
    /// From what the head says.
    Head,
    /// From the end of the last quarter before this one, and not before [`Head::dropped_to`], whose crossing episode is kept;
    /// or else from the oldest reading.
    Before(i64),
    /// From the end of the first quarter from [`Head::dropped_to`] on whose crossing episode is kept; or else, and where nothing was
    /// dropped, from the oldest reading.
    Oldest,
}

/// What was kept, as asked for by [`Head::wants`].
#[derive(Debug, Default)]
pub struct Kept {
    /// The readings: slices in order, as they were before the flush.
    pub slices: BTreeMap<i64, Slice>,
    /// The quarters' heart rates at rest, encoded.
    pub rests: Vec<(i64, Vec<u8>)>,
}

/// What is needed to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Wants {
    /// Slices from this number on.
    pub slices_from: i64,
    /// Quarters' heart rates at rest, of these numbers.
    pub rests: std::ops::Range<i64>,
    from: i64,
    /// Readings from here on bear upon what follows.
    context: i64,
    carry: Crossing,
    /// Quarters from here on are counted anew; `None`: the head's baselines hold.
    recount: Option<i64>,
}

/// What came of it.
#[derive(Debug)]
pub struct Done {
    /// The episodes that may be others than were told, by start.
    pub episodes: Vec<Episode>,
    /// Those that were told and end after this, microseconds since 1970, are what they stand against.
    pub since: i64,
    /// Quarters to be kept: what is `Some` replaces what was there.
    pub quarters: BTreeMap<i64, Quarter>,
    /// Slices before this number are needed no more, nor quarters before that.
    pub drop_before: Option<(i64, i64)>,
}

impl Head {
    /// As bytes to keep.
    ///
    /// # Errors
    /// Never, for plain data into a growing buffer.
    pub fn encode(&self) -> Result<Vec<u8>, SliceError> {
        encoded(self)
    }

    /// From bytes that [`Head::encode`] made, of this version or one before.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, SliceError> {
        // What was added since stands at the end: of an older head it reads as absent.
        decoded(&[bytes, &[0; 6]].concat())
    }

    /// Quarters before this number have no readings any more.
    #[must_use]
    pub const fn dropped_to(&self) -> Option<i64> {
        self.dropped_to
    }

    /// The newest reading, microseconds since 1970.
    #[must_use]
    pub const fn newest(&self) -> Option<i64> {
        self.newest
    }

    /// All readings that came too late to count, ever.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    /// The pet's own sleeping heart rate as it was last reckoned.
    #[must_use]
    pub fn baseline(&self) -> Option<Baseline> {
        self.baselines.last().map(|(_, baseline)| *baseline)
    }

    /// What alerts hold readings against; `None` until a quarter was counted.
    #[must_use]
    pub const fn own(&self) -> Option<Own> {
        self.own
    }

    /// Readings by slice; those that are too late are counted and left out.
    pub fn sort(&mut self, readings: &[Reading]) -> Came {
        let accepts_from = self.newest.map_or(i64::MIN, |newest| newest - KEPT);
        let mut slices: BTreeMap<i64, Vec<Sample>> = BTreeMap::new();
        for sample in readings.iter().map(Sample::from) {
            if sample.at >= accepts_from {
                slices.entry(slice_of(sample.at)).or_default().push(sample);
            } else {
                self.late = self.late.saturating_add(1);
            }
        }
        Came(slices)
    }

    /// The slices that the usual flush needs, from this number on: nothing is late, no quarter ended, nothing else is known of the pet.
    /// `None`: of a pet never heard of.
    #[must_use]
    pub fn usual(&self) -> Option<i64> {
        self.context.map(slice_of)
    }

    /// Where to go on from after such a change; `None` where nothing changed. `read`: the slices that [`Head::usual`] names, where they were
    /// read.
    #[must_use]
    pub fn resume(
        &self,
        kin: impl Into<Kin>,
        touched: &Touched,
        read: Option<&BTreeMap<i64, Slice>>,
    ) -> Option<Resume> {
        if !self.is_of(kin.into()) || self.basis.as_ref().is_none_or(|(rules, _)| rules != rules::VERSION) {
            return (self.newest.is_some() || touched.earliest.is_some()).then_some(Resume::Oldest);
        }
        let earliest = touched.earliest?;
        let known = read.and_then(|read| {
            let slices = read.range(..=slice_of(earliest)).rev();
            let before = slices.flat_map(|(_, slice)| slice.0.iter().rev()).map(|sample| sample.at);
            affected(before.filter(|at| *at < earliest), earliest)
        });
        let affected = known.unwrap_or(earliest - AROUND_GAPS - AHEAD);
        let boundary = self.boundary.unwrap_or(i64::MIN);
        Some(if affected >= boundary { Resume::Head } else { Resume::Before(quarter(affected)) })
    }

    /// What that needs. `found`: the quarter that [`Resume`] asks for, and its crossing episode.
    ///
    /// # Errors
    /// Where the crossing episode does not decode.
    pub fn wants(
        &self,
        kin: impl Into<Kin>,
        touched: &Touched,
        resume: &Resume,
        found: Option<(i64, &[u8])>,
    ) -> Result<Wants, SliceError> {
        let newest = self.newest_with(touched);
        let (from, carry) = match (resume, found) {
            (Resume::Head, _) => (self.boundary.unwrap_or(i64::MIN), (self.carry.clone(), self.forward)),
            // What was added since stands at the end: of an older one it reads as absent.
            (_, Some((at, carry))) => ((at + 1) * QUARTER_US, decoded(&[carry, &[0]].concat())?),
            (_, None) => (i64::MIN, (None, None)),
        };
        let kept = self.context.filter(|_| *resume == Resume::Head);
        let context = kept.unwrap_or_else(|| from.saturating_sub(BEHIND));
        let counted_to = self.counted_to.unwrap_or(i64::MIN);
        let earliest = touched.earliest.map_or(i64::MIN, quarter);
        let same = self.is_of(kin.into());
        let fresh =
            *resume == Resume::Head && same && earliest >= counted_to && quarter(newest) <= counted_to;
        if fresh {
            let slices_from = slice_of(context);
            return Ok(Wants { slices_from, rests: 0..0, from, context, carry, recount: None });
        }
        // A basis that changed counts nothing anew: the heart rates are the same.
        let recount = if touched.earliest.is_some() { earliest.min(counted_to) } else { counted_to };
        let recount = if self.counted_to.is_none() { i64::MIN } else { recount };
        let slices_from = slice_of(context.min(recount.saturating_mul(QUARTER_US)));
        let rests = quarter(context).saturating_sub(QUARTERS)..recount;
        Ok(Wants { slices_from, rests, from, context, carry, recount: Some(recount) })
    }

    /// Computes anew what may have changed.
    ///
    /// # Errors
    /// Where what was kept does not decode.
    pub fn revise(
        &mut self,
        (rules, params): (&Rules, &Params),
        touched: &Touched,
        wants: Wants,
        kept: Kept,
    ) -> Result<Done, SliceError> {
        let Wants { from, context, carry: (carry, forward), recount, .. } = wants;
        let mut slices = kept.slices;
        slices.extend(touched.slices.iter().map(|(number, slice)| (*number, slice.clone())));
        let samples: Vec<Sample> = slices.into_values().flat_map(|slice| slice.0).collect();
        let newest = self.newest_with(touched);
        let begun = &samples[samples.partition_point(|sample| sample.at < context)..];
        let mut quarters: BTreeMap<i64, Quarter> = BTreeMap::new();
        let baselines = match recount {
            None => Baselines::known(params.kin(), &self.baselines, &self.breaths),
            Some(recount) => {
                let mut rest = Rest::default();
                for (number, bytes) in &kept.rests {
                    rest.restore(*number, &decoded::<Vec<(u16, u32)>>(bytes)?);
                }
                let counted = samples.partition_point(|sample| quarter(sample.at) < recount);
                rest.add(&samples[counted..]);
                for sample in &samples[counted..] {
                    let at = quarter(sample.at);
                    if at < quarter(newest) {
                        quarters.entry(at).or_default();
                    }
                }
                for (number, kept) in &mut quarters {
                    kept.rest = Some(encoded(&rest.kept(*number))?);
                }
                self.counted_to = Some(quarter(newest));
                self.own = Some(rest.own(params.kin(), quarter(newest)));
                Baselines::over(params.kin(), &rest, begun)
            }
        };

        let settled = affected(begun.iter().rev().map(|sample| sample.at), newest).unwrap_or(newest - AHEAD);
        let boundary = (settled - SLACK).div_euclid(BLOCK_US) * BLOCK_US;
        let first = begun.first().map_or(newest, |sample| sample.at).max(from);
        let ends = (quarter(first) + 1..=quarter(boundary)).map(|next| next * QUARTER_US);
        let mut marks: Vec<i64> = ends.chain([boundary]).filter(|mark| *mark >= from).collect();
        marks.dedup();
        let mut marks = marks.into_iter().peekable();
        let since = carry.as_ref().map_or(if from == i64::MIN { first } else { from }, |chain| chain.start);
        let mut chains: Vec<Chain> = carry.into_iter().collect();
        let mut crossing: BTreeMap<i64, Crossing> = BTreeMap::new();
        let mut last = forward;
        let mut smoother = Smoother::from(rules, params.species, forward);
        let mut steady = baselines.steady();
        let all = epochs::epochs(begun, params);
        let looks_from = from.saturating_sub(LOOKS_BEHIND);
        for run in all.runs() {
            let run = &run[run.partition_point(|epoch| epoch.to < looks_from)..];
            let skipped = run.partition_point(|epoch| epoch.to < from);
            let seen = features::see(run, &baselines, spine::priors(params.species));
            smoother.smooth(run, &seen, skipped, |epoch, said, forward| {
                while let Some(mark) = marks.next_if(|mark| *mark <= epoch.to) {
                    crossing.insert(mark, (chains.last().cloned(), last));
                }
                chain::extend(&mut chains, epoch, said, steady.at(epoch.from));
                last = Some(forward);
            });
        }
        for mark in marks {
            crossing.insert(mark, (chains.last().cloned(), last));
        }
        for (mark, crosses) in &crossing {
            // Of quarters without readings nothing is kept: what crosses into one ends there.
            let number = mark.div_euclid(QUARTER_US) - 1;
            let read = crosses.0.as_ref().is_some_and(|chain| quarter(chain.end) == number);
            if mark.rem_euclid(QUARTER_US) == 0 && read {
                quarters.entry(number).or_default().carry = Some(encoded(crosses)?);
            }
        }
        self.basis = Some((rules::VERSION.to_owned(), params.species));
        self.build = params.build;
        if let Some((chain, forward)) = crossing.remove(&boundary) {
            (self.boundary, self.carry, self.forward) = (Some(boundary), chain, forward);
            self.context = Some(context_of(begun, boundary));
        }
        self.newest = Some(newest);
        let oldest = touched.earliest.map(quarter);
        self.oldest =
            self.oldest.map_or(oldest, |known| Some(oldest.map_or(known, |oldest| oldest.min(known))));
        (self.baselines, self.breaths) = baselines.since(quarter(boundary - BEHIND));
        let drop_before = recount.and_then(|_| self.drop_before(newest));
        let episodes = chains.iter().filter_map(|chain| chain.episode(newest)).collect();
        Ok(Done { episodes, since, quarters, drop_before })
    }

    /// What is beyond reach, once a quarter: a day is kept besides, so that what is computed anew has a quarter to begin at.
    fn drop_before(&mut self, newest: i64) -> Option<(i64, i64)> {
        let before = quarter(newest - KEPT) - 4;
        self.oldest.is_some_and(|oldest| oldest < before).then(|| {
            (self.oldest, self.dropped_to) = (Some(before), Some(before));
            (before * QUARTER_US / SLICE_US, before - QUARTERS)
        })
    }

    /// Whether the episodes were computed for such a pet.
    fn is_of(&self, Kin { species, build }: Kin) -> bool {
        self.basis.as_ref().is_some_and(|(_, of)| *of == species) && self.build == build
    }

    fn newest_with(&self, touched: &Touched) -> i64 {
        let came = touched.slices.values().filter_map(|slice| slice.0.last()).map(|sample| sample.at).max();
        came.max(self.newest).unwrap_or(i64::MIN)
    }
}

/// What is said up to here does not depend on whether, and how, readings changed from an instant on, given those before it, the latest
/// first. `None`: they are too few to tell.
fn affected(mut before: impl Iterator<Item = i64>, changed: i64) -> Option<i64> {
    let (mut next, mut from) = (changed, changed);
    // The interval that ends there, and those whose neighbour it is.
    for _ in 0..=NEIGHBOURS {
        let at = before.next()?;
        match next - at {
            // What lies beyond is no neighbour of what lies here.
            gap if gap > MAX_GAP_US => break,
            gap if gap > MIN_GAP_US => from = next,
            _ => {}
        }
        next = at;
    }
    Some(from - AHEAD)
}

/// From which reading on all is needed to compute what follows a boundary.
fn context_of(samples: &[Sample], boundary: i64) -> i64 {
    let context = boundary - READS_BEHIND;
    let before = samples[..samples.partition_point(|sample| sample.at < context)].iter().rev();
    let mut first = context;
    // The intervals by which the first of those that matter is told a gap or none.
    for sample in before.take(NEIGHBOURS + 1) {
        if first - sample.at > MAX_GAP_US {
            break;
        }
        first = sample.at;
    }
    first
}

impl Touched {
    /// Slices with what came merged into them.
    #[must_use]
    pub fn of(mut before: BTreeMap<i64, Slice>, came: Came) -> Self {
        let mut touched = Self::default();
        for (number, samples) in came.0 {
            let mut slice = before.remove(&number).unwrap_or_default();
            let merged = canon::merge_into(&mut slice.0, samples);
            touched.duplicates += merged.duplicates;
            if let Some(earliest) = merged.earliest_change {
                touched.earliest = Some(touched.earliest.map_or(earliest, |known| known.min(earliest)));
                touched.slices.insert(number, slice);
            }
        }
        touched
    }
}

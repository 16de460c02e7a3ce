//! A pet's episodes as its readings arrive, found by the service's own head, slices and quarters, with maps in the database's place.
//!
//! Invariant: readings come in order; what stands after some of them is what the service would have told by then.

use std::collections::BTreeMap;

use jiff::Timestamp;
use petty_behavior::domain::v1::{Episode, Head, Kept, Quarter, Slice, SliceError, Touched};
use petty_behavior::domain::{Params, Reading};

use crate::classifier::RULES;

/// What is kept of a pet.
#[derive(Debug)]
pub(crate) struct Shelf {
    params: Params,
    head: Head,
    slices: BTreeMap<i64, Slice>,
    quarters: BTreeMap<i64, Quarter>,
    /// By start.
    pub(crate) episodes: Vec<Episode>,
}

impl Shelf {
    /// Of a pet never heard of.
    pub(crate) fn new(params: Params) -> Self {
        let (slices, quarters) = (BTreeMap::new(), BTreeMap::new());
        Self { params, head: Head::default(), slices, quarters, episodes: Vec::new() }
    }

    /// Takes readings that are newer than all before; of what changed, from and to.
    ///
    /// # Errors
    /// Where what was encoded does not decode.
    pub(crate) fn take(&mut self, readings: &[Reading]) -> Result<Vec<(Timestamp, Timestamp)>, SliceError> {
        let came = self.head.sort(readings);
        let numbers = came.numbers();
        let before = numbers.iter().filter_map(|number| Some((*number, self.slices.get(number)?.clone())));
        let touched = Touched::of(before.collect(), came);
        let known = self.head.usual().map(|_| &self.slices);
        let Some(resume) = self.head.resume(self.params.kin(), &touched, known) else {
            return Ok(Vec::new());
        };
        // In order nothing begins at a quarter that is over: none of their crossing episodes is needed.
        let wants = self.head.wants(self.params.kin(), &touched, &resume, None)?;
        let slices = self.slices.range(wants.slices_from..);
        let slices = slices.map(|(number, slice)| (*number, slice.clone())).collect();
        let rests = self.quarters.range(wants.rests.start.min(wants.rests.end)..wants.rests.end);
        let rests = rests.filter_map(|(at, kept)| Some((*at, kept.rest.clone()?))).collect();
        let done = self.head.revise((&RULES, &self.params), &touched, wants, Kept { slices, rests })?;
        self.slices.extend(touched.slices);
        for (number, quarter) in done.quarters {
            let kept = self.quarters.entry(number).or_default();
            kept.rest = quarter.rest.or(kept.rest.take());
        }
        if let Some((slice, quarter)) = done.drop_before {
            self.slices = self.slices.split_off(&slice);
            self.quarters = self.quarters.split_off(&quarter);
        }
        let stands = self.episodes.partition_point(|episode| episode.end.as_microsecond() <= done.since);
        let was = self.episodes.split_off(stands);
        let span = |episode: &Episode| (episode.start, episode.end);
        let gone = was.iter().filter(|episode| !done.episodes.contains(episode)).map(span);
        let new = done.episodes.iter().filter(|episode| !was.contains(episode)).map(span);
        let changed = gone.chain(new).collect();
        self.episodes.extend(done.episodes);
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classifier::episodes;
    use crate::made_up;

    #[test]
    fn half_an_hour_at_a_time_says_what_all_at_once_does() {
        let mut input = made_up(3, 3);
        // The service is not told how far apart readings are.
        input.params.sampling_interval = None;
        let mut shelf = Shelf::new(input.params);
        let half_hour = |reading: &Reading| reading.at.as_second().div_euclid(1_800);
        for some in input.readings.chunk_by(|a, b| half_hour(a) == half_hour(b)) {
            assert!(!shelf.take(some).unwrap().is_empty());
        }
        assert_eq!(shelf.episodes, episodes(&input));
    }
}

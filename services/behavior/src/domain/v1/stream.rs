//! The same as readings arrive: in any chunks, in any order within the lateness bound.
//!
//! Invariant: what [`Stream::push`] has said, one call after the other, is what [`super::judge`] says of all readings
//! together, as far as it has come. For that, an epoch is said only once no reading that counts can still change it, and what it
//! depends on is kept until then: two horizons and the lateness, however long the stream.

use super::super::canon::{self, SECOND, Sample};
use super::super::{Params, Reading};
use super::baseline::Rest;
use super::{Baselines, Judged, Rules, judged};

/// A reading may come this much later than the newest, microseconds.
pub const LATENESS: i64 = 3_600 * SECOND;
/// No epoch depends on a reading further away: the hour of the clock that it is in, from half an hour before to a quarter
/// after it, and the windows, gaps and neighbours at either end.
const HORIZON: i64 = 2 * 3_600 * SECOND;

/// A pet's stream; the default is one that nothing was heard of.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    /// Canonical.
    samples: Vec<Sample>,
    /// Of the readings that are kept no more.
    rest: Rest,
    /// Epochs up to there are said.
    said_to: Option<i64>,
    /// Readings from before this count no more.
    accepts_from: Option<i64>,
    /// How many of those there were.
    late: u64,
}

impl Stream {
    /// Takes readings in, and says the epochs that are certain now.
    pub fn push(&mut self, rules: &Rules, params: &Params, readings: &[Reading]) -> Vec<Judged> {
        let timely = readings.iter().map(Sample::from).filter(|sample| {
            let counts = self.accepts_from.is_none_or(|from| sample.at >= from);
            self.late += u64::from(!counts);
            counts
        });
        let timely = timely.collect();
        canon::merge_into(&mut self.samples, timely);
        let Some(newest) = self.samples.last().map(|sample| sample.at) else { return Vec::new() };
        // Whole seconds: readings that count as one fall on one side.
        let accepts_from = (newest - LATENESS).div_euclid(SECOND) * SECOND;
        self.accepts_from = self.accepts_from.max(Some(accepts_from));
        self.say(rules, params, accepts_from - HORIZON)
    }

    /// The rest, once nothing more will come.
    pub fn finish(&mut self, rules: &Rules, params: &Params) -> Vec<Judged> {
        self.say(rules, params, i64::MAX)
    }

    /// Readings that came too late to count.
    #[must_use]
    pub const fn late(&self) -> u64 {
        self.late
    }

    fn say(&mut self, rules: &Rules, params: &Params, certain: i64) -> Vec<Judged> {
        // Now and then rather than with each reading: nothing is certain earlier for that, only later.
        let said_to = self.said_to.unwrap_or(i64::MIN);
        if certain != i64::MAX && certain.saturating_sub(said_to.max(self.samples[0].at)) < HORIZON / 8 {
            return Vec::new();
        }
        let baselines = Baselines::of(params.species, self.rest.clone(), &self.samples);
        let mut all = judged(rules, params, &self.samples, &baselines);
        all.retain(|epoch| said_to < epoch.to && epoch.to <= certain);
        if let Some(last) = all.last() {
            self.said_to = Some(last.to);
        }
        self.said_to =
            self.said_to.max(Some(certain.min(self.samples.last().map_or(certain, |last| last.at))));
        // Of what is not said yet nothing depends on what lies further back.
        let keep_from = (certain.saturating_sub(2 * HORIZON)).div_euclid(SECOND) * SECOND;
        if certain != i64::MAX {
            let dropped = self.samples.partition_point(|sample| sample.at < keep_from);
            self.samples.drain(..dropped).for_each(|sample| self.rest.add(&sample));
            self.rest.forget_before(keep_from);
        }
        all
    }
}

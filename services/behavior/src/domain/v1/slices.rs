//! Readings as they are kept: in slices of five minutes of the clock.
//!
//! Invariant: what is read back is to the bit what was written. A figure that is a whole number of its usual steps is kept as the
//! difference to the one before, any other as it is; so a slice at one reading in 5 s takes about 1 kB.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::Position;
use super::super::canon::{SECOND, Sample};

/// A slice's length, microseconds.
pub(super) const SLICE_US: i64 = 300 * SECOND;
/// The first byte of what is encoded. Raised when the encoding changes.
const FORMAT: u8 = 1;
/// That of a slice. Those of format 1 know of no breaths.
const SLICE_FORMAT: u8 = 2;

/// The slice an instant is in.
#[must_use]
pub const fn slice_of(at: i64) -> i64 {
    at.div_euclid(SLICE_US)
}

/// Why stored bytes are no slice, or no state.
#[derive(Debug, Error)]
pub enum SliceError {
    /// Written by a version of Petty this one does not know.
    #[error("it has format {0}, this version reads {FORMAT}")]
    Format(u8),
    /// Not an encoded one.
    #[error("it does not decode")]
    Corrupt(#[source] postcard::Error),
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
}

/// The canonical readings of a slice.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Slice(pub(super) Vec<Sample>);

#[derive(Serialize, Deserialize)]
struct Packed {
    known: PackedBefore,
    breaths: Option<Figure>,
}

/// As of format 1.
#[derive(Serialize, Deserialize)]
struct PackedBefore {
    after: i64,
    heart_rate: Option<Figure>,
    level: Option<u8>,
    place: Option<(Figure, Figure, Option<Figure>)>,
}

/// A figure: so many steps more than the one before, or as it is.
#[derive(Serialize, Deserialize)]
enum Figure {
    Steps(i64),
    Exact(f64),
}

/// Steps of a kind of figure, one after the other.
struct Steps {
    to_one: f64,
    last: i64,
}

impl Steps {
    const fn of(to_one: f64) -> Self {
        Self { to_one, last: 0 }
    }

    #[expect(clippy::cast_possible_truncation, reason = "far below 2^53, or it is not used")]
    fn pack(&mut self, value: f64) -> Figure {
        let steps = (value * self.to_one).round();
        let whole = steps as i64;
        // As it will be read: a zero below zero is no whole number.
        if steps.abs() < 1e12 && (whole as f64 / self.to_one).to_bits() == value.to_bits() {
            Figure::Steps(whole - std::mem::replace(&mut self.last, whole))
        } else {
            Figure::Exact(value)
        }
    }

    fn unpack(&mut self, figure: &Figure) -> f64 {
        match figure {
            Figure::Steps(more) => {
                self.last = self.last.saturating_add(*more);
                self.last as f64 / self.to_one
            }
            Figure::Exact(value) => *value,
        }
    }
}

/// Hundredths of a beat, the six decimals of a degree that are kept, tenths of a metre, hundredths of a breath.
const fn figures() -> [Steps; 5] {
    [Steps::of(100.0), Steps::of(1e6), Steps::of(1e6), Steps::of(10.0), Steps::of(100.0)]
}

impl Slice {
    /// As bytes to keep.
    ///
    /// # Errors
    /// Never, for plain data into a growing buffer.
    pub fn encode(&self) -> Result<Vec<u8>, SliceError> {
        let [mut rates, mut easts, mut norths, mut errors, mut breaths] = figures();
        let mut before = self.0.first().map_or(0, |sample| slice_of(sample.at) * SLICE_US);
        let packed = self.0.iter().map(|sample| {
            let after = sample.at - before;
            before = sample.at;
            let known = PackedBefore {
                after,
                heart_rate: sample.heart_rate.map(|bpm| rates.pack(bpm)),
                level: sample.level,
                place: sample.position.map(|fix| {
                    let accuracy = fix.accuracy_m.map(|metres| errors.pack(metres));
                    (easts.pack(fix.longitude), norths.pack(fix.latitude), accuracy)
                }),
            };
            Packed { known, breaths: sample.breaths.map(|rate| breaths.pack(rate)) }
        });
        let packed: Vec<Packed> = packed.collect();
        postcard::to_extend(&packed, vec![SLICE_FORMAT]).map_err(SliceError::Corrupt)
    }

    /// From bytes that [`Slice::encode`] made of the slice of this number.
    ///
    /// # Errors
    /// Where they are none.
    pub fn decode(number: i64, bytes: &[u8]) -> Result<Self, SliceError> {
        let packed: Vec<Packed> = match bytes.split_first() {
            Some((&SLICE_FORMAT, rest)) => postcard::from_bytes(rest).map_err(SliceError::Corrupt)?,
            _ => {
                let before: Vec<PackedBefore> = decoded(bytes)?;
                before.into_iter().map(|known| Packed { known, breaths: None }).collect()
            }
        };
        let [mut rates, mut easts, mut norths, mut errors, mut breaths] = figures();
        let mut at = number.saturating_mul(SLICE_US);
        let sample = |Packed { known, breaths: breathed }: Packed| {
            at = at.saturating_add(known.after);
            Sample {
                at,
                heart_rate: known.heart_rate.map(|bpm| rates.unpack(&bpm)),
                level: known.level,
                breaths: breathed.map(|rate| breaths.unpack(&rate)),
                position: known.place.map(|(east, north, accuracy)| Position {
                    longitude: easts.unpack(&east),
                    latitude: norths.unpack(&north),
                    accuracy_m: accuracy.map(|metres| errors.unpack(&metres)),
                }),
            }
        };
        Ok(Self(packed.into_iter().map(sample).collect()))
    }
}

/// What a format byte and postcard hold.
pub(super) fn decoded<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, SliceError> {
    match bytes.split_first() {
        None => Err(SliceError::Empty),
        Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(SliceError::Corrupt),
        Some((&other, _)) => Err(SliceError::Format(other)),
    }
}

/// As bytes that [`decoded`] reads.
pub(super) fn encoded<T: Serialize>(value: &T) -> Result<Vec<u8>, SliceError> {
    postcard::to_extend(value, vec![FORMAT]).map_err(SliceError::Corrupt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure() -> impl Strategy<Value = f64> {
        prop_oneof![(-18_000_i32..18_000).prop_map(|n| f64::from(n) / 100.0), -180.0..180.0_f64, Just(-0.0)]
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(
            number in -1_000_000_i64..10_000_000,
            samples in prop::collection::vec(
                (0..SLICE_US, prop::option::of(figure()), prop::option::of(0_u8..3), prop::option::of(figure()),
                 prop::option::of((figure(), figure(), prop::option::of(figure())))),
                0..40,
            ),
        ) {
            let mut samples: Vec<Sample> = samples.into_iter().map(|(after, heart_rate, level, breaths, place)| Sample {
                at: number * SLICE_US + after,
                heart_rate,
                level,
                breaths,
                position: place.map(|(longitude, latitude, accuracy_m)| Position { latitude, longitude, accuracy_m }),
            }).collect();
            samples.sort_by_key(|sample| sample.at);
            let slice = Slice(samples);
            let bytes = slice.encode().unwrap();
            let back = Slice::decode(number, &bytes).unwrap();
            prop_assert_eq!(format!("{:?}", back), format!("{:?}", slice));
        }
    }

    #[test]
    fn a_slice_from_before_breaths_were_kept_is_read() {
        let known = |after| PackedBefore {
            after,
            heart_rate: Some(Figure::Steps(100)),
            level: Some(1),
            place: Some((Figure::Exact(0.1), Figure::Steps(7), None)),
        };
        let bytes = postcard::to_extend(&vec![known(0), known(SECOND)], vec![FORMAT]).unwrap();
        let read = Slice::decode(3, &bytes).unwrap();
        let Sample { at, heart_rate, breaths, .. } = read.0[1];
        assert_eq!((at, heart_rate, breaths), (3 * SLICE_US + SECOND, Some(2.0), None));
        assert!(matches!(Slice::decode(3, &[9]), Err(SliceError::Format(9))));
    }

    #[test]
    fn a_slice_of_a_busy_collar_is_small() {
        let sample = |nth: i32| Sample {
            at: i64::from(nth) * 5 * SECOND,
            heart_rate: (nth % 2 == 0).then(|| f64::from(60 + nth % 7)),
            level: Some(0),
            breaths: (nth % 3 == 0).then(|| f64::from(130 + nth % 11) / 10.0),
            position: Some(Position {
                latitude: f64::from(52_512_345 + nth % 9) / 1e6,
                longitude: f64::from(13_412_345 - nth % 7) / 1e6,
                accuracy_m: Some(8.5),
            }),
        };
        let bytes = Slice((0..60).map(sample).collect()).encode().unwrap();
        assert!(bytes.len() < 1_300, "{}", bytes.len());
    }
}

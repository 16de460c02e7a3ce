//! Dogs' heart beats (Jarkoff, Lorre, Humbert 2023, doi 10.5281/zenodo.8020390, CC BY 4.0): beat times of recordings
//! at rest, turned into the heart rate a collar would report.
//!
//! The recordings carry no dates. A dog's are laid out in the order of the file, an hour apart.

use std::{collections::HashMap, io::Read};

use csv::StringRecord;

use super::{ReadError, Recorded, Sample, Signal, Species};

/// A beat interval outside this is a missed or doubled beat (data's own README), seconds.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.24..=2.5;
/// A collar reports this often, seconds.
const WINDOW_S: f64 = 5.0;
/// A mean of fewer intervals says nothing.
const MIN_INTERVALS: usize = 2;
/// What a reading can carry, beats per minute.
const RATE: std::ops::RangeInclusive<f64> = 30.0..=300.0;
/// Between two recordings of a dog, seconds.
const GAP_S: f64 = 3600.0;

/// Reads the whole file; dogs in order of appearance.
///
/// # Errors
///
/// [`ReadError`] where it is not such a file.
pub fn read(file: impl Read) -> Result<Vec<Recorded>, ReadError> {
    let mut reader = csv::Reader::from_reader(file);
    let columns = Columns::find(reader.headers()?)?;
    let mut dogs: Vec<Dog> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut row = StringRecord::new();
    while reader.read_record(&mut row)? {
        let id = columns.text(&row, columns.pet_id);
        let index = *known.entry(id.to_owned()).or_insert_with(|| {
            dogs.push(Dog::new(id, columns.breeds.map(|column| columns.text(&row, column))));
            dogs.len() - 1
        });
        let duration = columns.number(&row, columns.duration, "duration")?;
        let beats = columns
            .text(&row, columns.ecg_pulses)
            .split(',')
            .map(str::trim)
            .filter(|beat| !beat.is_empty())
            .map(|beat| number(&row, beat, "ecg_pulses"))
            .collect::<Result<Vec<f64>, _>>()?;
        if let Some(dog) = dogs.get_mut(index) {
            dog.add(duration, &beats);
        }
    }
    Ok(dogs.into_iter().map(|dog| dog.recorded).collect())
}

struct Columns {
    duration: usize,
    pet_id: usize,
    breeds: Option<usize>,
    ecg_pulses: usize,
}

impl Columns {
    fn find(headers: &StringRecord) -> Result<Self, ReadError> {
        let column = |name: &'static str| super::plan::column(headers, name);
        Ok(Self {
            duration: column("duration")?,
            pet_id: column("pet_id")?,
            breeds: column("breeds").ok(),
            ecg_pulses: column("ecg_pulses")?,
        })
    }

    fn text<'a>(&self, row: &'a StringRecord, column: usize) -> &'a str {
        row.get(column).unwrap_or_default()
    }

    fn number(&self, row: &StringRecord, column: usize, name: &'static str) -> Result<f64, ReadError> {
        number(row, self.text(row, column), name)
    }
}

fn number(row: &StringRecord, text: &str, column: &'static str) -> Result<f64, ReadError> {
    let parsed = text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    parsed.ok_or_else(|| super::plan::bad_value(row, column, text))
}

struct Dog {
    recorded: Recorded,
    /// Where its next recording begins, seconds.
    next_s: f64,
}

impl Dog {
    fn new(id: &str, breed: Option<&str>) -> Self {
        let breed = breed.filter(|breed| !breed.is_empty() && *breed != "unknown");
        let recorded = Recorded {
            key: id.to_owned(),
            name: format!("Dog {id}"),
            species: Species::Dog,
            breed: breed.map(|breed| breed.replace('_', " ")),
            samples: Vec::new(),
            left_out: super::LeftOut::new(),
        };
        Self { recorded, next_s: 0.0 }
    }

    /// Adds a recording after those before.
    fn add(&mut self, duration: f64, beats: &[f64]) {
        let mut left_out = |why| *self.recorded.left_out.entry(why).or_default() += 1;
        if beats.is_empty() {
            left_out("recordings without beats");
            return;
        }
        let mut window: Vec<f64> = Vec::new();
        let mut end = WINDOW_S;
        let mut close = |window: &mut Vec<f64>, end: f64, left_out: &mut dyn FnMut(&'static str)| {
            let beats_per_minute = 60.0 * window.len() as f64 / window.iter().sum::<f64>();
            if window.len() < MIN_INTERVALS {
                left_out("5 s windows with too few plausible intervals");
            } else if !RATE.contains(&beats_per_minute) {
                left_out("5 s windows with a rate no reading can carry");
            } else {
                let at_us = microseconds(self.next_s + end);
                // A tenth of a beat is more than beat times of 10 ms can tell.
                let signal = Signal::HeartRate((beats_per_minute * 10.0).round() / 10.0);
                self.recorded.samples.push(Sample { at_us, signal });
            }
            window.clear();
        };
        let mut last = beats.first().copied().unwrap_or_default();
        for beat in beats.iter().copied() {
            // An interval belongs to the window its second beat is in.
            while beat >= end {
                close(&mut window, end, &mut left_out);
                end += WINDOW_S;
            }
            let interval = beat - last;
            last = beat;
            if PLAUSIBLE.contains(&interval) {
                window.push(interval);
            } else if interval > 0.0 {
                left_out("implausible beat intervals");
            }
        }
        close(&mut window, end, &mut left_out);
        self.next_s += duration.max(end) + GAP_S;
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a dog's recordings span days, an i64 of microseconds 292,000 years"
)]
fn microseconds(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "duration,pet_id,breeds,weight,age,ecg_pulses\n";

    fn dogs(rows: &str) -> Vec<Recorded> {
        read(format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    fn rates(dog: &Recorded) -> Vec<(i64, f64)> {
        dog.samples
            .iter()
            .map(|sample| match sample.signal {
                Signal::HeartRate(rate) => (sample.at_us, rate),
                Signal::Position { .. } => panic!("a dog without a position"),
            })
            .collect()
    }

    #[test]
    fn a_window_gives_the_mean_rate_of_its_plausible_intervals() {
        for (beats, want) in [
            // 0.5, 1.0, 1.5 s: three intervals in 3 s.
            ("1.0, 1.5, 2.5, 4.0", vec![(5_000_000, 60.0)]),
            // 0.1 s is a doubled beat, 3 s missed ones.
            ("0.5, 0.6, 1.6, 2.6", vec![(5_000_000, 60.0)]),
            ("0.5, 1.5, 4.5, 4.9", vec![(5_000_000, 85.7)]),
            // One interval alone says nothing.
            ("1.0, 1.5", vec![]),
            // The bounds themselves are plausible; 250 beats per minute a reading can carry, 24 not.
            ("1.0, 1.25, 1.5", vec![(5_000_000, 240.0)]),
            ("0.0, 2.5, 4.99", vec![]),
            // An interval counts where its second beat is: 4 → 5.5 in the second window.
            ("2.0, 3.0, 4.0, 5.5, 7.0", vec![(5_000_000, 60.0), (10_000_000, 40.0)]),
            // A window without beats gives nothing.
            ("1.0, 2.0, 3.0, 11.0, 12.0, 13.0", vec![(5_000_000, 60.0), (15_000_000, 60.0)]),
        ] {
            let dogs = dogs(&format!("30,7,beagle,10,3,\"{beats}\"\n"));
            assert_eq!(rates(&dogs[0]), want, "{beats}");
        }
    }

    #[test]
    fn a_dogs_recordings_follow_one_another_an_hour_apart() {
        let dogs = dogs(
            "300,7,golden_retriever,30,3,\"1.0, 2.0, 3.0\"\n\
             300,8,unknown,30,3,\"1.0, 2.0, 3.0\"\n\
             300,7,golden_retriever,30,3,\"\"\n\
             100,7,golden_retriever,30,3,\"1.0, 2.0, 3.0\"\n",
        );
        assert_eq!(dogs.len(), 2);
        assert_eq!((dogs[0].name.as_str(), dogs[0].breed.as_deref()), ("Dog 7", Some("golden retriever")));
        assert_eq!(rates(&dogs[0]), [(5_000_000, 60.0), (3_905_000_000, 60.0)]);
        assert_eq!(dogs[0].left_out.get("recordings without beats"), Some(&1));
        assert_eq!((dogs[1].key.as_str(), dogs[1].breed.as_deref()), ("8", None));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let message = |text: &str| read(text.as_bytes()).unwrap_err().to_string();
        assert!(message("a,b\n1,2\n").contains("duration"));
        let bad = message(&format!("{HEADER}300,7,x,1,1,\"1.0, x\"\n"));
        assert_eq!(bad, "line 2: ecg_pulses: cannot read \"x\"");
    }
}

//! Cats' positions (McDonald, Cole 2020, doi 10.5441/001/1.pf315732, CC0; Movebank's columns). Fixes the file itself
//! marks as outliers are left out; speeds are not used, their unit is doubtful.

use std::{collections::HashMap, io::Read};

use csv::StringRecord;
use jiff::{civil::DateTime, tz::TimeZone};

use super::{ReadError, Recorded, Sample, Signal, Species};

/// Reads the whole file; cats in order of appearance, each one's fixes in order of time.
///
/// # Errors
///
/// [`ReadError`] where it is not such a file.
pub fn read(file: impl Read) -> Result<Vec<Recorded>, ReadError> {
    let mut reader = csv::Reader::from_reader(file);
    let columns = Columns::find(reader.headers()?)?;
    let mut cats: Vec<Recorded> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut row = StringRecord::new();
    while reader.read_record(&mut row)? {
        let tag = row.get(columns.tag_id).unwrap_or_default();
        let index = *known.entry(tag.to_owned()).or_insert_with(|| {
            cats.push(cat(tag));
            cats.len() - 1
        });
        let Some(cat) = cats.get_mut(index) else { continue };
        match columns.fix(&row)? {
            Ok(sample) => cat.samples.push(sample),
            Err(why) => *cat.left_out.entry(why).or_default() += 1,
        }
    }
    for cat in &mut cats {
        cat.samples.sort_by_key(|sample| sample.at_us);
    }
    Ok(cats)
}

fn cat(tag: &str) -> Recorded {
    Recorded {
        key: tag.to_owned(),
        name: tag.strip_suffix("-Tag").unwrap_or(tag).to_owned(),
        species: Species::Cat,
        breed: None,
        samples: Vec::new(),
        left_out: super::LeftOut::new(),
    }
}

struct Columns {
    tag_id: usize,
    timestamp: usize,
    lon: usize,
    lat: usize,
    visible: Option<usize>,
    outliers: Vec<usize>,
}

impl Columns {
    fn find(headers: &StringRecord) -> Result<Self, ReadError> {
        let column = |name: &'static str| super::plan::column(headers, name);
        Ok(Self {
            tag_id: column("tag_id")?,
            timestamp: column("timestamp")?,
            lon: column("location_long")?,
            lat: column("location_lat")?,
            visible: column("visible").ok(),
            outliers: ["algorithm_marked_outlier", "manually_marked_outlier"]
                .into_iter()
                .filter_map(|name| column(name).ok())
                .collect(),
        })
    }

    /// The fix of a row, or why it is left out.
    fn fix(&self, row: &StringRecord) -> Result<Result<Sample, &'static str>, ReadError> {
        let text = |column: usize| row.get(column).unwrap_or_default().trim();
        if self.outliers.iter().any(|column| text(*column).eq_ignore_ascii_case("true")) {
            return Ok(Err("fixes marked as outliers"));
        }
        if self.visible.is_some_and(|column| text(column).eq_ignore_ascii_case("false")) {
            return Ok(Err("fixes marked as not visible"));
        }
        if text(self.lon).is_empty() || text(self.lat).is_empty() {
            return Ok(Err("rows without a position"));
        }
        let degrees = |column: usize, name: &'static str, limit: f64| {
            let number: Option<f64> = text(column).parse().ok();
            number
                .filter(|number| number.abs() <= limit)
                .ok_or_else(|| super::plan::bad_value(row, name, text(column)))
        };
        let (lon, lat) =
            (degrees(self.lon, "location_long", 180.0)?, degrees(self.lat, "location_lat", 90.0)?);
        // Movebank writes UTC without saying so.
        let at_us = text(self.timestamp)
            .parse::<DateTime>()
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| super::plan::bad_value(row, "timestamp", text(self.timestamp)))?
            .timestamp()
            .as_microsecond();
        Ok(Ok(Sample { at_us, signal: Signal::Position { lon, lat } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "tag_id,event_id,visible,timestamp,location_long,location_lat,algorithm_marked_outlier,manually_marked_outlier\n";

    #[test]
    fn fixes_keep_their_spacing_and_outliers_are_left_out() {
        let cats = read(
            format!(
                "{HEADER}\
                 Meg-Tag,1,TRUE,2017-06-24 01:02:13,-5.114018,50.170296,FALSE,FALSE\n\
                 Athena,2,TRUE,2017-06-24 01:00:00.500,-5.1,50.1,FALSE,FALSE\n\
                 Meg-Tag,3,FALSE,2017-06-24 01:03:00,-5.2,50.2,TRUE,FALSE\n\
                 Meg-Tag,4,FALSE,2017-06-24 01:03:10,-5.2,50.2,FALSE,TRUE\n\
                 Meg-Tag,5,TRUE,2017-06-24 01:03:20,,,FALSE,FALSE\n\
                 Meg-Tag,6,TRUE,2017-06-24 01:01:13,-5.3,50.3,FALSE,FALSE\n"
            )
            .as_bytes(),
        )
        .unwrap();
        assert_eq!(cats.len(), 2);
        let meg = &cats[0];
        assert_eq!((meg.key.as_str(), meg.name.as_str(), meg.species), ("Meg-Tag", "Meg", Species::Cat));
        assert_eq!(meg.samples.len(), 2);
        assert_eq!(meg.samples[1].at_us - meg.samples[0].at_us, 60_000_000);
        assert_eq!(meg.samples[0].signal, Signal::Position { lon: -5.3, lat: 50.3 });
        assert_eq!(meg.left_out.get("fixes marked as outliers"), Some(&2));
        assert_eq!(meg.left_out.get("rows without a position"), Some(&1));
        assert_eq!(cats[1].samples[0].at_us % 1_000_000, 500_000);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (row, want) in [
            ("A,1,TRUE,yesterday,-5,50,FALSE,FALSE", "line 2: timestamp: cannot read \"yesterday\""),
            ("A,1,TRUE,2017-06-24 01:00:00,-5,95,FALSE,FALSE", "line 2: location_lat: cannot read \"95\""),
            ("A,1,TRUE,2017-06-24 01:00:00,x,50,FALSE,FALSE", "line 2: location_long: cannot read \"x\""),
        ] {
            let error = read(format!("{HEADER}{row}\n").as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), want);
        }
        assert!(read("a,b\n".as_bytes()).unwrap_err().to_string().contains("tag_id"));
    }
}

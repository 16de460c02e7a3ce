//! Readings as columns, as `unnest` takes them, and rows as readings.

use jiff::Timestamp;
use petty_chassis::postgres::{Error, Row, ToSql};
use uuid::Uuid;

use super::append::Keyed;
use crate::domain::reading::{Position, Signals};

/// Readings, column by column. The order is that of every statement with `unnest`.
#[derive(Default)]
pub(super) struct Columns {
    measured_at: Vec<Timestamp>,
    pet_id: Vec<Uuid>,
    heart_rate: Vec<Option<f64>>,
    respiratory_rate: Vec<Option<f64>>,
    temperature: Vec<Option<f64>>,
    skin_temperature: Vec<Option<f64>>,
    battery_level: Vec<Option<f64>>,
    accuracy_m: Vec<Option<f64>>,
    collar_key: Vec<i32>,
    longitude_e6: Vec<Option<i32>>,
    latitude_e6: Vec<Option<i32>>,
    sequence_id: Vec<Option<i32>>,
    activity_level: Vec<Option<i16>>,
}

impl Columns {
    pub(super) fn of<'a, 'b: 'a>(rows: impl Iterator<Item = &'a Keyed<'b>>) -> Self {
        let mut columns = Self::default();
        for row in rows {
            let signals = &row.stamped.reading.signals;
            let position = signals.position;
            columns.measured_at.push(row.stamped.reading.measured_at);
            columns.pet_id.push(row.stamped.pet.0);
            columns.heart_rate.push(signals.heart_rate);
            columns.respiratory_rate.push(signals.respiratory_rate);
            columns.temperature.push(signals.temperature);
            columns.skin_temperature.push(signals.skin_temperature);
            columns.battery_level.push(signals.battery_level);
            columns.accuracy_m.push(position.and_then(|position| position.accuracy));
            columns.collar_key.push(row.collar_key);
            columns.longitude_e6.push(position.map(|position| position.longitude_e6));
            columns.latitude_e6.push(position.map(|position| position.latitude_e6));
            columns.sequence_id.push(signals.sequence_id);
            columns.activity_level.push(signals.activity_level);
        }
        columns
    }

    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 13] {
        [
            &self.measured_at,
            &self.pet_id,
            &self.heart_rate,
            &self.respiratory_rate,
            &self.temperature,
            &self.skin_temperature,
            &self.battery_level,
            &self.accuracy_m,
            &self.collar_key,
            &self.longitude_e6,
            &self.latitude_e6,
            &self.sequence_id,
            &self.activity_level,
        ]
    }
}

/// Reads signals from ten columns that begin at `first`: heart_rate, respiratory_rate, temperature, skin_temperature,
/// battery_level, accuracy_m, longitude_e6, latitude_e6, sequence_id, activity_level.
pub(super) fn signals(row: &Row, table: &'static str, first: usize) -> Result<Signals, Error> {
    let longitude_e6: Option<i32> = Error::column(row, table, first + 6)?;
    let latitude_e6: Option<i32> = Error::column(row, table, first + 7)?;
    let accuracy = Error::column(row, table, first + 5)?;
    let position = longitude_e6.zip(latitude_e6).map(|(longitude_e6, latitude_e6)| Position {
        longitude_e6,
        latitude_e6,
        accuracy,
    });
    Ok(Signals {
        heart_rate: Error::column(row, table, first)?,
        respiratory_rate: Error::column(row, table, first + 1)?,
        temperature: Error::column(row, table, first + 2)?,
        skin_temperature: Error::column(row, table, first + 3)?,
        battery_level: Error::column(row, table, first + 4)?,
        sequence_id: Error::column(row, table, first + 8)?,
        activity_level: Error::column(row, table, first + 9)?,
        position,
    })
}

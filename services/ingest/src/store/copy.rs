//! Readings as rows of `COPY … BINARY`, their fields in the order of [`Columns`](super::columns::Columns).

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::Timestamp;

use super::append::Keyed;

const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// 2000-01-01, from which Postgres counts microseconds.
const EPOCH_US: i64 = 946_684_800_000_000;
const FIELDS: i16 = 13;
/// A reading with all its signals: the count of fields, and each with its length.
const MOST_BYTES: usize = 2 + 13 * 4 + 8 + 16 + 6 * 8 + 4 * 4 + 2;

pub(super) fn rows(readings: &[&Keyed<'_>]) -> Bytes {
    let mut out = BytesMut::with_capacity(SIGNATURE.len() + 10 + readings.len() * MOST_BYTES);
    out.put_slice(SIGNATURE);
    // No flags, no extension.
    out.put_u64(0);
    for row in readings {
        let reading = &row.stamped.reading;
        let (signals, position) = (&reading.signals, reading.signals.position);
        out.put_i16(FIELDS);
        put_time(&mut out, reading.measured_at);
        out.put_i32(16);
        out.put_slice(row.stamped.pet.0.as_bytes());
        put_f64(&mut out, signals.heart_rate);
        put_f64(&mut out, signals.respiratory_rate);
        put_f64(&mut out, signals.temperature);
        put_f64(&mut out, signals.skin_temperature);
        put_f64(&mut out, signals.battery_level);
        put_f64(&mut out, position.and_then(|position| position.accuracy));
        put_i32(&mut out, Some(row.collar_key));
        put_i32(&mut out, position.map(|position| position.longitude_e6));
        put_i32(&mut out, position.map(|position| position.latitude_e6));
        put_i32(&mut out, signals.sequence_id);
        match signals.activity_level {
            None => out.put_i32(-1),
            Some(level) => {
                out.put_i32(2);
                out.put_i16(level);
            }
        }
    }
    out.put_i16(-1);
    out.freeze()
}

fn put_time(out: &mut BytesMut, time: Timestamp) {
    out.put_i32(8);
    out.put_i64(time.as_microsecond() - EPOCH_US);
}

fn put_f64(out: &mut BytesMut, value: Option<f64>) {
    match value {
        None => out.put_i32(-1),
        Some(value) => {
            out.put_i32(8);
            out.put_f64(value);
        }
    }
}

fn put_i32(out: &mut BytesMut, value: Option<i32>) {
    match value {
        None => out.put_i32(-1),
        Some(value) => {
            out.put_i32(4);
            out.put_i32(value);
        }
    }
}

//! Times as nearly everybody writes them, read without a library for all the other ways.

use super::{BOUNDS, Timestamp};

/// Reads `2026-01-31T12:00:00Z`, with a fraction of a second or without. `None`: it is written in another way, or is no time.
pub(super) fn read(text: &[u8]) -> Option<Timestamp> {
    let (time, rest) = text.split_first_chunk()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *time else {
        return None;
    };
    let [year, month, day] = [whole(&[y1, y2, y3, y4])?, whole(&[m1, m2])?, whole(&[d1, d2])?];
    let [hour, minute, second] = [whole(&[h1, h2])?, whole(&[n1, n2])?, whole(&[s1, s2])?];
    if day == 0 || day > days_in(year, month)? || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let nanos = match rest {
        b"Z" => 0,
        [b'.', digits @ .., b'Z'] if (1..=9).contains(&digits.len()) => {
            (digits.len()..9).fold(whole(digits)?, |nanos, _| nanos * 10)
        }
        _ => return None,
    };
    let seconds = days(i64::from(year), i64::from(month), i64::from(day)) * 86_400
        + i64::from(hour * 3_600 + minute * 60 + second);
    BOUNDS.contains(&seconds).then_some(Timestamp { seconds, nanos })
}

/// A whole number of at most nine digits, and of nothing else.
fn whole(digits: &[u8]) -> Option<i32> {
    digits
        .iter()
        .try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i32::from(digit - b'0')))
}

fn days_in(year: i32, month: i32) -> Option<i32> {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => Some(29),
        2 => Some(28),
        _ => None,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, of years from 1 on (Howard Hinnant, days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin with March: the leap day is their last.
    let year = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the library reads it, which reads all ways.
    fn slowly(text: &str) -> Option<Timestamp> {
        text.parse::<jiff::Timestamp>()
            .ok()
            .map(Timestamp::from)
            .filter(|time| BOUNDS.contains(&time.seconds))
    }

    #[test]
    fn every_day_of_four_centuries_is_read_as_the_library_reads_it() {
        for year in 1_800..2_200 {
            for month in 0..=13 {
                for day in 0..=32 {
                    let text = format!("{year:04}-{month:02}-{day:02}T23:59:59.25Z");
                    assert_eq!(read(text.as_bytes()), slowly(&text), "{text}");
                }
            }
        }
    }

    #[test]
    fn what_is_read_is_what_the_library_reads() {
        for text in [
            "0001-01-01T00:00:00Z",
            "9999-12-30T21:59:59.999999999Z",
            "2000-02-29T00:00:00.1Z",
            "1969-12-31T23:59:59.000000001Z",
            "2026-01-31T12:00:00.120000Z",
        ] {
            assert_eq!(read(text.as_bytes()), slowly(text), "{text}");
            assert!(read(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_written_in_another_way_is_left_to_the_library() {
        for text in [
            "",
            "2026-01-31T12:00:00",
            "2026-01-31t12:00:00Z",
            "2026-01-31T12:00:00z",
            "2026-01-31 12:00:00Z",
            "2026-01-31T12:00:00+02:00",
            "2026-01-31T12:00:60Z",
            "2026-01-31T24:00:00Z",
            "2026-01-31T12:60:00Z",
            "2026-01-31T12:00:00.Z",
            "2026-01-31T12:00:00.1234567891Z",
            "2026-01-31T12:00:00.+1Z",
            "2026-01-31T12:00:00Z[UTC]",
            "+026-01-31T12:00:00Z",
            "0000-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}

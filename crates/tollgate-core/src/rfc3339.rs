//! Dates as RFC 3339 section 5.6 writes them, of all years that it knows (0000 to 9999).

use crate::clock::UnixMillis;

const DAY_SECS: i64 = 86_400;

/// The moment that `text` names, in whole milliseconds, of which the rest of a fraction is cut off; `None`
/// where it is no date with a time and an offset. `t` and `z` may be in lower case (section 5.6). A leap
/// second, which can only be the last of a day in UTC (section 5.7), is the first of the next.
///
/// ```
/// use tollgate_core::clock::UnixMillis;
/// use tollgate_core::rfc3339;
///
/// assert_eq!(rfc3339::parse("1970-01-01T01:00:00.25+01:00"), Some(UnixMillis(250)));
/// assert_eq!(rfc3339::parse("1970-01-01 00:00:00Z"), None);
/// ```
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    let (seconds, nanos) = seconds(text)?;
    Some(UnixMillis(seconds * 1000 + nanos / 1_000_000))
}

/// The second that `text` names, and how many nanoseconds are above it.
pub(crate) fn seconds(text: &str) -> Option<(i64, i64)> {
    let (date, rest) = text.as_bytes().split_at_checked(19)?;
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't', h1, h2, b':', n1, n2, b':', s1, s2] =
        date
    else {
        return None;
    };
    let (year, month, day) = (number(&[y1, y2, y3, y4])?, number(&[m1, m2])?, number(&[d1, d2])?);
    let (hour, minute, second) = (number(&[h1, h2])?, number(&[n1, n2])?, number(&[s1, s2])?);
    if day < 1 || day > days_of_month(year, month)? || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, rest) = match rest {
        [b'.', rest @ ..] => fraction(rest)?,
        rest => (0, rest),
    };
    let offset = match rest {
        b"Z" | b"z" => 0,
        &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[h1, h2])?, number(&[m1, m2])?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if sign == b'-' {
                -offset
            } else {
                offset
            }
        }
        _ => return None,
    };
    let time = hour * 3600 + minute * 60 + second;
    let seconds = days_before(year, month, day) * DAY_SECS + time - offset;
    let is_midnight = seconds.rem_euclid(DAY_SECS) == 0;
    match second == 60 {
        false => Some((seconds, nanos)),
        // What it takes of the next day is nothing that others could count.
        true => is_midnight.then_some((seconds, 0)),
    }
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

/// The nanoseconds of the digits behind a point, and what follows these.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len).filter(|(digits, _)| !digits.is_empty())?;
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Some((number(&padded.collect::<Vec<_>>())?, rest))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_of_month(year: i64, month: i64) -> Option<i64> {
    match month {
        2 => Some(if is_leap(year) { 29 } else { 28 }),
        4 | 6 | 9 | 11 => Some(30),
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        _ => None,
    }
}

/// The days between 1970-01-01 and this one, of the Gregorian calendar also where that is of an earlier time.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the day of a leap year is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    const DAYS_TO_1970: i64 = 719_468;
    year * 365 + leaps + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn millis(text: &str) -> Option<i64> {
        parse(text).map(|moment| moment.0)
    }

    #[test]
    fn all_years_offsets_and_fractions_are_read() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00z", 0),
            ("1970-01-01T00:00:00-00:00", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("1969-12-31T23:59:59.9999999999999Z", -1),
            ("2026-01-05T09:30:12.635+02:00", 1_767_598_212_635),
            ("2000-02-29T12:00:00Z", 951_825_600_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("9999-12-31T23:59:59-23:59", 253_402_387_139_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("0000-01-01T00:00:00+23:59", -62_167_305_540_000),
            ("1990-12-31T23:59:60Z", 662_688_000_000),
            ("1990-12-31T15:59:60-08:00", 662_688_000_000),
            ("1990-12-31T23:59:60.9Z", 662_688_000_000),
        ] {
            assert_eq!(millis(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn whatever_else_is_no_date() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00Z",
            "2026-1-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T23:59:61Z",
            "1990-12-31T23:59:60+01:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+01:60",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00+01",
            "2026-01-01T00:00:00ZZ",
            "2026-01-01T00:00:00Z[UTC]",
            "10000-01-01T00:00:00Z",
            "-001-01-01T00:00:00Z",
            "\u{ff12}026-01-01T00:00Z",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn dates_are_those_of_jiff(second in -62_135_596_800_i64..253_402_207_200, milli in 0_i64..1000) {
            let moment = jiff::Timestamp::from_millisecond(second * 1000 + milli).unwrap();
            prop_assert_eq!(millis(&moment.to_string()), Some(moment.as_millisecond()));
        }

        #[test]
        fn no_text_panics(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]*)?.*") {
            let _ = parse(&text);
        }
    }
}

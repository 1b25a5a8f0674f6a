//! Durations and moments, as people write and read them.

use std::time::Duration;

use jiff::civil::{DateTime, Time};
use jiff::{SignedDuration, Timestamp};
use tollgate_core::clock::UnixMillis;
use tollgate_core::rfc3339;

/// The longest duration that is accepted: a thousand years, so that sums of them stay in range.
const MAX: Duration = Duration::from_secs(1000 * 365 * 86_400);

/// The units of a duration, as nginx has them.
const UNITS: [(&str, u64); 7] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 7 * 86_400_000),
    ("y", 365 * 86_400_000),
];

/// A duration such as `30s`, `1h30m` or `90d`. A number without a unit is of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!("\"{}\" is no duration, write it as 30s, 15m, 1h30m or 90d", text.escape_debug())
    };
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (digits, after) = split_at(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_at(after, |c| c.is_ascii_digit());
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let millis = match unit {
            // Seconds are understood of a lone number only: `1h30` could be anything.
            "" if digits.len() == text.len() => 1000,
            _ => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        let millis = number.checked_mul(millis).ok_or_else(wrong)?;
        sum = sum.saturating_add(Duration::from_millis(millis));
        rest = after;
    }
    match text.is_empty() || sum > MAX {
        true => Err(wrong()),
        false => Ok(sum),
    }
}

fn split_at(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at_checked(text.find(ends).unwrap_or(text.len())).unwrap_or((text, ""))
}

/// A moment: RFC 3339, or a date, which starts at midnight UTC.
pub(crate) fn parse_moment(text: &str) -> Result<UnixMillis, String> {
    let moment = match text.len() {
        10 => rfc3339::parse(&format!("{text}T00:00:00Z")),
        _ => rfc3339::parse(text),
    };
    moment.ok_or_else(|| {
        format!(
            "\"{}\" is no date, write it as 2027-01-31 or 2027-01-31T12:00:00Z",
            text.escape_debug()
        )
    })
}

/// A moment in RFC 3339: UTC, in whole seconds. What is beyond the years that it knows, is their first or last
/// second. (A timestamp of jiff's ends some hours before, so that it is a date in any time zone.)
pub(crate) fn date_of(moment: UnixMillis) -> String {
    let since = SignedDuration::from_secs(moment.0.div_euclid(1000));
    let date = DateTime::constant(1970, 1, 1, 0, 0, 0, 0).saturating_add(since);
    let date = date.max(DateTime::constant(0, 1, 1, 0, 0, 0, 0));
    let second = Time::constant(date.hour(), date.minute(), date.second(), 0);
    format!("{}Z", date.date().to_datetime(second))
}

/// A moment, or how far it is from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Distance(Duration),
    Moment(UnixMillis),
}

impl When {
    /// `1h` or a date.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Ok(distance) = parse_duration(text) {
            return Ok(Self::Distance(distance));
        }
        parse_moment(text).map(Self::Moment).map_err(|_| {
            format!(
                "\"{}\" is neither a duration such as 1h30m or 90d nor a date such as 2027-01-31 \
                 or 2027-01-31T12:00:00Z",
                text.escape_debug()
            )
        })
    }

    /// The moment, seen from `now` into the future.
    pub(crate) fn after(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Moment(moment) => moment,
            Self::Distance(distance) => UnixMillis(now.0.saturating_add(millis(distance))),
        }
    }

    /// The moment, seen from `now` into the past.
    pub(crate) fn before(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::Moment(moment) => moment,
            Self::Distance(distance) => UnixMillis(now.0.saturating_sub(millis(distance))),
        }
    }
}

fn millis(distance: Duration) -> i64 {
    i64::try_from(distance.as_millis()).unwrap_or(i64::MAX)
}

/// What the clock says.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(Timestamp::now().as_millisecond())
}

const WORDS: [(&str, u64); 4] =
    [("year", 365 * 86_400), ("day", 86_400), ("hour", 3600), ("minute", 60)];

/// A length of time in words: `3 hours`, `1 day`. The largest unit of which there is at least one,
/// rounded down.
pub(crate) fn in_words(seconds: u64) -> String {
    counted(seconds, WORDS.into_iter().find(|(_, length)| seconds >= *length))
}

/// The same to the second: `90 seconds`.
pub(crate) fn exactly_in_words(seconds: u64) -> String {
    let divides = |length: u64| seconds > 0 && seconds.is_multiple_of(length);
    counted(seconds, WORDS.into_iter().find(|(_, length)| divides(*length)))
}

fn counted(seconds: u64, unit: Option<(&str, u64)>) -> String {
    let (unit, length) = unit.unwrap_or(("second", 1));
    let count = seconds / length;
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// Where `moment` is, seen from `now`: `in 3 hours`, `2 days ago`, `now`.
pub(crate) fn from_now(moment: i64, now: i64) -> String {
    let distance = in_words(moment.abs_diff(now));
    match moment.cmp(&now) {
        std::cmp::Ordering::Greater => format!("in {distance}"),
        std::cmp::Ordering::Less => format!("{distance} ago"),
        std::cmp::Ordering::Equal => "now".to_owned(),
    }
}

/// Unix seconds in RFC 3339; beyond the year 9999, the number itself.
pub(crate) fn rfc3339(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(moment) => moment.to_string(),
        Err(_) => format!("{seconds} s after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, millis) in [
            ("0", 0),
            ("30", 30_000),
            ("30s", 30_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("90d", 7_776_000_000),
            ("2w", 1_209_600_000),
            ("1y", 31_536_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "h", "1", "1x", "-1h", "1.5h", "1h30", "1 h", "9999y", "18446744073709551616s"]
        {
            assert!(text == "1" || parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_dates_and_times_with_an_offset() {
        let at = |text| parse_moment(text).map(|moment| moment.seconds().0);
        assert_eq!(at("1970-01-02"), Ok(86_400));
        assert_eq!(at("1970-01-01T01:00:00+01:00"), Ok(0));
        assert_eq!(at("2026-01-05T09:30:12.635Z"), Ok(1_767_605_412));
        assert_eq!(at("2016-12-31t23:59:60z"), Ok(1_483_228_800));
        assert_eq!(at("9999-12-31"), Ok(253_402_214_400));
        for text in ["", "tomorrow", "2026-02-30", "2026-01-01T00:00:00", "2026", "12:00"] {
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_moment_may_be_a_distance() {
        let now = UnixMillis(1_000_500);
        assert_eq!(When::parse("1m").unwrap().after(now), UnixMillis(1_060_500));
        assert_eq!(When::parse("1m").unwrap().before(now), UnixMillis(940_500));
        assert_eq!(When::parse("1970-01-01").unwrap().after(now), UnixMillis(0));
        assert!(When::parse("soon").unwrap_err().contains("neither"));
    }

    #[test]
    fn dates_are_written_as_they_are_given_up_to_the_last_that_there_is() {
        for (text, date) in [
            ("9999-12-31", "9999-12-31T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59Z"),
            ("2027-01-31T12:00:00.999+01:00", "2027-01-31T11:00:00Z"),
            // The year 10000, and the one before 0, in UTC.
            ("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z"),
            ("0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(date_of(parse_moment(text).unwrap()), date, "{text}");
        }
        for millis in [i64::MIN, i64::MAX] {
            assert!(rfc3339::parse(&date_of(UnixMillis(millis))).is_some());
        }
    }

    #[test]
    fn words_round_down_to_the_largest_unit() {
        for (seconds, words) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (119, "1 minute"),
            (7199, "1 hour"),
            (3 * 86_400, "3 days"),
            (800 * 86_400, "2 years"),
        ] {
            assert_eq!(in_words(seconds), words);
        }
        assert_eq!(exactly_in_words(300), "5 minutes");
        assert_eq!(exactly_in_words(90), "90 seconds");
        assert_eq!(exactly_in_words(0), "0 seconds");
        assert_eq!(from_now(100, 40), "in 1 minute");
        assert_eq!(from_now(40, 100), "1 minute ago");
        assert_eq!(from_now(i64::MAX, i64::MIN), format!("in {}", in_words(u64::MAX)));
    }

    proptest! {
        #[test]
        fn no_text_makes_them_panic(text: String) {
            let _ = parse_duration(&text);
            let _ = parse_moment(&text);
            let _ = When::parse(&text);
        }

        #[test]
        fn any_second_has_a_text(seconds: i64) {
            prop_assert!(!rfc3339(seconds).is_empty());
        }
    }
}

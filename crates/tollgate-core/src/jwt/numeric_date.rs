//! `NumericDate` (RFC 7519 section 2): seconds since 1970-01-01T00:00:00Z, as a JSON number, which may have a
//! fraction.

use serde_json::Value;

use crate::clock::{UnixMillis, UnixSeconds};

/// The end of time here, in seconds: the largest integer that every JSON implementation holds exactly (RFC 7493
/// section 2.2).
const MAX: i64 = 1 << 53;

/// The moment that `value` names, in whole milliseconds, or `None` where it is no number. Less of a millisecond is
/// cut off: a token is never refused after the moment it was issued, and never good at the one it ends. What is
/// beyond the end of time, as some programs write "never" (`Long.MAX_VALUE / 1000`), is that end.
pub(super) fn parse(value: &Value) -> Option<UnixMillis> {
    if let Some(seconds) = value.as_i64() {
        return Some(UnixSeconds(seconds.clamp(-MAX, MAX)).into());
    }
    const MAX_F64: f64 = 9_007_199_254_740_992.0;
    let seconds = value.as_f64().filter(|seconds| !seconds.is_nan())?.clamp(-MAX_F64, MAX_F64);
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
    let millis = (seconds * 1000.0).floor() as i64;
    Some(UnixMillis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Option<i64> {
        parse(&serde_json::from_str(json).unwrap()).map(|moment| moment.0)
    }

    #[test]
    fn integers_and_fractions_are_read() {
        assert_eq!(parsed("0"), Some(0));
        assert_eq!(parsed("1700000000"), Some(1_700_000_000_000));
        assert_eq!(parsed("1.7e9"), Some(1_700_000_000_000));
        assert_eq!(parsed("-1"), Some(-1000));
        assert_eq!(parsed("9007199254740992"), Some(MAX * 1000));
    }

    #[test]
    fn fraction_counts_to_the_millisecond() {
        assert_eq!(parsed("10.0"), Some(10_000));
        assert_eq!(parsed("10.000001"), Some(10_000));
        assert_eq!(parsed("10.9"), Some(10_900));
        assert_eq!(parsed("-10.9"), Some(-10_900));
        for millis in 0..1000 {
            let json = format!("1700000000.{millis:03}");
            assert_eq!(parsed(&json), Some(1_700_000_000_000 + millis), "{json}");
            let json = format!("1700000000.{millis:03}999");
            assert_eq!(parsed(&json), Some(1_700_000_000_000 + millis), "{json}");
        }
    }

    #[test]
    fn numbers_beyond_the_end_of_time_are_that_end() {
        for json in
            ["9007199254740993", "9223372036854775807", "18446744073709551615", "1e19", "1e300"]
        {
            assert_eq!(parsed(json), Some(MAX * 1000), "{json}");
        }
        for json in ["-9007199254740993", "-9223372036854775808", "-1e19", "-1e300"] {
            assert_eq!(parsed(json), Some(-MAX * 1000), "{json}");
        }
    }

    #[test]
    fn other_types_are_refused() {
        for json in ["\"1700000000\"", "true", "null", "[1700000000]", "{}"] {
            assert_eq!(parsed(json), None, "{json}");
        }
    }
}

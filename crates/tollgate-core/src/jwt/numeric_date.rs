//! `NumericDate` (RFC 7519 section 2): seconds since 1970-01-01T00:00:00Z, as a JSON number.

use serde_json::Value;

/// The largest integer that every JSON implementation holds exactly (RFC 7493 section 2.2).
const MAX: i64 = 1 << 53;

/// The first whole second at or after the moment that `value` names, or `None` where it is no number,
/// or out of range. On whole seconds, `now < x` and `x <= now` hold for that second exactly when they
/// hold for the moment itself, so one rounding serves `exp`, `nbf` and `iat`.
pub(super) fn parse(value: &Value) -> Option<i64> {
    let seconds = match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => seconds,
        (None, Some(seconds)) => whole(seconds.ceil())?,
        (None, None) => return None,
    };
    (-MAX..=MAX).contains(&seconds).then_some(seconds)
}

fn whole(seconds: f64) -> Option<i64> {
    const MAX_F64: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
    (-MAX_F64..=MAX_F64).contains(&seconds).then_some(seconds as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Option<i64> {
        parse(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn integers_and_fractions_are_read() {
        assert_eq!(parsed("0"), Some(0));
        assert_eq!(parsed("1700000000"), Some(1_700_000_000));
        assert_eq!(parsed("1.7e9"), Some(1_700_000_000));
        assert_eq!(parsed("-1"), Some(-1));
        assert_eq!(parsed("9007199254740992"), Some(MAX));
    }

    #[test]
    fn fraction_counts_as_the_next_second() {
        assert_eq!(parsed("10.0"), Some(10));
        assert_eq!(parsed("10.000001"), Some(11));
        assert_eq!(parsed("10.9"), Some(11));
        assert_eq!(parsed("-10.9"), Some(-10));
    }

    #[test]
    fn other_types_and_numbers_out_of_range_are_refused() {
        for json in [
            "\"1700000000\"",
            "true",
            "null",
            "[1700000000]",
            "{}",
            "9007199254740993",
            "-9007199254740993",
            "18446744073709551615",
            "1e300",
            "-1e300",
        ] {
            assert_eq!(parsed(json), None, "{json}");
        }
    }
}

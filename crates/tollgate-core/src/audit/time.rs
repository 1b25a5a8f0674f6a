//! `time` of the audit log: RFC 3339, in UTC, with milliseconds.

use std::io::Write as _;

use jiff::tz::Offset;
use jiff::Timestamp;

use crate::clock::{UnixMillis, UnixSeconds};

/// Writes times as `2026-01-01T00:00:00.123Z`, and keeps the text of the last one: the many lines of one
/// second share all but the last digits.
#[derive(Clone, Debug, Default)]
pub struct TimeFormat {
    second: Option<UnixSeconds>,
    /// The text, of which the milliseconds change.
    text: [u8; 24],
}

impl TimeFormat {
    /// Appends the time to `out`. Allocates nothing of its own. A time outside the years 0 to 9999 is
    /// written as the nearest that RFC 3339 can express.
    pub fn write(&mut self, time: UnixMillis, out: &mut Vec<u8>) {
        let second = time.seconds();
        if self.second != Some(second) {
            self.format(second);
        }
        if let Some(millis) = self.text.last_chunk_mut::<4>() {
            let [hundreds, tens, units] = three_digits(time.0.rem_euclid(1000));
            *millis = [hundreds, tens, units, b'Z'];
        }
        out.extend_from_slice(&self.text);
    }

    #[cold]
    fn format(&mut self, second: UnixSeconds) {
        /// 0000-01-01T00:00:00Z
        const YEAR_0: i64 = -62_167_219_200;
        let clamped = second.0.clamp(YEAR_0, Timestamp::MAX.as_second());
        // Within the clamp, neither of the two can fail.
        let timestamp = Timestamp::from_second(clamped).unwrap_or(Timestamp::UNIX_EPOCH);
        // The length of all years from 0 to 9999.
        let _ = write!(self.text.as_mut_slice(), "{}.000Z", Offset::UTC.to_datetime(timestamp));
        self.second = Some(second);
    }
}

fn three_digits(value: i64) -> [u8; 3] {
    [value / 100, value / 10, value].map(|digits| b'0' + u8::try_from(digits % 10).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(format: &mut TimeFormat, ms: i64) -> String {
        let mut out = Vec::new();
        format.write(UnixMillis(ms), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        let mut format = TimeFormat::default();
        for (ms, text) in [
            (1_767_225_600_123, "2026-01-01T00:00:00.123Z"),
            (1_767_225_600_999, "2026-01-01T00:00:00.999Z"),
            (1_767_225_601_000, "2026-01-01T00:00:01.000Z"),
            (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(written(&mut format, ms), text);
        }
    }

    #[test]
    fn impossible_times_have_the_same_shape() {
        let mut format = TimeFormat::default();
        for ms in [i64::MIN, -62_167_219_200_001, 253_402_300_800_000, i64::MAX] {
            let text = written(&mut format, ms);
            assert_eq!(text.len(), 24, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_time_parses_back_whatever_was_written_before(
            times in prop::collection::vec(-62_167_219_200_000..253_402_200_000_000_i64, 1..8),
            near in prop::collection::vec(0_i64..3000, 1..8),
        ) {
            let mut format = TimeFormat::default();
            let near = near.into_iter().map(|ms| 1_767_225_600_000 + ms);
            for ms in times.into_iter().chain(near) {
                let parsed: Timestamp = written(&mut format, ms).parse().unwrap();
                prop_assert_eq!(parsed.as_millisecond(), ms);
            }
        }
    }
}

//! The periods of budgets: hours, days and months of the UTC calendar.

use crate::clock::UnixSeconds;

/// 2026-01-01T00:00:00Z, where period 1 of each calendar begins.
const EPOCH: i64 = 1_767_225_600;
const EPOCH_YEAR: i64 = 2026;

/// How far apart the clocks of workers may be: each reads its own once a turn of its event loop.
/// Whoever is behind by no more than this when a period turns follows the others.
pub(super) const SKEW_SECS: i64 = 60;

/// The period of a budget, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Calendar {
    /// `/hour`
    Hour,
    /// `/day`
    Day,
    /// `/month`
    Month,
}

impl Calendar {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Month];

    /// When the period ends in which `wall` lies.
    #[must_use]
    pub fn end_of_running(self, wall: UnixSeconds) -> UnixSeconds {
        self.end(self.number(wall))
    }

    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// How many low bits of a word hold the amount; the others hold the number of the period. There
    /// are numbers for hours until 2055, for days until 2070 and for months until 2111; the last
    /// one does not end.
    pub(super) fn amount_bits(self) -> u32 {
        match self {
            Self::Hour => 46,
            Self::Day => 50,
            Self::Month => 54,
        }
    }

    /// The last number: all ones would make the word of a frozen slot.
    fn last(self) -> i64 {
        (1 << (u64::BITS - self.amount_bits())) - 2
    }

    /// The number of the period in which `wall` lies: 1 for the first one of 2026 and whatever was
    /// before it, never 0.
    pub(crate) fn number(self, wall: UnixSeconds) -> u32 {
        let since = wall.0.saturating_sub(EPOCH).max(0);
        let number = match self {
            Self::Hour => since / 3_600,
            Self::Day => since / 86_400,
            Self::Month => {
                let (year, month) = year_and_month(since / 86_400 + EPOCH / 86_400);
                (year - EPOCH_YEAR) * 12 + month
            }
        };
        u32::try_from(number.saturating_add(1).min(self.last())).unwrap_or(1)
    }

    /// The moment at which the period `number` ends.
    pub(crate) fn end(self, number: u32) -> UnixSeconds {
        let number = i64::from(number);
        UnixSeconds(match self {
            Self::Hour => EPOCH + number * 3_600,
            Self::Day => EPOCH + number * 86_400,
            Self::Month => first_day(EPOCH_YEAR + number / 12, number % 12) * 86_400,
        })
    }

    /// The length of the period `number` in seconds.
    pub(super) fn seconds(self, number: u32) -> u64 {
        let start = self.end(number.saturating_sub(1));
        u64::try_from(self.end(number).0 - start.0).unwrap_or(0)
    }
}

// The two conversions are Howard Hinnant's `civil_from_days` and `days_from_civil`, for days after
// 1970: years begin in March, so that the leap day is the last one.

/// The year, and the month from 0, of a day since 1970-01-01.
fn year_and_month(days: i64) -> (i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let (month, carry) = if from_march < 10 { (from_march + 2, 0) } else { (from_march - 10, 1) };
    (year + era * 400 + carry, month)
}

/// The first day of a month (from 0), in days since 1970-01-01.
fn first_day(year: i64, month: i64) -> i64 {
    let (year, from_march) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let (era, of_era) = (year / 400, year % 400);
    let day_of_year = (153 * from_march + 2) / 5;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wall(text: &str) -> UnixSeconds {
        UnixSeconds(text.parse::<jiff::Timestamp>().unwrap().as_second())
    }

    #[test]
    fn periods_are_counted_from_2026_on() {
        for (text, hour, day, month) in [
            ("2026-01-01T00:00:00Z", 1, 1, 1),
            ("2026-01-01T00:59:59Z", 1, 1, 1),
            ("2026-01-01T01:00:00Z", 2, 1, 1),
            ("2026-01-31T23:59:59Z", 744, 31, 1),
            ("2026-02-01T00:00:00Z", 745, 32, 2),
            ("2027-01-01T00:00:00Z", 8_761, 366, 13),
            ("1970-01-01T00:00:00Z", 1, 1, 1),
            ("2055-11-25T07:00:00Z", 262_088, 10_921, 359),
            ("9999-12-30T00:00:00Z", 262_142, 16_382, 1_022),
        ] {
            let at = wall(text);
            let numbers = [Calendar::Hour, Calendar::Day, Calendar::Month].map(|c| c.number(at));
            assert_eq!(numbers, [hour, day, month], "{text}");
        }
    }

    #[test]
    fn months_have_their_own_length() {
        for (number, days) in [(1, 31), (2, 28), (4, 30), (12, 31), (26, 29)] {
            assert_eq!(Calendar::Month.seconds(number), days * 86_400, "{number}");
        }
        assert_eq!(Calendar::Month.end(26), wall("2028-03-01T00:00:00Z"));
    }

    proptest! {
        #[test]
        fn months_agree_with_a_calendar_library(at in EPOCH..4_000_000_000i64) {
            let date = jiff::Timestamp::from_second(at).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let expected = (i64::from(date.year()) - 2026) * 12 + i64::from(date.month());
            prop_assert_eq!(i64::from(Calendar::Month.number(UnixSeconds(at))), expected);
        }

        #[test]
        fn every_moment_lies_in_its_period(at in EPOCH..2_700_000_000i64) {
            for calendar in [Calendar::Hour, Calendar::Day, Calendar::Month] {
                let number = calendar.number(UnixSeconds(at));
                let end = calendar.end(number).0;
                prop_assert!(at < end);
                prop_assert!(at >= calendar.end(number - 1).0);
                prop_assert_eq!(calendar.number(UnixSeconds(end)), number + 1);
            }
        }
    }
}

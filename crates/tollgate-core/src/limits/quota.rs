//! What a limit says: so many per period, and how many at once.

use std::fmt;

/// The period of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Period {
    /// `r/s`
    Second,
    /// `r/m`
    Minute,
    /// `r/h`
    Hour,
    /// `r/d`, 24 hours
    Day,
}

impl Period {
    /// Every period, the shortest first.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// Its length in seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Its length in nanoseconds.
    #[must_use]
    pub fn nanos(self) -> u64 {
        u64::from(self.seconds()) * 1_000_000_000
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// The letter in a rate such as `100r/m`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Second => 's',
            Self::Minute => 'm',
            Self::Hour => 'h',
            Self::Day => 'd',
        }
    }

    fn from_letter(text: &str) -> Option<Self> {
        match text {
            "s" => Some(Self::Second),
            "m" => Some(Self::Minute),
            "h" => Some(Self::Hour),
            "d" => Some(Self::Day),
            _ => None,
        }
    }

    pub(super) fn index(self) -> u8 {
        match self {
            Self::Second => 0,
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    pub(super) fn from_index(index: u64) -> Option<Self> {
        match index {
            0 => Some(Self::Second),
            1 => Some(Self::Minute),
            2 => Some(Self::Hour),
            3 => Some(Self::Day),
            _ => None,
        }
    }
}

/// A token bucket: `count` a `period`, and room for `burst`. None of them is ever zero, and a bucket
/// is never slower to refill than [`Quota::MAX_REFILL_SECS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    count: u32,
    period: Period,
    burst: u32,
}

impl Quota {
    /// The largest count and the largest burst: they share a word of the zone with the period.
    pub const MAX_COUNT: u32 = (1 << 31) - 1;
    /// The fastest rate, per second: above it, the clock of a bucket could not tell two tokens apart.
    pub const MAX_PER_SECOND: u64 = 10_000_000;
    /// The longest time in which an empty bucket may refill: a year.
    pub const MAX_REFILL_SECS: u64 = 366 * 86_400;

    /// A bucket of `burst` tokens that is refilled at `count` a `period`.
    ///
    /// # Errors
    ///
    /// When a number is zero or too large, or the bucket would take more than a year to refill.
    pub fn new(count: u32, period: Period, burst: u32) -> Result<Self, QuotaError> {
        if count == 0 {
            return Err(QuotaError::ZeroRate);
        }
        if burst == 0 {
            return Err(QuotaError::ZeroBurst);
        }
        if count > Self::MAX_COUNT
            || u64::from(count) > Self::MAX_PER_SECOND * u64::from(period.seconds())
        {
            return Err(QuotaError::RateTooLarge);
        }
        let refill = u64::from(burst) * u64::from(period.seconds()) / u64::from(count);
        if burst > Self::MAX_COUNT || refill > Self::MAX_REFILL_SECS {
            return Err(QuotaError::BurstTooLarge);
        }
        Ok(Self { count, period, burst })
    }

    /// `count` requests a minute, and as many at once: what a token's `rate_limit` claim grants.
    /// A count above the fastest rate is taken as the fastest rate.
    #[must_use]
    pub fn per_minute(count: std::num::NonZeroU32) -> Self {
        let count = count.get().min(600_000_000);
        Self { count, period: Period::Minute, burst: count }
    }

    /// Parses a rate such as `100r/m`, and optionally `burst=200`; the burst is the count unless
    /// it is given.
    ///
    /// # Errors
    ///
    /// When the text has another form, or as [`Quota::new`].
    pub fn parse(rate: &str, burst: Option<&str>) -> Result<Self, QuotaError> {
        let (count, period) = rate.split_once("r/").ok_or(QuotaError::Form)?;
        let period = Period::from_letter(period).ok_or(QuotaError::Form)?;
        let count = parse_number(count).ok_or(QuotaError::Form)?;
        let burst = burst.map(|burst| parse_number(burst).ok_or(QuotaError::BurstForm));
        Self::from_numbers(count, period, burst.transpose()?)
    }

    /// Parses a number of LLM tokens a period, such as `200k/m`, `1m/d` or `50000/h`, and optionally
    /// `burst=400k`: `k` is a thousand, `m` a million. The burst is the count unless it is given.
    ///
    /// # Errors
    ///
    /// When the text has another form, or as [`Quota::new`].
    pub fn parse_tokens(rate: &str, burst: Option<&str>) -> Result<Self, QuotaError> {
        let (count, period) = rate.split_once('/').ok_or(QuotaError::TokensForm)?;
        let period = Period::from_letter(period).ok_or(QuotaError::TokensForm)?;
        let count = parse_with_suffix(count).ok_or(QuotaError::TokensForm)?;
        let burst = burst.map(|burst| parse_with_suffix(burst).ok_or(QuotaError::TokensBurstForm));
        Self::from_numbers(count, period, burst.transpose()?)
    }

    fn from_numbers(count: u64, period: Period, burst: Option<u64>) -> Result<Self, QuotaError> {
        let count = u32::try_from(count).map_err(|_| QuotaError::RateTooLarge)?;
        let burst = match burst {
            Some(burst) => u32::try_from(burst).map_err(|_| QuotaError::BurstTooLarge)?,
            None => count,
        };
        Self::new(count, period, burst)
    }

    /// Tokens a period.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// The period.
    #[must_use]
    pub fn period(self) -> Period {
        self.period
    }

    /// The capacity of the bucket, in tokens.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}r/{}", self.count, self.period.letter())?;
        if self.burst != self.count {
            write!(f, " burst={}", self.burst)?;
        }
        Ok(())
    }
}

/// Digits only: `u64::from_str` would take a sign as well.
fn parse_number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // All digits, so it can only fail by being too large.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// Digits, and a suffix: `k` for a thousand, `m` for a million.
pub(crate) fn parse_with_suffix(text: &str) -> Option<u64> {
    let (digits, factor) = match text.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => text.strip_suffix('m').map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    Some(parse_number(digits)?.saturating_mul(factor))
}

/// What is wrong with a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaError {
    /// Not of the form `100r/m`.
    Form,
    /// Not of the form `200k/m`.
    TokensForm,
    /// `burst=` is not a number.
    BurstForm,
    /// `burst=` is not a number, with or without a suffix.
    TokensBurstForm,
    /// A rate of zero.
    ZeroRate,
    /// A burst of zero.
    ZeroBurst,
    /// More than 10,000,000 a second, or than 2,147,483,647 a period.
    RateTooLarge,
    /// A bucket that takes more than a year to refill.
    BurstTooLarge,
}

impl fmt::Display for QuotaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "must be a number with a period: 10r/s, 100r/m, 1000r/h or 5000r/d",
            Self::TokensForm => {
                "must be a number of tokens with a period: 500/s, 200k/m, 50000/h or 1m/d \
                 (k is a thousand, m a million)"
            }
            Self::BurstForm => "\"burst=\" must be a whole number",
            Self::TokensBurstForm => "\"burst=\" must be a whole number such as 50000, 400k or 1m",
            Self::ZeroRate => {
                "must not be zero; to refuse a client, disable its key or leave out its tier"
            }
            Self::ZeroBurst => "\"burst=\" must not be zero, or nothing would ever pass",
            Self::RateTooLarge => "is too large: at most 10000000 a second and 2147483647 a period",
            Self::BurstTooLarge => {
                "\"burst=\" is too large: the bucket would take more than a year to refill"
            }
        })
    }
}

impl std::error::Error for QuotaError {}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn rate_of_a_token_is_no_faster_than_the_fastest() {
        let per_minute = |count| Quota::per_minute(NonZeroU32::new(count).unwrap());
        let fastest = per_minute(600_000_000);
        assert_eq!((fastest.count, fastest.burst), (600_000_000, 600_000_000));
        assert_eq!(per_minute(600_000_001), fastest);
        assert_eq!(per_minute(u32::MAX), fastest);
        assert_eq!(per_minute(599_999_999).count, 599_999_999);
        // Which the parser has as its limit, too.
        assert!(Quota::parse("600000000r/m", None).is_ok());
        assert!(Quota::parse("600000001r/m", None).is_err());
    }

    #[test]
    fn a_rate_is_a_number_and_a_period() {
        for (text, count, period) in [
            ("1r/s", 1, Period::Second),
            ("100r/m", 100, Period::Minute),
            ("1000r/h", 1000, Period::Hour),
            ("5000r/d", 5000, Period::Day),
        ] {
            let quota = Quota::parse(text, None).unwrap();
            assert_eq!((quota.count(), quota.period(), quota.burst()), (count, period, count));
            assert_eq!(quota.to_string(), text);
        }
        let quota = Quota::parse("5000r/d", Some("500")).unwrap();
        assert_eq!((quota.count(), quota.burst()), (5000, 500));
        assert_eq!(quota.to_string(), "5000r/d burst=500");
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "", "100", "r/m", "100r", "100r/", "100r/w", "+1r/m", "-1r/m", "1.5r/m", " 1r/m",
            "1 r/m", "1R/m", "1r/M",
        ] {
            assert_eq!(Quota::parse(text, None), Err(QuotaError::Form), "{text}");
        }
        for burst in ["", "x", "-1", "1k"] {
            assert_eq!(Quota::parse("1r/m", Some(burst)), Err(QuotaError::BurstForm), "{burst}");
        }
    }

    #[test]
    fn tokens_are_a_number_with_a_suffix_and_a_period() {
        for (text, count, period) in [
            ("1/s", 1, Period::Second),
            ("200k/m", 200_000, Period::Minute),
            ("50000/h", 50_000, Period::Hour),
            ("1m/d", 1_000_000, Period::Day),
        ] {
            let quota = Quota::parse_tokens(text, None).unwrap();
            assert_eq!((quota.count(), quota.period(), quota.burst()), (count, period, count));
        }
        for (burst, tokens) in [("400k", 400_000), ("2m", 2_000_000), ("7", 7)] {
            assert_eq!(Quota::parse_tokens("200k/m", Some(burst)).unwrap().burst(), tokens);
        }
        for text in [
            "", "200k", "k/m", "/m", "200kk/m", "200K/m", "1.5k/m", "-1/m", "1g/d", "1k/w", "1k/",
            "200kr/m", "100r/m",
        ] {
            assert_eq!(Quota::parse_tokens(text, None), Err(QuotaError::TokensForm), "{text}");
        }
        for burst in ["", "k", "1.5m", "1g"] {
            let error = Quota::parse_tokens("1k/m", Some(burst));
            assert_eq!(error, Err(QuotaError::TokensBurstForm), "{burst}");
        }
        assert_eq!(Quota::parse_tokens("0k/m", None), Err(QuotaError::ZeroRate));
        for text in ["11m/s", "2148m/d", "99999999999999999999m/d"] {
            assert_eq!(Quota::parse_tokens(text, None), Err(QuotaError::RateTooLarge), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        assert_eq!(Quota::parse("0r/m", None), Err(QuotaError::ZeroRate));
        assert_eq!(Quota::parse("1r/m", Some("0")), Err(QuotaError::ZeroBurst));
        assert_eq!(Quota::parse("10000001r/s", None), Err(QuotaError::RateTooLarge));
        assert!(Quota::parse("10000000r/s", None).is_ok());
        for text in ["2147483648r/d", "4294967296r/d", "99999999999999999999999r/d"] {
            assert_eq!(Quota::parse(text, None), Err(QuotaError::RateTooLarge), "{text}");
        }
        assert_eq!(Quota::parse("1r/d", Some("400")), Err(QuotaError::BurstTooLarge));
        assert!(Quota::parse("1r/d", Some("366")).is_ok());
    }
}

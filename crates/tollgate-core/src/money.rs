//! Money: whole numbers of nano-units, 10^-9 of the operator's currency, as configuration and logs
//! spell them.
//!
//! Floats are nowhere: a price of `0.15` is exactly 150,000,000 nano-units, and sums of many small
//! costs are exact.

use std::fmt;

use crate::short_text::ShortText;

/// Nano-units of one unit of the currency.
pub const NANOS_PER_UNIT: u64 = 1_000_000_000;

/// The most that can be configured, in nano-units: a thousand million units.
pub const MAX_NANOS: u64 = 1_000_000_000 * NANOS_PER_UNIT;

/// As many decimals as a nano-unit has.
const DECIMALS: usize = 9;

/// Parses an amount such as `20`, `0.15` or `0.0375` into nano-units. Zero is an amount.
///
/// # Errors
///
/// When the text has another form (a sign, an exponent, a comma), more than nine decimals, or is
/// more than [`MAX_NANOS`].
pub fn parse_nanos(text: &str) -> Result<u64, MoneyError> {
    let (whole, decimals) = match text.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (text, None),
    };
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !decimals.is_none_or(is_number) {
        return Err(MoneyError::Form);
    }
    let decimals = decimals.unwrap_or_default();
    if decimals.len() > DECIMALS {
        return Err(MoneyError::TooManyDecimals);
    }
    let zeros = std::iter::repeat_n(b'0', DECIMALS - decimals.len());
    let mut nanos: u64 = 0;
    for digit in whole.bytes().chain(decimals.bytes()).chain(zeros) {
        // Above the maximum it can only grow, so saturation is caught below.
        nanos = nanos.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    }
    if nanos > MAX_NANOS {
        return Err(MoneyError::TooLarge);
    }
    Ok(nanos)
}

/// An amount as a decimal number without trailing zeros (`20`, `0.000123`), on the stack. It is a
/// JSON number as well.
pub struct Amount(ShortText<{ "18446744073.709551615".len() }>);

impl Amount {
    /// The text of so many nano-units.
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Self {
        let mut text = ShortText::default();
        text.push_integer(nanos / NANOS_PER_UNIT);
        let fraction = nanos % NANOS_PER_UNIT;
        if fraction > 0 {
            // A digit in front keeps the leading zeros.
            let mut digits = itoa::Buffer::new();
            let digits = digits.format(NANOS_PER_UNIT + fraction);
            let mut digits = digits.as_bytes().get(1..).unwrap_or_default();
            while let Some(shorter) = digits.strip_suffix(b"0") {
                digits = shorter;
            }
            text.push(b".");
            text.push(digits);
        }
        Self(text)
    }

    /// ASCII digits, and at most one point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What is wrong with an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoneyError {
    /// Not of the form `20` or `0.15`.
    Form,
    /// More than nine decimals.
    TooManyDecimals,
    /// More than a thousand million.
    TooLarge,
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => {
                "must be a decimal number such as 20, 0.15 or 0.0375, without a sign, a currency \
                 or an exponent"
            }
            Self::TooManyDecimals => "has too many decimals: at most 9 count",
            Self::TooLarge => "is too large: at most 1000000000",
        })
    }
}

impl std::error::Error for MoneyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(nanos: u64) -> String {
        String::from_utf8(Amount::from_nanos(nanos).as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn decimal_numbers_are_amounts_to_the_last_nano_unit() {
        for (text, nanos) in [
            ("0", 0),
            ("0.000000001", 1),
            ("0.0375", 37_500_000),
            ("0.15", 150_000_000),
            ("0.150000000", 150_000_000),
            ("10", 10_000_000_000),
            ("007.5", 7_500_000_000),
            ("1000000000", MAX_NANOS),
            ("1000000000.000000000", MAX_NANOS),
        ] {
            assert_eq!(parse_nanos(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "", ".", "1.", ".5", "+1", "-1", "1e3", "1,5", "1.5.0", "1_000", " 1", "1 ", "$1",
            "1m", "0x10", "NaN", "inf", "٣", "0.1\0",
        ] {
            assert_eq!(parse_nanos(text), Err(MoneyError::Form), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused_rather_than_rounded() {
        for text in ["0.0000000001", "1.0000000000"] {
            assert_eq!(parse_nanos(text), Err(MoneyError::TooManyDecimals), "{text}");
        }
        for text in ["1000000000.000000001", "1000000001", &"9".repeat(1000)] {
            assert_eq!(parse_nanos(text), Err(MoneyError::TooLarge), "{text}");
        }
    }

    #[test]
    fn an_amount_has_no_trailing_zeros() {
        for (nanos, expected) in [
            (0, "0"),
            (1, "0.000000001"),
            (123_000, "0.000123"),
            (150_000_000, "0.15"),
            (NANOS_PER_UNIT, "1"),
            (20 * NANOS_PER_UNIT, "20"),
            (20 * NANOS_PER_UNIT + 10, "20.00000001"),
            (u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(text(nanos), expected);
        }
    }

    proptest! {
        #[test]
        fn an_amount_parses_back_to_itself(nanos in 0..=MAX_NANOS, shift in 0_u32..60) {
            let nanos = nanos >> shift;
            prop_assert_eq!(parse_nanos(&text(nanos)), Ok(nanos));
        }

        #[test]
        fn an_amount_is_a_json_number(nanos: u64) {
            let text = text(nanos);
            prop_assert!(serde_json::from_str::<serde_json::Number>(&text).is_ok(), "{}", text);
        }
    }
}

//! Numbers of tokens, as JSON writes them.

/// The largest number that every JSON implementation reads exactly.
const MAX_EXACT: u64 = 1 << 53;

/// A JSON number that is whole, from 0 to 2^53, however it is written: some engines write counts as
/// floats (`12.0`, `1.2e1`).
pub(crate) fn whole_number(text: &[u8]) -> Option<u64> {
    if let Some(number) = few_digits(text) {
        return Some(number);
    }
    let (mantissa, exponent) = match split_once(text, |b| matches!(b, b'e' | b'E')) {
        (mantissa, Some(exponent)) => (mantissa, parse_exponent(exponent)?),
        (mantissa, None) => (mantissa, 0),
    };
    let (whole, fraction) = match split_once(mantissa, |b| *b == b'.') {
        (whole, Some(fraction)) if !fraction.is_empty() => (whole, without_zeros(fraction)),
        (whole, None) => (whole, &[][..]),
        _ => return None,
    };
    if whole.is_empty() {
        return None;
    }
    let digits = whole.iter().chain(fraction).try_fold(0_u64, |number, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })?;
    let scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let number = match (digits, 10_u64.checked_pow(scale.unsigned_abs())) {
        (0, _) => 0,
        (_, Some(power)) if scale >= 0 => digits.checked_mul(power)?,
        (_, Some(power)) if digits % power == 0 => digits / power,
        _ => return None,
    };
    (number <= MAX_EXACT).then_some(number)
}

/// The number that at most 15 digits make up, as nearly all counts are written.
fn few_digits(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 15 {
        return None;
    }
    text.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn split_once(text: &[u8], is_separator: impl Fn(&u8) -> bool) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(is_separator).and_then(|at| text.split_at_checked(at)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (text, None),
    }
}

fn without_zeros(fraction: &[u8]) -> &[u8] {
    let end = fraction.iter().rposition(|b| *b != b'0').map_or(0, |last| last + 1);
    fraction.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        for (text, number) in [
            ("0", 0),
            ("7", 7),
            ("12.0", 12),
            ("12.000000000000000000000000000", 12),
            ("1.2e1", 12),
            ("1.2E+1", 12),
            ("1200e-2", 12),
            ("0e999", 0),
            ("0.0", 0),
            ("9007199254740992", 1 << 53),
        ] {
            assert_eq!(whole_number(text.as_bytes()), Some(number), "{text}");
        }
    }

    #[test]
    fn other_numbers_are_not() {
        for text in [
            "",
            "-1",
            "-0",
            "+1",
            "1.5",
            "12e-1",
            "9007199254740993",
            "18446744073709551616",
            "1e999",
            "1e-999",
            "1e",
            "1.",
            ".5",
            "1e5e5",
            "1.2.3",
            "0x10",
            "12a",
            "NaN",
            "1-2",
            "e1",
            "1e99999999999",
        ] {
            assert_eq!(whole_number(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_up_to_2_to_the_53_are_read_and_none_beyond(number: u64, shift in 0_u32..64) {
            let number = number >> shift;
            let expected = (number <= MAX_EXACT).then_some(number);
            prop_assert_eq!(whole_number(number.to_string().as_bytes()), expected);
        }

        #[test]
        fn floats_are_read_as_the_standard_library_reads_them(
            mantissa in 0_u64..1_000_000, fraction in "[0-9]{0,6}", exponent in -8_i32..8,
        ) {
            let dot = if fraction.is_empty() { "" } else { "." };
            let text = format!("{mantissa}{dot}{fraction}e{exponent}");
            let float: f64 = text.parse().unwrap();
            // Twelve digits at most: a float tells them all apart.
            let expected = (float.fract() == 0.0).then(|| format!("{float:.0}"));
            let read = whole_number(text.as_bytes()).map(|number| number.to_string());
            prop_assert_eq!(read, expected, "{}", text);
        }
    }
}

//! Numbers in decimal, at the end of a line.

/// What has so many digits at most is written in one go.
const DIGITS: usize = 8;
const LIMIT: u64 = 100_000_000;

/// Appends the number, as `itoa` has it.
// A line of the log has a dozen, most of them short: no call, no table, one store for all digits.
#[inline]
pub(crate) fn push(out: &mut Vec<u8>, value: u64) {
    if value >= LIMIT {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        return;
    }
    let (digits, len) = digits(value);
    let end = out.len() + len;
    out.extend_from_slice(&digits);
    out.truncate(end);
}

/// The digits of a number below [`LIMIT`], and how many those are; what follows them is of no meaning.
#[inline]
fn digits(value: u64) -> ([u8; DIGITS], usize) {
    // All digits at once, each in a byte, the first one lowest: halves of four digits, of these pairs, of those
    // digits. A quotient is a product with what the divisor is the inverse of, rounded up, which is exact for so few
    // digits.
    let halves = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - tens * 10) << 8);
    // Of zeros before the first digit none is written, but of 0 itself the last one is.
    let zeros = (digits | (1 << 56)).trailing_zeros() / 8;
    let text = (digits | 0x3030_3030_3030_3030) >> (8 * zeros);
    (text.to_le_bytes(), DIGITS - zeros as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(value: u64) -> String {
        let mut out = b"n=".to_vec();
        push(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    /// All pairs of digits, at every place.
    #[test]
    fn numbers_of_few_digits_are_written_as_the_standard_library_does() {
        for value in (0..100_000).chain((0..10_000).flat_map(|n| [n * 10_000, n * 10_000 + 9999])) {
            assert_eq!(written(value), format!("n={value}"));
        }
    }

    #[test]
    fn numbers_around_a_further_digit_are_written_as_the_standard_library_does() {
        for power in 0..20 {
            let value = 10_u64.pow(power);
            for value in [value - 1, value, value + 1] {
                assert_eq!(written(value), format!("n={value}"));
            }
        }
        assert_eq!(written(u64::MAX), "n=18446744073709551615");
    }

    proptest! {
        #[test]
        fn any_number_is_written_as_the_standard_library_does(value: u64, shift in 0..64_u32) {
            let value = value >> shift;
            prop_assert_eq!(written(value), format!("n={value}"));
        }
    }
}

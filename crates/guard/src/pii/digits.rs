//! Digits, and the sums that tell a number from any other row of digits.

/// The digits of a candidate, without what stands between them.
pub(super) struct Digits {
    all: [u8; Self::MOST],
    length: usize,
}

impl Digits {
    /// More than any number here has.
    const MOST: usize = 40;

    /// The ASCII digits of this text. Of more than fit, none: no number is that long.
    pub(super) fn of(text: &str) -> Self {
        let mut digits = Self { all: [0; Self::MOST], length: 0 };
        for byte in text.bytes().filter(u8::is_ascii_digit) {
            let Some(place) = digits.all.get_mut(digits.length) else {
                return Self { all: [0; Self::MOST], length: 0 };
            };
            *place = byte - b'0';
            digits.length += 1;
        }
        digits
    }

    /// Their values, each 0 to 9.
    pub(super) fn all(&self) -> &[u8] {
        self.all.get(..self.length).unwrap_or_default()
    }
}

/// The number that these digits stand for.
pub(super) fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(*digit)))
}

/// The digits in this part of a number, as a number: of a part that it hasn't, 0.
pub(super) fn part(digits: &[u8], from: usize, to: usize) -> u64 {
    number(digits.get(from..to).unwrap_or_default())
}

/// The digit at this place. Of none, 0.
pub(super) fn at(digits: &[u8], place: usize) -> u64 {
    digits.get(place).copied().map_or(0, u64::from)
}

/// The sum of the digits, each times its weight.
pub(super) fn weighted(digits: &[u8], weights: &[u64]) -> u64 {
    digits.iter().zip(weights).map(|(digit, weight)| u64::from(*digit) * weight).sum()
}

/// Whether all digits are the same one.
pub(super) fn is_one_digit(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair.first() == pair.last())
}

/// Luhn's sum (ISO/IEC 7812-1, annex B): from the right, every second digit counts twice.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u64 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u64::from(*digit);
            match place % 2 {
                0 => digit,
                _ if digit > 4 => digit * 2 - 9,
                _ => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO/IEC 7064, MOD 97-10, of letters (A is 10) and digits. The rest of the division.
pub(super) fn mod97(characters: impl Iterator<Item = u8>) -> u64 {
    let mut rest = 0;
    for byte in characters {
        rest = match byte {
            b'0'..=b'9' => rest * 10 + u64::from(byte - b'0'),
            b'A'..=b'Z' => rest * 100 + u64::from(byte - b'A') + 10,
            b'a'..=b'z' => rest * 100 + u64::from(byte - b'a') + 10,
            _ => rest,
        } % 97;
    }
    rest
}

/// ISO/IEC 7064, MOD 11,10: whether the last digit belongs to the others.
pub(super) fn mod11_10(digits: &[u8]) -> bool {
    let Some((last, others)) = digits.split_last() else { return false };
    let product = others.iter().fold(10, |product, digit| {
        let sum = (u64::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == u64::from(*last)
}

/// Verhoeff's sum: the symmetries of a pentagon (J. Verhoeff, Error detecting decimal codes, 1969).
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    let mut sum = 0_u8;
    for (place, digit) in digits.iter().rev().enumerate() {
        sum = dihedral(sum, permuted(*digit, place % 8));
    }
    sum == 0
}

/// The product of two symmetries of a pentagon: 0 to 4 turn it, 5 to 9 turn it over first.
fn dihedral(a: u8, b: u8) -> u8 {
    match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b) % 5 + 5,
        (false, true) => (a + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    }
}

/// Verhoeff's permutation, this many times.
fn permuted(digit: u8, times: usize) -> u8 {
    const ONCE: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    (0..times).fold(digit, |digit, _| ONCE.get(usize::from(digit)).copied().unwrap_or(digit))
}

/// Whether a day of a month exists, of whatever year. The 29th of February does.
pub(super) fn is_date(day: u64, month: u64) -> bool {
    let last = match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=last).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_hold_for_published_examples() {
        assert!(luhn(Digits::of("4111 1111 1111 1111").all()));
        assert!(!luhn(Digits::of("4111 1111 1111 1112").all()));
        assert_eq!(mod97("370400440532013000DE89".bytes()), 1);
        // The tables of the Bundeszentralamt für Steuern, and of the Wikipedia article on Verhoeff's algorithm.
        assert!(mod11_10(Digits::of("86095742719").all()));
        assert!(!mod11_10(Digits::of("86095742718").all()));
        assert!(verhoeff(Digits::of("2363").all()));
        assert!(verhoeff(Digits::of("123451").all()));
        assert!(!verhoeff(Digits::of("2364").all()));
    }

    #[test]
    fn a_single_wrong_digit_is_always_noticed() {
        for sum in [luhn, mod11_10, verhoeff] {
            for number in 1000..3000_u64 {
                let digits: Vec<u8> = number.to_string().bytes().map(|byte| byte - b'0').collect();
                if sum(&digits) {
                    for place in 0..digits.len() {
                        for other in 0..10 {
                            let mut wrong = digits.clone();
                            wrong[place] = other;
                            assert_eq!(sum(&wrong), wrong == digits);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn too_many_digits_are_none() {
        assert!(Digits::of(&"1".repeat(41)).all().is_empty());
        assert_eq!(Digits::of(&"1".repeat(40)).all().len(), 40);
    }

    #[test]
    fn dates_exist_or_do_not() {
        assert!(is_date(29, 2) && is_date(31, 12) && is_date(30, 4));
        assert!(
            !is_date(30, 2)
                && !is_date(31, 4)
                && !is_date(0, 1)
                && !is_date(1, 13)
                && !is_date(1, 0)
        );
    }
}

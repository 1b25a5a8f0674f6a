//! The numbers of JSON, digit by digit, with the values that serde_json gives them: of a number that is
//! long, it reads the first 19 or 20 digits, and a float may be off by its last bit.

/// A number that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    state: State,
    negative: bool,
    significand: u64,
    /// More digits came than the significand can hold.
    is_long: bool,
    is_float: bool,
    /// What the digits behind those of the significand, and those behind the point, make of the exponent.
    scale: i32,
    exponent: i32,
    exponent_is_negative: bool,
    exponent_is_long: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    E,
    Sign,
    Exponent,
}

/// What the next byte is to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Part,
    /// It has ended before.
    Ended,
    /// It is none.
    Broken,
}

/// The value of a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    /// Less than 0.
    Negative(i64),
    Float(f64),
    TooLarge,
}

impl Number {
    pub(super) const NEW: Self = Self {
        state: State::Start,
        negative: false,
        significand: 0,
        is_long: false,
        is_float: false,
        scale: 0,
        exponent: 0,
        exponent_is_negative: false,
        exponent_is_long: false,
    };

    #[inline]
    pub(super) fn step(&mut self, byte: u8) -> Step {
        use State::{Digits, Exponent, Fraction, Minus, Point, Sign, Start, Zero, E};
        let digit = byte.wrapping_sub(b'0');
        self.state = match (self.state, byte) {
            (Start, b'-') => {
                self.negative = true;
                Minus
            }
            (Start | Minus, b'0') => Zero,
            (Start | Minus | Digits, b'0'..=b'9') => {
                if !self.add_digit(digit) {
                    self.scale = self.scale.saturating_add(1);
                }
                Digits
            }
            (Point | Fraction, b'0'..=b'9') => {
                if self.add_digit(digit) {
                    self.scale = self.scale.saturating_sub(1);
                }
                Fraction
            }
            (E | Sign | Exponent, b'0'..=b'9') => {
                self.add_to_exponent(digit);
                Exponent
            }
            (Zero | Digits, b'.') => {
                self.is_float = true;
                self.is_long = false;
                Point
            }
            (Zero | Digits | Fraction, b'e' | b'E') => {
                self.is_float = true;
                E
            }
            (E, b'+') => Sign,
            (E, b'-') => {
                self.exponent_is_negative = true;
                Sign
            }
            (Zero, b'0'..=b'9') => return Step::Broken,
            (Zero | Digits | Fraction | Exponent, _) => return Step::Ended,
            _ => return Step::Broken,
        };
        Step::Part
    }

    /// Whether it may end here.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self.state, State::Zero | State::Digits | State::Fraction | State::Exponent)
    }

    /// Whether there was room for the digit.
    fn add_digit(&mut self, digit: u8) -> bool {
        let more = self.significand.checked_mul(10).and_then(|n| n.checked_add(digit.into()));
        match more.filter(|_| !self.is_long) {
            Some(more) => self.significand = more,
            None => self.is_long = true,
        }
        !self.is_long
    }

    fn add_to_exponent(&mut self, digit: u8) {
        let more = self.exponent.checked_mul(10).and_then(|n| n.checked_add(digit.into()));
        match more {
            Some(more) if !self.exponent_is_long => self.exponent = more,
            _ => self.exponent_is_long = true,
        }
    }

    pub(super) fn value(&self) -> Value {
        if !self.is_float && !self.is_long {
            return match (self.negative, self.significand) {
                (false, value) => Value::Unsigned(value),
                (true, 0) => Value::Float(-0.0),
                (true, value) => match 0_i64.checked_sub_unsigned(value) {
                    Some(value) => Value::Negative(value),
                    None => self.float(0),
                },
            };
        }
        if self.exponent_is_long {
            return match self.significand {
                1.. if !self.exponent_is_negative => Value::TooLarge,
                _ => Value::Float(if self.negative { -0.0 } else { 0.0 }),
            };
        }
        let exponent = if self.exponent_is_negative { -self.exponent } else { self.exponent };
        self.float(self.scale.saturating_add(exponent))
    }

    fn float(&self, exponent: i32) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "what a float is")]
        let mut float = self.significand as f64;
        let mut exponent = exponent;
        // Dividing by a power of ten is exacter than multiplying by its inverse.
        while exponent < -MOST && float != 0.0 {
            float /= power_of_ten(MOST);
            exponent += MOST;
        }
        if float != 0.0 {
            match exponent {
                0..=MOST => float *= power_of_ten(exponent),
                ..0 => float /= power_of_ten(-exponent),
                _ => return Value::TooLarge,
            }
        }
        match float.is_infinite() {
            true => Value::TooLarge,
            false => Value::Float(if self.negative { -float } else { float }),
        }
    }
}

/// The largest power of ten that a double holds.
const MOST: i32 = 308;

/// The double nearest to 10 to the `exponent`, from 0 to [`MOST`].
fn power_of_ten(exponent: i32) -> f64 {
    let exponent = usize::try_from(exponent).unwrap_or(0);
    POWERS.get(exponent).copied().unwrap_or(f64::INFINITY)
}

static POWERS: std::sync::LazyLock<[f64; 309]> = std::sync::LazyLock::new(|| {
    std::array::from_fn(|exponent| format!("1e{exponent}").parse().unwrap_or(f64::INFINITY))
});

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The value of a text that is a number and nothing else.
    fn read(text: &str) -> Option<Value> {
        let mut number = Number::NEW;
        let is_part = |byte| number.step(byte) == Step::Part;
        let is_number = text.bytes().all(is_part) && number.is_whole();
        is_number.then(|| number.value())
    }

    fn expected(text: &str) -> Option<Value> {
        match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) => Some(match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(value), ..) => Value::Unsigned(value),
                (_, Some(value), _) => Value::Negative(value),
                (.., value) => Value::Float(value.unwrap()),
            }),
            // It is said to be out of range as soon as it is, whatever follows.
            Err(error) if error.to_string().starts_with("number out of range") => {
                let is_number = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
                is_number.then_some(Value::TooLarge)
            }
            Err(_) => None,
        }
    }

    fn is_same(text: &str) -> bool {
        match (read(text), expected(text)) {
            (Some(Value::Float(a)), Some(Value::Float(b))) => a.to_bits() == b.to_bits(),
            (a, b) => a == b,
        }
    }

    #[test]
    fn numbers_are_read_as_serde_json_reads_them() {
        for text in [
            "0",
            "-0",
            "7",
            "-7",
            "007",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "1E-7",
            "1.50",
            "0.1e1",
            "18446744073709551615",
            "18446744073709551616",
            "-9223372036854775808",
            "-9223372036854775809",
            "123456789012345678901234567890",
            "1e308",
            "1e309",
            "1.8e308",
            "1.7976931348623157e308",
            "17976931348623158e292",
            "17976931348623159e292",
            "1e-400",
            "0e999",
            "1e99999999999",
            "1e-99999999999",
            "0e99999999999",
            "-1e999",
            "1e-308",
            "4.9e-324",
            "0.00000000000000000000000000000001",
            "1e2147483647",
            "1e2147483648",
            "1E309E",
        ] {
            assert!(is_same(text), "{text}: {:?} {:?}", read(text), expected(text));
        }
        let [long, fits, exceeds] = [400, 308, 309].map(|len| "9".repeat(len));
        for text in [&fits, &exceeds, &long, &format!("0.{long}"), &format!("{long}e-200")] {
            assert!(is_same(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_number_is_read_as_serde_json_reads_it(
            text in "-?[0-9]{0,22}(\\.[0-9]{0,24})?([eE][+-]?[0-9]{0,3})?", other in "[-+0-9.eE]{0,12}",
        ) {
            prop_assert!(is_same(&text), "{}: {:?} {:?}", text, read(&text), expected(&text));
            prop_assert!(is_same(&other), "{}", other);
        }
    }
}

//! Numbers, `true`, `false` and `null`.

use super::count::whole_number;
use super::find;
use super::number::{Number, Step, Value};
use super::scanner::{Literal, Scanner, State};
use super::{Fault, Reader, Scalar};

/// Digits that a u64 holds, whatever they are.
const SAFE_DIGITS: usize = 18;

impl<P: Copy, const DEPTH: usize> Scanner<P, DEPTH> {
    pub(super) fn begin_scalar<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let byte = bytes.get(at).copied().unwrap_or_default();
        self.value_at = self.base.wrapping_add(at);
        if !R::STRICT {
            return match byte {
                b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I' => {
                    self.text.clear();
                    self.state = State::InScalar;
                    self.read_scalar(bytes, at, reader)
                }
                _ => Err(Fault::Syntax),
            };
        }
        let literal = match byte {
            b'-' | b'0'..=b'9' => return self.begin_number(bytes, at, reader),
            b't' => Literal::True,
            b'f' => Literal::False,
            b'n' => Literal::Null,
            _ => return Err(Fault::Syntax),
        };
        if bytes.get(at..).is_some_and(|rest| rest.starts_with(literal.written())) {
            self.tell_scalar(literal.scalar(), reader)?;
            return Ok(at + literal.written().len());
        }
        self.state = State::InLiteral(literal, 1);
        Ok(at + 1)
    }

    pub(super) fn read_literal<R: Reader<Place = P>>(
        &mut self,
        literal: Literal,
        len: u8,
        byte: u8,
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let written = literal.written();
        if written.get(usize::from(len)) != Some(&byte) {
            return Err(Fault::Syntax);
        }
        if usize::from(len) + 1 == written.len() {
            self.tell_scalar(literal.scalar(), reader)?;
        } else {
            self.state = State::InLiteral(literal, len + 1);
        }
        Ok(at + 1)
    }

    fn tell_scalar<R: Reader<Place = P>>(
        &mut self,
        scalar: Scalar,
        reader: &mut R,
    ) -> Result<(), Fault> {
        if let Some(place) = self.value {
            reader.scalar(place, scalar, self.value_at)?;
        }
        self.end_value();
        Ok(())
    }

    fn begin_number<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let rest = bytes.get(at..).unwrap_or_default();
        if let Some(place) = self.value.filter(|place| self.may_count && reader.only_counts(*place))
        {
            let numbers = find::numbers(rest);
            if numbers.len > 0 && self.is_in_array() {
                reader.numbers(place, numbers.count, numbers.digits);
                self.state = State::Value;
                return Ok(at + numbers.len);
            }
            self.may_count = false;
        }
        if let Some((value, len)) = short_number(rest) {
            self.tell_scalar(Scalar::Unsigned(value), reader)?;
            return Ok(at + len);
        }
        self.number = Number::NEW;
        self.state = State::InNumber;
        self.read_number(bytes, at, reader)
    }

    fn is_in_array(&self) -> bool {
        matches!(self.container(), Some((_, super::Container::Array)))
    }

    pub(super) fn read_number<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let mut number = self.number;
        for (len, byte) in bytes.get(at..).unwrap_or_default().iter().enumerate() {
            match number.step(*byte) {
                Step::Part => {}
                Step::Ended => {
                    self.number = number;
                    self.end_number(reader)?;
                    return Ok(at + len);
                }
                Step::Broken => return Err(Fault::Syntax),
            }
        }
        self.number = number;
        Ok(bytes.len())
    }

    pub(super) fn end_number<R: Reader<Place = P>>(&mut self, reader: &mut R) -> Result<(), Fault> {
        let scalar = match self.number.value() {
            Value::Unsigned(value) => Scalar::Unsigned(value),
            Value::Negative(value) => Scalar::Negative(value),
            Value::Float(value) => Scalar::Float(value),
            Value::TooLarge => Scalar::Other,
        };
        self.tell_scalar(scalar, reader)
    }

    /// Reads a scalar of a document that is only read along.
    pub(super) fn read_scalar<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let rest = bytes.get(at..).unwrap_or_default();
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        let len = rest.iter().position(|byte| !is_part(byte));
        if self.value.is_some() {
            self.text.push(rest.get(..len.unwrap_or(rest.len())).unwrap_or(rest));
        }
        let Some(len) = len else { return Ok(bytes.len()) };
        let scalar = match self.text.string().whole() {
            Some(b"null") => Scalar::Null,
            Some(b"true") => Scalar::Bool(true),
            Some(b"false") => Scalar::Bool(false),
            Some(number) => whole_number(number).map_or(Scalar::Other, Scalar::Unsigned),
            None => Scalar::Other,
        };
        self.tell_scalar(scalar, reader)?;
        Ok(at + len)
    }
}

impl Literal {
    fn written(self) -> &'static [u8] {
        match self {
            Self::True => b"true",
            Self::False => b"false",
            Self::Null => b"null",
        }
    }

    fn scalar(self) -> Scalar {
        match self {
            Self::True => Scalar::Bool(true),
            Self::False => Scalar::Bool(false),
            Self::Null => Scalar::Null,
        }
    }
}

/// A whole number of few digits, not negative, whose end is in sight; and its length.
#[inline]
fn short_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (len, byte) in bytes.iter().enumerate().take(SAFE_DIGITS + 1) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            let is_whole = len > 0 && !matches!(byte, b'.' | b'e' | b'E');
            let leads_with_zero = len > 1 && bytes.first() == Some(&b'0');
            return (is_whole && !leads_with_zero).then_some((value, len));
        }
        value = value.wrapping_mul(10).wrapping_add(digit.into());
    }
    None
}

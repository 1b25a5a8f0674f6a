//! The values of an entry's fields: from JSON to what they mean.

use serde_json::Value;

use super::field::Field;
use super::{Digest, Problem};
use crate::address::Cidr;
use crate::clock::UnixSeconds;
use crate::principal::is_valid_name;

pub(super) fn as_str<'v>(value: &'v Field<'v>) -> Result<&'v str, Problem> {
    value.as_str().ok_or(Problem::WrongType("a string"))
}

pub(super) fn as_bool(value: &Field<'_>) -> Result<bool, Problem> {
    value.as_bool().ok_or(Problem::WrongType("true or false"))
}

pub(super) fn as_name<'v>(value: &'v Field<'v>) -> Result<&'v str, Problem> {
    Some(as_str(value)?).filter(|name| is_valid_name(name)).ok_or(Problem::InvalidName)
}

/// The elements of an array that restricts the key to something.
fn as_restriction<'v>(value: &'v Field<'v>) -> Result<&'v [Value], Problem> {
    let elements = value.as_array().ok_or(Problem::WrongType("an array of strings"))?;
    if elements.is_empty() {
        return Err(Problem::EmptyRestriction);
    }
    Ok(elements)
}

pub(super) fn as_names<'v>(value: &'v Field<'v>) -> Result<Vec<&'v str>, Problem> {
    let elements = as_restriction(value)?.iter().enumerate();
    elements
        .map(|(position, element)| {
            let name = element.as_str().filter(|name| is_valid_name(name));
            name.ok_or(Problem::InvalidElement(position))
        })
        .collect()
}

pub(super) fn as_cidrs<'v>(value: &'v Field<'v>) -> Result<Vec<&'v str>, Problem> {
    let elements = as_restriction(value)?.iter().enumerate();
    elements
        .map(|(position, element)| {
            let text = element.as_str().ok_or(Problem::WrongType("an array of strings"))?;
            let cidr: Result<Cidr, _> = text.parse();
            cidr.map(|_| text).map_err(|error| Problem::InvalidCidr(position, error))
        })
        .collect()
}

/// What `sha256sum` prints for an empty input.
const HASH_OF_NOTHING: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// One spelling only, so that an operator who searches the file for a hash finds it.
pub(super) fn as_digest(value: &Field<'_>) -> Result<Digest, Problem> {
    let digits = as_str(value)?.strip_prefix("sha256:").ok_or(Problem::InvalidHash)?.as_bytes();
    if digits.len() != 64 {
        return Err(Problem::InvalidHash);
    }
    if digits == HASH_OF_NOTHING {
        return Err(Problem::HashOfNothing);
    }
    // Without branches: which digits of a hash are letters, no processor can guess.
    let (mut digest, mut is_hex) = ([0; 32], true);
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
            let nibble = if number < 10 { number } else { letter.wrapping_add(10) };
            is_hex &= number < 10 || letter < 6;
            *byte = *byte << 4 | nibble & 15;
        }
    }
    if !is_hex {
        return Err(Problem::InvalidHash);
    }
    Ok(Digest(digest))
}

/// Where a fraction of a second goes.
pub(super) enum Rounding {
    Up,
    Down,
}

pub(super) fn as_date(value: &Field<'_>, rounding: Rounding) -> Result<UnixSeconds, Problem> {
    let text = as_str(value)?;
    if !is_rfc3339(text.as_bytes()) {
        return Err(Problem::InvalidDate);
    }
    let date: jiff::Timestamp = text.parse().map_err(|_| Problem::InvalidDate)?;
    // `as_second` rounds towards 1970.
    let seconds = match (rounding, date.subsec_nanosecond().signum()) {
        (Rounding::Up, 1) => date.as_second() + 1,
        (Rounding::Down, -1) => date.as_second() - 1,
        _ => date.as_second(),
    };
    Ok(UnixSeconds(seconds))
}

/// The grammar of RFC 3339 section 5.6, with upper-case `T` and `Z`. jiff reads more than that
/// (no seconds, a space, a time zone in brackets), other programs that read the file may not.
fn is_rfc3339(text: &[u8]) -> bool {
    fn matches(text: &[u8], pattern: &[u8]) -> bool {
        text.len() == pattern.len()
            && text.iter().zip(pattern).all(|(&byte, &wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                _ => byte == wanted,
            })
    }

    let Some((date, rest)) = text.split_at_checked("2027-01-01T00:00:00".len()) else {
        return false;
    };
    let offset = match rest {
        [b'.', fraction @ ..] => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            match fraction.split_at_checked(digits) {
                Some((fraction, offset)) if !fraction.is_empty() => offset,
                _ => return false,
            }
        }
        offset => offset,
    };
    matches(date, b"0000-00-00T00:00:00")
        && match offset {
            b"Z" => true,
            [b'+' | b'-', time @ ..] => {
                matches(time, b"00:00") && time < b"24:00" && time.get(3).is_some_and(|&b| b < b'6')
            }
            _ => false,
        }
}

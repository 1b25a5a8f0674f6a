//! The values of an entry's fields: from JSON to what they mean.

use serde_json::Value;

use super::digest::Digest;
use super::error::Problem;
use super::field::Field;
use crate::address::Cidr;
use crate::cert::CertName;
use crate::clock::UnixMillis;
use crate::pattern::Foreign;
use crate::permissions::scopes::Scope;
use crate::principal::{is_valid_name, MAX_NAME_LEN};
use crate::rfc3339;

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

pub(super) fn as_scopes<'v>(value: &'v Field<'v>) -> Result<Vec<&'v str>, Problem> {
    let names = as_names(value)?;
    match names.iter().position(|name| Scope::from_name(name).is_none()) {
        Some(position) => Err(Problem::UnknownScope(position)),
        None => Ok(names),
    }
}

pub(super) fn as_models<'v>(value: &'v Field<'v>) -> Result<Vec<&'v str>, Problem> {
    let names = as_names(value)?;
    let mut foreign = names.iter().enumerate().filter_map(|(position, name)| {
        Foreign::find(name).map(|foreign| Problem::ForeignPattern(position, foreign))
    });
    match foreign.next() {
        Some(problem) => Err(problem),
        None => Ok(names),
    }
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

pub(super) fn as_denied_cidrs<'v>(value: &'v Field<'v>) -> Result<Vec<&'v str>, Problem> {
    as_cidrs(value).map_err(|problem| match problem {
        Problem::EmptyRestriction => Problem::EmptyDenial,
        other => other,
    })
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

/// The name of a certificate, and what it is found by.
pub(super) fn as_cert(value: &Field<'_>) -> Result<Digest, Problem> {
    let name = CertName::parse(as_str(value)?).map_err(Problem::InvalidCert)?;
    Ok(Digest::of(name.as_str().as_bytes()))
}

/// Where a fraction of a millisecond goes.
pub(super) enum Rounding {
    Up,
    Down,
}

pub(super) fn as_date(value: &Field<'_>, rounding: Rounding) -> Result<UnixMillis, Problem> {
    let (seconds, nanos) = rfc3339::seconds(as_str(value)?).ok_or(Problem::InvalidDate)?;
    let millis = match rounding {
        Rounding::Up => (nanos + 999_999) / 1_000_000,
        Rounding::Down => nanos / 1_000_000,
    };
    Ok(UnixMillis(seconds * 1000 + millis))
}

/// A date, as it is written.
pub(super) fn as_date_text<'v>(value: &'v Field<'v>) -> Result<&'v str, Problem> {
    as_date(value, Rounding::Down)?;
    Some(as_str(value)?).filter(|text| text.len() <= MAX_NAME_LEN).ok_or(Problem::InvalidDate)
}

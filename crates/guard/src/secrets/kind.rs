//! One kind of credential.

use std::borrow::Cow;

use crate::detector::{Candidate, Detector, Family};
use crate::words::Words;

/// Whether a candidate is one.
pub(super) type Check = fn(&Candidate<'_>, bool) -> Option<u8>;

/// A detector of credentials with these parts.
pub(super) fn detector(
    name: &'static str,
    label: &'static str,
    pattern: &'static str,
    context: &'static [&'static str],
    check: Check,
) -> Detector {
    Detector {
        family: Family::Secrets,
        name: Cow::Borrowed(name),
        label: Cow::Borrowed(label),
        pattern: Cow::Borrowed(pattern),
        context: Words::of(context),
        check: Some(check),
        lead: None,
    }
}

/// The same, of which only what is behind the name of a value is one.
pub(super) fn named(detector: Detector, lead: fn(&str) -> usize) -> Detector {
    Detector { lead: Some(lead), ..detector }
}

/// Whether it is no part of a longer word.
pub(super) fn stands_alone(candidate: &Candidate<'_>) -> bool {
    begins_alone(candidate) && !candidate.behind().is_some_and(is_part)
}

/// Whether no word goes on in it. A line feed that is written as `\n` is none.
pub(super) fn begins_alone(candidate: &Candidate<'_>) -> bool {
    let before = candidate.before();
    match before.chars().next_back() {
        Some('n' | 'r' | 't') => {
            let before = before.as_bytes();
            before.len() > 1 && before.get(before.len() - 2) == Some(&b'\\')
        }
        Some(c) => !is_part(c) && c != '-',
        None => true,
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

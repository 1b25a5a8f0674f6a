//! Credentials.
//!
//! A kind is what an operator writes, and what logs name: `github_token`. The first word of several stands for all
//! of them: `github`. The examples of manuals, and what is written in the place of a value, are none:
//! `AKIAIOSFODNN7EXAMPLE`, `sk-xxxx`, `<token>`. A form of which little else is written scores 90 and more; others
//! score lower, and some of them below the threshold, where no word before them makes them likelier.

mod assigned;
mod jwt;
mod key_block;
mod tokens;
mod urls;
mod value;

use std::borrow::Cow;

use crate::detector::{Candidate, Detector, Family};

/// All detectors of credentials.
#[must_use]
pub fn detectors() -> Vec<Detector> {
    let mut all = vec![key_block::private_key(), key_block::putty_key(), jwt::jwt()];
    all.extend(tokens::detectors());
    all.extend(urls::detectors());
    all.extend(assigned::detectors());
    all
}

/// The detectors of a kind, or of all kinds that begin with this word. `None`: there is no such kind.
#[must_use]
pub fn kind(name: &str) -> Option<Vec<Detector>> {
    let is_of = |detector: &Detector| {
        detector
            .name
            .strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    };
    let found: Vec<_> = detectors().into_iter().filter(is_of).collect();
    (!found.is_empty()).then_some(found)
}

/// Whether a candidate is one.
type Check = fn(&Candidate<'_>, bool) -> Option<u8>;

fn detector(
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
        context,
        check: Some(check),
        lead: None,
    }
}

/// The same, of which only what is behind the name of a value is one.
fn named(detector: Detector, lead: fn(&str) -> usize) -> Detector {
    Detector { lead: Some(lead), ..detector }
}

/// Whether it is no part of a longer word. A line feed that is written as `\n` is none.
fn stands_alone(candidate: &Candidate<'_>) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if candidate.behind().is_some_and(is_part) {
        return false;
    }
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

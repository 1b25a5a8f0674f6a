//! What many numbers of states have in common.

use crate::detector::Candidate;
use crate::pii::edges;

/// Whether it is written with signs or blanks between its digits.
pub(super) fn is_grouped(candidate: &Candidate<'_>) -> bool {
    !candidate.text().bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether the same sign stands between all of its groups.
pub(super) fn is_even(candidate: &Candidate<'_>) -> bool {
    let mut signs = candidate.text().bytes().filter(|byte| !byte.is_ascii_alphanumeric());
    let first = signs.next();
    first.is_none() || signs.all(|sign| Some(sign) == first)
}

/// Whether a letter of it is in lower case: of codes in capitals, that is seldom one.
pub(super) fn is_small(candidate: &Candidate<'_>) -> bool {
    candidate.text().bytes().any(|byte| byte.is_ascii_lowercase())
}

/// Its letters and digits without what stands between them, in capitals.
pub(super) fn plain(candidate: &Candidate<'_>) -> String {
    let all = candidate.text().chars().filter(|c| c.is_alphanumeric());
    all.flat_map(char::to_uppercase).collect()
}

/// What a digit counts, and a letter from 10 for A on.
pub(super) fn value(byte: u8) -> u64 {
    match byte {
        b'0'..=b'9' => u64::from(byte - b'0'),
        b'A'..=b'Z' => u64::from(byte - b'A') + 10,
        _ => 0,
    }
}

/// Whether the candidate is the middle of something longer.
pub(super) fn is_part(candidate: &Candidate<'_>) -> bool {
    edges::is_continued(candidate) || edges::precedes(candidate, &['-', '_'])
}

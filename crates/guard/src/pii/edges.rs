//! What stands beside a candidate, and shows that it is a part of something else.

use crate::detector::Candidate;

/// Whether the candidate is the rest of a longer number or name: `0.` before it, `a1-`, as in a UUID, or `№ 1234/`.
pub(super) fn is_continued(candidate: &Candidate<'_>) -> bool {
    let mut before = candidate.before().bytes().rev();
    match before.next() {
        Some(b'.' | b',' | b'/' | b':') => before.next().is_some_and(|byte| byte.is_ascii_digit()),
        Some(b'-') => {
            before.take_while(u8::is_ascii_alphanumeric).any(|byte| byte.is_ascii_digit())
        }
        _ => false,
    }
}

/// Whether a letter or digit of ASCII, or one of these characters, stands right before it.
pub(super) fn follows(candidate: &Candidate<'_>, others: &[u8]) -> bool {
    candidate
        .before()
        .bytes()
        .next_back()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
}

/// Whether a letter or digit of ASCII, or one of these characters, stands right behind it.
pub(super) fn precedes(candidate: &Candidate<'_>, others: &[char]) -> bool {
    candidate.behind().is_some_and(|c| c.is_ascii_alphanumeric() || others.contains(&c))
}

/// Whether a group of four and a blank stand before it: it is the rest of a longer row of groups, of digits, of a dump's
/// bytes, or of the number of an account (`ES35 6831`, `NL08 JBRA 0844`).
pub(super) fn follows_group(candidate: &Candidate<'_>) -> bool {
    let Some(before) = candidate.before().strip_suffix(' ') else { return false };
    let mut words = before.rsplit(|c: char| !c.is_ascii_alphanumeric());
    let last = words.next().unwrap_or_default().as_bytes();
    let is_country = |word: &[u8]| match word {
        [a, b, c, d] => {
            a.is_ascii_uppercase()
                && b.is_ascii_uppercase()
                && c.is_ascii_digit()
                && d.is_ascii_digit()
        }
        _ => false,
    };
    let digits = last.iter().filter(|byte| byte.is_ascii_digit()).count();
    last.len() == 4
        && (last.iter().all(u8::is_ascii_hexdigit)
            || is_country(last)
            || (digits == 3
                && last.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase()))
            || (digits == 0 && words.next().is_some_and(|word| is_country(word.as_bytes()))))
}

/// Whether digits and a blank stand before it: it is one of a row of numbers.
pub(super) fn follows_number(candidate: &Candidate<'_>) -> bool {
    candidate.before().strip_suffix([' ', '\t']).is_some_and(|before| {
        let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The text before it back to the last blank: what it is written in one piece with.
pub(super) fn joined<'t>(candidate: &Candidate<'t>) -> &'t str {
    let before = candidate.before();
    before.rsplit(char::is_whitespace).next().unwrap_or_default()
}

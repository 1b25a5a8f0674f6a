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

/// Whether four digits and a blank stand before it: it is the rest of a longer row of groups.
pub(super) fn follows_group(candidate: &Candidate<'_>) -> bool {
    let mut before = candidate.before().bytes().rev();
    before.next() == Some(b' ') && before.take_while(u8::is_ascii_hexdigit).count() == 4
}

/// The text before it back to the last blank: what it is written in one piece with.
pub(super) fn joined<'t>(candidate: &Candidate<'t>) -> &'t str {
    let before = candidate.before();
    before.rsplit(char::is_whitespace).next().unwrap_or_default()
}

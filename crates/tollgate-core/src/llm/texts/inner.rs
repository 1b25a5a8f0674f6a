//! Texts that are JSON themselves, as what tools are called with is: what of them can be changed so that they stay JSON.

use std::ops::Range;

/// A scalar, or the name of a member.
enum Token {
    /// What stands between the quotes of a string.
    String(Range<usize>),
    /// A number, or a word.
    Bare(Range<usize>),
}

/// A part of a text, which is all or nothing of each escape and of a number.
pub(super) struct Part {
    pub(super) range: Range<usize>,
    pub(super) is_in_string: bool,
}

/// What can be changed of `said` where `found` is to be. `None`: it is no JSON.
pub(super) fn parts(said: &str, found: &Range<usize>) -> Option<Vec<Part>> {
    serde_json::from_str::<serde::de::IgnoredAny>(said).ok()?;
    let mut all = Vec::new();
    for token in tokens(said.as_bytes()) {
        match token {
            Token::String(inner) if inner.start < found.end && found.start < inner.end => {
                let range = whole_escapes(said.as_bytes(), &inner, found);
                if !range.is_empty() {
                    all.push(Part { range, is_in_string: true });
                }
            }
            Token::Bare(range) if range.start < found.end && found.start < range.end => {
                all.push(Part { range, is_in_string: false });
            }
            Token::String(_) | Token::Bare(_) => {}
        }
    }
    Some(all)
}

/// The tokens of what is known to be JSON, in order.
fn tokens(json: &[u8]) -> impl Iterator<Item = Token> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || loop {
        let start = at;
        let first = *json.get(at)?;
        let rest = json.get(at..)?;
        match first {
            b'"' => {
                let mut end = start + 1;
                while *json.get(end)? != b'"' {
                    end += if *json.get(end)? == b'\\' { 2 } else { 1 };
                }
                at = end + 1;
                return Some(Token::String(start + 1..end));
            }
            b'{' | b'}' | b'[' | b']' | b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let is_end = |byte: &u8| b"{}[],: \t\r\n\"".contains(byte);
                at += rest.iter().position(is_end).unwrap_or(rest.len());
                return Some(Token::Bare(start..at));
            }
        }
    })
}

/// What of `found` is in a string, without the rest of an escape with which it would begin, and with all of the one with
/// which it ends.
fn whole_escapes(json: &[u8], inner: &Range<usize>, found: &Range<usize>) -> Range<usize> {
    let (from, to) = (found.start.max(inner.start), found.end.min(inner.end));
    let (mut start, mut end) = (None, from);
    let mut at = inner.start;
    while at < to {
        if at >= from {
            start = start.or(Some(at));
        }
        at += match json.get(at..at + 2) {
            Some([b'\\', b'u']) if is_high(json, at) => 12,
            Some([b'\\', b'u']) => 6,
            Some([b'\\', _]) => 2,
            _ => 1,
        };
        end = at;
    }
    let start = start.unwrap_or(end);
    start..end.max(start).min(inner.end)
}

/// Whether the escape here is the first half of a pair, with its other half behind it.
fn is_high(json: &[u8], at: usize) -> bool {
    let half = |at: usize, third: &[u8]| {
        let is_half = |four: &[u8]| four.starts_with(b"\\ud") || four.starts_with(b"\\uD");
        json.get(at..at + 4)
            .is_some_and(|four| is_half(four) && four.last().is_some_and(|c| third.contains(c)))
    };
    half(at, b"89abAB") && half(at + 6, b"cdefCDEF")
}

//! Texts in which a short sign stands for each letter: Morse, bytes as binary, hexadecimal or decimal numbers.

use std::ops::Range;

use super::super::blocks::{Blocks, BLOCK, SIGNS};
use super::super::words::text_of;
use super::found::Found;

/// The fewest signs that are read as a text.
const FEWEST: usize = 6;

/// The longest sign, in bytes: eight binary digits with `0b` before them.
const LONGEST: usize = 10;

/// ITU-R M.1677-1, letters and digits.
const MORSE: [(&str, char); 36] = [
    (".-", 'a'),
    ("-...", 'b'),
    ("-.-.", 'c'),
    ("-..", 'd'),
    (".", 'e'),
    ("..-.", 'f'),
    ("--.", 'g'),
    ("....", 'h'),
    ("..", 'i'),
    (".---", 'j'),
    ("-.-", 'k'),
    (".-..", 'l'),
    ("--", 'm'),
    ("-.", 'n'),
    ("---", 'o'),
    (".--.", 'p'),
    ("--.-", 'q'),
    (".-.", 'r'),
    ("...", 's'),
    ("-", 't'),
    ("..-", 'u'),
    ("...-", 'v'),
    (".--", 'w'),
    ("-..-", 'x'),
    ("-.--", 'y'),
    ("--..", 'z'),
    (".----", '1'),
    ("..---", '2'),
    ("...--", '3'),
    ("....-", '4'),
    (".....", '5'),
    ("-....", '6'),
    ("--...", '7'),
    ("---..", '8'),
    ("----.", '9'),
    ("-----", '0'),
];

/// What a sign is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Morse,
    Number(u32),
}

/// Adds the texts of rows of signs.
pub(super) fn read(text: &str, blocks: &Blocks, found: &mut Found<'_>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for block in blocks.with(SIGNS) {
        let mut at = row_start(bytes, block.start, done).max(done);
        while at < block.end {
            at = row(text, at, found).max(at + 1);
            done = at;
        }
    }
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'/' | b'|' | b';')
}

/// Where the sign begins in which this place is, or one of the same row a few signs before it.
fn row_start(bytes: &[u8], at: usize, done: usize) -> usize {
    let from = at.saturating_sub(BLOCK).max(done).min(at);
    let mut start = at;
    while start > from
        && bytes.get(start - 1).is_some_and(|byte| is_of_sign(*byte) || is_between(*byte))
    {
        start -= 1;
    }
    start
}

fn is_of_sign(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b'-' | b'_' | b'x')
}

/// Reads one row of signs from here on. Returns how far it looked.
fn row(text: &str, from: usize, found: &mut Found<'_>) -> usize {
    let bytes = text.as_bytes();
    let rest = bytes.get(from..).unwrap_or_default();
    let start = from + rest.iter().take_while(|byte| is_between(**byte)).count();
    let mut end = start;
    let first = sign(bytes, start).and_then(|sign| bytes.get(sign)).unwrap_or_default();
    // Most words are of no kind.
    let is_of_number = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'x' | b'+');
    let may_be =
        first.iter().all(is_of_number) || matches!(first.first(), Some(b'.' | b'-' | b'_'));
    for kind in [Kind::Morse, Kind::Number(2), Kind::Number(16), Kind::Number(10)] {
        if !may_be || letter(first, kind).is_none() || !is_long_enough(bytes, start, kind) {
            continue;
        }
        let (out, to) = signs(bytes, start, kind);
        if out.len() < FEWEST {
            continue;
        }
        end = end.max(to);
        if kind == Kind::Morse && !is_varied(&out) {
            continue;
        }
        if let Some(decoded) = text_of(&out, FEWEST) {
            found.text(decoded, start..to);
        }
    }
    if end > start {
        return end;
    }
    // The next row begins behind this word.
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| !is_between(**byte)).count()
}

/// Whether there are more than a few letters: lines and lists are made of dots and dashes, too.
fn is_varied(letters: &[u8]) -> bool {
    let mut kinds: Vec<u8> = letters.iter().copied().take(64).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.len() > 4
}

/// Whether as many signs of this kind follow each other as are read as a text, but for blanks of Morse.
fn is_long_enough(bytes: &[u8], start: usize, kind: Kind) -> bool {
    let mut at = start;
    for _ in 0..FEWEST / 2 {
        let Some(sign) = sign(bytes, at) else { return false };
        let end = sign.end;
        if letter(bytes.get(sign).unwrap_or_default(), kind).is_none() {
            return false;
        }
        let rest = bytes.get(end..).unwrap_or_default();
        at = end + rest.iter().take_while(|byte| is_between(**byte)).count();
    }
    true
}

/// What signs of this kind say from here on, and where they end.
fn signs(bytes: &[u8], start: usize, kind: Kind) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let (mut at, mut end) = (start, start);
    while let Some(sign) = sign(bytes, at) {
        let Some(letter) = letter(bytes.get(sign.clone()).unwrap_or_default(), kind) else { break };
        out.push(letter);
        end = sign.end;
        let rest = bytes.get(end..).unwrap_or_default();
        let gap = rest.iter().take_while(|byte| is_between(**byte)).count();
        // In Morse, more than a space ends a word.
        let is_wide = gap > 1 || rest.first().is_some_and(|byte| *byte != b' ');
        if kind == Kind::Morse && is_wide {
            out.push(b' ');
        }
        if gap == 0 {
            break;
        }
        at = end + gap;
    }
    (out, end)
}

fn sign(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = bytes.get(at..)?;
    let length = rest.iter().take(LONGEST + 1).take_while(|byte| !is_between(**byte)).count();
    (length != 0 && length <= LONGEST).then_some(at..at + length)
}

/// The letter that a sign of this kind stands for.
fn letter(sign: &[u8], kind: Kind) -> Option<u8> {
    match kind {
        Kind::Morse => morse(sign),
        Kind::Number(radix) => number(sign, radix),
    }
}

fn strip(sign: &[u8], radix: u32) -> &[u8] {
    let mark: &[u8] = match radix {
        2 => b"0b",
        16 => b"0x",
        _ => b"",
    };
    sign.strip_prefix(mark).unwrap_or(sign)
}

fn number(sign: &[u8], radix: u32) -> Option<u8> {
    let digits = strip(sign, radix);
    let lengths = match radix {
        2 => 6..=8,
        16 => 2..=2,
        _ => 2..=3,
    };
    if !lengths.contains(&digits.len()) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

fn morse(sign: &[u8]) -> Option<u8> {
    if !sign.iter().all(|byte| matches!(byte, b'.' | b'-' | b'_')) {
        return None;
    }
    let plain: String = sign.iter().map(|byte| if *byte == b'.' { '.' } else { '-' }).collect();
    let (_, letter) = MORSE.iter().find(|(code, _)| *code == plain)?;
    u8::try_from(*letter).ok()
}

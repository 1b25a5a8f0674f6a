//! Characters that are written by their number or name: `%69`, `&#105;`, `&commat;`, `\u0069`, `\x69`, `=69`.

use super::super::blocks::{Blocks, ESCAPES};
use super::super::map::Copy;
use super::super::normalised::folded;
use super::super::parts::Parts;

/// How much stands around an escape in a copy, in bytes. As much as is looked at before what is found.
const AROUND: usize = 64;

/// The longest name of an entity, with `&` and `;`.
const LONGEST_NAME: usize = 33;

/// The most backslashes before an escape: of strings in strings, four deep.
const MOST_BACKSLASHES: usize = 16;

/// The most escapes in a row that are bytes of the same characters.
const LONGEST_ROW: usize = 64;

/// The parts of a text in which characters are escaped, as they are without that.
pub(super) fn read(text: &str, blocks: &Blocks) -> Option<Copy> {
    let mut parts = Parts::new(text, AROUND);
    let bytes = text.as_bytes();
    for block in blocks.with(ESCAPES) {
        let mut at = block.start.max(parts.end());
        while let Some(found) =
            bytes.get(at..block.end).and_then(|rest| rest.iter().position(|byte| is_start(*byte)))
        {
            at += found;
            at = one(text, at, &mut parts).unwrap_or(at + 1);
        }
    }
    parts.finish()
}

fn is_start(byte: u8) -> bool {
    matches!(byte, b'%' | b'&' | b'\\' | b'=')
}

/// Reads the escape here. Returns where it ends.
fn one(text: &str, at: usize, parts: &mut Parts<'_>) -> Option<usize> {
    let rest = text.as_bytes().get(at..)?;
    match rest {
        [b'%', b'u', ..] => code(text, at, at + 2, 4, parts),
        [b'%', ..] => row(rest, at, b"%", false, parts),
        [b'\\', b'x', ..] => row(rest, at, b"\\x", false, parts),
        // The end of a line that is underlined with them is no soft break.
        [b'=', b'\r' | b'\n', ..] if text.as_bytes().get(at.wrapping_sub(1)) == Some(&b'=') => None,
        [b'=', b'\n', ..] => Some(nothing(at..at + 2, parts)),
        [b'=', b'\r', b'\n', ..] => Some(nothing(at..at + 3, parts)),
        [b'=', ..] => row(rest, at, b"=", true, parts),
        // A string in a string: the backslash is escaped as well, once or several times.
        [b'\\', b'\\', ..] => {
            let more =
                rest.iter().take(MOST_BACKSLASHES).take_while(|byte| **byte == b'\\').count();
            let (mark, from) = (rest.get(more)?, at + more + 1);
            match mark {
                b'u' => code(text, at, from, 4, parts),
                b'x' => code(text, at, from, 2, parts),
                _ => Some(at + more),
            }
        }
        [b'\\', b'u', b'{', ..] => {
            let length = rest.iter().skip(3).take(7).position(|byte| *byte == b'}')?;
            let end = code(text, at, at + 3, length, parts)?;
            Some(end)
        }
        [b'\\', b'u', ..] => code(text, at, at + 2, 4, parts),
        [b'\\', b'U', ..] => code(text, at, at + 2, 8, parts),
        [b'\\', first @ b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', ..] => {
            octal(*first, rest, at, parts)
        }
        [b'&', b'#', ..] => number(text, at, parts),
        [b'&', ..] => named(text, at, parts),
        _ => None,
    }
}

fn nothing(range: std::ops::Range<usize>, parts: &mut Parts<'_>) -> usize {
    let end = range.end;
    parts.replace(range, "");
    end
}

fn put(character: char, range: std::ops::Range<usize>, parts: &mut Parts<'_>) -> usize {
    let end = range.end;
    let mut buffer = [0; 4];
    parts.replace(range, &folded(character.encode_utf8(&mut buffer)));
    end
}

fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits
        .iter()
        .try_fold(0u32, |sum, digit| Some(sum.checked_mul(16)? + char::from(*digit).to_digit(16)?))
}

/// A row of bytes, each with this before its two digits.
fn row(
    rest: &[u8],
    at: usize,
    before: &[u8],
    is_mail: bool,
    parts: &mut Parts<'_>,
) -> Option<usize> {
    let step = before.len() + 2;
    let mut row = [0u8; LONGEST_ROW];
    let mut length = 0;
    for (place, escape) in row.iter_mut().zip(rest.chunks_exact(step)) {
        let (start, digits) = escape.split_at(before.len());
        // Mail escapes in capitals, and but what it must: `a=10` is no escape.
        if start != before || (is_mail && digits.iter().any(u8::is_ascii_lowercase)) {
            break;
        }
        let Some(byte) = hex(digits).and_then(|code| u8::try_from(code).ok()) else { break };
        if is_mail && byte < b' ' {
            break;
        }
        *place = byte;
        length += 1;
    }
    let row = row.get(..length).filter(|row| !row.is_empty())?;
    // Mail escapes what it must, so that a single byte of ASCII is an equals sign, or a space at the end of a line.
    let is_end = || rest.get(step).is_none_or(|byte| matches!(byte, b'\r' | b'\n'));
    if is_mail
        && row.len() < 3
        && !row.iter().all(|byte| !byte.is_ascii() || *byte == b'=' || (*byte == b' ' && is_end()))
    {
        return None;
    }
    let mut done = 0;
    for chunk in row.utf8_chunks() {
        for character in chunk.valid().chars() {
            let from = at + done * step;
            done += character.len_utf8();
            put(character, from..at + done * step, parts);
        }
        for byte in chunk.invalid() {
            let from = at + done * step;
            done += 1;
            put(char::from(*byte), from..at + done * step, parts);
        }
    }
    Some(at + done * step)
}

/// A character by its number in so many hexadecimal digits, or two halves of one.
fn code(text: &str, at: usize, from: usize, length: usize, parts: &mut Parts<'_>) -> Option<usize> {
    let bytes = text.as_bytes();
    let end = from + length;
    let first = hex(bytes.get(from..end)?)?;
    let close = usize::from(bytes.get(end) == Some(&b'}') && bytes.get(from - 1) == Some(&b'{'));
    if let Some(character) = char::from_u32(first) {
        return Some(put(character, at..end + close, parts));
    }
    let second = match bytes.get(end..end + 6)? {
        [b'\\' | b'%', b'u', digits @ ..] => hex(digits)?,
        _ => return None,
    };
    let halves = [u16::try_from(first).ok()?, u16::try_from(second).ok()?];
    let character = char::decode_utf16(halves).next()?.ok()?;
    Some(put(character, at..end + 6, parts))
}

fn octal(first: u8, rest: &[u8], at: usize, parts: &mut Parts<'_>) -> Option<usize> {
    let digits = [first, *rest.get(2)?, *rest.get(3)?];
    let code = digits.iter().fold(0u32, |sum, digit| sum * 8 + u32::from(digit - b'0'));
    Some(put(char::from_u32(code)?, at..at + 4, parts))
}

/// `&#105;` or `&#x69;`: browsers need no semicolon.
fn number(text: &str, at: usize, parts: &mut Parts<'_>) -> Option<usize> {
    let rest = text.as_bytes().get(at + 2..)?;
    let (skip, radix) = if matches!(rest.first(), Some(b'x' | b'X')) { (1, 16) } else { (0, 10) };
    let digits = rest.iter().skip(skip).take(8);
    let length = digits.take_while(|digit| char::from(**digit).is_digit(radix)).count();
    let from = at + 2 + skip;
    let code = u32::from_str_radix(text.get(from..from + length)?, radix).ok()?;
    let end = from + length;
    let close = usize::from(text.as_bytes().get(end) == Some(&b';'));
    Some(put(char::from_u32(code)?, at..end + close, parts))
}

/// `&commat;`
fn named(text: &str, at: usize, parts: &mut Parts<'_>) -> Option<usize> {
    let rest = text.as_bytes().get(at..)?;
    let length = 1 + rest.iter().take(LONGEST_NAME).position(|byte| *byte == b';')?;
    let entity = text.get(at..at + length)?;
    if !entity.bytes().skip(1).take(length - 2).all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let plain = html_escape::decode_html_entities(entity);
    if plain == entity {
        return None;
    }
    parts.replace(at..at + length, &folded(&plain));
    Some(at + length)
}

//! What characters say that readers don't see, or don't read: tags, variation selectors, zero-width bits, Braille, and
//! alphabets that hold more than a byte.

use std::ops::Range;

use super::super::words::text_of;
use super::found::Found;

/// The fewest characters of a hidden text. Flags of regions have up to six tags.
const FEWEST: usize = 8;

/// What a character is a part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tags,
    Selectors,
    Bits,
    Braille,
    Base65536,
    Hexagrams,
}

fn kind(character: char) -> Option<Kind> {
    Some(match character as u32 {
        0xe_0020..=0xe_007e => Kind::Tags,
        0xfe00..=0xfe0f | 0xe_0100..=0xe_01ef => Kind::Selectors,
        0x200b..=0x200f | 0x2060..=0x2064 | 0xfeff | 0x180e => Kind::Bits,
        0x2800..=0x28ff => Kind::Braille,
        0x4dc0..=0x4dff => Kind::Hexagrams,
        _ => return None,
    })
}

/// Adds what is hidden.
pub(super) fn read(text: &str, found: &mut Found<'_>) {
    if text.is_ascii() {
        return;
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(high) =
        bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte >= 0x80))
    {
        at += high;
        let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) else { return };
        let kind = kind(character).or_else(|| base65536(character).map(|_| Kind::Base65536));
        let end = match kind {
            Some(kind) => row(text, at, kind, found),
            None => at,
        };
        at = end.max(at + character.len_utf8());
    }
}

/// Reads a row of characters of one kind. Returns where it ends.
fn row(text: &str, from: usize, wanted: Kind, found: &mut Found<'_>) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let length = rest
        .char_indices()
        .find(|(_, character)| match wanted {
            Kind::Braille => kind(*character) != Some(wanted) && !character.is_ascii_whitespace(),
            Kind::Base65536 => base65536(*character).is_none(),
            Kind::Hexagrams => kind(*character) != Some(wanted) && *character != '\u{262f}',
            _ => kind(*character) != Some(wanted),
        })
        .map_or(rest.len(), |(at, _)| at);
    let range = from..from + length;
    let row = rest.get(..length).unwrap_or_default();
    match wanted {
        Kind::Tags => tags(row, range.clone(), found),
        Kind::Selectors => selectors(row, range.clone(), found),
        Kind::Bits => bits(row, range.clone(), found),
        Kind::Braille => braille(row, range.clone(), found),
        Kind::Base65536 => pairs(row, range.clone(), found),
        Kind::Hexagrams => hexagrams(row, range.clone(), found),
    }
    range.end
}

/// Tags, each of a character of ASCII (The Unicode Standard, section 23.9).
fn tags(row: &str, range: Range<usize>, found: &mut Found<'_>) {
    let decoded: String = row.chars().filter_map(|tag| char::from_u32(tag as u32 & 0x7f)).collect();
    if decoded.len() >= FEWEST {
        found.text(&decoded, range);
    }
}

/// Variation selectors, each of a byte: by their number, or by their place behind U+E0100.
fn selectors(row: &str, range: Range<usize>, found: &mut Found<'_>) {
    let by_number: Vec<u8> = row
        .chars()
        .filter_map(|selector| match selector as u32 {
            code @ 0xfe00..=0xfe0f => u8::try_from(code - 0xfe00).ok(),
            code => u8::try_from(code - 0xe_0100 + 16).ok(),
        })
        .collect();
    let by_place: Vec<u8> = row
        .chars()
        .filter_map(|selector| u8::try_from((selector as u32).checked_sub(0xe_0100)?).ok())
        .collect();
    if let Some(decoded) = [by_place, by_number].iter().find_map(|bytes| text_of(bytes, FEWEST - 2))
    {
        found.text(decoded, range);
    }
}

/// Characters without a width, of which two kinds are bits, and others are between.
fn bits(row: &str, range: Range<usize>, found: &mut Found<'_>) {
    if row.chars().count() < 6 * FEWEST {
        return;
    }
    let (zero, one) = if row.contains('\u{2064}') {
        ('\u{2062}', '\u{2064}')
    } else {
        let mut kinds = row.chars();
        let Some(first) = kinds.next() else { return };
        let Some(second) = kinds.find(|other| *other != first) else { return };
        (first, second)
    };
    let mut decoded = Vec::new();
    // Whatever is neither, stands for a space.
    for group in row.split(|character| character != zero && character != one) {
        let digits: Vec<u8> = group.chars().map(|bit| u8::from(bit == one)).collect();
        if !decoded.is_empty() {
            decoded.push(b' ');
        }
        decoded.extend(characters(&digits));
    }
    if let Some(decoded) = text_of(&decoded, FEWEST - 2) {
        found.text(decoded, range.clone());
        return;
    }
    // The other way round.
    let digits: Vec<u8> = row
        .chars()
        .filter(|bit| *bit == zero || *bit == one)
        .map(|bit| u8::from(bit == zero))
        .collect();
    if let Some(decoded) = text_of(&characters(&digits), FEWEST - 2) {
        found.text(decoded, range);
    }
}

fn value(digits: &[u8]) -> u8 {
    digits.iter().fold(0, |sum, digit| (sum << 1) | digit)
}

/// The characters that these bits are: eight each, or as many as each needs, so that letters are preferred.
fn characters(digits: &[u8]) -> Vec<u8> {
    if digits.len().is_multiple_of(8) {
        let whole: Vec<u8> = digits.chunks_exact(8).map(value).collect();
        if whole.iter().all(|byte| byte.is_ascii() && *byte >= b' ') {
            return whole;
        }
    }
    // For each length: the best that it can be, and how long its last character is.
    let mut best: Vec<(u32, usize)> = vec![(0, 0)];
    for end in 1..=digits.len() {
        let choice = [7, 6].into_iter().filter_map(|width| {
            let start = end.checked_sub(width)?;
            let (score, last) = *best.get(start)?;
            let part = digits.get(start..end)?;
            if part.first() != Some(&1) || (start != 0 && last == 0) {
                return None;
            }
            let byte = value(part);
            let worth = match byte {
                b'a'..=b'z' => 4,
                b'A'..=b'Z' | b'0'..=b'9' | b'.' | b',' => 2,
                b' '..=b'~' => 1,
                _ => return None,
            };
            Some((score + worth, width))
        });
        best.push(choice.max().unwrap_or((0, 0)));
    }
    let mut out = Vec::new();
    let mut end = digits.len();
    while let Some((_, width)) = best.get(end).filter(|(_, width)| *width != 0) {
        let start = end - width;
        out.push(value(digits.get(start..end).unwrap_or_default()));
        end = start;
    }
    out.reverse();
    out
}

/// Letters and digits of Braille (UEB, grade 1).
fn braille(row: &str, range: Range<usize>, found: &mut Found<'_>) {
    /// The patterns of the letters from a to z, as the bits of their dots.
    const LETTERS: [u8; 26] = [
        0x01, 0x03, 0x09, 0x19, 0x11, 0x0b, 0x1b, 0x13, 0x0a, 0x1a, 0x05, 0x07, 0x0d, 0x1d, 0x15,
        0x0f, 0x1f, 0x17, 0x0e, 0x1e, 0x25, 0x27, 0x3a, 0x2d, 0x3d, 0x35,
    ];
    /// Before digits, which are the letters from a to j.
    const NUMBER: u8 = 0x3c;
    /// Before a capital.
    const CAPITAL: u8 = 0x20;
    let mut out = String::new();
    let (mut is_number, mut is_capital) = (false, false);
    for character in row.chars() {
        let dots = match character as u32 {
            code @ 0x2801..=0x28ff => u8::try_from(code - 0x2800).unwrap_or(0),
            _ => {
                is_number = false;
                out.push(' ');
                continue;
            }
        };
        let letter = LETTERS.iter().zip(b'a'..).find(|(pattern, _)| **pattern == dots);
        match (dots, letter) {
            (NUMBER, _) => is_number = true,
            (CAPITAL, _) => is_capital = true,
            (_, Some((_, letter @ b'a'..=b'j'))) if is_number => {
                out.push(char::from(b'0' + (letter - b'a' + 1) % 10));
            }
            (_, Some((_, letter))) => {
                is_number = false;
                let letter = char::from(letter);
                out.push(if is_capital { letter.to_ascii_uppercase() } else { letter });
                is_capital = false;
            }
            (0x32, None) => out.push('.'),
            (0x12, None) => out.push(':'),
            (0x24, None) => out.push('-'),
            (0x0c, None) => out.push('/'),
            _ => out.push(' '),
        }
    }
    if out.len() >= FEWEST - 2 {
        found.text(out.trim_end(), range);
    }
}

/// Where blocks of 256 characters begin that hold two bytes each (qntm's base65536): the place of a block is the second
/// byte.
const BLOCKS: [(u32, u32); 8] = [
    (0x3400, 0x4cff),
    (0x4e00, 0x9eff),
    (0xa100, 0xa3ff),
    (0xa500, 0xa5ff),
    (0x1_0600, 0x1_06ff),
    (0x1_2000, 0x1_22ff),
    (0x1_3000, 0x1_33ff),
    (0x1_4400, 0x1_45ff),
];

/// More of them.
const LAST_BLOCKS: [(u32, u32); 2] = [(0x1_6800, 0x1_69ff), (0x2_0000, 0x2_85ff)];

/// The bytes of a character of base65536: the first, and the second if there is one.
fn base65536(character: char) -> Option<(u8, Option<u8>)> {
    let code = character as u32;
    if (0x1500..=0x15ff).contains(&code) {
        return Some((u8::try_from(code & 0xff).ok()?, None));
    }
    let mut place = 0;
    for (first, last) in BLOCKS.iter().chain(&LAST_BLOCKS) {
        if (*first..=*last).contains(&code) {
            let second = u8::try_from(place + ((code - first) >> 8)).ok()?;
            return Some((u8::try_from(code & 0xff).ok()?, Some(second)));
        }
        place += (last - first + 1) >> 8;
    }
    None
}

fn pairs(row: &str, range: Range<usize>, found: &mut Found<'_>) {
    let mut bytes = Vec::new();
    // Chinese is written in some of the same characters, and is no text as bytes.
    for character in row.chars() {
        let Some((first, second)) = base65536(character) else { break };
        bytes.push(first);
        bytes.extend(second);
        if bytes.len() == 8 && text_of(&bytes, 8).is_none_or(|text| !text.is_ascii()) {
            return;
        }
    }
    if let Some(decoded) = text_of(&bytes, FEWEST).filter(|text| text.is_ascii()) {
        found.text(decoded, range);
    }
}

/// Base64 whose characters are the hexagrams of the I Ching (ferno's hexagram-encode), by the bits of their lines.
fn hexagrams(row: &str, range: Range<usize>, found: &mut Found<'_>) {
    /// The hexagrams in the order of base64's alphabet, as numbers behind U+4DC0.
    const ORDER: &str = "䷁䷗䷆䷒䷎䷣䷭䷊䷏䷲䷧䷵䷽䷶䷟䷡䷇䷂䷜䷻䷦䷾䷯䷄䷬䷐䷮䷹䷞䷰䷛䷪\
        ䷖䷚䷃䷨䷳䷕䷑䷙䷢䷔䷿䷥䷷䷝䷱䷍䷓䷩䷺䷼䷴䷤䷸䷈䷋䷘䷅䷉䷠䷌䷫䷀";
    let mut bytes = Vec::new();
    let (mut sum, mut width) = (0u32, 0);
    for character in row.chars() {
        let Some(digit) = ORDER.chars().position(|hexagram| hexagram == character) else { break };
        sum = ((sum << 6) | u32::try_from(digit).unwrap_or(0)) & 0xffff;
        width += 6;
        if width >= 8 {
            width -= 8;
            bytes.push(u8::try_from((sum >> width) & 0xff).unwrap_or(0));
        }
    }
    if let Some(decoded) = text_of(&bytes, FEWEST) {
        found.text(decoded, range);
    }
}

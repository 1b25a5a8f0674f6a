//! Texts whose common parts give them away: words that spell letters, and lines that are written backwards.

use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::meta::Regex;

use super::super::words::known_letters;
use super::found::Found;

/// The spelling alphabet of ICAO and NATO, with the usual other spellings.
const ALPHABET: [(&str, u8); 29] = [
    ("alfa", b'a'),
    ("alpha", b'a'),
    ("bravo", b'b'),
    ("charlie", b'c'),
    ("delta", b'd'),
    ("echo", b'e'),
    ("foxtrot", b'f'),
    ("golf", b'g'),
    ("hotel", b'h'),
    ("india", b'i'),
    ("juliett", b'j'),
    ("juliet", b'j'),
    ("kilo", b'k'),
    ("lima", b'l'),
    ("mike", b'm'),
    ("november", b'n'),
    ("oscar", b'o'),
    ("papa", b'p'),
    ("quebec", b'q'),
    ("romeo", b'r'),
    ("sierra", b's'),
    ("tango", b't'),
    ("uniform", b'u'),
    ("victor", b'v'),
    ("whiskey", b'w'),
    ("whisky", b'w'),
    ("xray", b'x'),
    ("yankee", b'y'),
    ("zulu", b'z'),
];

/// The fewest letters that are a text.
const FEWEST: usize = 4;

/// The most of a line that is read backwards in one go, in bytes.
const LONGEST_LINE: usize = 4096;

/// What such texts have in them, and few others: parts of the words for common letters, and common words backwards.
const SIGNS: &str = "(?-u)cho |CHO |lfa |LFA |lpha |LPHA |ango |ANGO |erra |ndia | eht | dna |noit|snoi|erongi|tpmorp|suoiverp|drage";

fn signs() -> Option<&'static Regex> {
    static REGEX: OnceLock<Option<Regex>> = OnceLock::new();
    REGEX.get_or_init(|| Regex::new(SIGNS).ok()).as_ref()
}

/// Adds what is spelled, or written backwards.
pub(super) fn read(text: &str, found: &mut Found<'_>) {
    let Some(signs) = signs() else { return };
    let mut at = 0;
    while let Some(sign) = text.get(at..).and_then(|rest| signs.find(rest)) {
        let place = at + sign.start();
        let backwards = matches!(text.as_bytes().get(place), Some(b' '))
            || text.get(place..).is_some_and(|rest| {
                ["noit", "snoi", "eron", "tpmo", "suoi", "drag"]
                    .iter()
                    .any(|sign| rest.starts_with(sign))
            });
        let end =
            if backwards { line(text, place, at, found) } else { spelled(text, place, at, found) };
        at = end.max(at + sign.end());
    }
}

/// Reads words from the one here on that spell letters. Returns where they end.
fn spelled(text: &str, place: usize, done: usize, found: &mut Found<'_>) -> usize {
    let bytes = text.as_bytes();
    // Back to the first of them.
    let mut start = place;
    let mut from = place;
    loop {
        while from > done && bytes.get(from - 1).is_some_and(u8::is_ascii_alphabetic) {
            from -= 1;
        }
        if letter(text, from).is_none() {
            break;
        }
        start = from;
        let rest = bytes.get(..from).unwrap_or_default();
        let gap = rest.iter().rev().take(3).take_while(|byte| is_between(**byte)).count();
        if gap == 0 || from - gap < done {
            break;
        }
        from -= gap;
    }
    let mut out = String::new();
    let (mut at, mut end) = (start, start);
    while let Some((length, letter)) = letter(text, at) {
        out.push(char::from(letter));
        end = at + length;
        let rest = bytes.get(end..).unwrap_or_default();
        let gap = rest.iter().take(8).take_while(|byte| is_between(**byte)).count();
        if rest.iter().take(gap).any(|byte| *byte != b' ') || gap > 1 {
            out.push(' ');
        }
        at = end + gap;
    }
    if out.len() >= FEWEST {
        found.text(&out, start..end);
    }
    end.max(place)
}

fn is_between(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b',' | b'.' | b'/' | b'\n' | b'\r' | b'\t')
}

/// The letter that the word here spells, and how long the word is.
fn letter(text: &str, at: usize) -> Option<(usize, u8)> {
    let bytes = text.as_bytes().get(at..)?;
    let length = bytes.iter().take(9).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = bytes.get(..length)?;
    if word.eq_ignore_ascii_case(b"x") {
        return bytes.get(..5)?.eq_ignore_ascii_case(b"x-ray").then_some((5, b'x'));
    }
    ALPHABET
        .iter()
        .find(|(spelled, _)| word.eq_ignore_ascii_case(spelled.as_bytes()))
        .map(|(_, letter)| (length, *letter))
}

/// Reads the line here backwards. Returns where it ends.
fn line(text: &str, place: usize, done: usize, found: &mut Found<'_>) -> usize {
    let range = line_around(text, place, done);
    let Some(line) = text.get(range.clone()) else { return place };
    let backwards: String = line.chars().rev().collect();
    let (plain, known) = (known_letters(line.bytes()), known_letters(backwards.bytes()));
    if known >= 8 && known > plain {
        found.text(&backwards, range.clone());
    }
    range.end
}

fn line_around(text: &str, place: usize, done: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let from = place.saturating_sub(LONGEST_LINE / 2).max(done);
    let to = (place + LONGEST_LINE / 2).min(bytes.len());
    let start = bytes
        .get(from..place)
        .and_then(|before| before.iter().rposition(|byte| *byte == b'\n'))
        .map_or(from, |found| from + found + 1);
    let end = bytes
        .get(place..to)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        .map_or(to, |found| place + found);
    let before = super::super::parts::boundary_before;
    before(text, start)..before(text, end)
}

//! Words that are written with digits for letters (`1gn0r3`), or letter by letter (`i g n o r e`).

use super::blocks::{Blocks, BLOCK, MIXED, SIGNS};
use super::map::Copy;
use super::parts::Parts;
use super::words::is_word;

/// How much stands around a word in a copy, in bytes.
const AROUND: usize = 96;

/// The longest word, in bytes.
const LONGEST: usize = 20;

/// The fewest letters that are joined.
const FEWEST: usize = 5;

/// How far apart words of such letters are, in bytes.
const SHORTEST_GAP: usize = 3;

/// The parts of a text in which words are written so, as they are read.
pub(super) fn read(text: &str, blocks: &Blocks) -> Option<Copy> {
    let bytes = text.as_bytes();
    let mut parts = Parts::new(text, AROUND);
    let mut at = 0;
    for block in blocks.with(MIXED | SIGNS) {
        at = at.max(word_start(bytes, block.start));
        while at < block.end {
            at = one(bytes, at, &mut parts);
        }
    }
    parts.finish()
}

fn is_of_word(byte: u8) -> bool {
    OF_WORD.get(usize::from(byte)).copied().unwrap_or(false)
}

const OF_WORD: [bool; 256] = {
    let mut all = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        #[allow(clippy::indexing_slicing)]
        {
            all[byte as usize] =
                byte.is_ascii_alphanumeric() || matches!(byte, b'@' | b'$' | b'!' | b'|' | b'+');
        }
        byte += 1;
    }
    all
};

/// Where the word begins in which this place is, or the row of letters. Of a long one, somewhere in it.
fn word_start(bytes: &[u8], at: usize) -> usize {
    let from = at.saturating_sub(BLOCK);
    let before = bytes.get(from..at).unwrap_or_default();
    // Letters of a row stand two apart.
    let is_row = |place: &usize| match bytes.get(*place..*place + 3) {
        Some(&[before, letter, behind]) => {
            is_sign(before) != is_sign(letter) && is_sign(letter) != is_sign(behind)
        }
        _ => false,
    };
    if before.last().is_some() && is_row(&(at - 1)) {
        let row = (from..at - 1).rev().take_while(is_row).count();
        return at - 1 - row;
    }
    let before = bytes.get(at.saturating_sub(LONGEST)..at).unwrap_or_default();
    at - before.iter().rev().take_while(|byte| is_of_word(**byte)).count()
}

/// Reads one word, or a row of letters. Returns where the next one may begin.
fn one(bytes: &[u8], at: usize, parts: &mut Parts<'_>) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest.iter().take_while(|byte| is_of_word(**byte)).count();
    match length {
        0 => at + 1,
        1 => letters(bytes, at, parts),
        _ => {
            if length <= LONGEST {
                if let Some(word) = rest.get(..length) {
                    digits(word, at, parts);
                }
            }
            at + length
        }
    }
}

/// Joins letters that stand alone, with the same sign between each two. Returns where they end.
fn letters(bytes: &[u8], from: usize, parts: &mut Parts<'_>) -> usize {
    let is_alone = |at: usize| {
        bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)
            && !bytes.get(at + 1).copied().is_some_and(is_of_word)
    };
    let Some(sign) = bytes.get(from + 1).copied().filter(|sign| is_sign(*sign)) else {
        return from + 1;
    };
    let mut last = from;
    while bytes.get(last + 1) == Some(&sign) && is_alone(last + 2) {
        last += 2;
    }
    let count = (last - from) / 2 + 1;
    // A short word is likelier to be written so where the one before it was.
    let follows = parts.end() != 0 && from - parts.end() <= SHORTEST_GAP + 2;
    let fewest = if follows { 2 } else { FEWEST };
    if count < fewest || !is_alone(from) {
        return last + 1;
    }
    for at in (from..last).step_by(2) {
        parts.replace(at + 1..at + 2, "");
    }
    // Words are further apart than letters are.
    last + 1
}

fn is_sign(byte: u8) -> bool {
    matches!(byte, b' ' | b'.' | b'-' | b'_' | b'*' | b'/' | b',' | b'\n' | b'~' | b'\'')
}

/// Reads digits of a word as letters, where that makes it a word.
fn digits(word: &[u8], at: usize, parts: &mut Parts<'_>) {
    let marks = word.iter().rev().take_while(|byte| matches!(byte, b'!' | b'|' | b'+')).count();
    let word = word.get(..word.len() - marks).unwrap_or_default();
    let alike = word.iter().filter(|byte| !byte.is_ascii_alphabetic()).count();
    if word.len() < 3 || alike == 0 || alike == word.len() {
        return;
    }
    for one in [b'i', b'l'] {
        let read = || word.iter().map(|byte| letter(*byte, one));
        if is_word(read()) {
            for (index, byte) in word.iter().enumerate() {
                if !byte.is_ascii_alphabetic() {
                    parts.replace_ascii(at + index..at + index + 1, letter(*byte, one));
                }
            }
            return;
        }
    }
}

fn letter(byte: u8, one: u8) -> u8 {
    match byte {
        b'0' => b'o',
        b'1' | b'!' | b'|' => one,
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'6' | b'9' => b'g',
        b'7' | b'+' => b't',
        b'8' => b'b',
        other => other,
    }
}

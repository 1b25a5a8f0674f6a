//! The parts of a text that are written in other characters than they are read.

use super::fold::{fold, Folded, Hangul};
use super::map::Copy;
use super::parts::Parts;

/// How much of the text around a changed character is copied with it, in bytes. What is found in a copy has all of
/// its context there; what is longer is found in the text itself.
pub(super) const AROUND: usize = 256;

/// How many bytes are looked at in one go.
const BLOCK: usize = 64;

/// Whether it is one of the characters that most texts are made of.
fn is_plain(byte: u8) -> bool {
    (b' '..0x7f).contains(&byte) || matches!(byte, b'\t' | b'\n' | b'\r')
}

/// The next byte from here on that is none of those characters.
fn next_foreign(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let Some(block) = rest.first_chunk::<BLOCK>() else {
            return rest.iter().position(|byte| !is_plain(*byte)).map(|found| at + found);
        };
        // Written so that the compiler looks at many bytes with one instruction.
        let foreign = block.iter().fold(0u8, |seen, byte| seen | u8::from(!is_plain(*byte)));
        if foreign != 0 {
            return block.iter().position(|byte| !is_plain(*byte)).map(|found| at + found);
        }
        at += BLOCK;
    }
}

/// The parts in which characters are written otherwise than they are read. `None` if there are none.
pub(super) fn normalised(text: &str) -> Option<Copy> {
    let mut parts = Parts::new(text, AROUND);
    let mut at = 0;
    while let Some(found) = next_foreign(text.as_bytes(), at) {
        let Some(character) = text.get(found..).and_then(|rest| rest.chars().next()) else { break };
        at = found + character.len_utf8();
        if Hangul::is_part(character) {
            at = syllables(text, found, &mut parts);
            continue;
        }
        match fold(character) {
            Folded::Same => {}
            Folded::Nothing => parts.replace(found..at, ""),
            Folded::Ascii(byte) => parts.replace_ascii(found..at, byte),
            Folded::Other(other) => parts.replace(found..at, &other),
        }
    }
    parts.finish()
}

/// Puts parts of syllables together. Returns where they end.
fn syllables(text: &str, from: usize, parts: &mut Parts<'_>) -> usize {
    let mut hangul = Hangul::default();
    let (mut begun, mut at) = (from, from);
    let mut buffer = [0; 4];
    for part in text.get(from..).unwrap_or_default().chars() {
        if !Hangul::is_part(part) {
            break;
        }
        if let Some(ended) = hangul.push(part) {
            // A last consonant belongs to what it ends, any other part to what comes.
            let end = if hangul.is_open() { at } else { at + part.len_utf8() };
            parts.replace(begun..end, ended.encode_utf8(&mut buffer));
            begun = end;
        }
        at += part.len_utf8();
    }
    if let Some(ended) = hangul.end() {
        parts.replace(begun..at, ended.encode_utf8(&mut buffer));
    }
    at
}

/// All of a short text as it is read: for words to look for.
pub(super) fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut hangul = Hangul::default();
    for character in text.chars() {
        if Hangul::is_part(character) {
            out.extend(hangul.push(character));
            continue;
        }
        out.extend(hangul.end());
        match character {
            ' '..='~' | '\t' | '\n' | '\r' => out.push(character),
            _ => match fold(character) {
                Folded::Same => out.push(character),
                Folded::Nothing => {}
                Folded::Ascii(byte) => out.push(char::from(byte)),
                Folded::Other(other) => out.push_str(&other),
            },
        }
    }
    out.extend(hangul.end());
    out
}

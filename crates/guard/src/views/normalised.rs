//! The parts of a text that are written in other characters than they are read.

use std::ops::Range;

use super::fold::{fold, Folded, Hangul};
use super::map::Copy;

/// How much of the text around a changed character is copied with it, in bytes. What is found in a copy has all of
/// its context there; what is longer is found in the text itself.
pub(super) const AROUND: usize = 256;

/// How far a white space is looked for, at which a part may begin or end.
const SEAM: usize = 64;

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

/// The last place up to this one that is not inside of a character.
pub(super) fn boundary_before(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Where a part begins that has this place in it.
pub(super) fn part_start(text: &str, at: usize, around: usize) -> usize {
    let wanted = at.saturating_sub(around);
    let from = wanted.saturating_sub(SEAM);
    let bytes = text.as_bytes();
    let seam =
        bytes.get(from..wanted).unwrap_or_default().iter().rposition(u8::is_ascii_whitespace);
    match seam {
        _ if from == 0 => 0,
        Some(found) => from + found + 1,
        None => boundary_before(text, wanted),
    }
}

/// Where a part ends that has this place in it.
pub(super) fn part_end(text: &str, at: usize, around: usize) -> usize {
    let wanted = at.saturating_add(around).min(text.len());
    let to = wanted.saturating_add(SEAM).min(text.len());
    let bytes = text.as_bytes();
    let seam = bytes.get(wanted..to).unwrap_or_default().iter().position(u8::is_ascii_whitespace);
    match seam {
        _ if to == text.len() => to,
        Some(found) => wanted + found,
        None => boundary_before(text, wanted),
    }
}

/// A copy in which characters stand for what is read, of the parts of a text in which some don't.
pub(super) struct Normaliser<'t> {
    text: &'t str,
    copy: Copy,
    /// How far the text has been copied. `None` before the first part.
    copied: Option<usize>,
    /// Where the last changed character ends.
    changed: usize,
}

impl<'t> Normaliser<'t> {
    /// Reads characters as they are meant. `None` if all of them are.
    pub(super) fn read(text: &'t str) -> Option<Copy> {
        let mut normaliser = Self { text, copy: Copy::default(), copied: None, changed: 0 };
        normaliser.run();
        let copied = normaliser.copied?;
        let end = part_end(text, normaliser.changed, AROUND).max(copied);
        normaliser.copy.copied(text.get(copied..end).unwrap_or_default(), copied);
        Some(normaliser.copy)
    }

    fn run(&mut self) {
        let text = self.text;
        let mut at = 0;
        while let Some(found) = next_foreign(text.as_bytes(), at) {
            let Some(character) = text.get(found..).and_then(|rest| rest.chars().next()) else {
                return;
            };
            at = found + character.len_utf8();
            if Hangul::is_part(character) {
                at = self.syllables(found);
                continue;
            }
            match fold(character) {
                Folded::Same => {}
                Folded::Nothing => self.change(found..at, ""),
                Folded::Ascii(byte) => {
                    self.part(found..at);
                    self.copy.put_ascii(byte, found..at);
                }
                Folded::Other(other) => self.change(found..at, &other),
            }
        }
    }

    /// Copies what stands before a changed character.
    fn part(&mut self, changed: Range<usize>) {
        let text = self.text;
        let mut from = self.copied.unwrap_or(0);
        let far = changed.start.saturating_sub(self.changed) > 2 * (AROUND + SEAM);
        if self.copied.is_none() || far {
            if self.copied.is_some() {
                let end = part_end(text, self.changed, AROUND).max(from);
                self.copy.copied(text.get(from..end).unwrap_or_default(), from);
                self.copy.gap(end);
            }
            from = part_start(text, changed.start, AROUND);
        }
        self.copy.copied(text.get(from..changed.start).unwrap_or_default(), from);
        self.copied = Some(changed.end);
        self.changed = changed.end;
    }

    fn change(&mut self, range: Range<usize>, replacement: &str) {
        self.part(range.clone());
        self.copy.put(replacement, range);
    }

    /// Puts parts of syllables together. Returns where they end.
    fn syllables(&mut self, from: usize) -> usize {
        let mut hangul = Hangul::default();
        let (mut begun, mut at) = (from, from);
        let mut buffer = [0; 4];
        for part in self.text.get(from..).unwrap_or_default().chars() {
            if !Hangul::is_part(part) {
                break;
            }
            if let Some(ended) = hangul.push(part) {
                // A last consonant belongs to what it ends, any other part to what comes.
                let end = if hangul.is_open() { at } else { at + part.len_utf8() };
                self.change(begun..end, ended.encode_utf8(&mut buffer));
                begun = end;
            }
            at += part.len_utf8();
        }
        if let Some(ended) = hangul.end() {
            self.change(begun..at, ended.encode_utf8(&mut buffer));
        }
        at
    }
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

//! Letters that stand for other letters: rot13 and other shifts, atbash, rot47; and text that is written backwards.
//!
//! A guess is kept only where common words come out of it that weren't there before.

use std::ops::Range;

use super::super::blocks::{Blocks, BLOCK, FEW_LETTERS, FEW_VOWELS};
use super::super::words::{known_letters, unknown_words};
use super::found::Found;

/// How many letters of what comes out must belong to common words.
const FEWEST_LETTERS: usize = 8;

/// How many of a hundred letters, and spaces, are vowels at most where letters stand for others: of plain text, a third are.
const MOST_VOWELS: usize = 25;

/// The longest part that is guessed at in one go, in bytes.
const LONGEST: usize = 2048;

/// How often the letters from a to z are used in English, in thousandths (Norvig's count of Google's books, rounded).
const FREQUENCIES: [u32; 26] = [
    80, 15, 33, 38, 125, 24, 19, 51, 76, 2, 5, 41, 25, 72, 76, 21, 1, 63, 65, 93, 27, 11, 17, 2,
    17, 1,
];

/// Adds what comes out of parts in which letters stand for others.
pub(super) fn read(text: &str, blocks: &Blocks, found: &mut Found<'_>) {
    // A part is of blocks that look so, with one between them that doesn't.
    let mut part = 0..0;
    for block in blocks.with(FEW_VOWELS | FEW_LETTERS) {
        if block.start - part.end <= BLOCK && block.end - part.start <= LONGEST && !part.is_empty()
        {
            part.end = block.end;
        } else {
            guess(text, part, blocks, found);
            part = block;
        }
    }
    guess(text, part, blocks, found);
}

/// Widens a part to whole words, so many bytes more on each side.
fn widened(text: &str, part: Range<usize>, by: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let mut from = part.start.saturating_sub(by);
    while from < part.start && bytes.get(from).is_some_and(|byte| !byte.is_ascii_whitespace()) {
        from += 1;
    }
    let mut to = (part.end + by).min(bytes.len());
    if to < bytes.len() {
        while to > part.end && bytes.get(to).is_some_and(|byte| !byte.is_ascii_whitespace()) {
            to -= 1;
        }
    }
    let from = super::super::parts::boundary_before(text, from);
    from..super::super::parts::boundary_before(text, to)
}

fn guess(text: &str, part: Range<usize>, blocks: &Blocks, found: &mut Found<'_>) {
    if part.is_empty() {
        return;
    }
    let has_signs = blocks.any(part.clone(), FEW_LETTERS);
    let Some(near) = text.get(widened(text, part.clone(), BLOCK / 2)) else { return };
    // Mostly they are the words of a language, which are only counted.
    let (mut length, mut vowels) = (0, 0);
    for word in unknown_words(near.as_bytes()) {
        length += word.len() + 1;
        vowels += word.iter().filter(|byte| is_vowel(**byte)).count();
    }
    if length >= FEWEST_LETTERS && vowels * 100 < length * MOST_VOWELS {
        let mut unknown = Vec::with_capacity(length);
        for word in unknown_words(near.as_bytes()) {
            unknown.extend_from_slice(word);
            unknown.push(b' ');
        }
        // Whatever is written around it, a third of what isn't known must become known.
        let is_likely = |cipher: &Cipher| {
            let known = known_letters(unknown.iter().map(|byte| cipher.read(*byte)));
            known >= FEWEST_LETTERS && known * 3 >= unknown.len()
        };
        let shifts = likeliest_shifts(&unknown).map(Cipher::Shift);
        let cipher = [Cipher::Shift(13), Cipher::Atbash].into_iter().chain(shifts).find(is_likely);
        if let Some(cipher) = cipher {
            add(text, part, cipher, found);
            return;
        }
    }
    if has_signs {
        let known = known_letters(near.bytes().map(|byte| Cipher::Rot47.read(byte)));
        if known >= FEWEST_LETTERS && known > known_letters(near.bytes()) / 2 {
            add(text, part, Cipher::Rot47, found);
        }
    }
}

/// Adds what comes out of a part, which may go on where it doesn't show.
fn add(text: &str, part: Range<usize>, cipher: Cipher, found: &mut Found<'_>) {
    let wide = widened(text, part, 2 * BLOCK);
    if let Some(all) = text.get(wide.clone()) {
        found.byte_for_byte(&changed(all, cipher), wide.start);
    }
}

fn is_vowel(byte: u8) -> bool {
    matches!(byte | 0x20, b'a' | b'e' | b'i' | b'o' | b'u')
}

fn changed(part: &str, cipher: Cipher) -> String {
    let of = |character| match u8::try_from(character) {
        Ok(byte) if byte.is_ascii() => char::from(cipher.read(byte)),
        _ => character,
    };
    part.chars().map(of).collect()
}

/// What stands for what.
#[derive(Clone, Copy)]
enum Cipher {
    /// A letter that is so many places behind in the alphabet.
    Shift(u8),
    /// The letter that is as far from the other end of the alphabet.
    Atbash,
    /// A sign that is 47 places behind among those of ASCII.
    Rot47,
}

impl Cipher {
    fn read(self, byte: u8) -> u8 {
        match (self, byte) {
            (Self::Shift(by), b'a'..=b'z') => b'a' + (byte - b'a' + by) % 26,
            (Self::Shift(by), b'A'..=b'Z') => b'A' + (byte - b'A' + by) % 26,
            (Self::Atbash, b'a'..=b'z') => b'z' - (byte - b'a'),
            (Self::Atbash, b'A'..=b'Z') => b'Z' - (byte - b'A'),
            (Self::Rot47, b'!'..=b'~') => b'!' + (byte - b'!' + 47) % 94,
            _ => byte,
        }
    }
}

/// By how much letters must be shifted to be used about as often as in English: the likeliest three.
fn likeliest_shifts(part: &[u8]) -> [u8; 3] {
    let mut counts = [0u32; 26];
    for byte in part {
        let letter = usize::from((byte | 0x20).wrapping_sub(b'a'));
        if let Some(count) = counts.get_mut(letter) {
            *count += 1;
        }
    }
    let mut likeliest = [(0, 0); 3];
    for shift in 1..26u8 {
        let moved = counts.iter().cycle().skip(26 - usize::from(shift)).take(26);
        let likeness: u32 =
            moved.zip(FREQUENCIES).map(|(count, frequency)| count * frequency).sum();
        if let Some(least) = likeliest.iter_mut().min() {
            *least = (likeness, shift).max(*least);
        }
    }
    likeliest.map(|(_, shift)| shift)
}

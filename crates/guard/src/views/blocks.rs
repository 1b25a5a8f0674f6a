//! What a block of a text is made of, counted with few instructions: so that what an encoding might be in is found
//! without looking at each byte of plain text more than once.

use std::ops::Range;

/// How many bytes are counted together.
pub(super) const BLOCK: usize = 32;

/// One of the characters with which escapes begin.
pub(super) const ESCAPES: u8 = 1;
/// Many short words, or many digits, dots and dashes: signs that stand for one letter each.
pub(super) const SIGNS: u8 = 2;
/// Fewer vowels than words have.
pub(super) const FEW_VOWELS: u8 = 4;
/// Many signs beside the letters.
pub(super) const FEW_LETTERS: u8 = 8;
/// Letters, and digits or signs that may stand for some.
pub(super) const MIXED: u8 = 16;

/// What may be in the blocks of a text. Takes a byte for each of them.
pub(super) struct Blocks {
    hints: Vec<u8>,
    /// What may be in any of them.
    all: u8,
    /// The length of the text.
    length: usize,
}

impl Blocks {
    /// Those of a text. In the last one, if it is not a whole one, anything may be.
    pub(super) fn of(text: &str) -> Self {
        let (blocks, rest) = text.as_bytes().as_chunks::<BLOCK>();
        let mut hints = Vec::with_capacity(blocks.len() + 1);
        hints.extend(blocks.iter().map(self::hints));
        if !rest.is_empty() {
            // Blanks are none of what is counted but spaces, and so can't hide anything.
            let mut block = [b'\t'; BLOCK];
            block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            hints.push(self::hints(&block) | hints_of_end(rest));
        }
        let all = hints.iter().fold(0, |all, hints| all | hints);
        Self { hints, all, length: text.len() }
    }

    /// The blocks in which one of these may be.
    pub(super) fn with(&self, wanted: u8) -> impl Iterator<Item = Range<usize>> + '_ {
        let hints = if self.all & wanted == 0 { &[] } else { self.hints.as_slice() };
        hints.iter().enumerate().filter(move |(_, hints)| **hints & wanted != 0).map(
            |(index, _)| {
                let start = index * BLOCK;
                start..(start + BLOCK).min(self.length)
            },
        )
    }

    /// Whether one of these may be in these bytes.
    pub(super) fn any(&self, bytes: Range<usize>, wanted: u8) -> bool {
        let blocks = bytes.start / BLOCK..bytes.end.div_ceil(BLOCK).min(self.hints.len());
        self.hints.get(blocks).unwrap_or_default().iter().any(|hints| hints & wanted != 0)
    }
}

/// What may be in the end of a text, of which too little is there to be counted.
fn hints_of_end(end: &[u8]) -> u8 {
    let signs = end.iter().filter(|byte| (b' '..=b'@').contains(*byte)).count();
    let mut hints = FEW_VOWELS;
    if signs * 3 >= end.len() {
        hints |= SIGNS | FEW_LETTERS;
    }
    hints
}

/// What a byte counts for, each kind in bits of its own, of which a block can't count too many.
const COUNTS: [u64; 256] = {
    let mut counts = [0; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        let mut count = 0;
        if byte.is_ascii_alphabetic() {
            count |= 1 << LETTER;
        }
        if matches!(byte.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u') {
            count |= 1 << VOWEL;
        }
        if byte == b' ' {
            count |= 1 << SPACE;
        }
        // Digits, and the signs up to the first letter.
        if matches!(byte, b'!'..=b'@') {
            count |= 1 << OTHER;
        }
        if matches!(byte, b'%' | b'&' | b'\\' | b'=') {
            count |= 1 << ESCAPE;
        }
        if byte.is_ascii_digit() || matches!(byte, b'@' | b'$') {
            count |= 1 << LOOK_ALIKE;
        }
        #[allow(clippy::indexing_slicing)]
        {
            counts[byte as usize] = count;
        }
        byte += 1;
    }
    counts
};

const LETTER: u32 = 0;
const VOWEL: u32 = 8;
const SPACE: u32 = 16;
const OTHER: u32 = 24;
const ESCAPE: u32 = 32;
const LOOK_ALIKE: u32 = 40;

/// How often a letter stands beside something else.
fn alternations(block: &[u8; BLOCK]) -> usize {
    let is_letter = |byte: &u8| byte.is_ascii_alphabetic();
    let behind = block.iter().skip(1);
    block.iter().zip(behind).filter(|(one, other)| is_letter(one) != is_letter(other)).count()
}

/// What may be in it.
fn hints(block: &[u8; BLOCK]) -> u8 {
    let sum = block
        .iter()
        .fold(0u64, |sum, byte| sum + COUNTS.get(usize::from(*byte)).copied().unwrap_or_default());
    let count = |kind: u32| (sum >> kind) & 0xff;
    let (letters, vowels, spaces) = (count(LETTER), count(VOWEL), count(SPACE));
    let (others, escapes, look_alikes) = (count(OTHER), count(ESCAPE), count(LOOK_ALIKE));
    // Signs with few letters, or letters that stand alone. Words have both in other proportions, however they are indented.
    let is_of_signs = spaces + others >= 13 && (letters <= 12 || alternations(block) >= 20);
    // In the order of the bits above.
    u8::from(escapes != 0)
        | u8::from(is_of_signs) << 1
        | u8::from(letters >= 8 && vowels * 100 < letters * 29) << 2
        | u8::from(others >= 12) << 3
        | u8::from(look_alikes != 0 && letters != 0) << 4
}

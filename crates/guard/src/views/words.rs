//! Words that texts are made of: so that what comes out of a guess is told from noise.

use std::sync::OnceLock;

/// Common words of at least three letters, as they are read (without marks): of languages, and of what attackers write.
const WORDS: &str = include_str!("words.txt");

/// The longest word that is looked up.
const LONGEST: usize = 20;

/// What tells whether a sum is that of a word.
struct Sums {
    /// In order.
    all: Vec<u64>,
    /// One bit for each by its last bits: most of what is no word is seen to be none at a glance.
    glance: Box<[u64; 1 << (GLANCE - 6)]>,
}

/// By how many bits of a sum it is looked at.
const GLANCE: u32 = 14;

static SUMS: OnceLock<Sums> = OnceLock::new();

/// A sum that words with the same letters have (FNV-1a).
#[derive(Clone, Copy)]
struct Sum(u64);

impl Sum {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, byte: u8) {
        self.0 = (self.0 ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3);
    }
}

fn sum(word: impl Iterator<Item = u8>) -> Sum {
    let mut sum = Sum::new();
    word.for_each(|byte| sum.add(byte));
    sum
}

/// Where the bit of a sum is, and the bit.
fn glanced(sum: u64) -> (usize, u64) {
    let bits = sum & ((1 << GLANCE) - 1);
    (usize::try_from(bits >> 6).unwrap_or(0), 1 << (bits & 63))
}

fn is_known(word: Sum) -> bool {
    let sums = SUMS.get_or_init(|| {
        let mut sums: Vec<u64> = WORDS
            .lines()
            .filter(|line| !line.starts_with('#'))
            .flat_map(str::split_ascii_whitespace)
            .map(|word| sum(word.bytes()).0)
            .collect();
        sums.sort_unstable();
        sums.dedup();
        let mut glance = Box::new([0; 1 << (GLANCE - 6)]);
        for sum in &sums {
            let (at, bit) = glanced(*sum);
            if let Some(bits) = glance.get_mut(at) {
                *bits |= bit;
            }
        }
        Sums { all: sums, glance }
    });
    let (at, bit) = glanced(word.0);
    sums.glance.get(at).is_some_and(|bits| bits & bit != 0)
        && sums.all.binary_search(&word.0).is_ok()
}

/// Whether these letters are a common word, in any case.
pub(super) fn is_word(letters: impl Iterator<Item = u8>) -> bool {
    is_known(sum(letters))
}

/// How many letters of a text belong to common words.
pub(super) fn known_letters(text: impl Iterator<Item = u8>) -> usize {
    let (mut known, mut length, mut sum) = (0, 0, Sum::new());
    for byte in text.chain([b' ']) {
        if byte.is_ascii_alphabetic() {
            length += 1;
            sum.add(byte);
            continue;
        }
        if (3..=LONGEST).contains(&length) && is_known(sum) {
            known += length;
        }
        length = 0;
        sum = Sum::new();
    }
    known
}

/// The rows of letters of a text that are no common words.
pub(super) fn unknown_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| !byte.is_ascii_alphabetic())
        .filter(|word| !word.is_empty() && !is_word(word.iter().copied()))
}

/// The part of these bytes, from the first on, that reads as text: printable, and more letters than signs. `None` if
/// it is shorter than this many bytes, or most of them aren't part of it.
pub(super) fn text_of(bytes: &[u8], shortest: usize) -> Option<&str> {
    let valid = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            bytes.get(..error.valid_up_to()).and_then(|part| std::str::from_utf8(part).ok())?
        }
    };
    let end = valid
        .find(|character: char| character.is_control() && !matches!(character, '\t' | '\n' | '\r'))
        .unwrap_or(valid.len());
    let text = valid.get(..end)?;
    if text.len() < shortest || (text.len() * 10 < bytes.len() * 9 && text.len() < 32) {
        return None;
    }
    let (mut all, mut letters) = (0usize, 0usize);
    for character in text.chars() {
        all += 1;
        letters += usize::from(character.is_alphanumeric() || character == ' ');
    }
    (letters * 100 >= all * 60).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_as_it_is_looked_up() {
        for word in
            WORDS.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
        {
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase()), "{word}");
            assert!((3..=LONGEST).contains(&word.len()), "{word}");
            assert!(is_word(word.bytes()));
        }
        assert!(!is_word("vtaber".bytes()));
    }

    #[test]
    fn noise_is_no_text() {
        assert_eq!(text_of(b"ignore all", 9), Some("ignore all"));
        assert_eq!(text_of(b"ignore", 9), None);
        assert_eq!(text_of(b"\xd3\x8a\x10abcdefghij", 9), None);
        assert_eq!(text_of(b"!$%&/()=?!$%", 9), None);
        assert_eq!(text_of("größe über alles".as_bytes(), 9), Some("größe über alles"));
    }
}

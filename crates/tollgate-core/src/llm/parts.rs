//! What a text is made of, as far as that decides how many tokens a model makes of it.
//!
//! Tokenizers cut a text into words, numbers and marks first, and then these into tokens they know. So
//! a text is counted by such parts, in one pass: English has few parts for its length, code has more,
//! and numbers in hexadecimal have one for nearly every byte.

mod sampler;
mod steps;

pub use sampler::Sampler;
use steps::{Counted, Counts};

/// How many parts of each kind there are in texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Words of ASCII letters; a change from small to capital letters begins another one.
    pub words: u32,
    /// ASCII letters.
    pub letters: u32,
    /// Letters of a word beyond the seventh.
    pub long: u32,
    /// ASCII digits.
    pub digits: u32,
    /// Marks of ASCII that stand behind something else.
    pub marks: u32,
    /// Marks that stand behind another mark.
    pub more_marks: u32,
    /// Blanks, but for one before something else.
    pub blanks: u32,
    /// Characters of two bytes in UTF-8: accents, Greek, Cyrillic, Hebrew, Arabic.
    pub two_bytes: u32,
    /// Words of these.
    pub words_of_two: u32,
    /// Characters of three bytes: Chinese, Japanese, Korean, Indic.
    pub three_bytes: u32,
    /// Characters of four bytes: emoji, rare Chinese.
    pub four_bytes: u32,
}

impl Parts {
    /// How many kinds there are.
    pub const KINDS: usize = 11;

    /// In the order of the fields.
    #[must_use]
    pub fn all(&self) -> [u32; Self::KINDS] {
        let Self { words, letters, long, digits, marks, more_marks, blanks, .. } = *self;
        let Self { two_bytes, words_of_two, three_bytes, four_bytes, .. } = *self;
        [
            words,
            letters,
            long,
            digits,
            marks,
            more_marks,
            blanks,
            two_bytes,
            words_of_two,
            three_bytes,
            four_bytes,
        ]
    }

    fn all_mut(&mut self) -> [&mut u32; Self::KINDS] {
        [
            &mut self.words,
            &mut self.letters,
            &mut self.long,
            &mut self.digits,
            &mut self.marks,
            &mut self.more_marks,
            &mut self.blanks,
            &mut self.two_bytes,
            &mut self.words_of_two,
            &mut self.three_bytes,
            &mut self.four_bytes,
        ]
    }

    fn of(counts: &Counts) -> Self {
        let found = |counted| counts.found(counted);
        let (words, long) = (found(Counted::Word), found(Counted::LongWord));
        let words_of_two = found(Counted::WordOfTwo);
        Self {
            words,
            letters: words.saturating_add(found(Counted::Letter)).saturating_add(long),
            long,
            digits: found(Counted::Digit),
            marks: found(Counted::Mark),
            more_marks: found(Counted::MoreMarks),
            blanks: found(Counted::Blank),
            two_bytes: words_of_two.saturating_add(found(Counted::Two)),
            words_of_two,
            three_bytes: found(Counted::Three),
            four_bytes: found(Counted::Four),
        }
    }
}

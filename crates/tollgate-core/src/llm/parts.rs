//! What a text is made of, as far as that decides how many tokens a model makes of it.
//!
//! Tokenizers cut a text into words, numbers and marks first, and then these into tokens they know. So
//! a text is counted by such parts, in one pass: English has few parts for its length, code has more,
//! and numbers in hexadecimal have one for nearly every byte.

mod steps;

use steps::{Counted, Counts};

/// The bytes of a request's texts that are all looked at.
const WHOLE: usize = 2 << 10;
/// Of what comes behind these, about one block in so many is looked at.
const EVERY: usize = 16;
/// Bytes of a block.
const BLOCK: usize = 128;

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

    fn count(&mut self, text: &[u8]) {
        let counts = Counts::of(text);
        let found = |counted| counts.found(counted);
        let words = found(Counted::Word);
        let long = found(Counted::LongWord);
        let words_of_two = found(Counted::WordOfTwo);
        let parts = Self {
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
        };
        for (sum, part) in self.all_mut().into_iter().zip(parts.all()) {
            *sum = sum.saturating_add(part);
        }
    }
}

/// Counts the parts of the texts of one request: all of a short one, and a sample of what is behind that,
/// however many texts that is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sampler {
    whole: Parts,
    /// Bytes of it.
    looked_at: usize,
    /// What was found in blocks of what is behind that.
    sample: Parts,
    /// Bytes of these blocks.
    sampled: usize,
    /// Bytes that are behind.
    behind: usize,
    /// Those since the last block that was looked at.
    waiting: usize,
}

impl Sampler {
    /// Adds a text.
    pub fn add(&mut self, text: &[u8]) {
        let room = WHOLE.saturating_sub(self.looked_at);
        let (whole, rest) = text.split_at_checked(room).unwrap_or((text, &[]));
        self.whole.count(whole);
        self.looked_at += whole.len();
        for block in rest.chunks(BLOCK) {
            self.behind += block.len();
            self.waiting += block.len();
            if self.waiting >= BLOCK * EVERY || self.sampled == 0 {
                self.sample.count(block);
                self.sampled += block.len();
                self.waiting = 0;
            }
        }
    }

    /// Adds so many marks that stand alone: those around what is shown as JSON.
    pub fn add_marks(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.whole.marks = self.whole.marks.saturating_add(count);
    }

    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let mut parts = self.whole;
        let number = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
        let (behind, sampled) = (number(self.behind), number(self.sampled).max(1));
        for (part, found) in parts.all_mut().into_iter().zip(self.sample.all()) {
            let scaled = u64::from(found).saturating_mul(behind) / sampled;
            *part = part.saturating_add(u32::try_from(scaled).unwrap_or(u32::MAX));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::steps::{Class, SHORT_WORD};
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Parts {
        let mut sampler = Sampler::default();
        sampler.add(text.as_bytes());
        sampler.parts()
    }

    #[test]
    fn each_script_has_its_parts() {
        let none = Parts::default();
        let english = Parts { words: 3, letters: 16, long: 2, ..none };
        assert_eq!(parts("The tokenizer cuts"), english);
        let code = Parts { words: 3, letters: 8, marks: 2, more_marks: 2, blanks: 3, ..none };
        assert_eq!(parts("\n  getName(a);{"), code);
        assert_eq!(parts("Пётр и"), Parts { two_bytes: 5, words_of_two: 2, ..none });
        assert_eq!(parts("日本 🙂"), Parts { three_bytes: 2, four_bytes: 1, ..none });
        let hex = parts("a3f9c0ffee12");
        assert_eq!((hex.words, hex.letters, hex.digits), (4, 7, 5));
        assert_eq!(parts("HTTPServer").words, 1);
        assert_eq!(parts("fooBar").words, 2);
    }

    #[test]
    fn of_a_long_text_a_sample_says_nearly_the_same() {
        let line = "fn main() { println!(\"{:?} is 42\", value); } // Länge, 長さ\n";
        let long = line.repeat(2_000);
        let mut whole = Parts::default();
        whole.count(long.as_bytes());
        // The same in one text, and in many.
        let mut of_lines = Sampler::default();
        (0..2_000).for_each(|_| of_lines.add(line.as_bytes()));
        for found in [parts(&long), of_lines.parts()] {
            for (sampled, counted) in found.all().into_iter().zip(whole.all()) {
                assert!(sampled.abs_diff(counted) <= counted / 10 + 5, "{sampled} {counted}");
            }
        }
    }

    /// As the fields of [`Parts`] are documented, letter by letter.
    fn counted_slowly(text: &[u8]) -> Parts {
        let mut parts = Parts::default();
        let (mut before, mut run) = (None, 0);
        for class in text.iter().map(|byte| Class::of(*byte)) {
            match class {
                Class::Small | Class::Capital => {
                    let goes_on = match before {
                        Some(Class::Small) => class == Class::Small,
                        Some(Class::Capital) => true,
                        _ => false,
                    };
                    run = if goes_on { run + 1 } else { 1 };
                    parts.letters += 1;
                    parts.words += u32::from(!goes_on);
                    parts.long += u32::from(run > SHORT_WORD);
                }
                Class::Digit => parts.digits += 1,
                Class::Mark if before == Some(Class::Mark) => parts.more_marks += 1,
                Class::Mark => parts.marks += 1,
                Class::Space if !matches!(before, Some(Class::Space | Class::Break)) => {}
                Class::Space | Class::Break => parts.blanks += 1,
                Class::Two => {
                    parts.two_bytes += 1;
                    parts.words_of_two += u32::from(before != Some(Class::Two));
                }
                Class::Three => parts.three_bytes += 1,
                Class::Four => parts.four_bytes += 1,
                Class::Rest => continue,
            }
            before = Some(class);
        }
        parts
    }

    proptest! {
        #[test]
        fn the_table_counts_what_is_there(
            texts in prop::collection::vec("[a-cA-C]{0,12}|[0-9 \\n.,\t]{0,4}|[äЖ日本🙂]{0,3}|\\PC{0,8}", 0..8),
            bytes: Vec<u8>,
        ) {
            for text in [texts.concat().as_bytes(), &bytes] {
                let mut parts = Parts::default();
                parts.count(text);
                prop_assert_eq!(parts, counted_slowly(text));
            }
        }

        #[test]
        fn no_part_is_longer_than_the_texts(texts: Vec<Vec<u8>>) {
            let mut sampler = Sampler::default();
            texts.iter().for_each(|text| sampler.add(text));
            let len = u32::try_from(texts.iter().map(Vec::len).sum::<usize>()).unwrap();
            prop_assert!(sampler.parts().all().into_iter().all(|count| count <= len));
        }
    }
}

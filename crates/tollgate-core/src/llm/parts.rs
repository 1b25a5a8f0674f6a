//! What a text is made of, as far as that decides how many tokens a model makes of it.
//!
//! Tokenizers cut a text into words, numbers and marks first, and then these into tokens they know. So
//! a text is counted by such parts, in one pass: English has few parts for its length, code has more,
//! and numbers in hexadecimal have one for nearly every byte.

/// The bytes of a request's texts that are all looked at.
const WHOLE: usize = 2 << 10;
/// Of what comes behind these, about one block in so many is looked at.
const EVERY: usize = 16;
/// Bytes of a block.
const BLOCK: usize = 128;
/// Letters of a word that most tokenizers have one token for.
const SHORT_WORD: u32 = 7;

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Start,
    Small,
    Capital,
    Digit,
    Mark,
    Space,
    Break,
    /// The first byte of a character.
    Two,
    Three,
    Four,
    /// One behind it.
    Rest,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Rest; 256];
    let mut byte = 0;
    while byte < 256 {
        // Less than 256.
        #[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)]
        {
            classes[byte] = match byte as u8 {
                b'a'..=b'z' => Class::Small,
                b'A'..=b'Z' => Class::Capital,
                b'0'..=b'9' => Class::Digit,
                b' ' => Class::Space,
                0..=0x1f | 0x7f => Class::Break,
                0x21..=0x7e => Class::Mark,
                0x80..=0xbf => Class::Rest,
                0xc0..=0xdf => Class::Two,
                0xe0..=0xef => Class::Three,
                0xf0..=0xff => Class::Four,
            };
        }
        byte += 1;
    }
    classes
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
        let mut before = Class::Start;
        let mut run = 0;
        for byte in text {
            let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(Class::Rest);
            match class {
                Class::Small | Class::Capital => {
                    let goes_on = match before {
                        Class::Small => class == Class::Small,
                        Class::Capital => true,
                        _ => false,
                    };
                    run = if goes_on { run + 1 } else { 1 };
                    self.letters = self.letters.saturating_add(1);
                    self.words = self.words.saturating_add(u32::from(!goes_on));
                    self.long = self.long.saturating_add(u32::from(run > SHORT_WORD));
                }
                Class::Digit => self.digits = self.digits.saturating_add(1),
                Class::Mark if before == Class::Mark => {
                    self.more_marks = self.more_marks.saturating_add(1);
                }
                Class::Mark => self.marks = self.marks.saturating_add(1),
                Class::Space if !matches!(before, Class::Space | Class::Break) => {}
                Class::Space | Class::Break => self.blanks = self.blanks.saturating_add(1),
                Class::Two => {
                    self.two_bytes = self.two_bytes.saturating_add(1);
                    let begins = before != Class::Two;
                    self.words_of_two = self.words_of_two.saturating_add(u32::from(begins));
                }
                Class::Three => self.three_bytes = self.three_bytes.saturating_add(1),
                Class::Four => self.four_bytes = self.four_bytes.saturating_add(1),
                // Of the character before.
                Class::Rest | Class::Start => continue,
            }
            before = class;
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

    proptest! {
        #[test]
        fn no_part_is_longer_than_the_texts(texts: Vec<Vec<u8>>) {
            let mut sampler = Sampler::default();
            texts.iter().for_each(|text| sampler.add(text));
            let len = u32::try_from(texts.iter().map(Vec::len).sum::<usize>()).unwrap();
            prop_assert!(sampler.parts().all().into_iter().all(|count| count <= len));
        }
    }
}

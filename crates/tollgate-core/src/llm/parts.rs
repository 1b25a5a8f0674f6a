//! What a text is made of, as far as that decides how many tokens a model makes of it.
//!
//! Tokenizers cut a text into words, numbers and marks first, and then these into tokens they know. So
//! a text is counted by such parts, in one pass: English has few parts for its length, code has more,
//! and numbers in hexadecimal have one for nearly every byte.

/// The bytes of a text that are all looked at.
const WHOLE: usize = 1 << 10;
/// Of what comes behind these, one block in so many is looked at.
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

    /// Adds those of a text. Of a long one, only a part is looked at.
    pub fn add(&mut self, text: &[u8]) {
        let (whole, rest) = text.split_at_checked(WHOLE).unwrap_or((text, &[]));
        self.count(whole);
        if rest.is_empty() {
            return;
        }
        let (mut sample, mut seen) = (Self::default(), 0);
        for block in rest.chunks(BLOCK).step_by(EVERY) {
            sample.count(block);
            seen += block.len();
        }
        let all = u64::try_from(rest.len()).unwrap_or(u64::MAX);
        let seen = u64::try_from(seen).unwrap_or(u64::MAX).max(1);
        for (part, sampled) in self.all_mut().into_iter().zip(sample.all()) {
            let scaled = u64::from(sampled).saturating_mul(all) / seen;
            *part = part.saturating_add(u32::try_from(scaled).unwrap_or(u32::MAX));
        }
    }

    /// Adds so many marks that stand alone: those around what is shown as JSON.
    pub fn add_marks(&mut self, count: usize) {
        self.marks = self.marks.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Parts {
        let mut parts = Parts::default();
        parts.add(text.as_bytes());
        parts
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
        for (sampled, counted) in parts(&long).all().into_iter().zip(whole.all()) {
            assert!(sampled.abs_diff(counted) <= counted / 20 + 5, "{sampled} {counted}");
        }
    }

    proptest! {
        #[test]
        fn no_part_is_longer_than_the_text(text: Vec<u8>) {
            let mut parts = Parts::default();
            parts.add(&text);
            let len = u32::try_from(text.len()).unwrap();
            prop_assert!(parts.all().into_iter().all(|count| count <= len));
        }
    }
}

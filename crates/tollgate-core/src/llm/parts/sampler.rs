//! The parts of many texts, of which a sample is looked at.

use super::steps::Counts;
use super::Parts;

/// The bytes of a request's texts that are all looked at.
const WHOLE: usize = 2 << 10;
/// Of what comes behind these, about one block in so many is looked at.
const EVERY: usize = 16;
/// Bytes of a block.
const BLOCK: usize = 128;

/// Counts the parts of the texts of one request: all of a short one, and a sample of what is behind that,
/// however many texts that is.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    whole: Counts,
    /// Marks that stand alone.
    marks: u32,
    /// Bytes of what is looked at as a whole.
    looked_at: usize,
    /// What was found in blocks of what is behind that.
    sample: Counts,
    /// Bytes of these blocks.
    sampled: usize,
    /// Bytes that are behind.
    behind: usize,
    /// Those since the last block that was looked at.
    waiting: usize,
    /// How many bytes of the text that goes on come before the next block that is looked at.
    passes: usize,
    /// What came of the block that is looked at, or how much has passed by.
    block: [u8; BLOCK],
    filled: usize,
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            whole: Counts::default(),
            marks: 0,
            looked_at: 0,
            sample: Counts::default(),
            sampled: 0,
            behind: 0,
            waiting: 0,
            passes: 0,
            block: [0; BLOCK],
            filled: 0,
        }
    }
}

impl Sampler {
    /// Adds a text.
    pub fn add(&mut self, text: &[u8]) {
        self.add_part(text);
        self.end_text();
    }

    /// Adds a part of a text that comes in several.
    #[inline]
    pub fn add_part(&mut self, part: &[u8]) {
        if !self.pass(part.len()) {
            self.add_slowly(part);
        }
    }

    /// The same, and one byte more.
    #[inline]
    pub fn add_part_and(&mut self, part: &[u8], byte: u8) {
        let len = part.len() + 1;
        if self.pass(len) || self.fill_block(part, byte) {
            return;
        }
        self.add_slowly(part);
        self.add_part(&[byte]);
    }

    /// Puts these into the block at hand, if more than that is missing to fill it.
    fn fill_block(&mut self, part: &[u8], byte: u8) -> bool {
        let end = self.filled + part.len();
        let is_whole = self.looked_at < WHOLE;
        let looked_at = self.looked_at + if is_whole { part.len() + 1 } else { 0 };
        if end + 1 >= BLOCK || (is_whole && looked_at >= WHOLE) || self.passes > 0 {
            return false;
        }
        let Some([room @ .., last]) = self.block.get_mut(self.filled..=end) else { return false };
        if room.len() != part.len() {
            return false;
        }
        room.copy_from_slice(part);
        *last = byte;
        (self.filled, self.looked_at) = (end + 1, looked_at);
        true
    }

    /// Adds so many bytes, if none of them is looked at: nearly all of a long text.
    #[inline]
    pub fn pass(&mut self, bytes: usize) -> bool {
        let is_passed = self.filled + bytes <= self.passes;
        if is_passed {
            self.filled += bytes;
        }
        is_passed
    }

    /// How many bytes of the text at hand are not looked at.
    #[inline]
    #[must_use]
    pub fn passes(&self) -> usize {
        self.passes.saturating_sub(self.filled)
    }

    fn add_slowly(&mut self, part: &[u8]) {
        let room = WHOLE.saturating_sub(self.looked_at);
        let (whole, rest) = part.split_at_checked(room).unwrap_or((part, &[]));
        if !whole.is_empty() {
            self.look_at(whole);
        }
        if !rest.is_empty() {
            self.sample(rest);
        }
    }

    /// The text has ended.
    #[inline]
    pub fn end_text(&mut self) {
        if self.filled > 0 {
            self.end_part();
        }
        self.whole.end();
    }

    fn end_part(&mut self) {
        if self.looked_at < WHOLE {
            self.end_whole();
        } else if self.passes > 0 {
            let passed = std::mem::take(&mut self.filled);
            self.pass_by(passed);
        } else {
            self.end_block();
        }
    }

    fn look_at(&mut self, part: &[u8]) {
        self.looked_at += part.len();
        let mut rest = part;
        while !rest.is_empty() {
            rest = match rest.split_first_chunk::<BLOCK>() {
                // No need to copy it.
                Some((block, after)) if self.filled == 0 => {
                    self.whole.add(block);
                    after
                }
                _ => {
                    let after = self.fill(rest);
                    if self.filled == BLOCK {
                        self.end_whole();
                    }
                    after
                }
            };
        }
        if self.looked_at == WHOLE {
            self.end_whole();
            self.whole.end();
        }
    }

    fn end_whole(&mut self) {
        self.whole.add(self.block.get(..self.filled).unwrap_or_default());
        self.filled = 0;
    }

    /// Puts what there is room for into the block at hand, and returns the rest.
    fn fill<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.block.get_mut(self.filled..).unwrap_or_default();
        let (part, after) = bytes.split_at_checked(room.len()).unwrap_or((bytes, &[]));
        if let Some(room) = room.get_mut(..part.len()) {
            room.copy_from_slice(part);
        }
        self.filled += part.len();
        after
    }

    fn sample(&mut self, part: &[u8]) {
        let mut rest = part;
        while !rest.is_empty() {
            if self.passes > 0 {
                let (passed, after) =
                    rest.split_at_checked(self.passes - self.filled).unwrap_or((rest, &[]));
                self.filled += passed.len();
                if self.filled == self.passes {
                    let passed = std::mem::take(&mut self.filled);
                    self.pass_by(passed);
                }
                rest = after;
                continue;
            }
            rest = match rest.split_first_chunk::<BLOCK>() {
                Some((block, after)) if self.filled == 0 => {
                    self.count_block(block);
                    after
                }
                _ => {
                    let after = self.fill(rest);
                    if self.filled == BLOCK {
                        self.end_block();
                    }
                    after
                }
            };
        }
    }

    /// So many bytes, whole blocks or the rest of a text, are not looked at.
    fn pass_by(&mut self, bytes: usize) {
        self.behind += bytes;
        self.waiting += bytes;
        // A block is looked at if it may end far enough behind the last one.
        let due = BLOCK * (EVERY - 1);
        self.passes = due.saturating_sub(self.waiting).next_multiple_of(BLOCK);
    }

    fn end_block(&mut self) {
        let (block, filled) = (self.block, std::mem::take(&mut self.filled));
        self.count_block(block.get(..filled).unwrap_or_default());
    }

    /// A block that may be looked at has ended, or the last part of a text.
    fn count_block(&mut self, block: &[u8]) {
        self.behind += block.len();
        self.waiting += block.len();
        if self.waiting >= BLOCK * EVERY || self.sampled == 0 {
            self.sample.add(block);
            self.sample.end();
            self.sampled += block.len();
            self.waiting = 0;
        }
        self.pass_by(0);
    }

    /// Adds so many marks that stand alone: those around what is shown as JSON.
    pub fn add_marks(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.marks = self.marks.saturating_add(count);
    }

    /// How many parts there are.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let mut parts = Parts::of(&self.whole);
        parts.marks = parts.marks.saturating_add(self.marks);
        let number = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
        let (behind, sampled) = (number(self.behind), number(self.sampled).max(1));
        for (part, found) in parts.all_mut().into_iter().zip(Parts::of(&self.sample).all()) {
            let scaled = u64::from(found).saturating_mul(behind) / sampled;
            *part = part.saturating_add(u32::try_from(scaled).unwrap_or(u32::MAX));
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::super::steps::{Class, Counts, SHORT_WORD};
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &str) -> Parts {
        let mut sampler = Sampler::default();
        sampler.add(text.as_bytes());
        sampler.parts()
    }

    fn counted(text: &[u8]) -> Parts {
        let mut counts = Counts::default();
        counts.add(text);
        Parts::of(&counts)
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
        let whole = counted(long.as_bytes());
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
                prop_assert_eq!(counted(text), counted_slowly(text));
            }
        }

        /// The words of a text may be of any length, and the text may come in any number of parts.
        #[test]
        fn it_makes_no_difference_where_a_text_is_cut(
            texts in prop::collection::vec(
                prop::collection::vec("[a-z]{0,40}|[A-Z]{0,12}|[ -~]{0,200}|[ \n,.]{0,9}|[äЖ日🙂]{0,9}", 0..40),
                0..6,
            ),
        ) {
            let (mut whole, mut parts) = (Sampler::default(), Sampler::default());
            let mut plain = plain::Sampler::default();
            for text in &texts {
                whole.add(text.concat().as_bytes());
                plain.add(text.concat().as_bytes());
                text.iter().for_each(|part| parts.add_part(part.as_bytes()));
                parts.end_text();
            }
            prop_assert_eq!(parts.parts(), whole.parts());
            prop_assert_eq!(whole.parts(), plain.parts());
            let all = texts.concat().concat();
            prop_assert_eq!(counted(all.as_bytes()), counted_slowly(all.as_bytes()));
        }

        #[test]
        fn no_part_is_longer_than_the_texts(texts: Vec<Vec<u8>>) {
            let mut sampler = Sampler::default();
            texts.iter().for_each(|text| sampler.add(text));
            let len = u32::try_from(texts.iter().map(Vec::len).sum::<usize>()).unwrap();
            prop_assert!(sampler.parts().all().into_iter().all(|count| count <= len));
        }
    }

    /// The sampler as it is described: of each text block by block.
    mod plain {
        use super::*;

        #[derive(Default)]
        pub(super) struct Sampler {
            whole: Parts,
            looked_at: usize,
            sample: Parts,
            sampled: usize,
            behind: usize,
            waiting: usize,
        }

        fn add(sum: &mut Parts, text: &[u8]) {
            let parts = counted_slowly(text).all();
            sum.all_mut().into_iter().zip(parts).for_each(|(sum, part)| *sum += part);
        }

        impl Sampler {
            pub(super) fn add(&mut self, text: &[u8]) {
                let room = WHOLE.saturating_sub(self.looked_at);
                let (whole, rest) = text.split_at_checked(room).unwrap_or((text, &[]));
                add(&mut self.whole, whole);
                self.looked_at += whole.len();
                for block in rest.chunks(BLOCK) {
                    self.behind += block.len();
                    self.waiting += block.len();
                    if self.waiting >= BLOCK * EVERY || self.sampled == 0 {
                        add(&mut self.sample, block);
                        self.sampled += block.len();
                        self.waiting = 0;
                    }
                }
            }

            pub(super) fn parts(&self) -> Parts {
                let mut parts = self.whole;
                for (part, found) in parts.all_mut().into_iter().zip(self.sample.all()) {
                    *part += u32::try_from(
                        u64::from(found) * self.behind as u64 / self.sampled.max(1) as u64,
                    )
                    .unwrap();
                }
                parts
            }
        }
    }
}

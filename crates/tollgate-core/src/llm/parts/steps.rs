//! The bytes of a text as steps through a table: what each is counted as, after what stands before it.

use crate::json::Lanes;

/// Letters of a word that most tokenizers have one token for.
pub(super) const SHORT_WORD: u8 = 7;
/// Each of these letters is a state of the reader, and those beyond are one.
const WORD_STATES: usize = SHORT_WORD as usize + 1;

/// What a byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
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

impl Class {
    const ALL: [Self; 10] = [
        Self::Small,
        Self::Capital,
        Self::Digit,
        Self::Mark,
        Self::Space,
        Self::Break,
        Self::Two,
        Self::Three,
        Self::Four,
        Self::Rest,
    ];

    pub(super) const fn of(byte: u8) -> Self {
        match byte {
            b'a'..=b'z' => Self::Small,
            b'A'..=b'Z' => Self::Capital,
            b'0'..=b'9' => Self::Digit,
            b' ' => Self::Space,
            0..=0x1f | 0x7f => Self::Break,
            0x21..=0x7e => Self::Mark,
            0x80..=0xbf => Self::Rest,
            0xc0..=0xdf => Self::Two,
            0xe0..=0xef => Self::Three,
            0xf0..=0xff => Self::Four,
        }
    }
}

/// What stands before a byte.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// A small letter, the so many-eth of its word; all beyond the seventh are one.
    Small(u8),
    Capital(u8),
    Other(Class),
}

impl Before {
    const COUNT: usize = 1 + 2 * WORD_STATES + Class::ALL.len();

    /// From 0, below [`Self::COUNT`].
    const fn number(self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Small(nth) => nth as usize,
            Self::Capital(nth) => WORD_STATES + nth as usize,
            Self::Other(class) => 1 + 2 * WORD_STATES + class as usize,
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)] // Of a const, below 32.
    const fn of(number: usize) -> Self {
        const CAPITALS: usize = WORD_STATES + 1;
        const OTHERS: usize = 2 * WORD_STATES + 1;
        match number {
            0 => Self::Nothing,
            1..CAPITALS => Self::Small(number as u8),
            CAPITALS..OTHERS => Self::Capital((number - WORD_STATES) as u8),
            _ => Self::Other(Class::ALL[number - OTHERS]),
        }
    }

    /// What stands before the next byte, and what is counted of this one.
    const fn step(self, class: Class) -> (Self, Counted) {
        match class {
            Class::Small | Class::Capital => {
                let before = match self {
                    Self::Small(nth) if matches!(class, Class::Small) => nth,
                    Self::Capital(nth) => nth,
                    _ => 0,
                };
                let nth = if before > SHORT_WORD { before } else { before + 1 };
                let counted = match nth {
                    1 => Counted::Word,
                    2..=SHORT_WORD => Counted::Letter,
                    _ => Counted::LongWord,
                };
                let now = if matches!(class, Class::Small) {
                    Self::Small(nth)
                } else {
                    Self::Capital(nth)
                };
                (now, counted)
            }
            // Of the character before.
            Class::Rest => (self, Counted::Nothing),
            _ => (Self::Other(class), self.counted(class)),
        }
    }

    const fn counted(self, class: Class) -> Counted {
        match (class, self) {
            (Class::Digit, _) => Counted::Digit,
            (Class::Mark, Self::Other(Class::Mark)) => Counted::MoreMarks,
            (Class::Mark, _) => Counted::Mark,
            (Class::Space, Self::Other(Class::Space | Class::Break)) | (Class::Break, _) => {
                Counted::Blank
            }
            (Class::Two, Self::Other(Class::Two)) => Counted::Two,
            (Class::Two, _) => Counted::WordOfTwo,
            (Class::Three, _) => Counted::Three,
            (Class::Four, _) => Counted::Four,
            (Class::Space | Class::Small | Class::Capital | Class::Rest, _) => Counted::Nothing,
        }
    }
}

/// What a byte is counted as.
#[derive(Clone, Copy)]
pub(super) enum Counted {
    Nothing,
    /// The first letter of a word.
    Word,
    Letter,
    /// One beyond the seventh.
    LongWord,
    Digit,
    Mark,
    MoreMarks,
    Blank,
    WordOfTwo,
    Two,
    Three,
    Four,
}

/// All steps, by what stands before and the byte's class; and the classes. A text is read with two loads
/// and an addition for each byte.
static STEPS: [u16; Before::COUNT.next_power_of_two() * CLASS_ROOM] = steps();
static CLASSES: [u8; 256] = classes();

/// Powers of two, so that an index is in range whatever it is made of.
const CLASS_ROOM: usize = Class::ALL.len().next_power_of_two();
const COUNTED_ROOM: usize = 16;

/// In the table: what stands before the next byte as the start of its row, and what is counted.
#[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)] // 32 rows of 16.
const fn steps() -> [u16; Before::COUNT.next_power_of_two() * CLASS_ROOM] {
    let mut steps = [0; Before::COUNT.next_power_of_two() * CLASS_ROOM];
    let mut before = 0;
    while before < Before::COUNT {
        let mut class = 0;
        while class < Class::ALL.len() {
            let (now, counted) = Before::of(before).step(Class::ALL[class]);
            steps[before * CLASS_ROOM + class] =
                (now.number() * CLASS_ROOM + counted as usize) as u16;
            class += 1;
        }
        before += 1;
    }
    steps
}

#[allow(clippy::cast_possible_truncation, clippy::indexing_slicing)] // Below 256.
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = Class::of(byte as u8) as u8;
        byte += 1;
    }
    classes
}

/// How many bytes of texts are counted as what.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    found: [u32; COUNTED_ROOM],
    /// The row of the table, by what stands before the next byte.
    row: u16,
}

impl Counts {
    /// Counts what a text goes on with.
    pub(super) fn add(&mut self, text: &[u8]) {
        let (blocks, rest) = text.as_chunks::<{ Block::LEN }>();
        for bytes in blocks {
            match Block::of(bytes) {
                Some(block) => self.add_block(&block),
                None => self.add_bytes(bytes),
            }
        }
        self.add_bytes(rest);
    }

    /// What follows is another text.
    pub(super) fn end(&mut self) {
        self.row = 0;
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        let mut row = usize::from(self.row);
        for byte in bytes {
            let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(0);
            let at = (row | usize::from(class)) & (STEPS.len() - 1);
            let step = usize::from(STEPS.get(at).copied().unwrap_or(0));
            row = step & !(COUNTED_ROOM - 1);
            if let Some(count) = self.found.get_mut(step & (COUNTED_ROOM - 1)) {
                *count = count.wrapping_add(1);
            }
        }
        self.row = u16::try_from(row).unwrap_or(0);
    }

    /// The same for 64 bytes at once.
    fn add_block(&mut self, block: &Block) {
        let Block { small, capital, digit, space, breaks } = *block;
        let letter = small | capital;
        let mark = !(letter | digit | space | breaks);
        let blank = space | breaks;

        // A bit for each letter that goes on with a word, and for each that is the last of so many.
        let before = Before::of(usize::from(self.row) / CLASS_ROOM);
        let (after_small, after_capital) = (before.is_small(), before.is_capital());
        let goes_on = small & behind(small, after_small) | letter & behind(capital, after_capital);
        let run = before.letters().saturating_sub(1);
        let two = goes_on & (goes_on << 1 | top(run) >> 63);
        let four = two & (two << 2 | top(run.saturating_sub(1)) >> 62);
        let long = four & (four << 3 | top(run.saturating_sub(3)) >> 61);

        let more_marks = mark & behind(mark, before.is(Class::Mark));
        let after_blank = before.is(Class::Space) || before.is(Class::Break);
        for (counted, bytes) in [
            (Counted::Word, letter & !goes_on),
            (Counted::Letter, goes_on & !long),
            (Counted::LongWord, long),
            (Counted::Digit, digit),
            (Counted::Mark, mark & !more_marks),
            (Counted::MoreMarks, more_marks),
            (Counted::Blank, breaks | space & behind(blank, after_blank)),
        ] {
            // Most blocks have only some of these; a processor may have no instruction that counts bits.
            if bytes == 0 {
                continue;
            }
            if let Some(count) = self.found.get_mut(counted as usize) {
                *count = count.wrapping_add(bytes.count_ones());
            }
        }

        let nth = u8::try_from(goes_on.leading_ones()).unwrap_or(0).min(SHORT_WORD) + 1;
        let is_last = |mask: u64| mask >> 63 != 0;
        let last = if is_last(small) {
            Before::Small(nth)
        } else if is_last(capital) {
            Before::Capital(nth)
        } else if is_last(digit) {
            Before::Other(Class::Digit)
        } else if is_last(space) {
            Before::Other(Class::Space)
        } else if is_last(breaks) {
            Before::Other(Class::Break)
        } else {
            Before::Other(Class::Mark)
        };
        self.row = u16::try_from(last.number() * CLASS_ROOM).unwrap_or(0);
    }

    pub(super) fn found(&self, counted: Counted) -> u32 {
        self.found.get(counted as usize).copied().unwrap_or(0)
    }
}

/// A mask moved by one byte, behind what stands before it.
fn behind(mask: u64, first: bool) -> u64 {
    mask << 1 | u64::from(first)
}

/// The topmost bits, so many of them.
fn top(bits: u8) -> u64 {
    u64::MAX.checked_shl(u64::BITS - u32::from(bits)).unwrap_or(0)
}

/// 64 bytes of ASCII as masks, the first byte's bit lowest.
struct Block {
    small: u64,
    capital: u64,
    digit: u64,
    space: u64,
    breaks: u64,
}

impl Block {
    const LEN: usize = 4 * Lanes::LEN;

    fn of(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (chunks, _) = bytes.as_chunks::<{ Lanes::LEN }>();
        let [a, b, c, d] = chunks else { return None };
        let lanes = [Lanes::of(a), Lanes::of(b), Lanes::of(c), Lanes::of(d)];
        let [a, b, c, d] = lanes;
        if a.or(b).or(c.or(d)).not_ascii() != 0 {
            return None;
        }
        Some(Self {
            small: mask(lanes, |lanes| lanes.within(b'a', b'z')),
            capital: mask(lanes, |lanes| lanes.within(b'A', b'Z')),
            digit: mask(lanes, |lanes| lanes.within(b'0', b'9')),
            space: mask(lanes, |lanes| lanes.is(b' ')),
            breaks: mask(lanes, Lanes::controls_or_not_ascii),
        })
    }
}

#[inline(always)]
fn mask(lanes: [Lanes; 4], of: impl Fn(Lanes) -> u32) -> u64 {
    let [a, b, c, d] = lanes.map(of);
    let (low, high) = (a | b << Lanes::LEN, c | d << Lanes::LEN);
    u64::from(low) | u64::from(high) << (2 * Lanes::LEN)
}

impl Before {
    fn is(self, class: Class) -> bool {
        matches!(self, Self::Other(other) if other == class)
    }

    fn is_small(self) -> bool {
        matches!(self, Self::Small(_))
    }

    fn is_capital(self) -> bool {
        matches!(self, Self::Capital(_))
    }

    /// How many letters of a word stand there.
    fn letters(self) -> u8 {
        match self {
            Self::Small(nth) | Self::Capital(nth) => nth,
            Self::Nothing | Self::Other(_) => 0,
        }
    }
}

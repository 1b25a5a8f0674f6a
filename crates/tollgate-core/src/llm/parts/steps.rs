//! The bytes of a text as steps through a table: what each is counted as, after what stands before it.

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

/// How many bytes of a text are counted as what.
pub(super) struct Counts([u32; COUNTED_ROOM]);

impl Counts {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut counts = [0_u32; COUNTED_ROOM];
        let mut row = 0;
        for byte in text {
            let class = CLASSES.get(usize::from(*byte)).copied().unwrap_or(0);
            let at = (row | usize::from(class)) & (STEPS.len() - 1);
            let step = usize::from(STEPS.get(at).copied().unwrap_or(0));
            row = step & !(COUNTED_ROOM - 1);
            if let Some(count) = counts.get_mut(step & (COUNTED_ROOM - 1)) {
                *count = count.wrapping_add(1);
            }
        }
        Self(counts)
    }

    pub(super) fn found(&self, counted: Counted) -> u32 {
        self.0.get(counted as usize).copied().unwrap_or(0)
    }
}

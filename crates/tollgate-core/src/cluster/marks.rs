//! What is noted of an entry beside its numbers, in one word.

/// What is noted of an entry beside its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    /// Tokens a period.
    pub(super) count: u32,
    /// Which word of a slot the limit has.
    pub(super) word: u8,
    /// The area of its key.
    pub(super) area: u8,
    /// The thread keeps account of it: it holds something, or has something to report.
    pub(super) is_tracked: bool,
    /// It is about to change hands.
    pub(super) is_leaving: bool,
    /// An operator wants the limit to be full again.
    pub(super) is_reset: bool,
    /// By which seed it has its name.
    pub(super) era: u16,
}

const TRACKED: u64 = 1 << 16;
const LEAVING: u64 = 1 << 17;
const RESET: u64 = 1 << 18;

impl Marks {
    pub(super) fn of(word: u64) -> Self {
        let byte = |shift: u32| u8::try_from(word >> shift & 0xff).unwrap_or(0);
        Self {
            count: u32::try_from(word >> 32).unwrap_or(0),
            word: byte(24) & 0x1f,
            area: byte(20) & 0xf,
            is_tracked: word & TRACKED != 0,
            is_leaving: word & LEAVING != 0,
            is_reset: word & RESET != 0,
            era: Self::era_of(word),
        }
    }

    pub(super) fn bits(self) -> u64 {
        let flag = |is: bool, bit: u64| if is { bit } else { 0 };
        u64::from(self.count) << 32
            | u64::from(self.word & 0x1f) << 24
            | u64::from(self.area & 0xf) << 20
            | flag(self.is_tracked, TRACKED)
            | flag(self.is_leaving, LEAVING)
            | flag(self.is_reset, RESET)
            | u64::from(self.era)
    }

    /// By which seed a word says that the name is.
    #[inline]
    pub(super) fn era_of(word: u64) -> u16 {
        u16::try_from(word & 0xffff).unwrap_or(0)
    }

    /// Whether a word says that this is the rate, and that the entry doesn't leave.
    #[inline]
    pub(super) fn is_at_rate(word: u64, count: u32) -> bool {
        word >> 32 == u64::from(count) && word & LEAVING == 0
    }
}

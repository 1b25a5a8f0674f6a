//! What a memory that processes share begins with: what lies in it, and by which version of its layout.
//!
//! ```text
//! name | version | numbers of the memory's own | ...
//! ```

use std::fmt;
use std::ops::Range;

use super::sync::{AtomicU64, Ordering};

const WORD_NAME: usize = 0;
const WORD_VERSION: usize = 1;

/// What a memory holds. Whoever finds the same shares it, while the module is upgraded also with an older one
/// (USR2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    name: u64,
    version: u64,
}

/// What is wrong with a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// Too small for what is to be in it.
    TooSmall,
    /// The kernel has no random bytes to give for the seed.
    NoSeed,
    /// Not formatted by this module.
    Foreign,
    /// Formatted by another version of this module.
    Version {
        /// The version of its layout.
        found: u64,
        /// That of this module.
        known: u64,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall => f.write_str("is too small"),
            Self::NoSeed => f.write_str("cannot be made, as the kernel gives no random bytes"),
            Self::Foreign => f.write_str("holds something else"),
            Self::Version { found, known } => write!(
                f,
                "has layout version {found}, and this version of the module uses {known}; \
                 restart nginx instead of reloading it"
            ),
        }
    }
}

impl std::error::Error for LayoutError {}

impl Layout {
    /// The layout of the memory of this name. The version is to be raised with every change of what lies where, and
    /// of what it means.
    #[must_use]
    pub const fn new(name: [u8; 8], version: u64) -> Self {
        Self { name: u64::from_be_bytes(name), version }
    }

    /// Makes `words` begin with this, and `numbers`, each with its place. What else is in them is to be there
    /// already.
    ///
    /// # Errors
    ///
    /// When there are too few words for it.
    pub fn begin(
        self,
        words: &[AtomicU64],
        numbers: impl IntoIterator<Item = (usize, u64)>,
    ) -> Result<(), LayoutError> {
        let version = (WORD_VERSION, self.version);
        // The last one is such that a header without it is not a header.
        let name = (WORD_NAME, self.name);
        for (at, value) in [version].into_iter().chain(numbers).chain([name]) {
            words.get(at).ok_or(LayoutError::TooSmall)?.store(value, Ordering::Release);
        }
        Ok(())
    }

    /// What lies in `words`, if they begin with this.
    ///
    /// # Errors
    ///
    /// When they don't.
    pub fn open(self, words: &[AtomicU64]) -> Result<Memory<'_>, LayoutError> {
        let memory = Memory { words };
        if memory.number(WORD_NAME)? != self.name {
            return Err(LayoutError::Foreign);
        }
        match memory.number(WORD_VERSION)? {
            found if found == self.version => Ok(memory),
            found => Err(LayoutError::Version { found, known: self.version }),
        }
    }
}

/// A memory that has a header.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'m> {
    words: &'m [AtomicU64],
}

impl<'m> Memory<'m> {
    /// One of its words.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub fn word(&self, at: usize) -> Result<&'m AtomicU64, LayoutError> {
        self.words.get(at).ok_or(LayoutError::TooSmall)
    }

    /// What is in one of its words.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub fn number(&self, at: usize) -> Result<u64, LayoutError> {
        self.word(at).map(|word| word.load(Ordering::Acquire))
    }

    /// How many of something there are, as one of its words says; more than any memory has, where that is no such
    /// number.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub fn count(&self, at: usize) -> Result<usize, LayoutError> {
        self.number(at).map(|count| usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The seed that lies in two of its words.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub fn seed(&self, at: usize) -> Result<(u64, u64), LayoutError> {
        Ok((self.number(at)?, self.number(at + 1)?))
    }

    /// A part of it.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub fn part(&self, range: Range<usize>) -> Result<&'m [AtomicU64], LayoutError> {
        self.words.get(range).ok_or(LayoutError::TooSmall)
    }

    /// What lies from a place on.
    ///
    /// # Errors
    ///
    /// When it ends before.
    pub fn rest(&self, from: usize) -> Result<&'m [AtomicU64], LayoutError> {
        self.words.get(from..).ok_or(LayoutError::TooSmall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout::new(*b"tgtests\n", 7);

    fn memory(len: usize) -> Vec<AtomicU64> {
        (0..len).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn what_was_begun_is_opened() {
        let words = memory(8);
        LAYOUT.begin(&words, [(2, 11), (3, 12), (4, u64::MAX)]).unwrap();
        let memory = LAYOUT.open(&words).unwrap();
        assert_eq!(memory.seed(2), Ok((11, 12)));
        assert_eq!(memory.count(3), Ok(12));
        assert_eq!(memory.count(4), Ok(usize::MAX));
        memory.word(7).unwrap().store(5, Ordering::Relaxed);
        assert_eq!(memory.number(7), Ok(5));
        assert_eq!(memory.part(5..8).unwrap().len(), 3);
        assert_eq!(memory.rest(6).unwrap().len(), 2);
        assert_eq!(memory.number(8), Err(LayoutError::TooSmall));
        assert_eq!(memory.seed(7), Err(LayoutError::TooSmall));
        assert!(matches!(memory.part(5..9), Err(LayoutError::TooSmall)));
        assert!(matches!(memory.rest(9), Err(LayoutError::TooSmall)));
    }

    #[test]
    fn what_is_something_else_is_not_opened() {
        let words = memory(8);
        assert_eq!(LAYOUT.open(&words).unwrap_err(), LayoutError::Foreign);
        assert_eq!(LAYOUT.open(&words[..0]).unwrap_err(), LayoutError::TooSmall);
        Layout::new(*b"tgothers", 7).begin(&words, []).unwrap();
        assert_eq!(LAYOUT.open(&words).unwrap_err(), LayoutError::Foreign);
        Layout::new(*b"tgtests\n", 8).begin(&words, []).unwrap();
        let error = LAYOUT.open(&words).unwrap_err();
        assert_eq!(error, LayoutError::Version { found: 8, known: 7 });
        assert_eq!(
            error.to_string(),
            "has layout version 8, and this version of the module uses 7; restart nginx instead of reloading it"
        );
    }

    #[test]
    fn what_could_not_be_begun_in_whole_is_not_opened() {
        let words = memory(3);
        assert_eq!(LAYOUT.begin(&words, [(3, 1)]), Err(LayoutError::TooSmall));
        assert_eq!(LAYOUT.open(&words).unwrap_err(), LayoutError::Foreign);
    }
}

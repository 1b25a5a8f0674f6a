//! Keys that are revoked in all nodes, before the files of each node say so.
//!
//! The store has a list of [`Word`]s, each with a number. What a node has heard of it lies in memory that its workers
//! share ([`Revocations`]), where a request looks without a lock, and in a file ([`file`]), so that a node that starts
//! without the store remembers. The hash of a key is the one by which keys files know it.
//!
//! A word holds until the node's own files have the last word again: until they say that the key is disabled, or have
//! it no more after they had it ([`InFiles`]). A key that they never had stays revoked, as a file with it may still be on
//! its way.

pub mod file;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Revocations, CAPACITY, MEMORY_WORDS};

use std::fmt;

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 32]);

impl KeyHash {
    /// The hash that a keys file has: `sha256:` and 64 lower-case hexadecimal digits. `None`: that is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
        let (pairs, rest) = digits.as_chunks::<2>();
        let mut hash = [0; 32];
        if !rest.is_empty() || pairs.len() != hash.len() {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(hash))
    }

    fn words(self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        let mut out = [0; 4];
        for (out, word) in out.iter_mut().zip(words) {
            *out = u64::from_le_bytes(*word);
        }
        out
    }

    fn from_words(words: [u64; 4]) -> Self {
        let mut hash = [0; 32];
        let (out, _) = hash.as_chunks_mut::<8>();
        for (out, word) in out.iter_mut().zip(words) {
            *out = word.to_le_bytes();
        }
        Self(hash)
    }
}

// Nobody finds a key by its hash, but logs are no place for it.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

/// What the list says of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// Which key.
    pub key: KeyHash,
    /// Whether it is revoked, or that it isn't any more.
    pub is_revoked: bool,
    /// The number of the list with this word. The last word on a key counts.
    pub number: u64,
}

/// What the node's own files say of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFiles {
    /// One has it, and it is not disabled there.
    Enabled,
    /// All that have it say that it is disabled.
    Disabled,
    /// None has it.
    Missing,
}

impl InFiles {
    /// What two files say together.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Enabled, _) | (_, Self::Enabled) => Self::Enabled,
            (Self::Disabled, _) | (_, Self::Disabled) => Self::Disabled,
            (Self::Missing, Self::Missing) => Self::Missing,
        }
    }
}

/// There is no room for another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListFull;

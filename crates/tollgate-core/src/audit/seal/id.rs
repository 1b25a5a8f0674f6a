//! What chains and their seals are called.

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use crate::clock::UnixMillis;

/// How many generations and chains there may be: a verifier has to go through them.
pub(super) const MAX_NUMBER: u32 = 1 << 20;

/// When a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// On the wall clock.
    pub time: UnixMillis,
    /// On the monotonic clock of the machine, which all workers share, in milliseconds.
    pub up_ms: u64,
}

impl Default for Stamp {
    fn default() -> Self {
        Self { time: UnixMillis(0), up_ms: 0 }
    }
}

/// A chain: the generation, and the how manieth it is in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChainId {
    pub(super) generation: u32,
    pub(super) number: u32,
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.number)
    }
}

impl ChainId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (generation, in_it) = text.split_once('.')?;
        let part = |text: &str| {
            let value = u32::try_from(number(text)?).ok()?;
            (value < MAX_NUMBER).then_some(value)
        };
        Some(Self { generation: part(generation)?, number: part(in_it)? })
    }

    pub(super) fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.number)
    }

    pub(super) fn from_word(word: u64) -> Self {
        let [g1, g2, g3, g4, n1, n2, n3, n4] = word.to_be_bytes();
        Self {
            generation: u32::from_be_bytes([g1, g2, g3, g4]),
            number: u32::from_be_bytes([n1, n2, n3, n4]),
        }
    }
}

/// The MAC of a seal, or the hash of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mac(pub(super) [u8; 32]);

impl Mac {
    pub(super) fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    pub(super) fn words(self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        let mut out = [0; 4];
        out.iter_mut().zip(words).for_each(|(out, word)| *out = u64::from_le_bytes(*word));
        out
    }

    pub(super) fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        chunks.iter_mut().zip(words).for_each(|(out, word)| *out = word.to_le_bytes());
        Self(bytes)
    }
}

/// A number as it is written, and in no other way.
pub(super) fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok()?;
    (is_plain && (text == "0" || !text.starts_with('0'))).then_some(value)
}

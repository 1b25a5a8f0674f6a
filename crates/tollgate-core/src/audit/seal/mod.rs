//! A sealed log: nobody can change what is in it, unseen.
//!
//! ```text
//! generation 12          a life of the shared memory: from a start of nginx, over reloads, to its end
//!   chain 12.0           a worker's lines, numbered: 12.0.1, 12.0.2, ...
//!     opening            signed; names the manifest before
//!     lines ... seal 0   a seal for each batch that is written, and where nothing is
//!     lines ... seal 1
//!   chain 12.1
//!     manifest 45        signed; names the last seal of each chain, and the manifest before
//! ```
//!
//! Each seal has a key of its own ([`ratchet`]), which is wiped when it is made. So are the keys of chains and
//! generations. Whoever takes the machine finds the key of the next seal, and none of those before.
//!
//! * [`key`]: the file that seals, and the one that verifies;
//! * [`chain`], [`manifest`]: what is written; [`line`]: and read back;
//! * [`memory`]: what all workers know of each other's chains; [`sealer`]: a worker's part in it;
//! * [`verify`]: what was changed, removed, added and reordered.

mod chain;
mod heads;
mod key;
mod line;
mod manifest;
mod memory;
mod ratchet;
mod sealer;
mod verify;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use crate::clock::UnixMillis;

pub use heads::{HeadsLine, LatestHeads};
pub use key::{generate, KeyError, KeyId, Random, SealingKey, Signer, VerifyingKey, KEY_FILE_LEN};
pub use line::{file_order, is_seal};
pub use memory::{MemoryError, Seals, SEALS_BYTES, SLOT_BYTES};
pub use ratchet::Secret;
pub use sealer::{Closing, Sealer};
pub use verify::{Finding, Kind, Note, Place, Report, Verifier};

/// A seal is written so often where there is nothing to seal, in milliseconds: else nobody could tell silence
/// from lines that were taken out.
pub const INTERVAL_MS: u64 = 10_000;

/// Between two manifests, in milliseconds.
pub const MANIFEST_MS: u64 = 3_600_000;

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
struct ChainId {
    generation: u32,
    number: u32,
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.number)
    }
}

impl ChainId {
    fn parse(text: &str) -> Option<Self> {
        let (generation, number) = text.split_once('.')?;
        let part = |text: &str| {
            let value = u32::try_from(line::number(text)?).ok()?;
            (value < key::MAX_NUMBER).then_some(value)
        };
        Some(Self { generation: part(generation)?, number: part(number)? })
    }

    fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.number)
    }

    fn from_word(word: u64) -> Self {
        let [g1, g2, g3, g4, n1, n2, n3, n4] = word.to_be_bytes();
        Self {
            generation: u32::from_be_bytes([g1, g2, g3, g4]),
            number: u32::from_be_bytes([n1, n2, n3, n4]),
        }
    }
}

/// The MAC of a seal, or the hash of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Mac([u8; 32]);

impl Mac {
    fn parse(text: &str) -> Option<Self> {
        URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok().map(Self)
    }

    fn words(self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks::<8>();
        let mut out = [0; 4];
        out.iter_mut().zip(words).for_each(|(out, word)| *out = u64::from_le_bytes(*word));
        out
    }

    fn from_words(words: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        chunks.iter_mut().zip(words).for_each(|(out, word)| *out = word.to_le_bytes());
        Self(bytes)
    }
}

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
//! * [`id`]: what chains and seals are called; [`key`]: the file that seals, and the one that verifies;
//! * [`chain`], [`manifest`]: what is written; [`line`]: and read back;
//! * [`memory`]: what all workers know of each other's chains, and its [`layout`]; [`sealer`]: a worker's part in it;
//! * [`verify`]: what was changed, removed, added and reordered.

mod chain;
mod heads;
mod id;
mod key;
mod layout;
mod line;
mod manifest;
mod memory;
mod ratchet;
mod sealer;
mod verify;

#[cfg(test)]
mod dice;
#[cfg(test)]
mod rotated;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use heads::{HeadsLine, LatestHeads};
pub use id::Stamp;
pub use key::{
    generate, Generation, KeyError, KeyId, Random, SealingKey, Signer, VerifyingKey, CLOCK_AT,
    CLOCK_LEN, KEY_FILE_LEN,
};
pub use line::{file_order, is_seal};
pub use memory::{MemoryError, Seals, SEALS_BYTES, SLOT_BYTES};
pub use sealer::{Closing, Sealer};
pub use verify::{Finding, Kind, Note, Place, Report, Verifier};

/// A seal is written so often where there is nothing to seal, in milliseconds: else nobody could tell silence
/// from lines that were taken out.
pub const INTERVAL_MS: u64 = 10_000;

/// Between two manifests, in milliseconds.
pub const MANIFEST_MS: u64 = 3_600_000;

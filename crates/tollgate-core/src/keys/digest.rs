//! What a key is found by.

use sha2::{Digest as _, Sha256};

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(pub(super) [u8; 32]);

impl Digest {
    pub(super) fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

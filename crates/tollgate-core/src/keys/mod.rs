//! API keys: the set that a keys file declares, and who a presented key belongs to.
//!
//! Only the SHA-256 of a key is stored and looked up. A key holds 256 random bits (or is at least
//! not guessable, or it would be no credential), so neither a salt nor a slow hash would add
//! anything, and a look-up need not take constant time: what its timing could tell is a part of a
//! digest, from which nobody finds a key.

mod builder;
mod certs;
mod digest;
mod entry;
mod error;
mod field;
mod file;
mod image;
mod key;
mod memo;
mod metadata;
mod refused;
mod states;
mod value;

pub use error::{EntryName, KeysError, Problem};
pub use file::{Built, MAX_TOLD};
pub use key::{ApiKey, KeyOwner, Refusal};
pub use memo::KeyMemo;
pub use refused::Refused;
pub use states::KeyStates;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::cert::CertName;
use crate::clock::{UnixSeconds, WallClock};
use crate::cluster::revocations::{InFiles, KeyHash};
use crate::decision::Reason;
use crate::detail::Cause;
use crate::principal::{AuthMethod, Principal};
use digest::Digest;
use image::{Header, Image};

/// The longest API key, in bytes. A longer one is refused without being hashed.
pub const MAX_KEY_LEN: usize = 4096;

/// The most faults that [`faults`] tells.
const MAX_FAULTS: usize = 1000;

/// The keys of one keys file, found by digest. Immutable: a changed file makes a new set.
///
/// It lives in one block of bytes ([`KeySet::build`]), which may be memory that processes share
/// ([`KeySet::from_block`]).
pub struct KeySet {
    block: Box<dyn AsRef<[u8]> + Send + Sync>,
    header: Header,
}

/// Everything that is wrong with a keys file: one fault an entry, and the first thousand.
///
/// What is said of the file as a whole ends the reading.
#[must_use]
pub fn faults(json: &[u8]) -> Vec<KeysError> {
    file::faults(json, MAX_FAULTS)
}

impl KeySet {
    /// Reads a keys file, and makes the block of its keys. `is_declared` says which tiers there are.
    ///
    /// A file without entries makes an empty set, which refuses every key. An entry that something is
    /// wrong with is refused, and told ([`Built::refused`]), and has no say about the others: were all
    /// of the file refused, no key could be revoked for as long as one of them has a slip.
    ///
    /// # Errors
    ///
    /// What is wrong with the file as a whole: it is no JSON, say, or of another version.
    pub fn build(
        json: &[u8],
        is_declared: &dyn Fn(&str) -> bool,
        now: UnixSeconds,
    ) -> Result<Built, KeysError> {
        file::build(json, is_declared, now)
    }

    /// The set in a block that [`KeySet::build`] made. It is read in place: it must not change. `None`:
    /// it is no such block.
    #[must_use]
    pub fn from_block(block: impl AsRef<[u8]> + Send + Sync + 'static) -> Option<Self> {
        let header = Header::read(block.as_ref())?;
        Some(Self { block: Box::new(block), header })
    }

    /// Reads a keys file, for a process of its own, which knows of no tiers.
    ///
    /// # Errors
    ///
    /// Anything that is not exactly the format of version 1, by the first entry and field that
    /// break it: see [`Problem`].
    pub fn parse(json: &[u8]) -> Result<Self, KeysError> {
        let problem = Problem::TooManyKeys;
        let whole = KeysError { entry: None, field: None, problem };
        Self::from_block(file::strict(json)?).ok_or(whole)
    }

    fn image(&self) -> Image<'_> {
        Image { block: (*self.block).as_ref(), header: self.header }
    }

    /// The key that is presented, if it is in the set, whether it is in force or not.
    ///
    /// Takes the same time whatever the number of keys.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<ApiKey> {
        if key.is_empty() || key.len() > MAX_KEY_LEN {
            return None;
        }
        let image = self.image();
        image.key(image.find(&Digest::of(key))?, AuthMethod::ApiKey)
    }

    /// The entry of whoever has a certificate with this name, whether it is in force or not.
    #[must_use]
    pub fn find_cert(&self, name: &CertName) -> Option<ApiKey> {
        let image = self.image();
        let digest = Digest::of(name.as_str().as_bytes());
        image.key(image.find_cert(&digest)?, AuthMethod::ClientCert)
    }

    /// What the set says of the key with this hash.
    #[must_use]
    pub fn says(&self, key: &KeyHash) -> InFiles {
        let image = self.image();
        let found = image.find(&Digest(key.0)).and_then(|entry| image.state(entry));
        match found {
            None => InFiles::Missing,
            Some((_, _, flags)) if flags & image::flag::DISABLED != 0 => InFiles::Disabled,
            Some(_) => InFiles::Enabled,
        }
    }

    /// Whether any entry has a certificate.
    #[must_use]
    pub fn has_certs(&self) -> bool {
        self.header.certs > 0
    }

    /// Judges a presented key, at a moment, from an address.
    ///
    /// # Errors
    ///
    /// `InvalidCredential` where the key is empty, longer than [`MAX_KEY_LEN`] or in no entry; else as
    /// [`ApiKey::judge`].
    pub fn lookup(
        &self,
        key: &[u8],
        now: impl Into<WallClock>,
        address: Option<IpAddr>,
    ) -> Result<Arc<Principal>, Refusal> {
        match self.find(key) {
            Some(key) => key.judge(now, address).map(Arc::clone),
            None => Err(Refusal {
                reason: Reason::InvalidCredential,
                cause: Some(Cause::UnknownKey),
                owner: None,
            }),
        }
    }

    /// The number of keys, disabled and expired ones included, but for those whose entries are wrong.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.len()
    }

    /// Whether there is no key at all, so that every request would be refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tiers that keys name, and the `id` of the first key of each.
    pub fn tiers(&self) -> impl Iterator<Item = (&str, &str)> {
        let image = self.image();
        (0..self.header.tiers).map(move |index| {
            let (tier, first) = image.tier(index).unwrap_or_default();
            (tier, image.id(first).unwrap_or_default())
        })
    }

    /// The number of keys that name no tier.
    #[must_use]
    pub fn without_tier(&self) -> usize {
        usize::try_from(self.header.without_tier).unwrap_or(usize::MAX)
    }

    /// The number of keys that name a tenant.
    #[must_use]
    pub fn with_tenant(&self) -> usize {
        usize::try_from(self.header.with_tenant).unwrap_or(usize::MAX)
    }

    /// Whether any entry says which models may be used.
    #[must_use]
    pub fn has_models(&self) -> bool {
        self.header.with_models > 0
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither digests nor the thousands of entries belong into a log.
        f.debug_struct("KeySet").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

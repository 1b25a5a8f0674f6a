//! API keys: the set that a keys file declares, and who a presented key belongs to.
//!
//! Only the SHA-256 of a key is stored and looked up. A key holds 256 random bits (or is at least
//! not guessable, or it would be no credential), so neither a salt nor a slow hash would add
//! anything, and a look-up need not take constant time: what its timing could tell is a part of a
//! digest, from which nobody finds a key.

mod entry;
mod error;
mod file;
mod memo;
mod value;

pub use error::{EntryName, KeysError, Problem};
pub use memo::KeyMemo;

use std::collections::hash_map;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::address::Cidr;
use crate::clock::UnixSeconds;
use crate::decision::Reason;
use crate::principal::Principal;

/// The longest API key, in bytes. A longer one is refused without being hashed.
pub const MAX_KEY_LEN: usize = 4096;

/// The keys of one keys file, found by digest. Immutable: a changed file makes a new set.
#[derive(Default)]
pub struct KeySet {
    /// In the order of the file.
    entries: Vec<Entry>,
    by_digest: HashMap<Digest, usize, BuildHasherDefault<DigestHasher>>,
}

/// One entry of the file, ready to be judged.
struct Entry {
    principal: Arc<Principal>,
    disabled: bool,
    not_before: UnixSeconds,
    expires: UnixSeconds,
    cidrs: Option<Box<[Cidr]>>,
}

/// Where a key stands in its set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position(usize);

/// Why a key was refused, and whose it is where it was recognised.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// `InvalidCredential`, `RevokedCredential`, `NotYetValid`, `ExpiredCredential` or
    /// `AddressDenied`.
    pub reason: Reason,
    /// Whose key it is: for the audit log only.
    pub owner: Option<KeyOwner>,
}

/// Whose key was recognised but refused. It names the client and grants nothing: there is no way
/// from here to the [`Principal`].
#[derive(Clone)]
pub struct KeyOwner(Arc<Principal>);

impl KeyOwner {
    /// The client of the refused key.
    #[must_use]
    pub fn client(&self) -> &str {
        self.0.client()
    }

    /// The `id` of the refused key.
    #[must_use]
    pub fn key_id(&self) -> &str {
        self.0.key_id().unwrap_or_default()
    }
}

impl fmt::Debug for KeyOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyOwner")
            .field("client", &self.client())
            .field("key_id", &self.key_id())
            .finish()
    }
}

impl KeySet {
    /// Reads a keys file.
    ///
    /// A file without entries makes an empty set, which refuses every key.
    ///
    /// # Errors
    ///
    /// Anything that is not exactly the format of version 1, by the first entry and field that
    /// break it: see [`Problem`].
    pub fn parse(json: &[u8]) -> Result<Self, KeysError> {
        file::parse(json)
    }

    /// Judges a presented key, at a moment, from an address (`None`: the client has none, as on a
    /// Unix socket; a key that is restricted to networks is then refused).
    ///
    /// Takes the same time whatever the number of keys, and allocates nothing.
    ///
    /// # Errors
    ///
    /// The first of these that holds: the key is empty, longer than [`MAX_KEY_LEN`] or in no entry
    /// (`InvalidCredential`), disabled (`RevokedCredential`), before its `not_before`
    /// (`NotYetValid`), at or after its `expires` (`ExpiredCredential`), or the address is in none
    /// of its `cidrs` (`AddressDenied`).
    pub fn lookup(
        &self,
        key: &[u8],
        now: UnixSeconds,
        address: Option<IpAddr>,
    ) -> Result<&Arc<Principal>, Refusal> {
        self.judge(self.find(key), now, address)
    }

    /// The first half of [`KeySet::lookup`]: where the key stands, if it stands here.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<Position> {
        if key.is_empty() || key.len() > MAX_KEY_LEN {
            return None;
        }
        self.by_digest.get(&Digest::of(key)).map(|&position| Position(position))
    }

    /// The second half of [`KeySet::lookup`]: whether the key at `position`, as
    /// [`KeySet::find`] gave it, is in force.
    ///
    /// # Errors
    ///
    /// As [`KeySet::lookup`].
    pub fn judge(
        &self,
        position: Option<Position>,
        now: UnixSeconds,
        address: Option<IpAddr>,
    ) -> Result<&Arc<Principal>, Refusal> {
        let Some(entry) = position.and_then(|position| self.entries.get(position.0)) else {
            return Err(Refusal { reason: Reason::InvalidCredential, owner: None });
        };
        match entry.refusal(now, address) {
            None => Ok(&entry.principal),
            Some(reason) => {
                Err(Refusal { reason, owner: Some(KeyOwner(Arc::clone(&entry.principal))) })
            }
        }
    }

    /// The number of keys, disabled and expired ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no key at all, so that every request would be refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The `id` and the tier of each entry, in the order of the file: to check that the tiers are
    /// declared.
    pub fn tiers(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.entries.iter().map(|entry| (entry.id(), entry.principal.tier()))
    }

    /// The `id` of each entry with `models` or `scopes`, in the order of the file: restrictions
    /// that are recorded in the principal, but that nothing enforces yet.
    pub fn restricted_entries(&self) -> impl Iterator<Item = &str> {
        self.entries
            .iter()
            .filter(|entry| {
                entry.principal.models().is_some() || entry.principal.scopes().is_some()
            })
            .map(Entry::id)
    }

    /// Adds an entry, or gives the place of the entry that has the same digest.
    fn insert(&mut self, digest: Digest, entry: Entry) -> Result<(), usize> {
        match self.by_digest.entry(digest) {
            hash_map::Entry::Vacant(vacant) => {
                vacant.insert(self.entries.len());
                self.entries.push(entry);
                Ok(())
            }
            hash_map::Entry::Occupied(occupied) => Err(*occupied.get()),
        }
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither digests nor the thousands of entries belong into a log.
        f.debug_struct("KeySet").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Entry {
    fn id(&self) -> &str {
        self.principal.key_id().unwrap_or_default()
    }

    /// Why this key is refused at `now` from `address`.
    fn refusal(&self, now: UnixSeconds, address: Option<IpAddr>) -> Option<Reason> {
        if self.disabled {
            return Some(Reason::RevokedCredential);
        }
        if now < self.not_before {
            return Some(Reason::NotYetValid);
        }
        if now >= self.expires {
            return Some(Reason::ExpiredCredential);
        }
        let cidrs = self.cidrs.as_deref()?;
        let permitted = address.is_some_and(|ip| cidrs.iter().any(|cidr| cidr.contains(ip)));
        (!permitted).then_some(Reason::AddressDenied)
    }
}

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Digest([u8; 32]);

impl Digest {
    fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }
}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// Passes the first bytes of a digest through: they are uniform already, and only the operator puts
/// digests into the table, so nobody can crowd one place of it.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used by `Digest`.
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests;

//! The table in a file: what clients keep at an engine outlives a restart, and so must whose it is.
//!
//! ```text
//! magic | version | seed | object, owner, stamp of each | their number | SHA-256
//! ```
//!
//! All of it is little-endian words of 64 bits, but for the checksum, which is over everything before it. It
//! holds the seed of the keyed hashes: it is to be readable by nginx alone.

use std::fmt;

use sha2::{Digest, Sha256};

use super::super::limits::sync::AtomicU64;
use super::super::limits::LayoutError;
use super::memory::{Entry, Object, OwnedObjects, Owner};

const MAGIC: u64 = u64::from_le_bytes(*b"tgowned\n");
/// To be raised with every change of the format.
const VERSION: u64 = 1;
const CHECKSUM_LEN: usize = 32;
const HEAD_WORDS: usize = 4;
const ENTRY_WORDS: usize = 4;

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// Something else.
    Foreign,
    /// Written by another version of this module.
    Version(u64),
    /// Incomplete or changed.
    Damaged,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("is not a file of owned objects; choose another path"),
            Self::Version(found) => write!(
                f,
                "has version {found}, and this version of the module reads {VERSION}; move it away to \
                 start anew, by which clients lose what they keep"
            ),
            Self::Damaged => f.write_str(
                "is damaged; restore it from a backup, or move it away to start anew, by which clients \
                 lose what they keep",
            ),
        }
    }
}

impl std::error::Error for SnapshotError {}

/// A table that is being written. Between two steps it may change: each entry is written as it is when its
/// turn comes.
#[derive(Debug)]
pub struct Saving<'m> {
    objects: OwnedObjects<'m>,
    slot: usize,
    count: u64,
    hasher: Sha256,
}

impl<'m> Saving<'m> {
    /// Begins; what is to be written first is appended to `out`.
    #[must_use]
    pub fn new(objects: OwnedObjects<'m>, out: &mut Vec<u8>) -> Self {
        let mut saving = Self { objects, slot: 0, count: 0, hasher: Sha256::new() };
        saving.append(out, &[MAGIC, VERSION, objects.seed.0, objects.seed.1]);
        saving
    }

    /// Appends what is in the next `slots` to `out`. Gives whether that was all.
    pub fn step(&mut self, slots: usize, out: &mut Vec<u8>) -> bool {
        let end = self.slot.saturating_add(slots).min(self.objects.capacity());
        for Entry { object, owner, stamp } in self.objects.entries(self.slot..end) {
            let (low, high) = object.words();
            self.append(out, &[low, high, owner.word(), stamp]);
            self.count += 1;
        }
        self.slot = end;
        end == self.objects.capacity()
    }

    /// Appends the rest to `out`, with whatever steps are missing.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.step(usize::MAX, out);
        self.append(out, &[self.count]);
        out.extend_from_slice(&self.hasher.finalize());
    }

    fn append(&mut self, out: &mut Vec<u8>, words: &[u64]) {
        let begin = out.len();
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        self.hasher.update(out.get(begin..).unwrap_or_default());
    }
}

/// A file that was read, and is complete and unchanged.
#[derive(Debug)]
pub struct Snapshot {
    seed: (u64, u64),
    entries: Vec<Entry>,
}

impl Snapshot {
    /// Reads a file, and verifies all of it.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`].
    pub fn read(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let words = |bytes: &[u8]| -> Vec<u64> {
            let (words, _) = bytes.as_chunks();
            words.iter().map(|word| u64::from_le_bytes(*word)).collect()
        };
        let head = words(bytes.get(..8 * HEAD_WORDS).unwrap_or(bytes));
        match (head.first(), head.get(1)) {
            (Some(&MAGIC), Some(&VERSION)) => {}
            (Some(&MAGIC), Some(&version)) => return Err(SnapshotError::Version(version)),
            _ => return Err(SnapshotError::Foreign),
        }
        let (content, checksum) =
            bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(SnapshotError::Damaged)?;
        if Sha256::digest(content).as_slice() != checksum || content.len() % 8 != 0 {
            return Err(SnapshotError::Damaged);
        }
        // What follows can fail only for a file that was made by hand.
        let content = words(content);
        let (&[_, _, low, high], rest) =
            content.split_first_chunk::<HEAD_WORDS>().ok_or(SnapshotError::Damaged)?;
        let (count, rest) = rest.split_last().ok_or(SnapshotError::Damaged)?;
        let (entries, left) = rest.as_chunks::<ENTRY_WORDS>();
        if !left.is_empty() || entries.len() as u64 != *count {
            return Err(SnapshotError::Damaged);
        }
        let entries = entries.iter().map(|&[low, high, owner, stamp]| Entry {
            object: Object::from_words(low, high),
            owner: Owner::from_word(owner),
            stamp,
        });
        Ok(Self { seed: (low, high), entries: entries.collect() })
    }

    /// Makes a table of `words`, whatever they held, with what was saved, and tells how many objects it had no
    /// room for. Where it is smaller than the one that was saved, the oldest are lost. Nobody else may use the
    /// memory yet.
    ///
    /// # Errors
    ///
    /// As [`OwnedObjects::format`].
    pub fn format(mut self, words: &[AtomicU64]) -> Result<(OwnedObjects<'_>, usize), LayoutError> {
        let objects = OwnedObjects::format(words, self.seed)?;
        self.entries.sort_unstable_by_key(|entry| entry.stamp);
        for entry in &self.entries {
            objects.restore(*entry);
        }
        let kept = objects.entries(0..objects.capacity()).count();
        Ok((objects, self.entries.len().saturating_sub(kept)))
    }
}

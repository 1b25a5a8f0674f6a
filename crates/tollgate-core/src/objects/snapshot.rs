//! The table in a file: what clients keep at an engine outlives a restart, and so must whose it is.
//!
//! It holds the seed of the keyed hashes: it is to be readable by nginx alone.

use std::fmt;

use super::super::limits::sync::AtomicU64;
use super::super::limits::LayoutError;
use super::super::word_file::{Unread, WordFile, Writer};
use super::memory::{Entry, Object, OwnedObjects, Owner};

/// To be raised with every change of the format.
const VERSION: u64 = 1;
/// Behind the seed: two words of each object, its owner, its stamp.
const FORMAT: WordFile<2, ENTRY_WORDS> = WordFile::new(*b"tgowned\n", VERSION);
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

impl From<Unread> for SnapshotError {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Foreign => Self::Foreign,
            Unread::Version(found) => Self::Version(found),
            Unread::Damaged => Self::Damaged,
        }
    }
}

/// A table that is being written. Between two steps it may change: each entry is written as it is when its
/// turn comes.
#[derive(Debug)]
pub struct Saving<'m> {
    objects: OwnedObjects<'m>,
    slot: usize,
    writer: Writer<ENTRY_WORDS>,
}

impl<'m> Saving<'m> {
    /// Begins; what is to be written first is appended to `out`.
    #[must_use]
    pub fn new(objects: OwnedObjects<'m>, out: &mut Vec<u8>) -> Self {
        let writer = FORMAT.begin([objects.seed.0, objects.seed.1], out);
        Self { objects, slot: 0, writer }
    }

    /// Appends what is in the next `slots` to `out`. Gives whether that was all.
    pub fn step(&mut self, slots: usize, out: &mut Vec<u8>) -> bool {
        let end = self.slot.saturating_add(slots).min(self.objects.capacity());
        for Entry { object, owner, stamp } in self.objects.entries(self.slot..end) {
            let (low, high) = object.words();
            self.writer.entry([low, high, owner.word(), stamp], out);
        }
        self.slot = end;
        end == self.objects.capacity()
    }

    /// Appends the rest to `out`, with whatever steps are missing.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.step(usize::MAX, out);
        self.writer.finish(out);
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
        let ([low, high], entries) = FORMAT.read(bytes)?;
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

//! What is found of a key in the table.

use super::super::super::limits::sync::AtomicU64;
use super::record::{Mark, Record};
use super::Sighting;

/// Where the first record of a key is, as long as no network is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Place {
    /// Of its tag among the words.
    pub(super) tag_at: usize,
    pub(super) stamp: u32,
}

/// What is known of a key, and of one network.
pub(super) struct Look<'m> {
    pub(super) first: Option<(Record<'m>, Mark)>,
    pub(super) live: u16,
    /// The entry of the network, and what is in it.
    pub(super) own: Option<(&'m AtomicU64, u64)>,
    /// One that another network may have.
    pub(super) free: Option<&'m AtomicU64>,
    /// The first number of a record that the key has not.
    pub(super) lacks: u64,
}

impl Look<'_> {
    pub(super) fn sighting(&self, counts: bool) -> Sighting {
        Sighting { networks: self.live, counts, crowded: false, is_new: false }
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.first.map(|(record, mark)| Place { tag_at: record.tag_at(), stamp: mark.stamp })
    }
}

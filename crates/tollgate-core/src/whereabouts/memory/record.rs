//! One record of the table: its tag, its mark and its entries.

use super::super::super::limits::sync::{planted, AtomicU64, Ordering, MODEL};
use super::super::{Minute, MAX_MINUTE, MINUTE_BITS};

/// Records of a set.
pub(super) const WAYS: usize = if MODEL { 1 } else { 8 };
/// Networks of a record.
pub(super) const ENTRIES: usize = if MODEL { 2 } else { 16 };
pub(super) const SET_WORDS: usize = WAYS * (2 + ENTRIES);
pub(super) const MINUTE_MASK: u64 = (1 << MINUTE_BITS) - 1;

/// `mark` of a first record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) told: Option<Minute>,
    /// 0 for a further record.
    pub(super) records: u64,
    pub(super) stamp: u32,
}

impl Mark {
    pub(super) fn of(word: u64) -> Self {
        let told = u32::try_from(word >> (64 - MINUTE_BITS)).unwrap_or(0);
        Self {
            told: told.checked_sub(1).map(Minute),
            records: word >> 32 & 0xff,
            stamp: stamp(word),
        }
    }

    pub(super) fn word(self) -> u64 {
        let told = self.told.map_or(0, |told| u64::from(told.0.min(MAX_MINUTE)) + 1);
        told << (64 - MINUTE_BITS) | self.records.min(0xff) << 32 | u64::from(self.stamp)
    }
}

/// The stamp in a mark.
#[inline]
pub(super) fn stamp(mark: u64) -> u32 {
    u32::try_from(mark & 0xffff_ffff).unwrap_or(0)
}

/// The minute in which the network of an entry was last seen.
pub(super) fn seen(entry: u64) -> Minute {
    Minute(u32::try_from(entry & MINUTE_MASK).unwrap_or(0))
}

#[inline]
pub(super) fn is_live(entry: u64, now: Minute) -> bool {
    entry != 0 && entry & MINUTE_MASK >= u64::from(now.hour_ago().0)
}

/// Puts something else in place of an entry, which others may be changing: after what they have made of it.
pub(super) fn replace(word: &AtomicU64, entry: u64) {
    let mut old = word.load(Ordering::Acquire);
    while let Err(other) = word.compare_exchange(old, entry, Ordering::AcqRel, Ordering::Acquire) {
        old = other;
    }
}

/// One record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'m> {
    pub(super) number: usize,
    pub(super) tag: &'m AtomicU64,
    pub(super) mark: &'m AtomicU64,
    pub(super) entries: &'m [AtomicU64],
}

impl<'m> Record<'m> {
    /// The record with this number, which is one of the set.
    #[inline]
    pub(super) fn of(set: &'m [AtomicU64], number: usize) -> Option<Self> {
        let way = number % WAYS;
        let entries = WAYS * 2 + way * ENTRIES;
        Some(Self {
            number,
            tag: set.get(way)?,
            mark: set.get(WAYS + way)?,
            entries: set.get(entries..entries + ENTRIES)?,
        })
    }

    /// Where its tag is among the words of all sets.
    pub(super) fn tag_at(self) -> usize {
        (self.number / WAYS).saturating_mul(SET_WORDS).saturating_add(self.number % WAYS)
    }

    pub(super) fn mark(self) -> Mark {
        Mark::of(self.mark.load(Ordering::Acquire))
    }

    /// The minute in which any of its networks was last seen; `None`: it has none.
    pub(super) fn last_seen(self) -> Option<Minute> {
        if self.tag.load(Ordering::Acquire) == 0 {
            return None;
        }
        let entries = self.entries.iter().map(|entry| entry.load(Ordering::Acquire));
        entries.filter(|entry| *entry != 0).map(seen).max()
    }

    /// Gives it to another key. Only for who holds the lock.
    pub(super) fn change_hands(self, tag: u64, mark: Mark, entry: u64) {
        if !planted!(OpenRecord) {
            self.tag.store(0, Ordering::Release);
        }
        self.mark.store(mark.word(), Ordering::Release);
        for (index, word) in self.entries.iter().enumerate() {
            replace(word, if index == 0 { entry } else { 0 });
        }
        self.tag.store(tag, Ordering::Release);
    }
}

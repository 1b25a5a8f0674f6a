//! Who made what: a table in memory that all workers share.
//!
//! ```text
//! header | sets of 16 slots | ...
//! slot: object (128-bit keyed hash of kind and id) | owner (64-bit keyed hash of the client) | stamp
//! ```
//!
//! No id and no name is stored. An object may be in any slot of two sets, which its hash says. Where both
//! are full, the client with the most objects in them loses its oldest, if it has at least two more than the
//! one who needs the room; else that one loses its own oldest. So a client can use the whole table, but
//! nobody else is pushed out for it.
//!
//! One process at a time changes the table. Looking takes no lock: a slot is invalid while it changes, and its
//! stamp is never the same again. A process that dies in the middle leaves an invalid slot, which is empty.

mod census;

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::super::limits::sync::{planted, AtomicU64, Ordering, MODEL};
use super::super::limits::{ClaimLock, Layout, LayoutError, ProcessLock, StateMarks};
use super::kind::Kind;
use crate::clock::UnixSeconds;

const LAYOUT: Layout = Layout::new(*b"tgobject", 1);

// The header, by word.
const WORD_SEED: usize = 2;
const WORD_SETS: usize = 4;
/// The number of the last stamp.
const WORD_STAMPS: usize = 5;
/// See [`StateMarks`].
const WORD_MARKS: usize = 8;
const WORD_LOCK: usize = 12;
const HEADER_WORDS: usize = if MODEL { 16 } else { 64 };

/// Slots of a set.
const WAYS: usize = if MODEL { 1 } else { 16 };
const SLOT_WORDS: usize = 4;
const SET_WORDS: usize = WAYS * SLOT_WORDS;

/// The low bits of a stamp are its number, the high ones the second of its last use.
const NUMBER_BITS: u32 = 30;

/// Bytes that an object takes.
pub const OBJECT_BYTES: usize = SLOT_WORDS * 8;

/// An object: a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    low: u64,
    high: u64,
}

impl Object {
    pub(super) fn words(self) -> (u64, u64) {
        (self.low, self.high)
    }

    pub(super) fn from_words(low: u64, high: u64) -> Self {
        Self { low, high }
    }
}

/// The client that made it: a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u64);

impl Owner {
    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(super) fn from_word(word: u64) -> Self {
        Self(word)
    }
}

/// How an object stands to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The client made it.
    Own,
    /// Another one did.
    Foreign,
    /// Nobody is known to have made it.
    Unknown,
}

/// What has become of an object that is to be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is the client's.
    Own,
    /// It stays the one of another client, who was first.
    Foreign,
    /// There is no room: the objects in its two sets are as many clients'.
    NoRoom,
}

/// What a slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) object: Object,
    pub(super) owner: Owner,
    pub(super) stamp: u64,
}

impl Entry {
    /// Seconds since 1970.
    fn used(&self) -> u64 {
        self.stamp >> NUMBER_BITS
    }
}

/// For how long an object is remembered after its client has made or used it, in seconds, and what time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Seconds.
    pub ttl: u64,
    /// Now.
    pub now: UnixSeconds,
}

impl Life {
    fn age(self, entry: &Entry) -> u64 {
        // A clock that was put back makes nothing older.
        seconds(self.now).saturating_sub(entry.used())
    }

    fn is_over(self, entry: &Entry) -> bool {
        self.age(entry) > self.ttl
    }
}

fn seconds(now: UnixSeconds) -> u64 {
    u64::try_from(now.0).unwrap_or(0).min(u64::MAX >> NUMBER_BITS)
}

/// A view of the table.
#[derive(Clone, Copy, Debug)]
pub struct OwnedObjects<'m> {
    pub(super) seed: (u64, u64),
    sets: &'m [AtomicU64],
    stamps: &'m AtomicU64,
    marks: StateMarks<'m>,
    lock: ProcessLock<'m>,
}

/// One slot.
#[derive(Clone, Copy, Debug)]
struct Slot<'m> {
    low: &'m AtomicU64,
    high: &'m AtomicU64,
    owner: &'m AtomicU64,
    stamp: &'m AtomicU64,
}

impl<'m> Slot<'m> {
    fn of(words: &'m [AtomicU64]) -> Option<Self> {
        let [low, high, owner, stamp] = words else { return None };
        Some(Self { low, high, owner, stamp })
    }

    /// What it holds, all of it at one moment. `None`: nothing, or it is being changed.
    fn read(self) -> Option<Entry> {
        let stamp = self.stamp.load(Ordering::Acquire);
        if stamp == 0 {
            return None;
        }
        // Whoever finds a word of what comes next here, finds the stamp gone as well.
        let low = self.low.load(Ordering::Acquire);
        let high = self.high.load(Ordering::Acquire);
        let owner = self.owner.load(Ordering::Acquire);
        let again = self.stamp.load(Ordering::Acquire);
        let entry = Entry { object: Object { low, high }, owner: Owner(owner), stamp };
        (again == stamp || planted!(HastyLook)).then_some(entry)
    }

    /// Puts another entry there. Only for who holds the lock.
    fn write(self, entry: Entry) {
        if !planted!(OpenSlot) {
            self.clear();
        }
        self.low.store(entry.object.low, Ordering::Release);
        self.high.store(entry.object.high, Ordering::Release);
        self.owner.store(entry.owner.0, Ordering::Release);
        self.stamp.store(entry.stamp, Ordering::Release);
    }

    fn clear(self) {
        self.stamp.store(0, Ordering::Release);
    }
}

impl<'m> OwnedObjects<'m> {
    /// Makes an empty table of `words`, whatever they held.
    ///
    /// # Errors
    ///
    /// When there are too few words for one set.
    pub fn format(words: &'m [AtomicU64], seed: (u64, u64)) -> Result<Self, LayoutError> {
        let sets = words.len().saturating_sub(HEADER_WORDS) / SET_WORDS;
        if sets == 0 {
            return Err(LayoutError::TooSmall);
        }
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        let seed = [(WORD_SEED, seed.0), (WORD_SEED + 1, seed.1)];
        LAYOUT.begin(words, seed.into_iter().chain([(WORD_SETS, sets as u64)]))?;
        Self::attach(words)
    }

    /// The table that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let memory = LAYOUT.open(words)?;
        let end = memory.count(WORD_SETS)?.saturating_mul(SET_WORDS).saturating_add(HEADER_WORDS);
        Ok(Self {
            seed: memory.seed(WORD_SEED)?,
            sets: memory.part(HEADER_WORDS..end)?,
            stamps: memory.word(WORD_STAMPS)?,
            marks: StateMarks::new(memory.rest(WORD_MARKS)?).ok_or(LayoutError::TooSmall)?,
            lock: ProcessLock::new(memory.word(WORD_LOCK)?),
        })
    }

    /// How many objects it has room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() / SLOT_WORDS
    }

    /// How it stands to the file of its state.
    #[must_use]
    pub fn marks(&self) -> StateMarks<'m> {
        self.marks
    }

    /// The table's mutex.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'m> {
        self.lock
    }

    /// The object of this kind and id.
    #[must_use]
    pub fn object(&self, kind: Kind, id: &[u8]) -> Object {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        hasher.write_u8(kind.byte());
        hasher.write(id);
        let hash = hasher.finish128();
        Object { low: hash.h1, high: hash.h2 }
    }

    /// The owner that a client is.
    #[must_use]
    pub fn owner(&self, client: &str) -> Owner {
        let mut hasher = SipHasher13::new_with_keys(self.seed.0, self.seed.1);
        // No kind of objects.
        hasher.write_u8(0);
        hasher.write(client.as_bytes());
        Owner(hasher.finish128().h1)
    }

    /// How an object stands to a client. Its time begins anew where it is the client's.
    pub fn look(
        &self,
        object: Object,
        owner: Owner,
        life: Life,
        lock: &impl ClaimLock,
    ) -> Standing {
        let Some((_, entry)) = self.find(object, life) else { return Standing::Unknown };
        if entry.owner != owner {
            return Standing::Foreign;
        }
        // Not each time, as that is written to the file.
        if life.age(&entry) > life.ttl / 8 {
            lock.with(|| {
                if let Some((slot, now)) = self.find(object, life).filter(|(_, now)| *now == entry)
                {
                    slot.write(Entry { stamp: self.stamp(life), ..now });
                }
            });
            self.marks.note_change();
        }
        Standing::Own
    }

    /// Remembers that a client has made an object. Who was first stays its owner.
    pub fn remember(
        &self,
        object: Object,
        owner: Owner,
        life: Life,
        lock: &impl ClaimLock,
    ) -> Remembered {
        let remembered = lock.with(|| {
            // One whose time is over, too: it is never there twice.
            let slot = match self.find(object, Life { ttl: u64::MAX, ..life }) {
                Some((_, entry)) if entry.owner != owner && !life.is_over(&entry) => {
                    return Remembered::Foreign;
                }
                Some((slot, _)) => slot,
                None => match self.room(object, owner, life) {
                    Some(slot) => slot,
                    None => return Remembered::NoRoom,
                },
            };
            slot.write(Entry { object, owner, stamp: self.stamp(life) });
            Remembered::Own
        });
        self.marks.note_change();
        remembered
    }

    /// Forgets an object of a client's.
    pub fn forget(&self, object: Object, owner: Owner, lock: &impl ClaimLock) {
        lock.with(|| {
            for slot in self.slots(object) {
                if slot.read().is_some_and(|entry| entry.object == object && entry.owner == owner) {
                    slot.clear();
                }
            }
        });
        self.marks.note_change();
    }

    /// Puts back what was saved, unless there is no room. Nobody else may use the memory yet.
    pub(super) fn restore(&self, entry: Entry) {
        let life = Life { ttl: u64::MAX, now: UnixSeconds(0) };
        if let Some(slot) = self.room(entry.object, entry.owner, life) {
            let number = self.next_number();
            slot.write(Entry { stamp: entry.used() << NUMBER_BITS | number, ..entry });
        }
    }

    /// Everything that is in these slots.
    pub(super) fn entries(
        &self,
        slots: std::ops::Range<usize>,
    ) -> impl Iterator<Item = Entry> + 'm {
        let range = slots.start.saturating_mul(SLOT_WORDS)..slots.end.saturating_mul(SLOT_WORDS);
        let words = self.sets.get(range.start..range.end.min(self.sets.len())).unwrap_or_default();
        words.chunks_exact(SLOT_WORDS).filter_map(|words| Slot::of(words)?.read())
    }

    fn find(&self, object: Object, life: Life) -> Option<(Slot<'m>, Entry)> {
        let mut entries = self.slots(object).filter_map(|slot| Some((slot, slot.read()?)));
        entries.find(|(_, entry)| entry.object == object && !life.is_over(entry))
    }

    /// A slot for a further object of `owner`.
    fn room(&self, object: Object, owner: Owner, life: Life) -> Option<Slot<'m>> {
        let is_free = |slot: &Slot<'m>| slot.read().is_none_or(|entry| life.is_over(&entry));
        let free = |set: usize| self.set(set).filter(is_free).count();
        let [first, second] = self.sets_of(object);
        // The emptier one.
        let emptier = if free(second) > free(first) { second } else { first };
        if let Some(slot) = self.set(emptier).find(is_free) {
            return Some(slot);
        }
        let taken: Vec<(Slot<'m>, Entry)> =
            self.slots(object).filter_map(|slot| Some((slot, slot.read()?))).collect();
        let count = |owner: Owner| taken.iter().filter(|(_, entry)| entry.owner == owner).count();
        let own = count(owner);
        let most = taken
            .iter()
            .map(|(_, entry)| (count(entry.owner), entry.owner))
            .max_by_key(|(n, _)| *n);
        let loser = match most {
            Some((count, other)) if count >= own + 2 => other,
            _ if own > 0 => owner,
            _ => return None,
        };
        let of_loser = taken.iter().filter(|(_, entry)| entry.owner == loser);
        of_loser.min_by_key(|(_, entry)| entry.stamp).map(|(slot, _)| *slot)
    }

    /// The slots in which an object may be.
    fn slots(&self, object: Object) -> impl Iterator<Item = Slot<'m>> + use<'m> {
        let [first, second] = self.sets_of(object);
        let all = *self;
        let second = (second != first).then_some(second);
        self.set(first).chain(second.into_iter().flat_map(move |set| all.set(set)))
    }

    fn set(&self, set: usize) -> impl Iterator<Item = Slot<'m>> + use<'m> {
        let start = set.saturating_mul(SET_WORDS);
        let words = self.sets.get(start..start.saturating_add(SET_WORDS)).unwrap_or_default();
        words.chunks_exact(SLOT_WORDS).filter_map(Slot::of)
    }

    /// The halves of a word, as fractions of the table.
    fn sets_of(&self, object: Object) -> [usize; 2] {
        let sets = (self.sets.len() / SET_WORDS) as u64;
        [object.high >> 32, object.high & 0xffff_ffff]
            .map(|half| usize::try_from((half * sets) >> 32).unwrap_or(0))
    }

    /// A stamp that no slot has had: later than all before. Only for who holds the lock.
    fn stamp(&self, life: Life) -> u64 {
        // Of the first second of 1970 it would be one of an empty slot, but for its number.
        seconds(life.now) << NUMBER_BITS | self.next_number()
    }

    fn next_number(&self) -> u64 {
        let number = self.stamps.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        (number & ((1 << NUMBER_BITS) - 1)).max(1)
    }
}

#[cfg(all(test, not(tollgate_model)))]
mod tests;

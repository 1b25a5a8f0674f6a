//! The table of leases: memory that all workers of a node share.
//!
//! ```text
//! header | a bit for each entry: the thread has to look | sets of 8 entries | ...
//! set:   8 low tags | 8 high tags | 8 entries
//! ```
//!
//! An entry is found by the key of a limit in the zone, and the word that the limit has in its slot: those are in
//! the tags. It may be in either of two sets. What strangers can mint has sets of its own, so that a flood of
//! addresses takes no entry from a client.
//!
//! Finding takes no lock. An entry is given to another limit under the table's mutex, and only when nothing is held
//! of it and nothing is to be reported: see [`Entry`] for what keeps those apart who use it just then.

use std::fmt;

use super::super::limits::key::Area;
use super::super::limits::sync::{AtomicU64, Ordering, MODEL};
use super::super::limits::{Ask, ClaimLock, Key, Layout, LayoutError, ProcessLock, Seed};
use super::entry::{Entry, ENTRY_WORDS};
use super::right::Right;
use super::shape::Shape;
use super::words::{Words, FIRST, HEADER_WORDS};
use crate::clock::MonoNanos;

const LAYOUT: Layout = Layout::new(*b"tgleases", 1);

// The header, by word: up to `FIRST`.
/// Sets for clients and rules, and those for strangers.
const WORD_SETS: usize = 2;
const WORD_LOCK: usize = 4;
/// Who speaks with the store.
/// Three words.
const WORD_RIGHT: usize = 5;
const _: () = assert!(WORD_RIGHT + 3 <= FIRST);

/// Entries in a set.
pub(super) const WAYS: usize = if MODEL { 1 } else { 8 };
pub(super) const SET_WORDS: usize = WAYS * (2 + ENTRY_WORDS);
/// Entries whose bits are in one word.
const BITS: usize = 64;

/// Bytes that a limit takes of the table.
pub const ENTRY_BYTES: usize = SET_WORDS / WAYS * 8;

/// An odd number without a pattern: 2^64, divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Why a limit has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEntry {
    /// There is no room for it.
    Full,
    /// It has no name in the store, as that hasn't been heard yet.
    Unnamed,
}

impl fmt::Display for NoEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "there is no room for a further lease",
            Self::Unnamed => "the store has not been heard yet",
        })
    }
}

impl std::error::Error for NoEntry {}

/// A view of the table.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTable<'m> {
    words: Words<'m>,
    look: &'m [AtomicU64],
    sets: &'m [[AtomicU64; SET_WORDS]],
    /// How many of the sets are for clients and rules: the first ones.
    known: usize,
    lock: ProcessLock<'m>,
    pub(super) right: Right<'m>,
}

impl<'m> LeaseTable<'m> {
    /// Makes an empty table of `words`, whatever they held, for a node that begins at `now`. `incarnation` are random
    /// bits.
    ///
    /// # Errors
    ///
    /// When there are too few words for a set of each part.
    pub fn format(
        words: &'m [AtomicU64],
        incarnation: u64,
        now: MonoNanos,
    ) -> Result<Self, LayoutError> {
        let sets = sets_of(words.len());
        // A quarter is for strangers.
        let strangers = if MODEL { 0 } else { (sets / 4).max(1) };
        let known = sets.saturating_sub(strangers);
        if known == 0 {
            return Err(LayoutError::TooSmall);
        }
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        Words::of(words).ok_or(LayoutError::TooSmall)?.begin(incarnation, now);
        LAYOUT.begin(words, [(WORD_SETS, known as u64), (WORD_SETS + 1, strangers as u64)])?;
        Self::attach(words)
    }

    /// The table that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let memory = LAYOUT.open(words)?;
        let known = memory.count(WORD_SETS)?;
        let sets = known.saturating_add(memory.count(WORD_SETS + 1)?);
        let start = HEADER_WORDS.saturating_add(look_words(sets));
        let end = start.saturating_add(sets.saturating_mul(SET_WORDS));
        Ok(Self {
            words: Words::of(words).ok_or(LayoutError::TooSmall)?,
            look: memory.part(HEADER_WORDS..start)?,
            sets: memory.part(start..end)?.as_chunks().0,
            known,
            lock: ProcessLock::new(memory.word(WORD_LOCK)?),
            right: Right::new([
                memory.word(WORD_RIGHT)?,
                memory.word(WORD_RIGHT + 1)?,
                memory.word(WORD_RIGHT + 2)?,
            ]),
        })
    }

    /// The table's mutex. The thread that speaks with the store doesn't need it.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'m> {
        self.lock
    }

    /// What is known of the store.
    #[must_use]
    pub fn words(&self) -> Words<'m> {
        self.words
    }

    /// How many limits there is room for.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.sets.len() * WAYS
    }

    /// The entry of the limit that is asked from, if it has one.
    #[must_use]
    #[inline]
    pub fn find(&self, ask: &Ask) -> Option<Entry<'m>> {
        self.find_limit(ask.key, ask.word())
    }

    /// The entry of a limit: the word `word` of the slot of `key`.
    #[must_use]
    #[inline]
    pub fn find_limit(&self, key: Key, word: usize) -> Option<Entry<'m>> {
        let tag = tag_of(key, word, self.words.era());
        let [first, second] = self.candidates(key, word);
        self.find_in(first, tag).or_else(|| self.find_in(second, tag))
    }

    #[inline]
    fn find_in(&self, set: usize, tag: [u64; 2]) -> Option<Entry<'m>> {
        let words = self.sets.get(set)?;
        let low = words.first_chunk::<WAYS>()?;
        let way = low.iter().position(|word| word.load(Ordering::Acquire) == tag[0])?;
        let high = words.get(WAYS + way)?;
        if high.load(Ordering::Acquire) != tag[1] {
            return None;
        }
        self.entry(set, way, tag)
    }

    /// The entry of the limit that is asked from, which is made if it has none. `name` gives the same key with the
    /// seed of the cluster.
    ///
    /// # Errors
    ///
    /// [`NoEntry`].
    #[inline]
    pub fn find_or_make(
        &self,
        ask: &Ask,
        name: impl FnOnce(Seed) -> Option<Key>,
        lock: &impl ClaimLock,
    ) -> Result<Entry<'m>, NoEntry> {
        let shape = Shape::of(&ask.take);
        match self.find(ask) {
            Some(entry) if entry.is_described(&shape) => Ok(entry),
            _ => self.make(ask, &shape, name, lock),
        }
    }

    #[cold]
    fn make(
        &self,
        ask: &Ask,
        shape: &Shape,
        name: impl FnOnce(Seed) -> Option<Key>,
        lock: &impl ClaimLock,
    ) -> Result<Entry<'m>, NoEntry> {
        let entry = self.take_place(ask, shape, name, lock)?;
        entry.describe(shape);
        Ok(entry)
    }

    /// The entry of a limit; one that it had already is left as it is.
    fn take_place(
        &self,
        ask: &Ask,
        shape: &Shape,
        name: impl FnOnce(Seed) -> Option<Key>,
        lock: &impl ClaimLock,
    ) -> Result<Entry<'m>, NoEntry> {
        let seed = self.words.seed().ok_or(NoEntry::Unnamed)?;
        let name = name(seed).ok_or(NoEntry::Unnamed)?;
        lock.with(|| self.claim(ask, shape, name)).ok_or(NoEntry::Full)
    }

    /// Asks that a limit be full again in the store, as an operator wants, whether this node has something of it or not.
    /// How large it is doesn't matter: nothing is bought. `name` is as with [`Self::find_or_make`].
    ///
    /// # Errors
    ///
    /// [`NoEntry`].
    pub fn reset(
        &self,
        ask: &Ask,
        name: impl FnOnce(Seed) -> Option<Key>,
        lock: &impl ClaimLock,
    ) -> Result<(), NoEntry> {
        let entry = match self.find(ask) {
            Some(entry) => entry,
            None => self.take_place(ask, &Shape::of(&ask.take), name, lock)?,
        };
        entry.ask_for_reset();
        Ok(())
    }

    /// The entry with this number, if a limit has it.
    pub(super) fn at(&self, place: usize) -> Option<Entry<'m>> {
        let (set, way) = (place / WAYS, place % WAYS);
        let words = self.sets.get(set)?;
        let tag = |at: usize| words.get(at).map(|word| word.load(Ordering::Acquire));
        let tag = [tag(way)?, tag(WAYS + way)?];
        (tag[0] != 0).then(|| self.entry(set, way, tag)).flatten()
    }

    /// All entries that limits have.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'m>> + '_ {
        (0..self.capacity()).filter_map(|place| self.at(place))
    }

    /// The numbers of the entries at which the thread has to look, which it is not told of again.
    pub(super) fn called(&self) -> impl Iterator<Item = usize> + '_ {
        self.look.iter().enumerate().flat_map(|(index, word)| {
            let mut bits = word.load(Ordering::Relaxed);
            while bits != 0 {
                match word.compare_exchange(bits, 0, Ordering::SeqCst, Ordering::Relaxed) {
                    Ok(_) => break,
                    Err(other) => bits = other,
                }
            }
            let is_set = move |bit: &usize| bits >> bit & 1 != 0;
            (0..BITS).filter(is_set).map(move |bit| index * BITS + bit)
        })
    }

    /// The key and the word of the limit that an entry belongs to.
    pub(super) fn limit_of(&self, entry: &Entry<'_>) -> Option<(Key, usize)> {
        let marks = entry.marks();
        let word = usize::from(marks.word);
        let area = Area::ALL.get(usize::from(marks.area)).copied()?;
        let low = entry.tag[0] ^ mixed(word, marks.era.into());
        Some((Key::from_hash(area, low, entry.tag[1]), word))
    }

    #[inline]
    pub(super) fn entry(&self, set: usize, way: usize, tag: [u64; 2]) -> Option<Entry<'m>> {
        let words = self.sets.get(set)?;
        let (tags, entries) = words.split_first_chunk::<{ 2 * WAYS }>()?;
        let (entries, _) = entries.as_chunks::<ENTRY_WORDS>();
        let place = set * WAYS + way;
        Some(Entry {
            words: entries.get(way)?,
            tags: [tags.get(way)?, tags.get(WAYS + way)?],
            tag,
            round: self.words.round_word(),
            look: self.look.get(place / BITS)?,
            bit: 1 << (place % BITS),
            place,
        })
    }

    /// Whether no limit has a place.
    pub(super) fn is_free(&self, set: usize, way: usize) -> bool {
        let tag = self.sets.get(set).and_then(|words| words.get(way));
        tag.is_some_and(|tag| tag.load(Ordering::Acquire) == 0)
    }

    /// The two sets in which a limit may be.
    #[inline]
    pub(super) fn candidates(&self, key: Key, word: usize) -> [usize; 2] {
        let all = self.sets.len();
        let (first, count) = match key.area() {
            _ if MODEL => (0, all),
            Area::Clients | Area::Rules => (0, self.known),
            Area::Keys | Area::KeyNetworks | Area::Failures | Area::FailureNetworks => {
                (self.known, all.wrapping_sub(self.known))
            }
        };
        let (_, high) = key.hash();
        // The limits of one key are in neighbouring sets, and those of a network near each other.
        let set = |half: u64| {
            let scaled = (half & 0xffff_ffff).wrapping_mul(count as u64) >> 32;
            let mut scaled = usize::try_from(scaled).unwrap_or(0).wrapping_add(word);
            if scaled >= count {
                scaled = scaled.checked_rem(count).unwrap_or(0);
            }
            first.wrapping_add(scaled)
        };
        [set(high), set(high >> 32)]
    }
}

/// What tells the limits of a key, and names of different seeds, apart.
#[inline]
fn mixed(word: usize, era: u64) -> u64 {
    (era << 8 | word as u64).wrapping_add(1).wrapping_mul(SPREAD)
}

#[inline]
pub(super) fn tag_of(key: Key, word: usize, era: u64) -> [u64; 2] {
    let (low, high) = key.hash();
    // Zero marks a free place.
    [(low ^ mixed(word, era)).max(1), high]
}

/// What the store calls a limit.
pub(super) fn store_name(key: Key, word: usize) -> [u64; 2] {
    let (low, high) = key.hash();
    [low ^ mixed(word, 0), high]
}

/// The key of a limit that is called so there.
pub(super) fn key_of_name(area: Area, [low, high]: [u64; 2], word: usize) -> Key {
    Key::from_hash(area, low ^ mixed(word, 0), high)
}

fn look_words(sets: usize) -> usize {
    let words = sets.saturating_mul(WAYS).div_ceil(BITS);
    // The sets begin with a cache line.
    if MODEL {
        words
    } else {
        words.next_multiple_of(8)
    }
}

/// How many sets a table of so many words has.
fn sets_of(words: usize) -> usize {
    let room = words.saturating_sub(HEADER_WORDS);
    let mut sets = room / SET_WORDS;
    while sets > 0 && sets.saturating_mul(SET_WORDS).saturating_add(look_words(sets)) > room {
        sets -= 1;
    }
    sets
}

#[cfg(all(test, not(tollgate_model)))]
#[path = "table_tests.rs"]
mod tests;

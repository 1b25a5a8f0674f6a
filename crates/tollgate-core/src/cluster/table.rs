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
use super::super::limits::sync::{planted, AtomicU64, Ordering, MODEL};
use super::super::limits::{Ask, ClaimLock, Key, LayoutError, ProcessLock, Seed};
use super::entry::{self, amount, signed, Entry, ENTRY_WORDS};
use super::marks::Marks;
use super::right::Right;
use super::shape::{unit_of, Shape};
use super::words::{Words, FIRST, HEADER_WORDS};
use crate::clock::MonoNanos;

const MAGIC: u64 = u64::from_be_bytes(*b"tgleases");
/// To be raised with every change of what lies behind the header.
const LAYOUT_VERSION: u64 = 1;

// The header, by word: up to `FIRST`.
const WORD_MAGIC: usize = 0;
const WORD_VERSION: usize = 1;
/// Sets for clients and rules, and those for strangers.
const WORD_SETS: usize = 2;
const WORD_LOCK: usize = 4;
/// Who speaks with the store.
const WORD_RIGHT: usize = 5;
const _: () = assert!(WORD_RIGHT < FIRST);

/// Entries in a set.
const WAYS: usize = if MODEL { 1 } else { 8 };
const SET_WORDS: usize = WAYS * (2 + ENTRY_WORDS);
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
    sets: &'m [AtomicU64],
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
        // The last one is such that a header without it is not a header.
        for (at, value) in [
            (WORD_VERSION, LAYOUT_VERSION),
            (WORD_SETS, known as u64),
            (WORD_SETS + 1, strangers as u64),
            (WORD_MAGIC, MAGIC),
        ] {
            words.get(at).ok_or(LayoutError::TooSmall)?.store(value, Ordering::Release);
        }
        Self::attach(words)
    }

    /// The table that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let word = |at: usize| words.get(at).ok_or(LayoutError::TooSmall);
        let value = |at: usize| word(at).map(|word| word.load(Ordering::Acquire));
        if value(WORD_MAGIC)? != MAGIC {
            return Err(LayoutError::Foreign);
        }
        match value(WORD_VERSION)? {
            LAYOUT_VERSION => {}
            other => return Err(LayoutError::Version(other)),
        }
        let count = |at: usize| value(at).map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        let known = count(WORD_SETS)?;
        let sets = known.saturating_add(count(WORD_SETS + 1)?);
        let start = HEADER_WORDS.saturating_add(look_words(sets));
        let end = start.saturating_add(sets.saturating_mul(SET_WORDS));
        Ok(Self {
            words: Words::of(words).ok_or(LayoutError::TooSmall)?,
            look: words.get(HEADER_WORDS..start).ok_or(LayoutError::TooSmall)?,
            sets: words.get(start..end).ok_or(LayoutError::TooSmall)?,
            known,
            lock: ProcessLock::new(word(WORD_LOCK)?),
            right: Right::new(word(WORD_RIGHT)?),
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
        self.sets.len() / SET_WORDS * WAYS
    }

    /// The entry of the limit that is asked from, if it has one.
    #[must_use]
    pub fn find(&self, ask: &Ask) -> Option<Entry<'m>> {
        self.find_limit(ask.key, ask.word())
    }

    /// The entry of a limit: the word `word` of the slot of `key`.
    #[must_use]
    pub fn find_limit(&self, key: Key, word: usize) -> Option<Entry<'m>> {
        let tag = tag_of(key, word, self.words.era());
        self.candidates(key, word).into_iter().find_map(|set| {
            let start = set.saturating_mul(SET_WORDS);
            let low = self.sets.get(start..start.saturating_add(WAYS))?;
            let way = low.iter().position(|word| word.load(Ordering::Acquire) == tag[0])?;
            self.entry(set, way, tag).filter(Entry::is_ours)
        })
    }

    /// The entry of the limit that is asked from, which is made if it has none. `name` gives the same key with the
    /// seed of the cluster.
    ///
    /// # Errors
    ///
    /// [`NoEntry`].
    pub fn find_or_make(
        &self,
        ask: &Ask,
        name: impl FnOnce(Seed) -> Option<Key>,
        lock: &impl ClaimLock,
    ) -> Result<Entry<'m>, NoEntry> {
        let shape = Shape::of(&ask.take);
        if let Some(entry) = self.find(ask).filter(|entry| entry.is_described(&shape)) {
            return Ok(entry);
        }
        let seed = self.words.seed().ok_or(NoEntry::Unnamed)?;
        let name = name(seed).ok_or(NoEntry::Unnamed)?;
        let entry = lock.with(|| self.claim(ask, &shape, name)).ok_or(NoEntry::Full)?;
        entry.describe(&shape);
        Ok(entry)
    }

    /// The entry with this number, if a limit has it.
    pub(super) fn at(&self, place: usize) -> Option<Entry<'m>> {
        let (set, way) = (place / WAYS, place % WAYS);
        let words = self.set_words(set)?;
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

    fn set_words(&self, set: usize) -> Option<&'m [AtomicU64]> {
        let start = set.checked_mul(SET_WORDS)?;
        self.sets.get(start..start.checked_add(SET_WORDS)?)
    }

    fn entry(&self, set: usize, way: usize, tag: [u64; 2]) -> Option<Entry<'m>> {
        let words = self.set_words(set)?;
        let place = set.checked_mul(WAYS)?.checked_add(way)?;
        Some(Entry {
            words: words.get(2 * WAYS + way * ENTRY_WORDS..)?.first_chunk()?,
            tags: [words.get(way)?, words.get(WAYS + way)?],
            tag,
            round: self.words.round_word(),
            look: self.look.get(place / BITS)?,
            bit: 1 << (place % BITS),
            place,
        })
    }

    /// The two sets in which a limit may be.
    fn candidates(&self, key: Key, word: usize) -> [usize; 2] {
        let all = self.sets.len() / SET_WORDS;
        let (first, count) = match key.area() {
            _ if MODEL => (0, all),
            Area::Clients | Area::Rules => (0, self.known),
            Area::Keys | Area::KeyNetworks | Area::Failures | Area::FailureNetworks => {
                (self.known, all.saturating_sub(self.known))
            }
        };
        let (_, high) = key.hash();
        // The limits of one key are in neighbouring sets, and those of a network near each other.
        let set = |half: u64| {
            let scaled = (half & 0xffff_ffff).wrapping_mul(count as u64) >> 32;
            let scaled = usize::try_from(scaled).unwrap_or(0).wrapping_add(word);
            first.wrapping_add(scaled.checked_rem(count).unwrap_or(0))
        };
        [set(high), set(high >> 32)]
    }

    /// An entry for a limit: its own, or another one. The caller holds the mutex.
    fn claim(&self, ask: &Ask, shape: &Shape, name: Key) -> Option<Entry<'m>> {
        if let Some(entry) = self.find(ask) {
            // Only who holds the mutex marks so: that one is dead.
            entry.set_marks(|marks| Marks { is_leaving: false, ..marks });
            return Some(entry);
        }
        let sets = self.candidates(ask.key, ask.word());
        let places = || sets.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)));
        let is_free = |(set, way): &(usize, usize)| {
            let tag = self.set_words(*set).and_then(|words| words.get(*way));
            tag.is_some_and(|tag| tag.load(Ordering::Acquire) == 0)
        };
        let free_in = |set: usize| (0..WAYS).filter(|way| is_free(&(set, *way))).count();
        let [first, second] = sets;
        let emptier = if free_in(second) > free_in(first) { second } else { first };
        let free = (0..WAYS).map(|way| (emptier, way)).find(is_free);
        let (set, way) = free.or_else(|| places().find(|(set, way)| self.evict(*set, *way)))?;
        self.give((set, way), ask, shape, name)
    }

    /// Takes an entry away from a limit of which nothing is held, and nothing to be reported. The caller holds the
    /// mutex.
    fn evict(&self, set: usize, way: usize) -> bool {
        let Some(entry) = self.at(set * WAYS + way) else { return false };
        let is_called = entry.look.load(Ordering::Acquire) & entry.bit != 0;
        if is_called {
            return false;
        }
        let marks = entry.set_marks(|marks| Marks { is_leaving: !marks.is_tracked, ..marks });
        if !marks.is_leaving {
            return false;
        }
        let [tag, _] = entry.tags;
        tag.store(0, Ordering::SeqCst);
        if Self::take_over(&entry, marks) {
            return true;
        }
        tag.store(entry.tag[0], Ordering::Release);
        entry.set_marks(|marks| Marks { is_leaving: false, ..marks });
        // Something of it counts, and whoever did that was killed before he could say so.
        entry.call();
        false
    }

    /// Swaps the words that requests change for those of the next hands, if nothing in them counts.
    fn take_over(entry: &Entry<'_>, marks: Marks) -> bool {
        let unit = unit_of(marks.word.into());
        let load = |index: usize| entry.words[index].load(Ordering::SeqCst);
        let swap = |index: usize, seen: u64| {
            let next = entry::of_next_hands(seen);
            let word = &entry.words[index];
            if planted!(TakenOverUnseen) {
                word.store(next, Ordering::SeqCst);
                return true;
            }
            word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Acquire).is_ok()
        };
        let [balance, adjust, alone] = [entry::BALANCE, entry::ADJUST, entry::ALONE].map(load);
        let drawn = load(entry::SOLD).saturating_sub(amount(balance)).div_ceil(unit);
        let acked_adjust = i64::from_ne_bytes(load(entry::ACKED_ADJUST).to_ne_bytes());
        // The adjustment last: where one of the swaps fails, nothing that counts was changed before it.
        amount(balance) < unit
            && drawn == load(entry::ACKED_DRAWN)
            && amount(alone) == 0
            && entry::units(signed(adjust), unit) == acked_adjust
            && swap(entry::BALANCE, balance)
            && swap(entry::ALONE, alone)
            && swap(entry::ADJUST, adjust)
    }

    /// Gives a free place to a limit. The caller holds the mutex.
    fn give(
        &self,
        (set, way): (usize, usize),
        ask: &Ask,
        shape: &Shape,
        name: Key,
    ) -> Option<Entry<'m>> {
        let (era, round) = (self.words.era(), self.words.round());
        let word = ask.word();
        let tag = tag_of(ask.key, word, era);
        let entry = self.entry(set, way, tag)?;
        for index in [entry::BALANCE, entry::ADJUST, entry::ALONE] {
            let old = entry.words[index].load(Ordering::Acquire);
            entry.words[index].store(entry::of_next_hands(old), Ordering::Release);
        }
        let area = Area::ALL.iter().position(|area| *area == ask.key.area())?;
        let marks = Marks {
            count: 0,
            word: u8::try_from(word).ok()?,
            area: u8::try_from(area).ok()?,
            is_tracked: false,
            // Until all is written: the thread may have found the limit that had it before.
            is_leaving: true,
            is_reset: false,
            era: u16::try_from(era).ok()?,
        };
        let name = store_name(name, word);
        for (index, value) in [
            (entry::MARKS, marks.bits()),
            (entry::EXPIRES, 0),
            (entry::NEED, 0),
            (entry::ANSWERED, entry::answered(round.wrapping_sub(1), 0)),
            (entry::SOLD, 0),
            (entry::ACKED_DRAWN, 0),
            (entry::ACKED_ADJUST, 0),
            (entry::BORN, round),
            (entry::NAME, name[0]),
            (entry::NAME + 1, name[1]),
            (entry::USED, 0),
            (entry::HEARD, 0),
        ] {
            entry.words[index].store(value, Ordering::Release);
        }
        entry.describe(shape);
        entry.set_marks(|marks| Marks { is_leaving: false, ..marks });
        let [low, high] = entry.tags;
        high.store(tag[1], Ordering::Release);
        low.store(tag[0], Ordering::Release);
        Some(entry)
    }
}

/// What tells the limits of a key, and names of different seeds, apart.
fn mixed(word: usize, era: u64) -> u64 {
    (era << 8 | word as u64).wrapping_add(1).wrapping_mul(SPREAD)
}

fn tag_of(key: Key, word: usize, era: u64) -> [u64; 2] {
    let (low, high) = key.hash();
    // Zero marks a free place.
    [(low ^ mixed(word, era)).max(1), high]
}

/// What the store calls a limit.
fn store_name(key: Key, word: usize) -> [u64; 2] {
    let (low, high) = key.hash();
    [low ^ mixed(word, 0), high]
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

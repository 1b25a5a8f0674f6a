//! Where the entries of clients are found.
//!
//! ```text
//! header | flights of each worker | index: sets of 8 words | entries | names that are long
//! ```
//!
//! Entries are given out one after the other, so that those which nobody has take no memory. A word of the
//! index is a part of a client's hash, with the number of its entry; it is in one of two sets, which its
//! hash says.
//!
//! When all entries are given out, a new client takes the place of the one that was seen least lately of the next
//! 64. Finding and counting take no lock; giving an entry to a client does. A process that dies in the middle of
//! that leaves an entry of nobody, or a word of the index that leads to another client's: neither is taken
//! for what it isn't.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::{Client, Entry, Ratios, Seen, ENTRY_WORDS, TEXT_WORDS};
use super::flights::{self, Flights};
use super::known::{Hash, Known, Who};
use super::word::put;
use crate::clock::UnixMillis;
use crate::limits::{ClaimLock, Layout, LayoutError, ProcessLock};

const LAYOUT: Layout = Layout::new(*b"tgclient", 2);

// The header, by word; what is written more often has cache lines of its own.
const WORD_SEED: usize = 2;
const WORD_CAPACITY: usize = 4;
const WORD_SINCE: usize = 5;
const WORD_GIVEN: usize = 8;
const WORD_HAND: usize = 9;
const WORD_LOCK: usize = 16;
/// See [`Survey`].
const WORD_SURVEY: usize = 24;
const HEADER_WORDS: usize = 32;

const SET_WORDS: usize = 8;
/// Entries that a new client may take the place of.
const CANDIDATES: u32 = 64;
/// Entries that there may be: their numbers are halves of words.
const MAX_CAPACITY: usize = 1 << 28;

/// The directory, over its words.
#[derive(Clone, Copy, Debug)]
pub struct Directory<'m> {
    seed: (u64, u64),
    capacity: u32,
    since: UnixMillis,
    header: &'m [AtomicU64],
    lock: ProcessLock<'m>,
    flights: Flights<'m>,
    index: &'m [AtomicU64],
    entries: &'m [AtomicU64],
    texts: &'m [AtomicU64],
}

/// The number of sets of the index: half of its words are enough.
fn sets(capacity: usize) -> usize {
    (2 * capacity).div_ceil(SET_WORDS)
}

impl<'m> Directory<'m> {
    /// How many words there have to be for so many clients; `None`: that is too many.
    #[must_use]
    pub fn words_for(capacity: usize) -> Option<usize> {
        let each = ENTRY_WORDS + TEXT_WORDS;
        let capacity = (1..=MAX_CAPACITY).contains(&capacity).then_some(capacity)?;
        let beside = HEADER_WORDS + flights::WORDS + sets(capacity) * SET_WORDS;
        capacity.checked_mul(each)?.checked_add(beside)
    }

    /// Makes something of new memory, all zeros, which is left as it is: what isn't touched takes no room.
    ///
    /// # Errors
    ///
    /// When there is too little for so many clients.
    pub fn format(
        words: &'m [AtomicU64],
        capacity: usize,
        seed: (u64, u64),
        now: UnixMillis,
    ) -> Result<Self, LayoutError> {
        let needed = Self::words_for(capacity).ok_or(LayoutError::TooSmall)?;
        if words.len() < needed {
            return Err(LayoutError::TooSmall);
        }
        let seed = [(WORD_SEED, seed.0), (WORD_SEED + 1, seed.1)];
        let since = u64::try_from(now.0).unwrap_or(0);
        let numbers = [(WORD_CAPACITY, capacity as u64), (WORD_SINCE, since)];
        LAYOUT.begin(words, seed.into_iter().chain(numbers))?;
        Self::attach(words)
    }

    /// What lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let memory = LAYOUT.open(words)?;
        let capacity = memory.count(WORD_CAPACITY)?;
        let needed = Self::words_for(capacity).ok_or(LayoutError::Foreign)?;
        let words = words.get(..needed).ok_or(LayoutError::TooSmall)?;
        let split = |words: &'m [AtomicU64], at: usize| {
            words.split_at_checked(at).ok_or(LayoutError::TooSmall)
        };
        let (header, rest) = split(words, HEADER_WORDS)?;
        let (in_flight, rest) = split(rest, flights::WORDS)?;
        let (index, rest) = split(rest, sets(capacity) * SET_WORDS)?;
        let (entries, texts) = split(rest, capacity * ENTRY_WORDS)?;
        Ok(Self {
            seed: memory.seed(WORD_SEED)?,
            capacity: u32::try_from(capacity).map_err(|_| LayoutError::Foreign)?,
            since: UnixMillis(i64::try_from(memory.number(WORD_SINCE)?).unwrap_or(0)),
            lock: ProcessLock::new(memory.word(WORD_LOCK)?),
            header,
            flights: Flights::new(in_flight),
            index,
            entries,
            texts,
        })
    }

    /// What names are hashed with: those of two directories differ.
    #[inline]
    #[must_use]
    pub fn seed(&self) -> (u64, u64) {
        self.seed
    }

    /// How many clients it has room for.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Since when it counts.
    #[must_use]
    pub fn since(&self) -> UnixMillis {
        self.since
    }

    /// The directory's mutex.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'m> {
        self.lock
    }

    /// The requests in flight.
    #[inline]
    #[must_use]
    pub fn flights(&self) -> Flights<'m> {
        self.flights
    }

    /// The words of what is found of limits, by whoever goes through all clients.
    pub(super) fn survey(&self) -> &'m [AtomicU64] {
        self.header.get(WORD_SURVEY..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn entry(&self, number: u32) -> Option<Entry<'m>> {
        let number = usize::try_from(number).ok()?;
        let start = number.checked_mul(ENTRY_WORDS)?;
        let words = self.entries.get(start..)?.first_chunk()?;
        let start = number.checked_mul(TEXT_WORDS)?;
        Some(Entry::new(words, self.texts.get(start..start.checked_add(TEXT_WORDS)?)?))
    }

    fn word(&self, at: usize) -> Option<&'m AtomicU64> {
        self.header.get(at)
    }

    /// How many entries were ever given out: those with smaller numbers.
    #[must_use]
    pub fn given(&self) -> u32 {
        let given = self.word(WORD_GIVEN).map_or(0, |word| word.load(Ordering::Acquire));
        u32::try_from(given).unwrap_or(u32::MAX).min(self.capacity)
    }

    /// Counts a request of a client, which gets an entry if it has none.
    #[inline]
    pub fn count(&self, known: &Known, who: Who<'_>, seen: &Seen, lock: &impl ClaimLock) {
        let place = known.place.load(Ordering::Relaxed);
        match self.entry(place).filter(|entry| entry.is_as(known)) {
            Some(entry) => entry.count(seen),
            None => self.count_anew(known, who, seen, lock),
        }
    }

    #[cold]
    #[inline(never)]
    fn count_anew(&self, known: &Known, who: Who<'_>, seen: &Seen, lock: &impl ClaimLock) {
        let is_as = |number: &u32| self.entry(*number).is_some_and(|entry| entry.is_as(known));
        let found = self.find(known.hash).filter(is_as);
        let found = found.or_else(|| lock.with(|| self.claim(known, who, seen.at)));
        let Some((number, entry)) = found.and_then(|number| Some((number, self.entry(number)?)))
        else {
            return;
        };
        known.put(number);
        entry.count(seen);
    }

    /// What is known of a client of this name, and its number.
    #[must_use]
    pub fn get(&self, client: &str) -> Option<(u32, Client)> {
        let number = self.find(Hash::of(self.seed, client))?;
        let found = self.read(number)?;
        (found.client == client).then_some((number, found))
    }

    /// What is known of the client that has the entry of this number, if one has.
    #[must_use]
    pub fn read(&self, number: u32) -> Option<Client> {
        self.entry(number)?.read()
    }

    /// How many requests of a client are in flight in living workers.
    #[must_use]
    pub fn in_flight(&self, client: &str, living: &flights::Living) -> u64 {
        self.flights.count(Hash::of(self.seed, client).low, living)
    }

    /// Notes what `f` finds of the limits of the client with this entry, given its name, the mark of its tier,
    /// and the requests a minute that its token grants.
    pub fn update_ratios(
        &self,
        number: u32,
        f: impl FnOnce(&str, u64, Option<NonZeroU32>) -> Ratios,
    ) {
        if let Some(entry) = self.entry(number) {
            entry.update_ratios(f);
        }
    }

    /// Halves of the hash, scaled to the number of sets.
    fn sets_of(&self, high: u64) -> [&'m [AtomicU64]; 2] {
        let sets = (self.index.len() / SET_WORDS) as u64;
        [high & 0xffff_ffff, high >> 32].map(|half| {
            let set = usize::try_from(half.wrapping_mul(sets) >> 32).unwrap_or(0);
            let start = set * SET_WORDS;
            self.index.get(start..start + SET_WORDS).unwrap_or_default()
        })
    }

    fn find(&self, hash: Hash) -> Option<u32> {
        let words = self.sets_of(hash.high).into_iter().flatten();
        let numbers = words.filter_map(|word| {
            let word = word.load(Ordering::Acquire);
            (word >> 32 == hash.low >> 32).then(|| number_of(word)).flatten()
        });
        numbers.into_iter().find(|number| {
            let is_its = |entry: Entry<'_>| entry.low() == hash.low && entry.high() == hash.high;
            self.entry(*number).is_some_and(is_its)
        })
    }

    /// The entry of a client, which gets one if it has none. Only for who holds the mutex.
    fn claim(&self, known: &Known, who: Who<'_>, at: UnixMillis) -> Option<u32> {
        if let Some(number) = self.find(known.hash) {
            let entry = self.entry(number)?;
            if !entry.is_as(known) {
                entry.refresh(known, who);
            }
            return Some(number);
        }
        let (way, taken) = self.way(known.hash)?;
        let number = match taken {
            Some(number) => number,
            None => self.vacant()?,
        };
        let entry = self.entry(number)?;
        entry.prepare(known, who, at);
        let tag = known.hash.low >> 32 << 32;
        put(way, tag | (u64::from(number) + 1));
        entry.publish(known);
        Some(number)
    }

    /// A word of the index for a client: a free one of its emptier set. Where there is none, the one of the
    /// client that was seen least lately, whose entry comes with it.
    fn way(&self, hash: Hash) -> Option<(&'m AtomicU64, Option<u32>)> {
        let [first, second] = self.sets_of(hash.high);
        let free = |set: &[AtomicU64]| set.iter().filter(|word| self.is_free(word)).count();
        let emptier = if free(second) > free(first) { second } else { first };
        if let Some(way) = emptier.iter().find(|word| self.is_free(word)) {
            return Some((way, None));
        }
        let seen = |way: &&AtomicU64| {
            let number = number_of(way.load(Ordering::Acquire));
            number.and_then(|number| self.entry(number)).map_or(0, |entry| entry.age_mark())
        };
        let oldest = first.iter().chain(second).min_by_key(seen)?;
        let number = number_of(oldest.load(Ordering::Acquire))?;
        self.entry(number)?.free();
        Some((oldest, Some(number)))
    }

    /// Whether a word leads to nobody: a process may have died before it put it right.
    fn is_free(&self, word: &AtomicU64) -> bool {
        let word = word.load(Ordering::Acquire);
        let entry = number_of(word).and_then(|number| self.entry(number));
        entry.is_none_or(|entry| entry.low() >> 32 != word >> 32 || entry.low() == 0)
    }

    /// An entry that is nobody's: a new one, or that of the client who was seen least lately of some.
    fn vacant(&self) -> Option<u32> {
        let given = self.given();
        if given < self.capacity {
            put(self.word(WORD_GIVEN)?, u64::from(given) + 1);
            return Some(given);
        }
        let hand = self.word(WORD_HAND)?;
        let start = hand.load(Ordering::Relaxed) % u64::from(self.capacity);
        let start = u32::try_from(start).unwrap_or(0);
        let count = CANDIDATES.min(self.capacity);
        let numbers = (0..count).map(|step| {
            let number = (u64::from(start) + u64::from(step)) % u64::from(self.capacity);
            u32::try_from(number).unwrap_or(0)
        });
        let oldest = numbers
            .min_by_key(|number| self.entry(*number).map_or(u64::MAX, |entry| entry.age_mark()))?;
        put(hand, u64::from(start) + u64::from(count));
        let entry = self.entry(oldest)?;
        let high = entry.high();
        entry.free();
        let ways = self.sets_of(high).into_iter().flatten();
        for way in ways.filter(|way| number_of(way.load(Ordering::Acquire)) == Some(oldest)) {
            put(way, 0);
        }
        Some(oldest)
    }
}

fn number_of(word: u64) -> Option<u32> {
    u32::try_from(word & u64::from(u32::MAX)).ok()?.checked_sub(1)
}

//! The shared memory that all workers see: its layout.
//!
//! ```text
//! header | rates | learned | ledger | slots of clients | slots of tollgate_limit keys
//! ```

use std::fmt;

use super::ask::IN_FLIGHT;
use super::bucket::Scale;
use super::key::{Area, Domain, Key};
use super::learned::{self, Learned};
use super::ledger::{Holder, Ledger, Process};
use super::quota::Quota;
use super::rates::{self, Rates};
use super::slots::{Slots, SET_WORDS};
use super::sync::{AtomicU64, Ordering};

/// "tollgate", and the version of everything that lies behind it.
const MAGIC: u64 = u64::from_be_bytes(*b"tollgate");
const LAYOUT_VERSION: u64 = 3;

// The header, by word.
const WORD_MAGIC: usize = 0;
const WORD_VERSION: usize = 1;
const WORD_SEED: usize = 2;
const WORD_CLIENT_SETS: usize = 4;
const WORD_KEY_SETS: usize = 5;
const WORD_LEDGER_WORDS: usize = 6;
const WORD_UNIQUES: usize = 7;
const WORD_FAILED_LOADS: usize = 8;
const HEADER_WORDS: usize = 16;
const LEARNED_START: usize = HEADER_WORDS + rates::WORDS;
pub(super) const LEDGER_START: usize = LEARNED_START + learned::WORDS;

/// Words of a cache line: the slots begin on one.
pub(super) const LINE_WORDS: usize = 8;

/// The zone's mutex, which serialises the giving away of slots. A holder that dies must not leave it
/// locked (nginx's slab mutex is such a one).
pub trait ClaimLock {
    /// Runs `f` with the mutex held.
    fn with<T>(&self, f: impl FnOnce() -> T) -> T;
}

/// What is wrong with the memory of a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// Too small for a header and one set in each area.
    TooSmall,
    /// The kernel has no random bytes to give for the seed.
    NoSeed,
    /// Not formatted by this module.
    Foreign,
    /// Formatted by another version of this module.
    Version(u64),
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooSmall => f.write_str("is too small"),
            Self::NoSeed => f.write_str("cannot be made, as the kernel gives no random bytes"),
            Self::Foreign => f.write_str("holds something else"),
            Self::Version(found) => write!(
                f,
                "has layout version {found}, and this version of the module uses {LAYOUT_VERSION}; \
                 restart nginx instead of reloading it"
            ),
        }
    }
}

impl std::error::Error for LayoutError {}

/// A view of the zone.
#[derive(Clone, Copy, Debug)]
pub struct Zone<'z> {
    pub(super) seed: (u64, u64),
    pub(super) rates: Rates<'z>,
    pub(super) learned: Learned<'z>,
    pub(super) clients: Slots<'z>,
    pub(super) keys: Slots<'z>,
    ledger: Ledger<'z>,
    failed_loads: &'z AtomicU64,
}

impl<'z> Zone<'z> {
    /// Makes an empty zone of `words`, whatever they held. Half of the room for slots goes to
    /// authenticated clients, half to the keys of `tollgate_limit`.
    ///
    /// # Errors
    ///
    /// When there are too few words for one set of slots in each area.
    pub fn format(words: &'z [AtomicU64], seed: (u64, u64)) -> Result<Self, LayoutError> {
        let ledger_words = Ledger::words_for(words.len()).next_multiple_of(LINE_WORDS);
        let sets = words.len().saturating_sub(LEDGER_START + ledger_words) / SET_WORDS;
        if sets < 2 {
            return Err(LayoutError::TooSmall);
        }
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        let header = [
            (WORD_VERSION, LAYOUT_VERSION),
            (WORD_SEED, seed.0),
            (WORD_SEED + 1, seed.1),
            (WORD_CLIENT_SETS, sets.div_ceil(2) as u64),
            (WORD_KEY_SETS, (sets / 2) as u64),
            (WORD_LEDGER_WORDS, ledger_words as u64),
            // Last, so that a header without it is not a header.
            (WORD_MAGIC, MAGIC),
        ];
        for (at, value) in header {
            words.get(at).ok_or(LayoutError::TooSmall)?.store(value, Ordering::Release);
        }
        Self::attach(words)
    }

    /// The zone that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'z [AtomicU64]) -> Result<Self, LayoutError> {
        let word = |at: usize| {
            words.get(at).map(|w| w.load(Ordering::Acquire)).ok_or(LayoutError::TooSmall)
        };
        if word(WORD_MAGIC)? != MAGIC {
            return Err(LayoutError::Foreign);
        }
        match word(WORD_VERSION)? {
            LAYOUT_VERSION => {}
            other => return Err(LayoutError::Version(other)),
        }
        let length = |at: usize, unit: usize| {
            usize::try_from(word(at)?)
                .ok()
                .and_then(|count| count.checked_mul(unit))
                .ok_or(LayoutError::Foreign)
        };
        let ledger_end = LEDGER_START.saturating_add(length(WORD_LEDGER_WORDS, 1)?);
        let clients_end = ledger_end.saturating_add(length(WORD_CLIENT_SETS, SET_WORDS)?);
        let keys_end = clients_end.saturating_add(length(WORD_KEY_SETS, SET_WORDS)?);
        let part = |from: usize, to: usize| words.get(from..to).ok_or(LayoutError::TooSmall);
        let rates = Rates(part(HEADER_WORDS, LEARNED_START)?);
        let ledger = Ledger::new(part(LEDGER_START, ledger_end)?).ok_or(LayoutError::TooSmall)?;
        let uniques = words.get(WORD_UNIQUES).ok_or(LayoutError::TooSmall)?;
        let slots = |words, first| Slots { words, first, rates, ledger, uniques };
        let clients = slots(part(ledger_end, clients_end)?, 0);
        Ok(Self {
            seed: (word(WORD_SEED)?, word(WORD_SEED + 1)?),
            rates,
            learned: Learned(part(LEARNED_START, LEDGER_START)?),
            clients,
            keys: slots(part(clients_end, keys_end)?, clients.len()),
            ledger,
            failed_loads: words.get(WORD_FAILED_LOADS).ok_or(LayoutError::TooSmall)?,
        })
    }

    /// Whether both are views of the same memory.
    #[must_use]
    pub fn is_same(&self, other: &Zone<'_>) -> bool {
        std::ptr::eq(self.rates.0, other.rates.0)
    }

    /// Counts a changed keys file, or file of a token's keys, that could not be taken into use.
    pub fn count_failed_load(&self) {
        self.failed_loads.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of them there were since the zone was made.
    #[must_use]
    pub fn failed_loads(&self) -> u64 {
        self.failed_loads.load(Ordering::Relaxed)
    }

    /// How many clients, and how many keys of `tollgate_limit`, there are slots for.
    #[must_use]
    pub fn capacity(&self) -> (usize, usize) {
        (self.clients.len(), self.keys.len())
    }

    /// The key of an authenticated client.
    #[must_use]
    pub fn client_key(&self, client: &str) -> Key {
        Key::new(self.seed, Domain::Client, [client.as_bytes(), b""])
    }

    /// The key of an authenticated client in the `model` block of a tier called `block`.
    #[must_use]
    pub fn model_key(&self, client: &str, block: &str) -> Key {
        Key::new(self.seed, Domain::Model, [client.as_bytes(), block.as_bytes()])
    }

    /// The key of `value` under the `tollgate_limit` called `limit`.
    #[must_use]
    pub fn limit_key(&self, limit: &str, value: &[u8]) -> Key {
        Key::new(self.seed, Domain::Limit, [limit.as_bytes(), value])
    }

    /// The key of `value` for the `auth_failures` of the `tollgate_limit` called `limit`: apart from
    /// its other limits, as a stranger can raise these.
    #[must_use]
    pub fn auth_failures_key(&self, limit: &str, value: &[u8]) -> Key {
        Key::new(self.seed, Domain::AuthFailures, [limit.as_bytes(), value])
    }

    /// Prepares a quota for asks; enters it into the zone's table of rates.
    #[must_use]
    pub fn scale(&self, quota: Quota) -> Scale {
        self.rates.enter(quota)
    }

    /// Notes that a request of the tier for the model had so much output, in tokens.
    pub fn learn(&self, tier: &str, model: &str, output: u32) {
        self.learned.add(self.learned_key(tier, model), output);
    }

    /// A high estimate of the output of such a request, in tokens, from those that were noted;
    /// `None` if there were none, or too long ago to be remembered.
    #[must_use]
    pub fn learned(&self, tier: &str, model: &str) -> Option<u32> {
        self.learned.get(self.learned_key(tier, model))
    }

    fn learned_key(&self, tier: &str, model: &str) -> Key {
        Key::new(self.seed, Domain::Learned, [tier.as_bytes(), model.as_bytes()])
    }

    /// Makes a worker known, so that it can have requests in flight: after it was forked. `None`:
    /// there are too many processes.
    pub fn register(&self, process: Process, lock: &impl ClaimLock) -> Option<Holder> {
        self.ledger.register(process, lock)
    }

    /// The orderly end of a worker: releases what it still holds, and gives how much that was.
    pub fn leave(&self, holder: Holder, lock: &impl ClaimLock) -> usize {
        self.ledger.leave(holder, |slot| self.in_flight_word(slot), lock)
    }

    /// Releases what processes hold that are dead, and gives how much that was. Cheap while all are
    /// alive: to be called every second or so.
    pub fn reclaim(&self, is_alive: impl Fn(Process) -> bool, lock: &impl ClaimLock) -> usize {
        self.ledger.reclaim(is_alive, |slot| self.in_flight_word(slot), lock)
    }

    /// The ledger of the requests in flight, and the queue for them.
    #[must_use]
    pub fn ledger(&self) -> Ledger<'z> {
        self.ledger
    }

    /// The word that counts the requests in flight of the slot with this number.
    #[must_use]
    pub fn in_flight_word(&self, slot: u32) -> Option<&'z AtomicU64> {
        let of = |slots: &Slots<'z>| slots.slot(slots.numbered(slot)?).get(IN_FLIGHT);
        of(&self.clients).or_else(|| of(&self.keys))
    }

    pub(super) fn slots(&self, key: Key) -> &Slots<'z> {
        self.area(key.area())
    }

    pub(super) fn area(&self, area: Area) -> &Slots<'z> {
        match area {
            Area::Clients => &self.clients,
            Area::Keys => &self.keys,
        }
    }
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;

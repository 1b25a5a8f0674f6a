//! The shared memory that all workers see: its layout, and the reservation over several buckets.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ask::Ask;
use super::bucket::{Scale, Standing};
use super::key::{Area, Key};
use super::quota::Quota;
use super::rates::{self, Rates};
use super::slots::{Moved, Place, Slots, SET_WORDS};
use crate::clock::MonoNanos;

/// "tollgate", and the version of everything that lies behind it.
const MAGIC: u64 = u64::from_be_bytes(*b"tollgate");
const LAYOUT_VERSION: u64 = 1;

// The header, by word.
const WORD_MAGIC: usize = 0;
const WORD_VERSION: usize = 1;
const WORD_SEED: usize = 2;
const WORD_CLIENT_SETS: usize = 4;
const WORD_KEY_SETS: usize = 5;
const HEADER_WORDS: usize = 8;
const SLOTS_START: usize = HEADER_WORDS + rates::WORDS;

/// A limit has too little left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which of the asks stands in the way for longest.
    pub ask: usize,
    /// Nanoseconds until the same request would pass, as far as the present use goes.
    pub wait_nanos: u64,
}

/// Why nothing was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit has too little left.
    Exceeded(Exceeded),
    /// No room for a further client or key, and none of the others is idle.
    ZoneFull(Area),
}

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
    seed: (u64, u64),
    rates: Rates<'z>,
    clients: Slots<'z>,
    keys: Slots<'z>,
}

impl<'z> Zone<'z> {
    /// The fewest words that a zone can have.
    pub const MIN_WORDS: usize = SLOTS_START + 2 * SET_WORDS;

    /// Makes an empty zone of `words`, whatever they held. Half of the room goes to authenticated
    /// clients, half to the keys of `tollgate_limit`.
    ///
    /// # Errors
    ///
    /// When there are fewer than [`Zone::MIN_WORDS`] words.
    pub fn format(words: &'z [AtomicU64], seed: (u64, u64)) -> Result<Self, LayoutError> {
        let sets = words.len().saturating_sub(SLOTS_START) / SET_WORDS;
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
        let length = |sets: u64| {
            usize::try_from(sets)
                .ok()
                .and_then(|sets| sets.checked_mul(SET_WORDS))
                .ok_or(LayoutError::Foreign)
        };
        let clients_end = SLOTS_START.saturating_add(length(word(WORD_CLIENT_SETS)?)?);
        let keys_end = clients_end.saturating_add(length(word(WORD_KEY_SETS)?)?);
        let part = |from: usize, to: usize| words.get(from..to).ok_or(LayoutError::TooSmall);
        let rates = Rates(part(HEADER_WORDS, SLOTS_START)?);
        Ok(Self {
            seed: (word(WORD_SEED)?, word(WORD_SEED + 1)?),
            rates,
            clients: Slots { words: part(SLOTS_START, clients_end)?, rates },
            keys: Slots { words: part(clients_end, keys_end)?, rates },
        })
    }

    /// How many clients, and how many keys of `tollgate_limit`, there are slots for.
    #[must_use]
    pub fn capacity(&self) -> (usize, usize) {
        let slots = |part: Slots<'_>| part.words.len() / SET_WORDS * 8;
        (slots(self.clients), slots(self.keys))
    }

    /// The key of an authenticated client.
    #[must_use]
    pub fn client_key(&self, client: &str) -> Key {
        Key::new(self.seed, Area::Clients, [client.as_bytes(), b""])
    }

    /// The key of `value` under the `tollgate_limit` called `limit`.
    #[must_use]
    pub fn limit_key(&self, limit: &str, value: &[u8]) -> Key {
        Key::new(self.seed, Area::Keys, [limit.as_bytes(), value])
    }

    /// Prepares a quota for asks; enters it into the zone's table of rates.
    #[must_use]
    pub fn scale(&self, quota: Quota) -> Scale {
        self.rates.enter(quota)
    }

    fn slots(&self, key: Key) -> Slots<'z> {
        match key.area() {
            Area::Clients => self.clients,
            Area::Keys => self.keys,
        }
    }

    /// Takes from all of the buckets, or from none. On success, `standings` holds one entry for each
    /// ask, after the take; when a limit has too little left, one for each ask as it stands.
    ///
    /// # Errors
    ///
    /// [`Refused`]; nothing was taken then.
    pub fn reserve(
        &self,
        asks: &[Ask],
        now: MonoNanos,
        lock: &impl ClaimLock,
        standings: &mut Vec<Standing>,
    ) -> Result<(), Refused> {
        // An attempt fails only when a slot was given away between finding and taking, which needs
        // it to have been idle just then.
        let mut last = Area::Clients;
        for attempt in 0..16 {
            standings.clear();
            match self.try_reserve(asks, now, lock, standings, attempt > 0) {
                Ok(outcome) => return outcome,
                Err((Moved, area)) => last = area,
            }
        }
        Err(Refused::ZoneFull(last))
    }

    /// `Err` when a slot moved meanwhile.
    fn try_reserve(
        &self,
        asks: &[Ask],
        now: MonoNanos,
        lock: &impl ClaimLock,
        standings: &mut Vec<Standing>,
        locked: bool,
    ) -> Result<Result<(), Refused>, (Moved, Area)> {
        // Look first: a refusal is the common failure, and should write nothing, not even for a
        // moment in which it would refuse somebody else.
        for (index, ask) in asks.iter().enumerate() {
            let place = match self.place(ask.key, now, lock, locked) {
                Ok(place) => place,
                Err(full) => return Ok(Err(full)),
            };
            let wait = self
                .slots(ask.key)
                .wait(place, ask, now)
                .map_err(|moved| (moved, ask.key.area()))?;
            if let Some(wait_nanos) = wait {
                let found = Exceeded { ask: index, wait_nanos };
                return Ok(Err(self.refusal(asks, found, now, standings)));
            }
        }
        for (index, ask) in asks.iter().enumerate() {
            let slots = self.slots(ask.key);
            let taken =
                slots.find(ask.key).ok_or(Moved).and_then(|place| slots.take(place, ask, now));
            // Where another worker was faster, what was taken so far goes back.
            let give_back = || self.give_back(asks.get(..index).unwrap_or(&[]), now);
            match taken {
                Ok(Ok(standing)) => standings.push(standing),
                Ok(Err(wait_nanos)) => {
                    give_back();
                    let found = Exceeded { ask: index, wait_nanos };
                    return Ok(Err(self.refusal(asks, found, now, standings)));
                }
                Err(moved) => {
                    give_back();
                    return Err((moved, ask.key.area()));
                }
            }
        }
        Ok(Ok(()))
    }

    /// The refusal for which `found` gave the occasion: how each of the asks stands, and which of
    /// them stands in the way for longest.
    fn refusal(
        &self,
        asks: &[Ask],
        found: Exceeded,
        now: MonoNanos,
        standings: &mut Vec<Standing>,
    ) -> Refused {
        standings.clear();
        let mut tightest = found;
        for (index, ask) in asks.iter().enumerate() {
            let full = (Standing::full(ask.scale.quota()), None);
            let (standing, wait) = self.look(ask, now).unwrap_or(full);
            standings.push(standing);
            if let Some(wait_nanos) = wait.filter(|wait| *wait > tightest.wait_nanos) {
                tightest = Exceeded { ask: index, wait_nanos };
            }
        }
        Refused::Exceeded(tightest)
    }

    fn place(
        &self,
        key: Key,
        now: MonoNanos,
        lock: &impl ClaimLock,
        locked: bool,
    ) -> Result<Place, Refused> {
        let slots = self.slots(key);
        if !locked {
            if let Some(place) = slots.find(key) {
                return Ok(place);
            }
        }
        lock.with(|| slots.claim(key, now)).ok_or(Refused::ZoneFull(key.area()))
    }

    /// Gives back what a successful [`Zone::reserve`] of the same asks took.
    pub fn give_back(&self, asks: &[Ask], now: MonoNanos) {
        for ask in asks {
            let slots = self.slots(ask.key);
            if let Some(place) = slots.find(ask.key) {
                slots.give_back(place, ask, now);
            }
        }
    }

    /// How the bucket of `ask` stands, without making a slot for it; the second part is the wait
    /// after which the ask would pass, if it wouldn't now. `None`: never used, hence full.
    #[must_use]
    pub fn look(&self, ask: &Ask, now: MonoNanos) -> Option<(Standing, Option<u64>)> {
        let slots = self.slots(ask.key);
        let place = slots.find(ask.key)?;
        slots.look(place, ask, now).ok()
    }
}

#[cfg(test)]
#[path = "zone_tests.rs"]
mod tests;

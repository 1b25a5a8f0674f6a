//! Where the buckets of a client are found: a set-associative table in shared memory.
//!
//! A key has two candidate sets of eight slots each (two-choice hashing: with it, sets fill so
//! evenly that a table takes clients up to about three quarters of its slots). A look-up reads the tags
//! of at most two sets, and then one cache line of buckets.
//!
//! Finding and taking are lock-free. Giving a slot to a new key, which may evict an idle one, is done
//! under the zone's mutex. A worker that found a slot may use it just when it is given away; what
//! keeps it from charging the wrong client is the order of things:
//!
//! * before a slot changes hands, every bucket in it is swapped for [`FROZEN`], which fails where a
//!   bucket isn't idle;
//! * whoever takes from a bucket first reads the word, *then* checks that the slot is still his, and
//!   then swaps; between reading and swapping the word can't have been frozen and made anew, because
//!   a new bucket carries its time of making, and an idle one is more than a microsecond older.

use std::sync::atomic::{AtomicU64, Ordering};

use super::ask::{Ask, BUCKETS};
use super::bucket::{full_word, is_plain_idle, Level, Standing, FROZEN, PLAIN};
use super::key::Key;
use super::rates::Rates;
use crate::clock::MonoNanos;

/// Slots in a set.
const WAYS: usize = 8;
/// Words in a slot: one for each bucket.
const SLOT_WORDS: usize = BUCKETS;
/// Words in a set: two tag words a way, then the slots.
pub(super) const SET_WORDS: usize = WAYS * 2 + WAYS * SLOT_WORDS;

/// A slot that was found: the number of its set and way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    set: usize,
    way: usize,
}

/// The slot belongs to another key by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved;

/// The outcome of taking from a bucket that was still ours.
pub(super) type Taken = Result<Standing, u64>;

/// The sets of one area, over their words in the zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots<'z> {
    pub(super) words: &'z [AtomicU64],
    pub(super) rates: Rates<'z>,
}

impl<'z> Slots<'z> {
    fn sets(&self) -> usize {
        self.words.len() / SET_WORDS
    }

    /// Halves of the hash, scaled to the number of sets (Lemire's multiply-shift instead of `%`).
    fn candidates(&self, key: Key) -> [usize; 2] {
        let scale = |half: u64| {
            let set = (half & 0xffff_ffff).wrapping_mul(self.sets() as u64) >> 32;
            usize::try_from(set).unwrap_or(0)
        };
        [scale(key.high), scale(key.high >> 32)]
    }

    fn set(&self, set: usize) -> &'z [AtomicU64] {
        let start = set.saturating_mul(SET_WORDS);
        self.words.get(start..start.saturating_add(SET_WORDS)).unwrap_or(&[])
    }

    fn tags(&self, set: usize) -> (&'z [AtomicU64], &'z [AtomicU64]) {
        let words = self.set(set);
        (words.get(..WAYS).unwrap_or(&[]), words.get(WAYS..2 * WAYS).unwrap_or(&[]))
    }

    fn slot(&self, place: Place) -> &'z [AtomicU64] {
        let start = 2 * WAYS + place.way.saturating_mul(SLOT_WORDS);
        self.set(place.set).get(start..start.saturating_add(SLOT_WORDS)).unwrap_or(&[])
    }

    fn holds(&self, place: Place, key: Key) -> bool {
        let (low, high) = self.tags(place.set);
        let is = |tags: &[AtomicU64], part| {
            tags.get(place.way).is_some_and(|tag| tag.load(Ordering::Acquire) == part)
        };
        is(low, key.low) && is(high, key.high)
    }

    /// The slot of `key`, if it has one.
    pub(super) fn find(&self, key: Key) -> Option<Place> {
        self.candidates(key).into_iter().find_map(|set| {
            let (low, _) = self.tags(set);
            low.iter()
                .enumerate()
                .filter(|(_, tag)| tag.load(Ordering::Acquire) == key.low)
                .map(|(way, _)| Place { set, way })
                .find(|place| self.holds(*place, key))
        })
    }

    /// The slot of `key`, which is given one if it has none; `None` when both of its sets are full
    /// of live slots. The caller holds the zone's mutex.
    pub(super) fn claim(&self, key: Key, now: MonoNanos) -> Option<Place> {
        if let Some(place) = self.find(key) {
            self.thaw(place, now);
            return Some(place);
        }
        let place = self.free_place(key).or_else(|| self.evict(key, now))?;
        let (low, high) = self.tags(place.set);
        high.get(place.way)?.store(key.high, Ordering::Release);
        for word in self.slot(place) {
            word.store(full_word(now), Ordering::Release);
        }
        low.get(place.way)?.store(key.low, Ordering::Release);
        Some(place)
    }

    /// A free way in the emptier one of the two candidate sets.
    fn free_place(&self, key: Key) -> Option<Place> {
        let free = |set: usize| {
            let (low, _) = self.tags(set);
            let mut ways = low.iter().enumerate().filter(|(_, t)| t.load(Ordering::Acquire) == 0);
            let first = ways.next().map(|(way, _)| Place { set, way });
            (first, ways.count())
        };
        let [(first, spare_first), (second, spare_second)] = self.candidates(key).map(free);
        match (first, second) {
            (Some(_), Some(other)) if spare_second > spare_first => Some(other),
            (Some(place), _) => Some(place),
            (None, place) => place,
        }
    }

    /// Empties an idle slot. The caller holds the zone's mutex.
    fn evict(&self, key: Key, now: MonoNanos) -> Option<Place> {
        let places = self
            .candidates(key)
            .into_iter()
            .flat_map(|set| (0..WAYS).map(move |way| Place { set, way }));
        for place in places {
            if self.freeze(place, now) {
                let (low, _) = self.tags(place.set);
                low.get(place.way)?.store(0, Ordering::Release);
                return Some(place);
            }
        }
        None
    }

    /// Freezes every bucket of a slot if all are idle, or none.
    fn freeze(&self, place: Place, now: MonoNanos) -> bool {
        let slot = self.slot(place);
        // Reading first spares a busy slot the writes.
        if !slot.iter().all(|word| self.is_idle(word.load(Ordering::Acquire), now)) {
            return false;
        }
        for (done, word) in slot.iter().enumerate() {
            let idle = word.load(Ordering::Acquire);
            let frozen = self.is_idle(idle, now)
                && word.compare_exchange(idle, FROZEN, Ordering::AcqRel, Ordering::Acquire).is_ok();
            if !frozen {
                // Somebody came back for it. The ones before were idle, hence full.
                for word in slot.iter().take(done) {
                    word.store(full_word(now), Ordering::Release);
                }
                return false;
            }
        }
        true
    }

    /// Whether a bucket may be forgotten. What a worker froze and left behind when it died under the
    /// mutex was idle, too.
    fn is_idle(&self, word: u64, now: MonoNanos) -> bool {
        if word == FROZEN {
            return true;
        }
        let level = Level::of(word);
        match level.index {
            PLAIN => is_plain_idle(level, now),
            index => self.rates.get(index).is_some_and(|scale| scale.is_idle(level, now)),
        }
    }

    /// Undoes what a worker that died under the mutex left frozen. The caller holds the mutex.
    fn thaw(&self, place: Place, now: MonoNanos) {
        for word in self.slot(place) {
            // Only holders of the mutex freeze, so no one else is about to change a frozen word.
            if word.load(Ordering::Acquire) == FROZEN {
                word.store(full_word(now), Ordering::Release);
            }
        }
    }

    /// Applies `change` to a bucket by compare-and-swap. `change` gives the new word, or `None` to
    /// leave it, and what to tell the caller.
    fn update<T>(
        &self,
        place: Place,
        ask: &Ask,
        mut change: impl FnMut(Level) -> (Option<u64>, T),
    ) -> Result<T, Moved> {
        let word = self.slot(place).get(ask.bucket()).ok_or(Moved)?;
        let mut seen = word.load(Ordering::Acquire);
        loop {
            // In this order: see the module's comment.
            if seen == FROZEN || !self.holds(place, ask.key) {
                return Err(Moved);
            }
            let (next, outcome) = change(Level::of(seen));
            let Some(next) = next else { return Ok(outcome) };
            match word.compare_exchange_weak(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(outcome),
                Err(other) => seen = other,
            }
        }
    }

    /// Takes what is asked for.
    pub(super) fn take(&self, place: Place, ask: &Ask, now: MonoNanos) -> Result<Taken, Moved> {
        self.update(place, ask, |level| {
            match ask.scale.take(level, ask.n, now, |index| self.rates.get(index)) {
                Ok((word, standing)) => (Some(word), Ok(standing)),
                Err(wait) => (wait.converted, Err(wait.nanos)),
            }
        })
    }

    /// The nanoseconds after which [`Slots::take`] would succeed; `None` if it would now.
    pub(super) fn wait(
        &self,
        place: Place,
        ask: &Ask,
        now: MonoNanos,
    ) -> Result<Option<u64>, Moved> {
        self.update(place, ask, |level| {
            match ask.scale.wait(level, ask.n, now, |index| self.rates.get(index)) {
                Some(wait) => (wait.converted, Some(wait.nanos)),
                None => (None, None),
            }
        })
    }

    /// How the bucket stands, and the wait of [`Slots::wait`].
    pub(super) fn look(
        &self,
        place: Place,
        ask: &Ask,
        now: MonoNanos,
    ) -> Result<(Standing, Option<u64>), Moved> {
        let wait = self.wait(place, ask, now)?;
        self.update(place, ask, |level| {
            (None, (ask.scale.look(level, now, |index| self.rates.get(index)), wait))
        })
    }

    /// Gives back what was taken. A slot that moved was idle, and there is nothing to give back.
    pub(super) fn give_back(&self, place: Place, ask: &Ask, now: MonoNanos) {
        let _ = self.update(place, ask, |level| {
            let foreign = |index| self.rates.get(index);
            (Some(ask.scale.give_back(level, ask.n, now, foreign)), ())
        });
    }
}

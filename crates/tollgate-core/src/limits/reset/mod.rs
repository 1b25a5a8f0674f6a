//! A client begins anew: its buckets are full, and nothing of its budgets is spent. What is in flight stays in
//! flight.
//!
//! A request that has reserved before, and settles after, must not be given back what it had reserved: that was
//! forgiven already, and would be given twice. What it used beyond that is charged. (So it is with the period of
//! a budget that turns meanwhile.) Hence a reservation notes how many resets there were in the zone, and a
//! settlement that gives back looks whether its slot was among those since.
//!
//! Which of the two comes first is the order of these steps, on the word of a limit:
//!
//! | | whoever takes or settles | whoever resets, under the mutex |
//! |---|---|---|
//! | 1 | reads the word | swaps the word for `FROZEN` |
//! | 2 | reads the number of resets | notes the slot, and counts the reset |
//! | 3 | swaps the word | stores the word of a limit that nothing was taken from |
//!
//! A swap that succeeds found the word of before its freezing, and then the number is that of before; or it found
//! the new word, and then the number is the new one.

use super::ask::Now;
use super::claim_lock::ClaimLock;
use super::frozen::FROZEN;
use super::key::Key;
use super::resets::Reset;
use super::slots::{SlotPlace, Slots};
use super::sync::{planted, AtomicU64, Ordering};
use super::zone::Zone;

impl Zone<'_> {
    /// Has the limits of `key` begin anew. `false`: it has no slot, so that nothing was taken from them.
    pub fn reset(&self, key: Key, what: Reset, now: Now, lock: &impl ClaimLock) -> bool {
        let slots = self.slots(key);
        lock.with(|| {
            let Some(place) = slots.find(key) else { return false };
            slots.reset(place, (key, what), now);
            true
        })
    }
}

impl Slots<'_> {
    /// The caller holds the zone's mutex: else a slot could change hands meanwhile.
    fn reset(&self, place: SlotPlace, (key, what): (Key, Reset), now: Now) {
        let words = self.slot(place).iter().enumerate().filter(|(index, _)| what.is_about(*index));
        if planted!(CountedLate) {
            words.for_each(|(index, word)| word.store(self.fresh(index, now), Ordering::Release));
            return self.resets.note(key, what);
        }
        let frozen: u32 = words
            .filter(|(index, word)| self.freeze_used(*index, word, now))
            .fold(0, |frozen, (index, _)| frozen | 1 << index);
        self.resets.note(key, what);
        let words = self.slot(place).iter().enumerate();
        for (index, word) in words.filter(|(index, _)| frozen & 1 << index != 0) {
            word.store(self.fresh(index, now), Ordering::Release);
        }
    }

    /// Freezes a word, unless nothing of it counts. A worker that died under the mutex may have left it frozen.
    fn freeze_used(&self, index: usize, word: &AtomicU64, now: Now) -> bool {
        let mut seen = word.load(Ordering::Acquire);
        loop {
            // The word that would be stored must be another one than was read by anybody.
            let is_unused =
                seen != FROZEN && self.is_idle(index, seen, now) || seen == self.fresh(index, now);
            if is_unused {
                return false;
            }
            match word.compare_exchange(seen, FROZEN, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return true,
                Err(other) => seen = other,
            }
        }
    }
}

#[cfg(test)]
mod tests;

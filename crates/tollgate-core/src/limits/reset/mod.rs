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
//! the new word, and then the number is the new one. So the new word must be one that nobody has read before, and
//! words from which nothing was taken get another one, too. Of a budget it has a number of its own, of a bucket the
//! moment of the reset.
//!
//! What is made of the new word later may be the old one again where the same was spent of a budget, as that word has
//! no room for more than the period and the amount. Whoever stands still between 1 and 3 for as long as a reset and
//! such a reservation take, swaps it all the same, and is taken for one of before the reset: at most what one request
//! reserves is then given back to nobody, or once too often. Of a bucket the moment is in each word.

use smallvec::SmallVec;

use super::ask::{Now, SLOT_WORDS};
use super::bucket::TICK_NANOS;
use super::claim_lock::ClaimLock;
use super::frozen::FROZEN;
use super::key::Key;
use super::resets::Reset;
use super::slots::{SlotPlace, Slots};
use super::sync::{planted, AtomicU64, Ordering};
use super::zone::Zone;
use crate::clock::MonoNanos;

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
        let fresh: SmallVec<[(usize, u64); SLOT_WORDS]> =
            words.map(|(index, word)| (index, self.other_than(freeze(word), index, now))).collect();
        self.resets.note(key, what);
        for (index, fresh) in fresh {
            if let Some(word) = self.slot(place).get(index) {
                word.store(fresh, Ordering::Release);
            }
        }
    }

    /// The word of a limit that nothing was taken from, other than the one that is there: also where nothing was taken
    /// from that one, somebody may have read it, and the number of resets, and must not find it again.
    fn other_than(&self, seen: u64, index: usize, now: Now) -> u64 {
        let fresh = self.fresh(index, now);
        if fresh != seen {
            return fresh;
        }
        let before = MonoNanos(now.mono.0.saturating_sub(TICK_NANOS));
        self.fresh(index, Now { mono: before, ..now })
    }
}

/// Freezes a word. What it was: a worker that died under the mutex may have left it frozen.
fn freeze(word: &AtomicU64) -> u64 {
    let mut seen = word.load(Ordering::Acquire);
    while let Err(other) = word.compare_exchange(seen, FROZEN, Ordering::AcqRel, Ordering::Acquire)
    {
        seen = other;
    }
    seen
}

#[cfg(test)]
mod tests;

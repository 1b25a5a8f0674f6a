//! Eviction: which slot a new client takes from an idle one, and how it becomes free.
//!
//! A slot is idle when each of its words says what a new one would: nothing is owed, spent or in flight.

use super::super::ask::{Kind, Now};
use super::super::bucket::{is_plain_idle, Level, PLAIN};
use super::super::budget;
use super::super::frozen::FROZEN;
use super::super::key::Key;
use super::super::ledger::Ledger;
use super::super::sync::{planted, Ordering};
use super::{SlotPlace, Slots};

/// Which slots may be given away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Those of which nothing counts any more.
    Strict,
    /// Also those with nothing but money that was spent in the future: by a clock that was wrong. Else
    /// they would be taken until that date.
    Lenient,
}

impl Slots<'_> {
    /// Empties an idle slot. The caller holds the zone's mutex.
    pub(super) fn evict(&self, key: Key, now: Now) -> Option<SlotPlace> {
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            for place in self.places(key) {
                if self.freeze(place, now, strictness) {
                    let (low, _) = self.tags(place.set);
                    low.get(place.way)?.store(0, Ordering::Release);
                    return Some(place);
                }
            }
        }
        None
    }

    /// Freezes every word of a slot if all may be forgotten, or none.
    fn freeze(&self, place: SlotPlace, now: Now, strictness: Strictness) -> bool {
        let slot = self.slot(place);
        // Reading first spares a busy slot the writes.
        if !self.is_unused(place, now, strictness) {
            return false;
        }
        for (index, word) in slot.iter().enumerate() {
            if planted!(FrozenUnseen) {
                word.store(FROZEN, Ordering::Release);
                continue;
            }
            let seen = word.load(Ordering::Acquire);
            let frozen = self.may_forget(index, seen, now, strictness) && {
                if Kind::of(index) == Kind::Concurrency {
                    // Whoever wrote this word may have died before it could say so elsewhere.
                    self.ledger.help(seen);
                }
                word.compare_exchange(seen, FROZEN, Ordering::AcqRel, Ordering::Acquire).is_ok()
            };
            if !frozen {
                // Somebody came back for it. The words before were idle, so nothing is forgotten.
                self.renew(place, index, now);
                return false;
            }
        }
        true
    }

    /// Whether all words of a slot may be forgotten.
    pub(super) fn is_unused(&self, place: SlotPlace, now: Now, strictness: Strictness) -> bool {
        self.slot(place).iter().enumerate().all(|(index, word)| {
            self.may_forget(index, word.load(Ordering::Acquire), now, strictness)
        })
    }

    /// Whether anything of a slot that somebody has counts yet.
    pub(super) fn is_live(&self, place: SlotPlace, now: Now) -> bool {
        !self.is_unused(place, now, Strictness::Strict)
    }

    /// Whether nothing of a word counts any more.
    pub(in super::super) fn is_idle(&self, index: usize, word: u64, now: Now) -> bool {
        self.may_forget(index, word, now, Strictness::Strict)
    }

    /// Whether a word may be forgotten. What a worker froze and left behind when it died under the
    /// mutex was idle, too.
    fn may_forget(&self, index: usize, word: u64, now: Now, strictness: Strictness) -> bool {
        if word == FROZEN {
            return true;
        }
        match Kind::of(index) {
            Kind::Bucket => {
                let level = Level::of(word);
                match level.index {
                    PLAIN => is_plain_idle(level, now.mono),
                    rate => self.rates.get(rate).is_some_and(|s| s.is_idle(level, now.mono)),
                }
            }
            Kind::Budget(calendar) => {
                budget::is_idle(calendar, word, now.wall)
                    || strictness == Strictness::Lenient
                        && budget::is_ahead(calendar, word, now.wall)
            }
            Kind::Concurrency => Ledger::is_idle(word),
        }
    }

    /// Undoes what a worker that died under the mutex left frozen. The caller holds the mutex.
    pub(super) fn thaw(&self, place: SlotPlace, now: Now) {
        for (index, word) in self.slot(place).iter().enumerate() {
            // Only holders of the mutex freeze, so no one else is about to change a frozen word.
            if word.load(Ordering::Acquire) == FROZEN {
                word.store(self.fresh(index, now), Ordering::Release);
            }
        }
    }
}

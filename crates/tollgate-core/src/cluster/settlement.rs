//! What a request used in the end, in place of what it had reserved.

use super::super::limits::key::Area;
use super::super::limits::sync::Ordering;
use super::super::limits::{Ask, ClaimLock, Key, Now, Seed};
use super::entry::{self, Backing, Entry};
use super::marks::Marks;
use super::table::{key_of_name, LeaseTable, NoEntry};

/// What a limit is called in the store, as long as that keeps its seed. A request remembers it until it is settled: what
/// the limit was named by may not be known any more then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// By which seed.
    era: u16,
    id: [u64; 2],
}

impl Name {
    /// The key that gives a limit this name; `None`: the store has another seed by now.
    fn key(self, table: &LeaseTable<'_>, area: Area, word: usize) -> Option<Key> {
        (table.words().era() == u64::from(self.era)).then(|| key_of_name(area, self.id, word))
    }
}

impl Entry<'_> {
    /// What its limit is called in the store; `None`: it belongs to another limit by now.
    #[must_use]
    #[inline]
    pub fn store_name(&self) -> Option<Name> {
        let id = [&self.words[entry::NAME], &self.words[entry::NAME + 1]];
        let id = id.map(|word| word.load(Ordering::Acquire));
        let era = Marks::era_of(self.words[entry::MARKS].load(Ordering::Acquire));
        self.is_ours().then_some(Name { era, id })
    }

    /// Replaces what a request `reserved` by what it `used`, in tokens or nano-units. `is_over`: of a budget whose
    /// period is over, so that nothing is given back. `false` as with [`Entry::adjust`].
    pub fn settle(&self, backing: Backing, (reserved, used): (u64, u64), is_over: bool) -> bool {
        match backing {
            _ if used == reserved || used < reserved && is_over => true,
            Backing::Alone => self.settle_alone(reserved, used),
            Backing::Lease => {
                let delta = i128::from(used) - i128::from(reserved);
                self.adjust(i64::try_from(delta).unwrap_or(i64::MAX))
            }
        }
    }

    /// Settles what was given away alone: `used` in place of `reserved`. Where the store is back, and was told of it,
    /// only an excess is reported: what was given back may have drained there.
    fn settle_alone(&self, reserved: u64, used: u64) -> bool {
        match used.checked_sub(reserved) {
            Some(excess) => self.spend_alone(excess),
            None => self.change(&self.words[entry::ALONE], |seen| {
                let left = entry::amount(seen).saturating_sub(reserved.saturating_sub(used));
                entry::with_amount(seen, left)
            }),
        }
    }
}

impl LeaseTable<'_> {
    /// Replaces what an ask reserved by what was `used` of it, in tokens or nano-units. Its entry may have been given to
    /// another limit since, as nothing was left to be reported of it: it gets one again, if `name` is known.
    ///
    /// # Errors
    ///
    /// [`NoEntry`]: the store won't hear of it.
    pub fn settle(
        &self,
        ask: &Ask,
        (backing, name): (Backing, Option<Name>),
        used: u64,
        now: Now,
        lock: &impl ClaimLock,
    ) -> Result<(), NoEntry> {
        let amounts = (ask.reserved(), used);
        let is_less = used < ask.reserved();
        let is_over = is_less && ask.is_over(now);
        match self.find(ask) {
            Some(entry) if entry.settle(backing, amounts, is_over) => Ok(()),
            _ if used == ask.reserved() || is_over => Ok(()),
            // What was told may have drained.
            _ if is_less && backing == Backing::Alone => Ok(()),
            _ => self.settle_anew(ask, (backing, name), amounts, lock),
        }
    }

    /// Reports it where the limit has no entry any more.
    #[cold]
    fn settle_anew(
        &self,
        ask: &Ask,
        (backing, name): (Backing, Option<Name>),
        amounts: (u64, u64),
        lock: &impl ClaimLock,
    ) -> Result<(), NoEntry> {
        let (area, word) = (ask.key.area(), ask.word());
        loop {
            let key = |_: Seed| name.and_then(|name| name.key(self, area, word));
            if self.find_or_make(ask, key, lock)?.settle(backing, amounts, false) {
                return Ok(());
            }
            // It was given to somebody else just now.
        }
    }
}

#[cfg(test)]
#[path = "settlement_tests.rs"]
mod tests;

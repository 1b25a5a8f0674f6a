//! Those who wait for a place among the requests in flight, in order of arrival.
//!
//! A table in the zone, which all workers see, has an entry of two words for each waiting request:
//!
//! ```text
//!  63                             16 15         0
//! +---------------------------------+------------+
//! |  ticket                         |  owner     |    0: free
//! +---------------------------------+------------+
//! |  key: for whose place                        |
//! +----------------------------------------------+
//! ```
//!
//! Getting in line is done under the zone's mutex: so the count of those in line is exact, and tickets
//! are drawn in the order in which entries become visible. (It isn't on the hot path: whoever
//! gets in line is about to wait, and who finds the line full by a look at it doesn't take the mutex.)
//! Looking, leaving, and being taken out after death need no mutex, and a worker that is killed in
//! between leaves an entry that is either whole or free.
//!
//! Nobody is woken: a worker that has waiters looks at their ranks by its timer, and one of rank r may
//! try to take when more than r places are free. What a waiter waits for is named by a key and not by
//! the slot, which may change hands while nothing is in flight.

use super::census::Census;
use super::claim_lock::ClaimLock;
use super::flight_words::{FlightWords, WAITER_WORDS};
use super::holder::Holder;
use super::sync::{planted, AtomicU64, Ordering};

const OWNER_BITS: u32 = 16;
const OWNER_MASK: u64 = (1 << OWNER_BITS) - 1;
/// The low half of the end word is the end; the high half counts those who got in line.
const END_MASK: u64 = 0xffff_ffff;

/// A request's place in the line. It is not given up by being dropped: whoever has it owes it to
/// [`Queue::leave`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a waiter that does not leave stands in the way until its process ends"]
pub struct Waiting {
    index: usize,
    key: u64,
    ticket: u64,
}

impl Waiting {
    /// The number that was drawn: those who came later have larger ones.
    #[must_use]
    pub fn ticket(&self) -> u64 {
        self.ticket
    }
}

/// How many stand before a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ranked {
    /// Which waiter: its [`Waiting::ticket`].
    pub ticket: u64,
    /// Those who wait for the same and came earlier.
    pub rank: usize,
}

/// Why a request can't wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// As many wait for the same as may.
    QueueFull,
    /// The table has no free entry.
    NoRoom,
}

/// An entry that is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiter {
    key: u64,
    ticket: u64,
    owner: u64,
}

/// The table of waiters, over its words in the zone.
#[derive(Clone, Copy, Debug)]
pub struct Queue<'z> {
    tickets: &'z AtomicU64,
    /// No entry at or after the end is in use, with a number that changes with each one who gets in
    /// line. It may be too large, but not too small.
    end: &'z AtomicU64,
    entries: &'z [AtomicU64],
}

impl<'z> Queue<'z> {
    /// The table that lies in the `words` of the ledger, as it is; when all of them are 0, an empty one.
    /// `None` when there are too few.
    #[must_use]
    pub fn new(words: &'z [AtomicU64]) -> Option<Self> {
        let FlightWords { queue_head: head, waiters: entries, .. } = FlightWords::of(words)?;
        Some(Self { tickets: head.first()?, end: head.get(1)?, entries })
    }

    /// Whether anybody waits for `key`, so that a newcomer has to get in line.
    #[must_use]
    pub fn has_waiters(&self, key: u64) -> bool {
        self.waiters().any(|waiter| waiter.key == key)
    }

    /// Whether more places are left than what is kept for those who were authenticated, a quarter.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        let places = self.entries.len() / WAITER_WORDS;
        (places - self.waiters().count().min(places)) * 4 >= places
    }

    /// How many requests are in line.
    #[must_use]
    pub fn census(&self) -> Census {
        let places = self.entries.len() / WAITER_WORDS;
        Census { used: self.waiters().count().min(places), places }
    }

    /// Puts a request in line, if fewer than `queue_limit` are for the same key.
    ///
    /// # Errors
    ///
    /// [`NoPlace`]; nothing has changed then.
    pub fn enqueue(
        &self,
        holder: &Holder,
        key: u64,
        queue_limit: usize,
        lock: &impl ClaimLock,
    ) -> Result<Waiting, NoPlace> {
        let is_full = || self.waiters().filter(|w| w.key == key).count() >= queue_limit;
        if is_full() {
            return Err(NoPlace::QueueFull);
        }
        let enter = || {
            if is_full() {
                return Err(NoPlace::QueueFull);
            }
            self.enter(holder.owner(), key).ok_or(NoPlace::NoRoom)
        };
        if planted!(UnlockedQueue) {
            return enter();
        }
        lock.with(enter)
    }

    /// Puts an entry into the table. The caller holds the mutex.
    fn enter(&self, owner: u64, key: u64) -> Option<Waiting> {
        let is_free = |entry: &[AtomicU64]| {
            entry.first().is_some_and(|word| word.load(Ordering::Acquire) == 0)
        };
        let index = self.entries.chunks_exact(WAITER_WORDS).position(is_free)?;
        let (word, key_word) = self.entry(index)?;
        let ticket = self.tickets.fetch_add(1, Ordering::AcqRel) + 1;
        key_word.store(key, Ordering::Release);
        word.store(ticket << OWNER_BITS | owner, Ordering::Release);
        // Now that the entry is in use: whoever draws the end in has read the end before it looks at
        // the entries, so it either sees this one or fails.
        let mut seen = self.end.load(Ordering::Acquire);
        loop {
            let end = (seen & END_MASK).max(index as u64 + 1);
            let next = (seen >> 32).wrapping_add(1) << 32 | end;
            match self.end.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(Waiting { index, key, ticket }),
                Err(other) => seen = other,
            }
        }
    }

    /// How many stand before a waiter. It never comes out too small; one who is just leaving may
    /// still be counted.
    #[must_use]
    pub fn rank(&self, waiting: &Waiting) -> usize {
        self.waiters().filter(|w| w.key == waiting.key && w.ticket < waiting.ticket).count()
    }

    /// The ranks of all waiters of a process, in the order of their tickets, by one look at the table.
    pub fn ranks(&self, holder: &Holder, out: &mut Vec<Ranked>) {
        out.clear();
        let mut waiters: Vec<_> = self.waiters().collect();
        waiters.sort_unstable();
        for line in waiters.chunk_by(|a, b| a.key == b.key) {
            let ours = line.iter().enumerate().filter(|(_, w)| w.owner == holder.owner());
            out.extend(ours.map(|(rank, w)| Ranked { ticket: w.ticket, rank }));
        }
        out.sort_unstable();
    }

    /// Takes a request out of the line: its turn has come, or it waits no longer.
    pub fn leave(&self, waiting: Waiting) {
        if let Some((word, _)) = self.entry(waiting.index) {
            word.store(0, Ordering::Release);
        }
        self.trim();
    }

    /// Takes out all waiters of a process ([`Holder::owner`]) that is dead, or ends. The caller holds the
    /// mutex.
    pub fn forget(&self, owner: u64) {
        for entry in self.entries.chunks_exact(WAITER_WORDS) {
            if let Some(word) = entry.first() {
                if word.load(Ordering::Acquire) & OWNER_MASK == owner {
                    word.store(0, Ordering::Release);
                }
            }
        }
        self.trim();
    }

    /// Draws the end in to the last entry in use.
    fn trim(&self) {
        let mut seen = self.end.load(Ordering::Acquire);
        loop {
            let end = seen & END_MASK;
            let in_use = |index: &u64| {
                let entry = usize::try_from(*index).ok().and_then(|index| self.entry(index));
                entry.is_some_and(|(word, _)| word.load(Ordering::Acquire) != 0)
            };
            let last = (0..end).rev().find(in_use).map_or(0, |index| index + 1);
            if last == end {
                return;
            }
            let next = seen & !END_MASK | last;
            if planted!(TrimmedBlindly) {
                self.end.store(next, Ordering::Release);
                return;
            }
            match self.end.compare_exchange(seen, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
    }

    fn entry(&self, index: usize) -> Option<(&'z AtomicU64, &'z AtomicU64)> {
        let first = index.checked_mul(WAITER_WORDS)?;
        Some((self.entries.get(first)?, self.entries.get(first.checked_add(1)?)?))
    }

    /// All entries in use.
    fn waiters(&self) -> impl Iterator<Item = Waiter> + 'z {
        let end = usize::try_from(self.end.load(Ordering::Acquire) & END_MASK).unwrap_or(0);
        let queue = *self;
        (0..end).filter_map(move |index| queue.waiter(index))
    }

    fn waiter(&self, index: usize) -> Option<Waiter> {
        let (word, key) = self.entry(index)?;
        let mut seen = word.load(Ordering::Acquire);
        while seen != 0 {
            let key = key.load(Ordering::Acquire);
            // Tickets are never used twice: the same again means that the key belongs to it.
            let again = word.load(Ordering::Acquire);
            if again == seen || planted!(ReadInParts) {
                return Some(Waiter { key, ticket: seen >> OWNER_BITS, owner: seen & OWNER_MASK });
            }
            seen = again;
        }
        None
    }
}

#[cfg(test)]
mod tests;

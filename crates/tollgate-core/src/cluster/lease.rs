//! The lease of an entry, for the one thread that buys it and gives it back.
//!
//! What the thread puts into the balance it counts first, and what it takes out it counts last: so when it is killed
//! in between, more counts as drawn than was, and never less.

use super::super::limits::sync::{fence, planted, AtomicU64, Ordering};
use super::entry::{self, amount, signed, units, with_amount, Entry};
use super::shape::unit_of;
use crate::clock::MonoNanos;

/// How an entry stands, in the units of the store: what is held and what was drawn are of the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// What is left of the lease; of slots, how many there may be.
    pub(super) held: u64,
    /// What was ever drawn.
    pub(super) drawn: u64,
    /// What was used beyond that, less what was given back.
    pub(super) adjust: i64,
    /// What this node gave away by its own judgement, and hasn't reported.
    pub(super) alone: u64,
}

impl Entry<'_> {
    /// How many of the node's units are one of the store's.
    pub(super) fn unit(&self) -> u64 {
        unit_of(self.marks().word.into())
    }

    /// How it stands.
    pub(super) fn count(&self) -> Count {
        let unit = self.unit();
        let balance = amount(self.words[entry::BALANCE].load(Ordering::SeqCst));
        let sold = self.words[entry::SOLD].load(Ordering::Acquire);
        Count {
            // What is less than a unit counts as drawn already.
            held: balance / unit,
            drawn: sold.saturating_sub(balance).div_ceil(unit),
            adjust: units(signed(self.words[entry::ADJUST].load(Ordering::SeqCst)), unit),
            alone: amount(self.words[entry::ALONE].load(Ordering::SeqCst)).div_ceil(unit),
        }
    }

    /// What the store has acknowledged of what was drawn, and adjusted.
    pub(super) fn acked(&self) -> (u64, i64) {
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        let adjust = i64::from_ne_bytes(load(&self.words[entry::ACKED_ADJUST]).to_ne_bytes());
        (load(&self.words[entry::ACKED_DRAWN]), adjust)
    }

    /// Notes what the store has acknowledged.
    pub(super) fn acknowledge(&self, drawn: u64, adjust: i64) {
        let adjust = u64::from_ne_bytes(adjust.to_ne_bytes());
        self.words[entry::ACKED_ADJUST].store(adjust, Ordering::Release);
        self.words[entry::ACKED_DRAWN].store(drawn, Ordering::Release);
    }

    /// So much of what the node gave away by itself is told.
    pub(super) fn forget_alone(&self, told: u64) {
        if told > 0 {
            self.change(&self.words[entry::ALONE], |seen| {
                with_amount(seen, amount(seen).saturating_sub(told))
            });
        }
    }

    /// The lease may be spent until then.
    pub(super) fn renew(&self, until: MonoNanos) {
        self.words[entry::EXPIRES].store(until.0, Ordering::Release);
    }

    /// Until when it may be spent.
    pub(super) fn expires(&self) -> MonoNanos {
        MonoNanos(self.words[entry::EXPIRES].load(Ordering::Acquire))
    }

    /// Adds to the lease, in the store's units.
    pub(super) fn grant(&self, more: u64) {
        if more == 0 {
            return;
        }
        let more = more.saturating_mul(self.unit());
        let sold = &self.words[entry::SOLD];
        sold.store(sold.load(Ordering::Acquire).saturating_add(more), Ordering::Release);
        self.change_balance(|balance| balance.saturating_add(more));
        if planted!(GrantedTwice) {
            self.change_balance(|balance| balance.saturating_add(more));
        }
    }

    /// Takes up to `most` of the store's units out of the lease; gives how many. They may be reported as not held
    /// from now on.
    pub(super) fn take_back(&self, most: u64) -> u64 {
        let unit = self.unit();
        let part = |balance: u64| (balance / unit).min(most);
        let less = |balance: u64| balance.saturating_sub(part(balance).saturating_mul(unit));
        let change = |balance: u64| if planted!(ReturnedTwice) { balance } else { less(balance) };
        let taken = part(self.change_balance(change));
        let sold = &self.words[entry::SOLD];
        let left = sold.load(Ordering::Acquire).saturating_sub(taken.saturating_mul(unit));
        sold.store(left, Ordering::Release);
        taken
    }

    /// Takes `n` of the store's units out of the lease for which there is no room any more: they count as drawn.
    pub(super) fn burn(&self, n: u64) {
        let n = n.saturating_mul(self.unit());
        self.change_balance(|balance| balance.saturating_sub(n));
    }

    /// Lowers how many requests may be in flight, but not below how many are; `in_flight` looks at that. Gives what
    /// is allowed then.
    ///
    /// Who takes a seat is counted first, and looks at what is allowed then: so either he sees that it was lowered,
    /// or he is seen here.
    pub(super) fn lower(&self, to: u64, in_flight: impl FnOnce() -> u64) -> u64 {
        let seen_before = if planted!(LoweredUnseen) { Some(to) } else { None };
        self.change_balance(|allowed| allowed.min(to));
        fence(Ordering::SeqCst);
        let needed = seen_before.unwrap_or_else(in_flight).max(to);
        self.change_balance(|allowed| allowed.max(needed));
        needed
    }

    /// Sets how many requests may be in flight. Where there are more already, nobody new may come.
    pub(super) fn allow(&self, to: u64) {
        self.change_balance(|_| to);
    }

    /// Changes the balance; gives what it was.
    fn change_balance(&self, change: impl Fn(u64) -> u64) -> u64 {
        let word = &self.words[entry::BALANCE];
        let mut seen = word.load(Ordering::SeqCst);
        loop {
            let next = with_amount(seen, change(amount(seen)));
            if planted!(StoredLease) {
                word.store(next, Ordering::SeqCst);
                return amount(seen);
            }
            match word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return amount(seen),
                Err(other) => seen = other,
            }
        }
    }
}

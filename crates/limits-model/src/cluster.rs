//! The leases of a node, with the atomics of the model checker of the module that includes this file.

#[path = "../../tollgate-core/src/cluster/entry.rs"]
pub mod entry;
#[path = "../../tollgate-core/src/cluster/hands.rs"]
mod hands;
#[path = "../../tollgate-core/src/cluster/lease.rs"]
mod lease;
#[path = "../../tollgate-core/src/cluster/marks.rs"]
mod marks;
#[path = "../../tollgate-core/src/cluster/right.rs"]
pub mod right;
#[path = "../../tollgate-core/src/cluster/shape.rs"]
pub mod shape;
#[path = "../../tollgate-core/src/cluster/table.rs"]
pub mod table;
#[path = "../../tollgate-core/src/cluster/times.rs"]
pub mod times;
#[path = "../../tollgate-core/src/cluster/words.rs"]
pub mod words;

pub use entry::{Drawn, Entry, Round};
pub use right::Entered;
pub use table::LeaseTable;

use super::limits::ClaimLock;
use crate::clock::MonoNanos;

/// What the thread does that speaks with the store.
#[derive(Clone, Copy, Debug)]
pub struct Thread<'m>(pub LeaseTable<'m>, pub Entry<'m>);

impl Thread<'_> {
    /// Begins a message; gives what it reports as held, as drawn and as adjusted.
    pub fn report(&self) -> (u64, u64, i64) {
        let Self(table, entry) = self;
        table.words().next_round();
        self.count_of(entry)
    }

    /// What is held, was drawn and adjusted.
    pub fn count(&self) -> (u64, u64, i64) {
        self.count_of(&self.1)
    }

    fn count_of(&self, entry: &Entry<'_>) -> (u64, u64, i64) {
        let count = entry.count();
        (count.held, count.drawn, count.adjust)
    }

    /// Adds to a lease that may be spent until then.
    pub fn grant(&self, more: u64, until: MonoNanos) {
        self.1.renew(until);
        self.1.grant(more);
    }

    /// Takes out of the lease what goes back.
    pub fn take_back(&self, most: u64) -> u64 {
        self.1.take_back(most)
    }

    /// Allows so many requests in flight.
    pub fn raise(&self, to: u64, until: MonoNanos) {
        self.1.renew(until);
        self.1.allow(to);
    }

    /// Lowers that.
    pub fn lower(&self, to: u64, in_flight: impl FnOnce() -> u64) -> u64 {
        self.1.lower(to, in_flight)
    }

    /// It has looked at all that it was called to.
    pub fn look(&self) {
        self.0.called().for_each(drop);
    }
}

/// A lock for who is alone.
#[derive(Debug)]
pub struct Alone;

impl ClaimLock for Alone {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        f()
    }
}

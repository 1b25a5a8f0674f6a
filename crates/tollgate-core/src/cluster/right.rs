//! The right to speak with the store, which one process of a node has at a time: two messages under way at once could
//! each be granted what the other one doesn't know of.

use super::super::limits::sync::{AtomicU64, Ordering};
use super::super::limits::Process;
use super::table::LeaseTable;

impl<'m> LeaseTable<'m> {
    /// The right to speak with the store.
    #[must_use]
    pub fn right(&self) -> Right<'m> {
        self.right
    }
}

/// The right, in a word that processes share; 0: nobody has it. Of a process one thread asks for it at a time.
#[derive(Clone, Copy, Debug)]
pub struct Right<'m>(&'m AtomicU64);

impl<'m> Right<'m> {
    pub(super) fn new(word: &'m AtomicU64) -> Self {
        Self(word)
    }

    /// Who has it.
    #[must_use]
    pub fn owner(&self) -> Option<Process> {
        Process::of(self.0.load(Ordering::Acquire))
    }

    /// Takes it, if nobody has it who lives. `false`: somebody does. A process that has it already is a dead one of the
    /// same number.
    #[must_use]
    pub fn claim(&self, me: Process, is_alive: impl Fn(Process) -> bool) -> bool {
        let seen = self.0.load(Ordering::Acquire);
        let is_free = Process::of(seen).is_none_or(|owner| owner == me || !is_alive(owner));
        is_free
            && self.0.compare_exchange(seen, me.word(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Gives it back.
    pub fn resign(&self, me: Process) {
        let _ = self.0.compare_exchange(me.word(), 0, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_that_lives_has_it() {
        let word = AtomicU64::new(0);
        let right = Right::new(&word);
        let process = |pid| Process { pid, started: 1 };
        let (first, second) = (process(1), process(2));
        assert_eq!(right.owner(), None);
        assert!(right.claim(first, |_| true));
        assert_eq!(right.owner(), Some(first));
        assert!(!right.claim(second, |_| true));
        right.resign(second);
        assert_eq!(right.owner(), Some(first));
        assert!(right.claim(second, |other| other != first));
        right.resign(first);
        assert_eq!(right.owner(), Some(second));
        right.resign(second);
        assert!(right.claim(first, |_| true));
        // A process of the same number and start is nobody else.
        assert!(right.claim(first, |_| true));
    }
}

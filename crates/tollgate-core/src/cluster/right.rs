//! The right to speak with the store, which one process of a node has at a time: two messages under way at once could
//! each be granted what the other one doesn't know of.
//!
//! Whoever has it says so again and again. A process that was stopped doesn't, and another one takes the right over. What
//! the first one does when it goes on must not count then: an answer that it waited for, say, was given to a lease that has
//! gone back since. So all that it writes it writes in turns, in which it asks first whether it still has the right, and
//! in which nobody else has one:
//!
//! ```text
//! owner   who has the right           taken from who is gone, or silent for SILENT
//! hand    who is in a turn            taken from who is gone, and from nobody else
//! beat    when the owner said last that it goes on
//! ```
//!
//! A process that is stopped in the middle of a turn, which takes less than a millisecond, keeps others waiting until it
//! goes on, or ends.

use super::super::limits::sync::{planted, AtomicU64, Ordering};
use super::super::limits::Process;
use super::table::LeaseTable;
use super::times::SILENT;
use crate::clock::MonoNanos;

impl<'m> LeaseTable<'m> {
    /// The right to speak with the store.
    #[must_use]
    pub fn right(&self) -> Right<'m> {
        self.right
    }
}

/// The right, in words that processes share; 0: nobody. Of a process one thread asks for it at a time.
#[derive(Clone, Copy, Debug)]
pub struct Right<'m> {
    owner: &'m AtomicU64,
    hand: &'m AtomicU64,
    beat: &'m AtomicU64,
}

/// What came of an attempt to have a turn.
#[derive(Debug)]
pub enum Entered<'m> {
    /// It is this one's turn, until that is dropped.
    Turn(Turn<'m>),
    /// Somebody else has one, who may have begun it when he had the right.
    Busy,
    /// Somebody else has the right.
    Lost,
}

/// A turn, in which nobody else writes.
#[derive(Debug)]
#[must_use = "a turn ends when this is dropped"]
pub struct Turn<'m> {
    hand: &'m AtomicU64,
    me: u64,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = self.hand.compare_exchange(self.me, 0, Ordering::AcqRel, Ordering::Acquire);
    }
}

impl<'m> Right<'m> {
    pub(super) fn new([owner, hand, beat]: [&'m AtomicU64; 3]) -> Self {
        Self { owner, hand, beat }
    }

    /// Who has it.
    #[must_use]
    pub fn owner(&self) -> Option<Process> {
        Process::of(self.owner.load(Ordering::Acquire))
    }

    /// Says that the owner goes on. Only the owner may.
    pub fn go_on(&self, now: MonoNanos) {
        self.beat.store(now.0.max(1), Ordering::Release);
    }

    /// Whether the owner has been silent for so long that others may take the right.
    #[must_use]
    pub fn is_silent(&self, now: MonoNanos) -> bool {
        let beat = self.beat.load(Ordering::Acquire);
        beat != 0 && now.0.saturating_sub(beat) > SILENT
    }

    /// Takes it, if nobody has it who lives and goes on. `false`: somebody does. A process that has it already is a dead
    /// one of the same number.
    #[must_use]
    pub fn claim(&self, me: Process, now: MonoNanos, is_alive: impl Fn(Process) -> bool) -> bool {
        let seen = self.owner.load(Ordering::Acquire);
        let is_free = Process::of(seen)
            .is_none_or(|owner| owner == me || self.is_silent(now) || !is_alive(owner));
        let is_taken = is_free && swap(self.owner, seen, me.word());
        if is_taken {
            self.go_on(now);
        }
        is_taken
    }

    /// Begins a turn of `me`. To be asked for again where somebody is in one; `is_alive` is asked about him.
    pub fn enter(&self, me: Process, is_alive: impl Fn(Process) -> bool) -> Entered<'m> {
        let seen = self.hand.load(Ordering::Acquire);
        let is_free = Process::of(seen).is_none_or(|other| other == me || !is_alive(other));
        if !is_free || !swap(self.hand, seen, me.word()) {
            return if self.owner() == Some(me) { Entered::Busy } else { Entered::Lost };
        }
        let turn = Turn { hand: self.hand, me: me.word() };
        // Now that nobody else can be in one. Who takes the right later waits for the end of this turn.
        if self.owner() == Some(me) || planted!(TurnUnasked) {
            return Entered::Turn(turn);
        }
        Entered::Lost
    }

    /// Runs `f` in a turn; `None`: somebody else has the right. `pause` waits for a moment where somebody is in a turn.
    pub fn hold<T>(
        &self,
        me: Process,
        is_alive: impl Fn(Process) -> bool,
        pause: impl Fn(),
        f: impl FnOnce() -> T,
    ) -> Option<T> {
        loop {
            match self.enter(me, &is_alive) {
                Entered::Turn(_turn) => return Some(f()),
                Entered::Lost => return None,
                Entered::Busy => pause(),
            }
        }
    }

    /// Gives it back.
    pub fn resign(&self, me: Process) {
        swap(self.owner, me.word(), 0);
    }
}

fn swap(word: &AtomicU64, from: u64, to: u64) -> bool {
    word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32) -> Process {
        Process { pid, started: 1 }
    }

    fn words() -> [AtomicU64; 3] {
        std::array::from_fn(|_| AtomicU64::new(0))
    }

    fn right(words: &[AtomicU64; 3]) -> Right<'_> {
        Right::new(words.each_ref())
    }

    const NOW: MonoNanos = MonoNanos(1_000_000_000);
    const LATER: MonoNanos = MonoNanos(NOW.0 + SILENT + 1);

    #[test]
    fn one_process_that_lives_has_it() {
        let words = words();
        let right = right(&words);
        let (first, second) = (process(1), process(2));
        assert_eq!(right.owner(), None);
        assert!(right.claim(first, NOW, |_| true));
        assert_eq!(right.owner(), Some(first));
        assert!(!right.claim(second, NOW, |_| true));
        right.resign(second);
        assert_eq!(right.owner(), Some(first));
        assert!(right.claim(second, NOW, |other| other != first));
        right.resign(first);
        assert_eq!(right.owner(), Some(second));
        right.resign(second);
        assert!(right.claim(first, NOW, |_| true));
        // A process of the same number and start is nobody else.
        assert!(right.claim(first, NOW, |_| true));
    }

    #[test]
    fn a_silent_process_loses_it_and_writes_nothing_when_it_goes_on() {
        let words = words();
        let right = right(&words);
        let (stopped, next) = (process(1), process(2));
        assert!(right.claim(stopped, NOW, |_| true));
        assert_eq!(right.hold(stopped, |_| true, || (), || 7), Some(7));
        assert!(!right.claim(next, MonoNanos(LATER.0 - 1), |_| true), "it was heard lately");
        right.go_on(MonoNanos(NOW.0 + 1));
        assert!(!right.claim(next, LATER, |_| true), "it has said that it goes on");
        assert!(right.claim(next, MonoNanos(LATER.0 + 1), |_| true));
        assert_eq!(right.hold(stopped, |_| true, || (), || 7), None);
        assert_eq!(right.hold(next, |_| true, || (), || 8), Some(8));
        right.resign(stopped);
        assert_eq!(right.owner(), Some(next));
    }

    #[test]
    fn a_turn_is_waited_for_until_it_ends_or_its_process_does() {
        let words = words();
        let right = right(&words);
        let (stopped, next) = (process(1), process(2));
        assert!(right.claim(stopped, NOW, |_| true));
        let Entered::Turn(turn) = right.enter(stopped, |_| true) else {
            panic!("nobody is in one")
        };
        assert!(right.claim(next, LATER, |_| true));
        assert!(matches!(right.enter(next, |_| true), Entered::Busy));
        drop(turn);
        assert!(matches!(right.enter(next, |_| true), Entered::Turn(_)));
        // One that died in it.
        let Entered::Turn(turn) = right.enter(next, |_| true) else { panic!("it has ended") };
        std::mem::forget(turn);
        assert!(right.claim(stopped, NOW, |other| other != next));
        assert!(matches!(right.enter(stopped, |_| true), Entered::Busy));
        assert!(matches!(right.enter(stopped, |other| other != next), Entered::Turn(_)));
    }
}

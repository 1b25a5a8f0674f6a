//! What the thread that speaks with the store remembers from one message to the next. All that must not be forgotten
//! is in the table: a process that takes over begins with nothing here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::sizing::Appetite;
use crate::clock::MonoNanos;

/// What the thread remembers.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of the entries that hold something, or have something to report, by their numbers.
    pub(super) tracked: BTreeMap<usize, Tracked>,
    /// Those of them to look at before the next message, whoever waits longest first.
    next: VecDeque<usize>,
    /// The others, by when to look at them.
    later: BTreeSet<(MonoNanos, usize)>,
    /// Whether those were found that an earlier process kept account of.
    pub(super) is_complete: bool,
    /// When the last message was made.
    pub(super) spoke: Option<MonoNanos>,
    /// Of each shard, the life of the store's data that was heard of.
    pub(super) lives: BTreeMap<u8, u64>,
    /// The store has lost data: what is known of limits is to be said, of all of them.
    pub(super) is_to_tell: bool,
}

impl Memory {
    /// Notes which life of the store's data a shard has. Where that is another one than before, the data are lost.
    pub(super) fn hear_life(&mut self, shard: u8, life: u64) {
        let known = self.lives.insert(shard, life);
        self.is_to_tell |= known.is_some_and(|known| known != 0 && known != life);
    }

    /// An entry is to be looked at before the next message.
    pub(super) fn call(&mut self, place: usize) -> &mut Tracked {
        let tracked = self.tracked.entry(place).or_default();
        if !std::mem::replace(&mut tracked.is_next, true) {
            self.later.remove(&(tracked.due, place));
            self.next.push_back(place);
        }
        tracked.due = MonoNanos(0);
        tracked
    }

    /// Has those looked at whose time has come by `now`, and gives how many are to be looked at.
    pub(super) fn due(&mut self, now: MonoNanos) -> usize {
        while let Some((due, place)) = self.later.first().copied().filter(|(due, _)| *due <= now) {
            self.later.remove(&(due, place));
            self.call(place);
        }
        self.next.len()
    }

    /// The next one to look at, which is to be kept, forgotten or noted for later then.
    pub(super) fn pop(&mut self) -> Option<usize> {
        let place = self.next.pop_front()?;
        if let Some(tracked) = self.tracked.get_mut(&place) {
            tracked.is_next = false;
        }
        Some(place)
    }

    /// An entry was looked at, and it says when to look again.
    pub(super) fn look_again(&mut self, place: usize) {
        match self.tracked.get(&place) {
            Some(tracked) if tracked.due > MonoNanos(0) => {
                self.later.insert((tracked.due, place));
            }
            Some(_) => {
                self.call(place);
            }
            None => {}
        }
    }

    /// How many limits there are of which this node holds something, or has something to report.
    #[must_use]
    pub fn tracked(&self) -> usize {
        self.tracked.len()
    }
}

/// What is remembered of an entry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tracked {
    /// Since when the entry is that of its limit.
    pub(super) born: u64,
    /// What was drawn, and the number of the message, when it was counted last.
    pub(super) drawn: u64,
    pub(super) seq: u64,
    /// The most that was ever reported as drawn.
    pub(super) reported: u64,
    pub(super) appetite: Appetite,
    /// When it was drawn from last.
    pub(super) drawn_at: MonoNanos,
    /// When the last message was sent that counted.
    pub(super) acked_at: MonoNanos,
    /// What was held then, with what was granted.
    pub(super) acked_held: u64,
    /// What could be sold then.
    pub(super) unsold: Option<u64>,
    pub(super) is_short: bool,
    /// A message was sent that may have been counted.
    pub(super) in_doubt: bool,
    /// What is known of it is to be said, as the store has lost it.
    pub(super) is_to_tell: bool,
    /// When to look next, if nobody calls; 0: before each message.
    pub(super) due: MonoNanos,
    /// It is to be looked at before the next message.
    pub(super) is_next: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_longest_is_looked_at_first_and_nobody_twice() {
        let mut memory = Memory::default();
        let now = |nanos: u64| MonoNanos(nanos);
        for place in [3, 1, 3] {
            memory.call(place);
        }
        assert_eq!(memory.due(now(1)), 2);
        assert_eq!(memory.pop(), Some(3));
        memory.tracked.get_mut(&3).unwrap().due = now(10);
        memory.look_again(3);
        // The message is full: the other one is the first in the next.
        memory.call(7);
        assert_eq!((memory.due(now(9)), memory.pop()), (2, Some(1)));
        memory.look_again(1);
        assert_eq!((memory.due(now(10)), memory.pop()), (3, Some(7)));
        memory.tracked.remove(&7);
        memory.look_again(7);
        assert_eq!((memory.pop(), memory.pop(), memory.pop()), (Some(1), Some(3), None));
        // Who is called isn't looked at once more when his time has come.
        memory.tracked.get_mut(&3).unwrap().due = now(20);
        memory.look_again(3);
        memory.call(3);
        assert_eq!((memory.due(now(30)), memory.pop(), memory.pop()), (1, Some(3), None));
    }
}

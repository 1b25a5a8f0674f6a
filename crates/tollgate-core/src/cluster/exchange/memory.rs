//! What the thread that speaks with the store remembers from one message to the next. All that must not be forgotten
//! is in the table: a process that takes over begins with nothing here.

use std::collections::BTreeMap;

use super::super::sizing::Appetite;
use crate::clock::MonoNanos;

/// What the thread remembers.
#[derive(Debug, Default)]
pub struct Memory {
    /// Of the entries that hold something, or have something to report, by their numbers.
    pub(super) tracked: BTreeMap<usize, Tracked>,
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

    /// Has the next message be made, also if it has nothing to say of limits.
    pub fn speak(&mut self) {
        self.spoke = None;
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
    /// Somebody has called since it was looked at.
    pub(super) is_called: bool,
    /// When to look next, if nobody calls.
    pub(super) due: MonoNanos,
}

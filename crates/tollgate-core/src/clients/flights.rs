//! How many requests of each client are in flight. Each worker has a row of its own, which nobody else
//! writes; that of a worker which is gone doesn't count.
//!
//! ```text
//! row: whose it is | (client, count) ...
//! ```
//!
//! A worker that has requests of more clients in flight than its row has room for doesn't count the others.

use std::sync::atomic::{AtomicU64, Ordering};

use super::known::Known;
use crate::limits::Process;

/// How many processes may count at the same time.
const ROWS: usize = 256;
/// Clients of a row.
const SLOTS: usize = 2048;
const SLOTS_AT: usize = 8;
const ROW_WORDS: usize = SLOTS_AT + 2 * SLOTS;
/// Slots that a client may have.
const TRIES: usize = 32;

/// The words of all rows.
pub(super) const WORDS: usize = ROWS * ROW_WORDS;

/// The rows, over their words.
#[derive(Clone, Copy, Debug)]
pub struct Flights<'m>(&'m [AtomicU64]);

/// The rows of processes that live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Living(Vec<usize>);

/// A request that is counted as in flight, until it [leaves](Flights::leave).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Where its count is.
    at: usize,
    client: u64,
}

impl<'m> Flights<'m> {
    pub(super) fn new(words: &'m [AtomicU64]) -> Self {
        Self(words)
    }

    fn owner(&self, row: usize) -> Option<&'m AtomicU64> {
        self.0.get(row * ROW_WORDS)
    }

    /// Makes a row that of `me`: one whose process is gone, or a new one. `None`: there is none.
    #[must_use]
    pub fn claim(&self, me: Process, is_alive: impl Fn(Process) -> bool) -> Option<usize> {
        (0..ROWS).find(|row| {
            let Some(owner) = self.owner(*row) else { return false };
            let before = owner.load(Ordering::Acquire);
            // An earlier process of our number is gone.
            let is_free = Process::of(before).is_none_or(|other| other == me || !is_alive(other));
            let swap =
                || owner.compare_exchange(before, me.word(), Ordering::AcqRel, Ordering::Relaxed);
            let is_ours = is_free && swap().is_ok();
            if is_ours && before != 0 {
                self.clear(*row);
            }
            is_ours
        })
    }

    /// The process ends, and with it all that it had in flight.
    pub fn clear(&self, row: usize) {
        for word in self.0.iter().skip(row * ROW_WORDS + SLOTS_AT).take(2 * SLOTS) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// A request of the client is in flight, in the process whose row it is. `None`: there is no room.
    #[inline]
    #[must_use]
    pub fn enter(&self, row: usize, known: &Known) -> Option<Flight> {
        let client = known.hash.low;
        let mut free = None;
        for at in places(row, client) {
            let [whose, count] = self.0.get(at..)?.first_chunk()?;
            let found = whose.load(Ordering::Relaxed);
            if found == client {
                count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
                return Some(Flight { at, client });
            }
            if free.is_none() && count.load(Ordering::Relaxed) == 0 {
                free = Some((at, whose, count));
            }
            if found == 0 {
                break;
            }
        }
        let (at, whose, count) = free?;
        // In this order: who reads it meanwhile takes no one's count for another one's.
        whose.store(client, Ordering::Release);
        count.store(1, Ordering::Release);
        Some(Flight { at, client })
    }

    /// It is in flight no more.
    #[inline]
    pub fn leave(&self, flight: Flight) {
        let slot = self.0.get(flight.at..).and_then(|words| words.first_chunk());
        let Some([whose, count]) = slot else { return };
        if whose.load(Ordering::Relaxed) == flight.client {
            count.store(count.load(Ordering::Relaxed).saturating_sub(1), Ordering::Release);
        }
    }

    /// The rows of processes that live.
    #[must_use]
    pub fn living(&self, is_alive: impl Fn(Process) -> bool) -> Living {
        let owners = (0..ROWS).map_while(|row| {
            let owner = self.owner(row)?.load(Ordering::Acquire);
            Process::of(owner).map(|process| (row, process))
        });
        Living(owners.filter(|(_, process)| is_alive(*process)).map(|(row, _)| row).collect())
    }

    pub(super) fn count(&self, client: u64, living: &Living) -> u64 {
        let of = |row: &usize| {
            for at in places(*row, client) {
                let [whose, count] = self.0.get(at..)?.first_chunk()?;
                match whose.load(Ordering::Acquire) {
                    0 => return None,
                    found if found == client => return Some(count.load(Ordering::Acquire)),
                    _ => {}
                }
            }
            None
        };
        living.0.iter().filter_map(of).sum()
    }
}

/// Where the count of a client may be in a row.
#[inline]
fn places(row: usize, client: u64) -> impl Iterator<Item = usize> {
    let first = usize::try_from(client >> 32).unwrap_or(0) % SLOTS;
    (0..TRIES).map(move |step| row * ROW_WORDS + SLOTS_AT + 2 * ((first + step) % SLOTS))
}

//! How the words of the zone for requests in flight are divided: those of the
//! [`Ledger`](super::Ledger), and those of the [`Queue`](super::Queue) for a place in it.
//!
//! ```text
//! records | beats | queue: head, waiters | owners of chunks | seats
//! ```
//!
//! The division depends on the number of words alone.

use super::sync::{AtomicU64, MODEL};

/// Processes that can take part at once: the workers of the running configuration, and those of
/// earlier ones that still have streams to finish.
pub(super) const RECORDS: usize = if MODEL { 4 } else { 256 };
/// Words of the queue's own.
pub(super) const QUEUE_HEAD: usize = 8;
/// Words of a waiter in the queue.
pub(super) const WAITER_WORDS: usize = 2;
/// Waiters that there is room for, at most.
const WAITERS_MAX: usize = 4096;
/// Seats in a chunk: never more than a process can keep account of in 64 bits.
const CHUNK_MIN: usize = if MODEL { 2 } else { 8 };
const CHUNK_MAX: usize = 64;
/// Seats in all: their numbers, plus one, have 24 bits, and all ones is left for
/// [`FROZEN`](super::frozen::FROZEN).
pub(super) const LEASES_MAX: usize = (1 << 24) - 2;
/// The fewest words in a zone.
const WORDS_MIN: usize = if MODEL { 30 } else { 1280 };

/// The parts of these words.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlightWords<'z> {
    /// One word a process.
    pub(super) records: &'z [AtomicU64],
    /// When each of them was last known to be alive.
    pub(super) beats: &'z [AtomicU64],
    pub(super) queue_head: &'z [AtomicU64],
    pub(super) waiters: &'z [AtomicU64],
    /// Whose a chunk is.
    pub(super) owners: &'z [AtomicU64],
    pub(super) seats: &'z [AtomicU64],
    /// Seats in a chunk.
    pub(super) chunk: usize,
}

impl<'z> FlightWords<'z> {
    /// How many words of a zone of `zone_words` these are: one in sixteen.
    pub(super) fn count(zone_words: usize) -> usize {
        (zone_words / 16).max(WORDS_MIN)
    }

    /// The parts of `words`; `None` when there are too few.
    pub(super) fn of(words: &'z [AtomicU64]) -> Option<Self> {
        let (records, rest) = words.split_at_checked(RECORDS)?;
        let (beats, rest) = rest.split_at_checked(RECORDS)?;
        let (queue_head, rest) = rest.split_at_checked(QUEUE_HEAD)?;
        let waiters = (rest.len() / 16).clamp(1, WAITERS_MAX);
        let (waiters, rest) = rest.split_at_checked(waiters.checked_mul(WAITER_WORDS)?)?;
        let fair = (rest.len() / RECORDS).clamp(CHUNK_MIN, CHUNK_MAX);
        // The power of two that is not above it.
        let chunk = 1usize << fair.ilog2();
        let chunks = (rest.len() / (chunk + 1)).min(LEASES_MAX / chunk);
        let (owners, rest) = rest.split_at_checked(chunks)?;
        let seats = rest.get(..chunks.checked_mul(chunk)?)?;
        (chunks > 0).then_some(Self { records, beats, queue_head, waiters, owners, seats, chunk })
    }
}

//! How many requests of a client are in flight, exactly, even where a worker is killed at any point.
//!
//! The count of a client is one word in its slot, changed by compare-and-swap only. A bare counter
//! couldn't be mended after a `kill -9`: nobody would know what part of it the dead worker had added.
//! So every request in flight has a *seat*, a word of its own in a pool in the zone, which belongs
//! to the worker that took it, and the count says which seat changed it last:
//!
//! ```text
//!  63      48 47            24 23             0
//! +----------+----------------+----------------+
//! |  count   |  seat (+1)     |  seq           |    the word in the slot
//! +----------+----------------+----------------+
//! |  slot number              | seq   | state  |    a seat: slot 32 bits, seq 24, state 8
//! +---------------------------+-------+--------+
//! ```
//!
//! | step | take | release |
//! |---|---|---|
//! | 1 | seat := pending(seq) | seat := releasing(seq) |
//! | 2 | count + 1, signed (seat, seq), by swap | count - 1, signed (seat, seq), by swap |
//! | 3 | seat := held | seat := free |
//!
//! seq goes up with each line 1, so a signature is never used twice (not for 2^24 steps of that
//! seat). Whoever overwrites a signed count *first* does line 3 for the one who signed it
//! ([`Ledger::help`]). Hence, when a process is dead, each of its seats says whether line 2 was
//! reached:
//!
//! * the count is still signed by it: yes;
//! * else, if *after that* the seat is found to have been moved on: yes, and somebody helped;
//! * else: no, as an overwriter would have helped before it overwrote.
//!
//! [`Ledger::reclaim`] then goes on from there, in the same three lines, as the dead process itself
//! would have. So when the reclaimer is killed in its turn, it leaves nothing behind but what its
//! predecessor could have left, and the next one goes on. The zone's mutex keeps reclaimers apart.
//!
//! A count above zero keeps a slot from being given away; so a held seat's slot number is right for
//! as long as the seat is held. The word of a slot that changes hands begins with a claim number
//! where others have a signature ([`Ledger::fresh`]): a worker that read the word before can't
//! mistake it for the one that it read.
//!
//! Seats are dealt in chunks. A process allots only from its own chunks, which it takes from the
//! pool when it runs out of seats, and puts back when they are wholly free.
//!
//! Each process notes now and then that it is alive ([`Ledger::beat`]). Only of one that was silent for
//! longer than [`SILENCE_NANOS`] the kernel is asked: so processes that are well cost each other a look
//! into memory, however many they are.

use super::census::Census;
use super::claim_lock::ClaimLock;
use super::flight_words::{FlightWords, RECORDS};
use super::frozen::FROZEN;
use super::holder::Holder;
use super::process::Process;
use super::sync::{planted, AtomicU64, Ordering};
use crate::clock::MonoNanos;
use words::{Entry, Signature, State, Tally};

mod recovery;
mod words;

/// How long a process may give no sign of life until it is asked whether it is alive, in nanoseconds.
pub const SILENCE_NANOS: u64 = 450_000_000;

/// Requests of one client in flight at once, at most: all ones is left for [`FROZEN`].
const COUNT_MAX: u16 = u16::MAX - 1;

/// A request in flight. It is not released by being dropped, as that takes the ledger: whoever has
/// it owes it to [`Ledger::release`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a seat that is not released counts until its process ends"]
pub struct Seat {
    index: usize,
}

/// Why a request may not be in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// As many are as may be.
    Full {
        /// How many.
        count: u16,
    },
    /// The slot belongs to another key by now.
    Moved,
    /// The pool has no seat left.
    NoSeat,
}

/// The in-flight counts of a zone, over the words that they share.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'z> {
    /// One word a process.
    records: &'z [AtomicU64],
    /// When each of them was last known to be alive, on the monotonic clock; 0: never yet.
    beats: &'z [AtomicU64],
    /// Whose a chunk is.
    owners: &'z [AtomicU64],
    seats: &'z [AtomicU64],
    /// Seats in a chunk.
    chunk: usize,
}

impl<'z> Ledger<'z> {
    /// How many words of a zone of `zone_words` the ledger takes, with the queue: one in sixteen.
    #[must_use]
    pub fn words_for(zone_words: usize) -> usize {
        FlightWords::count(zone_words)
    }

    /// The ledger that lies in `words`, as it is; when all of them are 0, an empty one. `None` when
    /// there are too few.
    #[must_use]
    pub fn new(words: &'z [AtomicU64]) -> Option<Self> {
        let FlightWords { records, beats, owners, seats, chunk, .. } = FlightWords::of(words)?;
        Some(Self { records, beats, owners, seats, chunk })
    }

    /// How many requests can be in flight in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.seats.len()
    }

    /// Whether more is left than what is kept for those who were authenticated, a quarter. Chunks are
    /// counted, and not seats: else strangers would fill up each chunk that a client begins.
    #[must_use]
    pub fn has_spare(&self) -> bool {
        let is_free = |owner: &&AtomicU64| owner.load(Ordering::Relaxed) == 0;
        self.owners.iter().filter(is_free).count() * 4 >= self.owners.len()
    }

    /// How many processes take part.
    #[must_use]
    pub fn workers(&self) -> Census {
        let used = self.records.iter().filter(|record| record.load(Ordering::Relaxed) != 0).count();
        Census { used, places: self.records.len() }
    }

    /// How many seats processes have, whether a request has them or not: they take whole chunks.
    #[must_use]
    pub fn census(&self) -> Census {
        let used = self.owners.iter().filter(|owner| owner.load(Ordering::Relaxed) != 0).count();
        let places = self.seats.len();
        Census { used: used.saturating_mul(self.chunk).min(places), places }
    }

    /// The first word of a slot that is given to a key, with the running number of that giving
    /// (its low 24 bits count).
    #[must_use]
    pub fn fresh(claim: u64) -> u64 {
        Tally { count: 0, signed: Signature::of_claim(claim) }.word()
    }

    /// Whether nothing is in flight. A frozen word, of which that isn't known, isn't idle.
    #[must_use]
    pub fn is_idle(word: u64) -> bool {
        Self::count(word) == 0
    }

    /// How many requests are in flight; of use only where the word isn't frozen.
    #[must_use]
    pub fn count(word: u64) -> u16 {
        Tally::of(word).count
    }

    /// Enters a process. `None` when there is no room for it.
    ///
    /// A dead process of the same id from before must have been reclaimed, or can't be told from
    /// this one where `started` isn't known.
    pub fn register(&self, process: Process, lock: &impl ClaimLock) -> Option<Holder> {
        Process::of(process.word())?;
        lock.with(|| {
            let free = |word: &AtomicU64| word.load(Ordering::Acquire) == 0;
            let record = self.records.iter().position(free)?;
            self.beats.get(record)?.store(0, Ordering::Release);
            self.records.get(record)?.store(process.word(), Ordering::Release);
            Some(Holder::new(record, self.chunk))
        })
    }

    /// Whether a process takes part. It may be dead, and not reclaimed yet.
    #[must_use]
    pub fn knows(&self, process: Process) -> bool {
        let word = process.word();
        self.records.iter().any(|record| record.load(Ordering::Acquire) == word)
    }

    /// Notes that a process is alive.
    pub fn beat(&self, holder: &Holder, now: MonoNanos) {
        if let Some(beat) = self.beats.get(holder.record) {
            beat.store(now.0, Ordering::Release);
        }
    }

    /// Counts one more request in `word`, which is that of the slot number `slot`, if fewer than
    /// `limit` are in flight. `still_ours` says whether the slot belongs to whom it is taken for.
    ///
    /// # Errors
    ///
    /// [`NotTaken`]; nothing has changed then.
    pub fn take(
        &self,
        holder: &mut Holder,
        word: &AtomicU64,
        slot: u32,
        limit: u16,
        still_ours: impl Fn() -> bool,
    ) -> Result<Seat, NotTaken> {
        let mut begun = None;
        let mut seen = word.load(Ordering::Acquire);
        let failure = loop {
            // In this order: between being read and being swapped, the word can't have been frozen
            // and made anew, as it would carry another claim number or signature.
            if seen == FROZEN || !still_ours() {
                break NotTaken::Moved;
            }
            let count = Self::count(seen);
            if count >= limit.min(COUNT_MAX) {
                break NotTaken::Full { count };
            }
            let Some((index, entry)) = begun.or_else(|| self.allot(holder, slot)) else {
                break NotTaken::NoSeat;
            };
            begun = Some((index, entry));
            let next = Tally { count: count + 1, signed: Signature::new(index, entry.seq) };
            match self.overwrite(word, seen, next) {
                Ok(()) => {
                    self.finish(index, entry);
                    return Ok(Seat { index });
                }
                Err(other) => seen = other,
            }
        };
        if let Some((index, entry)) = begun {
            self.write(index, entry.freed());
            self.put_back(holder, index);
        }
        Err(failure)
    }

    /// Takes a request off the count again. `word_of` gives the word of a slot by its number.
    pub fn release(
        &self,
        holder: &mut Holder,
        seat: Seat,
        word_of: impl Fn(u32) -> Option<&'z AtomicU64>,
    ) {
        self.end(seat.index, &word_of);
        self.put_back(holder, seat.index);
    }

    /// Finishes the step of the one who wrote `word` into a slot. To be called by everybody who is
    /// about to overwrite it, before that.
    pub fn help(&self, word: u64) {
        let signed = Tally::of(word).signed;
        let Some(index) = signed.index() else { return };
        let entry = self.read(index);
        if entry.seq == signed.seq {
            self.finish(index, entry);
        }
    }

    /// The three lines of a release.
    fn end(&self, index: usize, word_of: &impl Fn(u32) -> Option<&'z AtomicU64>) {
        let held = self.read(index);
        let entry = held.next(State::Releasing, held.slot);
        if planted!(FreedTooEarly) {
            self.write(index, entry.freed());
        } else {
            self.write(index, entry);
        }
        self.take_off(index, entry, word_of);
    }

    /// The last two of them.
    fn take_off(
        &self,
        index: usize,
        entry: Entry,
        word_of: &impl Fn(u32) -> Option<&'z AtomicU64>,
    ) {
        if let Some(word) = word_of(entry.slot) {
            let mut seen = word.load(Ordering::Acquire);
            // What is counted is neither 0 nor frozen; were it so, there would be nothing to take off.
            while seen != FROZEN && Self::count(seen) > 0 {
                let signed = Signature::new(index, entry.seq);
                let next = Tally { count: Self::count(seen).saturating_sub(1), signed };
                match self.overwrite(word, seen, next) {
                    Ok(()) => break,
                    Err(other) => seen = other,
                }
            }
        }
        self.finish(index, entry);
    }

    /// Swaps a count, and helps first.
    fn overwrite(&self, word: &AtomicU64, seen: u64, next: Tally) -> Result<(), u64> {
        if !planted!(Unhelped) {
            self.help(seen);
        }
        if planted!(StoredCount) {
            word.store(next.word(), Ordering::Release);
            return Ok(());
        }
        word.compare_exchange(seen, next.word(), Ordering::AcqRel, Ordering::Acquire).map(|_| ())
    }

    fn read(&self, index: usize) -> Entry {
        Entry::of(self.seats.get(index).map_or(0, |seat| seat.load(Ordering::Acquire)))
    }

    /// Line 3 of a step, unless it is done: for the owner as for a helper. A swap, so that a late
    /// helper can't undo what the owner did since, and the owner has seen what a helper did before it
    /// goes on.
    fn finish(&self, index: usize, entry: Entry) {
        let (begun, done) = (entry.word(), entry.done().word());
        if let Some(seat) = self.seats.get(index).filter(|_| begun != done) {
            let _ = seat.compare_exchange(begun, done, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// Line 1 of a step, or a step that is called off: only by the owner of a seat, or by who acts
    /// in its name.
    fn write(&self, index: usize, entry: Entry) {
        if let Some(seat) = self.seats.get(index) {
            seat.store(entry.word(), Ordering::Release);
        }
    }

    /// A free seat, made pending for `slot`.
    fn allot(&self, holder: &mut Holder, slot: u32) -> Option<(usize, Entry)> {
        let index = match holder.allot() {
            Some(index) => index,
            None => {
                holder.add(self.claim_chunk(holder)?);
                holder.allot()?
            }
        };
        let entry = self.read(index).next(State::Pending, slot);
        self.write(index, if planted!(HeldTooEarly) { entry.done() } else { entry });
        Some((index, entry))
    }

    /// Takes a chunk out of the pool. A process that is killed right after that has it by its record.
    fn claim_chunk(&self, holder: &Holder) -> Option<usize> {
        // Each process begins to look at another place.
        let count = self.owners.len();
        let first = holder.record.saturating_mul(count) / RECORDS;
        (first..count).chain(0..first).find(|number| {
            self.owners.get(*number).is_some_and(|owner| {
                let swap = |owner: &AtomicU64| {
                    owner.compare_exchange(0, holder.owner(), Ordering::AcqRel, Ordering::Relaxed)
                };
                owner.load(Ordering::Relaxed) == 0 && swap(owner).is_ok()
            })
        })
    }

    /// Makes a seat free for the next request of this process.
    fn put_back(&self, holder: &mut Holder, index: usize) {
        let spare = holder.put_back(index);
        if let Some(owner) = spare.and_then(|number| self.owners.get(number)) {
            owner.store(0, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests;

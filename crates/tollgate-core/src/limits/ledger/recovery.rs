//! What becomes of that which a process held, when it is dead or ends.

use super::super::claim_lock::ClaimLock;
use super::super::holder::Holder;
use super::super::process::Process;
use super::super::sync::{planted, AtomicU64, Ordering};
use super::words::{Signature, State, Tally};
use super::{Ledger, SILENCE_NANOS};
use crate::clock::MonoNanos;

impl<'z> Ledger<'z> {
    /// Does for all processes that are dead what they can't do any more: releases their seats, and
    /// forgets them. Gives the number of requests taken off. The mutex is taken only when somebody is
    /// dead.
    ///
    /// `forget` does it for what they have elsewhere ([`Holder::owner`] is their number there), first of
    /// all and with the mutex held: so whoever is killed in here is followed by another one.
    ///
    /// `is_alive` is asked of those that were silent for too long. A process is alive when there is one
    /// of its id, and it was started when this one was. `is_alive` must not call a living process dead:
    /// two would act in its name then. It must not take the mutex.
    pub fn reclaim(
        &self,
        now: MonoNanos,
        is_alive: impl Fn(Process) -> bool,
        forget: impl Fn(u64),
        word_of: impl Fn(u32) -> Option<&'z AtomicU64>,
        lock: &impl ClaimLock,
    ) -> usize {
        let is_dead = |(record, beat): (&AtomicU64, &AtomicU64)| {
            // A beat that is newer than `now` is that of another clock's reader, a moment ahead.
            let is_silent = || now.0.saturating_sub(beat.load(Ordering::Acquire)) > SILENCE_NANOS;
            Process::of(record.load(Ordering::Acquire))
                .is_some_and(|process| is_silent() && !is_alive(process))
        };
        if !self.records.iter().zip(self.beats).any(is_dead) {
            return 0;
        }
        // Asked again under the mutex: another process may have been faster, and a new one may have
        // come in the dead one's place.
        let reclaim = |(record, words)| match is_dead(words) {
            true => self.clear(record, &forget, &word_of),
            false => 0,
        };
        lock.with(|| self.records.iter().zip(self.beats).enumerate().map(reclaim).sum())
    }

    /// The orderly end of a process: releases whatever it still has. Gives the number of requests
    /// that were in flight. `forget` as for [`Ledger::reclaim`].
    pub fn leave(
        &self,
        holder: Holder,
        forget: impl Fn(u64),
        word_of: impl Fn(u32) -> Option<&'z AtomicU64>,
        lock: &impl ClaimLock,
    ) -> usize {
        lock.with(|| self.clear(holder.record, &forget, &word_of))
    }

    /// Releases everything of a process, its record last, so that whoever is killed in here is
    /// followed by another one. The caller holds the mutex.
    fn clear(
        &self,
        record: usize,
        forget: &impl Fn(u64),
        word_of: &impl Fn(u32) -> Option<&'z AtomicU64>,
    ) -> usize {
        let owner = record as u64 + 1;
        forget(owner);
        let mut released = 0;
        for (chunk, word) in self.owners.iter().enumerate() {
            if word.load(Ordering::Acquire) != owner {
                continue;
            }
            let first = chunk.saturating_mul(self.chunk);
            for index in first..first.saturating_add(self.chunk) {
                released += usize::from(self.recover(index, word_of));
            }
            word.store(0, Ordering::Release);
        }
        if let Some(word) = self.records.get(record) {
            word.store(0, Ordering::Release);
        }
        released
    }

    /// Goes on from where the dead owner of a seat stopped. Gives whether its request was counted.
    fn recover(&self, index: usize, word_of: &impl Fn(u32) -> Option<&'z AtomicU64>) -> bool {
        let entry = self.read(index);
        let signed = Signature::new(index, entry.seq);
        // In this order: see the module's comment.
        let swapped = || {
            let is_signed =
                |word: &AtomicU64| Tally::of(word.load(Ordering::Acquire)).signed == signed;
            word_of(entry.slot).is_some_and(is_signed)
                || !planted!(JudgedAtOnce) && self.read(index) == entry.done()
        };
        match entry.state {
            State::Free => return false,
            State::Pending if !swapped() => {
                self.write(index, entry.freed());
                return false;
            }
            State::Releasing if swapped() => {
                self.finish(index, entry);
                return false;
            }
            State::Releasing => self.take_off(index, entry, word_of),
            State::Pending | State::Held => {
                self.finish(index, entry);
                self.end(index, word_of);
            }
        }
        true
    }
}

//! A worker's part in a sealed log: its chain, and the manifests that it writes.

use std::collections::VecDeque;

use super::chain::{Chain, Circumstances, Sealed};
use super::id::{ChainId, Mac, Stamp};
use super::key::{KeyId, Signer};
use super::manifest::{Head, Manifest, Opening, State};
use super::memory::{MemoryError, Seals};
use crate::limits::{ClaimLock, Process};

/// So many lines have one seal, whose line then takes 175 kB.
const MAX_COUNT: usize = 32_768;

/// A worker's part.
#[derive(Debug)]
pub struct Sealer {
    chain: Chain,
    slot: usize,
    key: KeyId,
    /// Lines that were lost since the chain began.
    lost: u64,
    /// The file that is written to, and the one that the last seal went to.
    file: u64,
    from: Option<u64>,
    /// How many seals all workers had begun when all that this one had sealed was written.
    done: Option<u64>,
    /// From this batch on, what was made until now was not written in one go.
    torn: Option<u64>,
    /// From this batch on, what was made until now is written to another file than it says.
    waited: Option<u64>,
    /// The seals that wait for being written, the oldest first.
    waiting: VecDeque<Sealed>,
    manifest: Option<Pending>,
    /// Since the chain was looked at last, something was sealed.
    is_fresh: bool,
}

/// A manifest that waits for being written.
#[derive(Debug)]
struct Pending {
    number: u64,
    hash: Mac,
    up_ms: u64,
    /// The number of the seal behind it.
    seal: u64,
    /// What is free then.
    slots: Vec<(usize, ChainId)>,
}

/// What a batch is closed with.
#[derive(Clone, Copy, Debug)]
pub struct Closing {
    /// Now.
    pub stamp: Stamp,
    /// Nothing is written in one go: to a pipe.
    pub in_pieces: bool,
    /// The worker ends.
    pub is_end: bool,
}

impl Sealer {
    /// Begins a chain. `me` is this process.
    ///
    /// # Errors
    ///
    /// When there is no room for it.
    pub fn begin(
        seals: &Seals<'_>,
        lock: &impl ClaimLock,
        me: Process,
        key: KeyId,
    ) -> Result<Self, MemoryError> {
        let begun = seals.begin(lock, me)?;
        Ok(Self {
            chain: Chain::new(begun.chain, begun.epoch, &begun.key),
            slot: begun.slot,
            key,
            lost: 0,
            file: 0,
            from: None,
            done: None,
            torn: None,
            waited: None,
            waiting: VecDeque::new(),
            manifest: None,
            is_fresh: false,
        })
    }

    /// The slot of the chain.
    #[must_use]
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// The line that the chain begins with, as it is given to [`Sealer::add`].
    #[must_use]
    pub fn opening(&self, seals: &Seals<'_>, stamp: Stamp, signer: &Signer) -> Vec<u8> {
        let before = seals.manifest().map(|(_, hash)| hash);
        let before = (before, seals.has_crashed());
        Opening::write(self.chain.id(), stamp, &self.key, before, signer)
    }

    /// The line of a manifest, if it is time for one and no other process writes it.
    pub fn manifest(
        &mut self,
        seals: &Seals<'_>,
        stamp: Stamp,
        signer: &Signer,
        me: Process,
        is_alive: impl Fn(Process) -> bool,
    ) -> Option<Vec<u8>> {
        let is_due = self.manifest.is_none() && seals.is_manifest_due(stamp.up_ms, &is_alive);
        if !is_due || !seals.claim_manifest(me, &is_alive) {
            return None;
        }
        let chains = seals.chains(is_alive);
        let before = seals.manifest();
        let number = before.map_or(1, |(number, _)| number.saturating_add(1));
        let manifest = Manifest {
            number,
            key: self.key.as_str().to_owned(),
            generation: seals.generation(),
            chains_begun: seals.chains_begun(),
            before: before.map(|(_, hash)| hash),
            is_after_crash: seals.has_crashed(),
            chains: chains.iter().map(|(_, known)| *known).collect(),
        };
        let (line, hash) = manifest.write(stamp, &self.key, signer);
        let over = chains.iter().filter(|(_, known)| known.state != State::Open);
        let slots = over.map(|(slot, known)| (*slot, known.chain)).collect();
        let seal = self.chain.next_seal();
        self.manifest = Some(Pending { number, hash, up_ms: stamp.up_ms, seal, slots });
        Some(line)
    }

    /// The line of the manifest was not taken.
    pub fn give_up_manifest(&mut self, seals: &Seals<'_>) {
        if self.manifest.take().is_some() {
            seals.leave_manifest();
        }
    }

    /// Completes the line that begins at `start` and ends `lines`. Whether a seal is wanted now: one of many more
    /// lines would be too long to be read.
    #[inline]
    pub fn add(&mut self, seals: &Seals<'_>, lines: &mut Vec<u8>, start: usize) -> bool {
        self.chain.add(lines, start);
        seals.set_made(self.slot, self.chain.last());
        self.chain.waiting() >= MAX_COUNT
    }

    /// So many lines were lost.
    pub fn lose(&mut self, seals: &Seals<'_>, lines: u64) {
        self.lost = self.lost.saturating_add(lines);
        seals.set_lost(self.slot, self.lost);
    }

    /// What comes next is written to this file.
    pub fn opened(&mut self, seals: &Seals<'_>, lock: &impl ClaimLock, device: u64, number: u64) {
        let file = seals.file(lock, device, number);
        if file != self.file {
            // The file of the last seal: nothing was sealed in those between.
            self.from = self.from.or((self.chain.next_seal() > 0).then_some(self.file));
            self.file = file;
            // Their keys are gone: that they go to this file is for the next seal to say.
            self.waited = self.waiting.front().map(|sealed| sealed.number);
        }
        if self.from == Some(file) {
            self.from = None;
        }
    }

    /// Appends the seal of what was added since the last one.
    pub fn close(&mut self, seals: &Seals<'_>, lines: &mut Vec<u8>, closing: &Closing) {
        let sealed = self.chain.close(
            lines,
            &Circumstances {
                stamp: closing.stamp,
                turn: seals.turn(),
                done: self.done.take(),
                file: self.file,
                from: self.from.take(),
                lost: self.lost,
                torn: self.torn.take(),
                waited: self.waited.take(),
                in_pieces: closing.in_pieces,
                is_end: closing.is_end,
            },
        );
        self.waiting.push_back(sealed);
        self.is_fresh = true;
    }

    /// What waits was written in part: others may write between that and the rest. Before that is written, it wants
    /// a further seal, which says so.
    pub fn torn(&mut self) {
        let first = self.waiting.front().map(|sealed| sealed.number);
        self.torn = self.torn.or(first);
    }

    /// Whether a seal is wanted before anything more is written.
    #[must_use]
    pub fn owes_seal(&self) -> bool {
        self.torn.is_some() || self.waited.is_some()
    }

    /// So many seals, the oldest that waited, are written. Gives whether the file of heads is to be written
    /// anew, as more than this chain has changed.
    pub fn written(&mut self, seals: &Seals<'_>, count: usize) -> bool {
        let Some(newest) = self.waiting.drain(..count.min(self.waiting.len())).next_back() else {
            return false;
        };
        let Sealed { number, last, mac, up_ms, is_end } = newest;
        // It may have waited for longer than a file.
        let file = self.file;
        if self.waiting.is_empty() {
            self.done = Some(seals.turns());
        }
        seals.set_head(self.slot, &Head { number, last, file, mac, up_ms });
        if is_end {
            seals.set_ended(self.slot);
        }
        match self.manifest.take_if(|manifest| manifest.seal <= number) {
            Some(Pending { number, hash, up_ms, slots, .. }) => {
                seals.set_manifest(number, hash, up_ms, &slots);
                true
            }
            None => false,
        }
    }

    /// Whether something was sealed since this was asked last: if not, it is time for a seal of nothing.
    pub fn was_fresh(&mut self) -> bool {
        std::mem::take(&mut self.is_fresh)
    }
}

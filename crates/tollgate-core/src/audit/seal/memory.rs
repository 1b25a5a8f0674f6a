//! What all workers know of each other's chains: in memory that they share, and in a file, which tells the next
//! nginx how far the chains of this one had come.
//!
//! ```text
//! header | slots, one for each chain
//! slot: state, chain, process | lines made, lost | the last seal that was written (one of two places)
//! ```
//!
//! A slot is written by the worker whose chain it is. It has two places for a head, and says last which of them
//! holds: whoever reads it, or whoever comes when the worker was killed in the middle, finds a whole one. A slot
//! is free again when a manifest has said how its chain ended, and was written.
//!
//! The key of the next chain lies here as well, in one of two places: a worker puts the next one into the other
//! place, counts the chain, and wipes the first.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use super::id::{ChainId, Mac};
use super::key::{Clock, Generation};
use super::layout::{
    boot_words, clock_place, head_place, key_place, state_of, state_word, CHAIN, CLOCK_WORDS, FREE,
    HEADER_WORDS, LOST, MADE, MAGIC, PROCESS, SEALED, SINCE, SLOT_WORDS, STATE, WORD_BEGUN,
    WORD_BOOT, WORD_CRASHED, WORD_FILE, WORD_GENERATION, WORD_HASH, WORD_LOCK, WORD_MAGIC,
    WORD_MANIFEST, WORD_MANIFEST_UP, WORD_ORDER, WORD_SINCE, WORD_TURNS, WORD_WANTED, WORD_WRITER,
};
use super::manifest::{Head, Known, State};
use super::ratchet::{Ratchet, Secret};
use super::MANIFEST_MS;
use crate::clock::UnixMillis;
use crate::limits::{ClaimLock, Process, ProcessLock};

/// How much memory it takes, in bytes: for some 2,700 chains (workers, times reloads) not told of in a manifest.
pub const SEALS_BYTES: usize = 512 * 1024;

/// The length of a slot in the file, in bytes.
pub const SLOT_BYTES: usize = SLOT_WORDS * 8;

/// What lies in the memory.
#[derive(Clone, Copy)]
pub struct Seals<'m> {
    words: &'m [AtomicU64],
}

impl fmt::Debug for Seals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What else is in there is secret.
        f.debug_struct("Seals").field("generation", &self.generation()).finish_non_exhaustive()
    }
}

/// Why memory can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// It is that of another version.
    Version,
    /// It is too small.
    TooSmall,
    /// All slots are taken.
    Full,
}

impl fmt::Display for MemoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "is of another version of Tollgate",
            Self::TooSmall => "is too small",
            Self::Full => "has no room for a further chain",
        })
    }
}

impl std::error::Error for MemoryError {}

/// What a worker begins with.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) slot: usize,
    pub(super) chain: ChainId,
    /// Which key the clock had.
    pub(super) epoch: u64,
    pub(super) key: Secret,
}

impl<'m> Seals<'m> {
    /// Looks at memory that is in use.
    ///
    /// # Errors
    ///
    /// When it is of another version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, MemoryError> {
        let seals = Self { words };
        if words.len() < HEADER_WORDS + SLOT_WORDS {
            return Err(MemoryError::TooSmall);
        }
        match seals.load(WORD_MAGIC) == MAGIC {
            true => Ok(seals),
            false => Err(MemoryError::Version),
        }
    }

    /// Makes something of new memory, all zeros: for a generation, and its key. `before` is what the file
    /// holds of the one before, if it is there; `boot` tells this boot of the machine from others.
    ///
    /// # Errors
    ///
    /// When the memory is too small.
    pub fn format(
        words: &'m [AtomicU64],
        generation: &Generation,
        boot: [u8; 16],
        before: Option<&[u8]>,
    ) -> Result<Self, MemoryError> {
        if words.len() < HEADER_WORDS + SLOT_WORDS {
            return Err(MemoryError::TooSmall);
        }
        let seals = Self { words };
        let (Generation { number, key, clock }, [first, second]) = (generation, boot_words(boot));
        // What lies beside a key that was never used is of another one.
        if let Some(before) = before.filter(|_| *number > 0) {
            seals.carry_over(before, [first, second]);
        }
        seals.store(WORD_GENERATION, u64::from(*number));
        seals.store(WORD_SINCE, u64::from_ne_bytes(clock.since.to_ne_bytes()));
        seals.put_clock(0, &clock.ratchet);
        seals.store(WORD_BOOT, first);
        seals.store(WORD_BOOT + 1, second);
        seals.put_key(0, key.words());
        seals.store(WORD_WANTED, 1);
        seals.store(WORD_MAGIC, MAGIC);
        Ok(seals)
    }

    /// What the file of the nginx before tells of chains that no manifest has told the end of.
    fn carry_over(&self, before: &[u8], boot: [u64; 2]) {
        let (bytes, _) = before.as_chunks::<8>();
        let old: Vec<u64> = bytes.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        let word = |at: usize| old.get(at).copied().unwrap_or(0);
        if word(WORD_MAGIC) != MAGIC {
            return;
        }
        for at in WORD_MANIFEST..WORD_MANIFEST_UP {
            self.store(at, word(at));
        }
        let is_same_boot = [word(WORD_BOOT), word(WORD_BOOT + 1)] == boot;
        self.store(WORD_CRASHED, u64::from(!is_same_boot || word(WORD_CRASHED) != 0));
        let mut slots = self.slots();
        let found = old.get(HEADER_WORDS..).unwrap_or_default().chunks_exact(SLOT_WORDS);
        for found in found.filter(|slot| slot.first().is_some_and(|state| *state != FREE)) {
            let Some(slot) = slots.next() else { return };
            for (at, word) in found.iter().enumerate() {
                self.store(slot + at, *word);
            }
            // What a machine had not written to its disks may be lost, the end of a chain as well.
            match state_of(self.load(slot + STATE)) {
                _ if !is_same_boot => self.store(slot + STATE, state_word(State::Crashed)),
                Some(State::Open) => self.store(slot + STATE, state_word(State::Killed)),
                _ => {}
            }
        }
    }

    fn load(&self, at: usize) -> u64 {
        self.words.get(at).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.words.get(at) {
            word.store(value, Ordering::Release);
        }
    }

    fn load4(&self, at: usize) -> [u64; 4] {
        [0, 1, 2, 3].map(|offset| self.load(at + offset))
    }

    fn store4(&self, at: usize, values: [u64; 4]) {
        values.into_iter().enumerate().for_each(|(offset, value)| self.store(at + offset, value));
    }

    fn put_key(&self, number: u64, words: [u64; 4]) {
        self.store4(key_place(number), words);
    }

    fn put_clock(&self, turns: u64, clock: &Ratchet) {
        let (run, key, number) = clock.parts();
        let place = clock_place(turns);
        self.store(place, number);
        self.store4(place + 1, run.words());
        self.store4(place + 5, key.words());
    }

    fn clock(&self) -> Clock {
        let place = clock_place(self.load(WORD_TURNS));
        let [run, key] = [1, 5].map(|at| Secret::from_words(self.load4(place + at)));
        let ratchet = Ratchet::from_parts(run, key, self.load(place));
        Clock { since: i64::from_ne_bytes(self.load(WORD_SINCE).to_ne_bytes()), ratchet }
    }

    /// Has the clock go on to this time. `Some`: it did, and this is what the file of the key is to hold of it.
    pub fn go_on(&self, lock: &impl ClaimLock, now: UnixMillis) -> Option<Zeroizing<Vec<u8>>> {
        lock.with(|| {
            let mut clock = self.clock();
            let epoch = Clock::epoch(clock.since, now);
            if epoch <= clock.ratchet.number() {
                return None;
            }
            clock.ratchet.go_to(epoch);
            let turns = self.load(WORD_TURNS);
            self.put_clock(turns.saturating_add(1), &clock.ratchet);
            self.store(WORD_TURNS, turns.saturating_add(1));
            let place = clock_place(turns);
            (place..place + CLOCK_WORDS).for_each(|at| self.store(at, 0));
            Some(clock.to_file())
        })
    }

    /// Where the slots begin.
    fn slots(&self) -> impl Iterator<Item = usize> {
        (HEADER_WORDS..)
            .step_by(SLOT_WORDS)
            .take(self.words.len().saturating_sub(HEADER_WORDS) / SLOT_WORDS)
    }

    /// The mutex that guards what is rare: a chain that begins, a file that is opened.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'m> {
        static NONE: AtomicU64 = AtomicU64::new(0);
        ProcessLock::new(self.words.get(WORD_LOCK).unwrap_or(&NONE))
    }

    /// The generation.
    #[must_use]
    pub fn generation(&self) -> u32 {
        u32::try_from(self.load(WORD_GENERATION)).unwrap_or(u32::MAX)
    }

    pub(super) fn chains_begun(&self) -> u32 {
        u32::try_from(self.load(WORD_BEGUN)).unwrap_or(u32::MAX)
    }

    /// A chain begins.
    pub(super) fn begin(&self, lock: &impl ClaimLock, me: Process) -> Result<Begun, MemoryError> {
        lock.with(|| {
            let free = self.slots().find(|slot| self.load(slot + STATE) == FREE);
            let slot = free.ok_or(MemoryError::Full)?;
            let number = self.load(WORD_BEGUN);
            let key = Secret::from_words(self.load4(key_place(number)));
            let next = key.after_chain();
            self.put_key(number.saturating_add(1), next.words());
            self.store(WORD_BEGUN, number.saturating_add(1));
            self.put_key(number, [0; 4]);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let chain = ChainId { generation: self.generation(), number };
            for (at, value) in
                [(SEALED, 0), (MADE, 0), (LOST, 0), (SINCE, 0), (CHAIN, chain.word())]
            {
                self.store(slot + at, value);
            }
            self.store(slot + PROCESS, me.word());
            self.store(slot + STATE, state_word(State::Open));
            self.store(WORD_WANTED, 1);
            let clock = self.clock();
            let (key, epoch) = (key.chain(&clock.ratchet), clock.ratchet.number());
            Ok(Begun { slot, chain, epoch, key })
        })
    }

    /// The how manieth file it is that is written to, by its device and number.
    pub(super) fn file(&self, lock: &impl ClaimLock, device: u64, number: u64) -> u64 {
        lock.with(|| {
            let known = (self.load(WORD_FILE), self.load(WORD_FILE + 1));
            let count = self.load(WORD_FILE + 2);
            if count > 0 && known == (device, number) {
                return count;
            }
            self.store(WORD_FILE, device);
            self.store(WORD_FILE + 1, number);
            self.store(WORD_FILE + 2, count.saturating_add(1));
            count.saturating_add(1)
        })
    }

    /// A seal is begun: how many were before it, of all workers.
    pub(super) fn turn(&self) -> u64 {
        self.words.get(WORD_ORDER).map_or(0, |word| word.fetch_add(1, Ordering::SeqCst))
    }

    /// How many seals were begun, of all workers.
    pub(super) fn turns(&self) -> u64 {
        self.words.get(WORD_ORDER).map_or(0, |word| word.load(Ordering::SeqCst))
    }

    /// So many lines were made in the chain.
    #[inline]
    pub(super) fn set_made(&self, slot: usize, made: u64) {
        if let Some(word) = self.words.get(slot + MADE) {
            word.store(made, Ordering::Relaxed);
        }
    }

    pub(super) fn set_lost(&self, slot: usize, lost: u64) {
        self.store(slot + LOST, lost);
    }

    /// A seal of the chain was written.
    pub(super) fn set_head(&self, slot: usize, head: &Head) {
        let sealed = head.number.saturating_add(1);
        let place = slot + head_place(sealed);
        self.store(place, head.last);
        self.store(place + 1, head.file);
        self.store4(place + 2, head.mac.words());
        self.store(place + 6, head.up_ms);
        if self.load(slot + SEALED) == 0 {
            self.store(slot + SINCE, head.up_ms);
        }
        self.store(slot + SEALED, sealed);
    }

    /// All of the chain was written, and nothing more will come.
    pub(super) fn set_ended(&self, slot: usize) {
        self.store(slot + STATE, state_word(State::Ended));
    }

    fn head(&self, slot: usize) -> Option<Head> {
        loop {
            let sealed = self.load(slot + SEALED);
            let number = sealed.checked_sub(1)?;
            let place = slot + head_place(sealed);
            let (last, file) = (self.load(place), self.load(place + 1));
            let (mac, up_ms) = (Mac::from_words(self.load4(place + 2)), self.load(place + 6));
            // The place is written again only after the other one was.
            if self.load(slot + SEALED) == sealed {
                return Some(Head { number, last, file, mac, up_ms });
            }
        }
    }

    /// The chain in a slot, and how it stands.
    fn known(&self, slot: usize, is_alive: impl Fn(Process) -> bool) -> Option<Known> {
        let state = match state_of(self.load(slot + STATE))? {
            State::Open => {
                let process = Process::of(self.load(slot + PROCESS));
                let is_there = process.is_some_and(is_alive);
                // It may have ended meanwhile.
                match (is_there, state_of(self.load(slot + STATE))?) {
                    (false, State::Open) => State::Killed,
                    (_, state) => state,
                }
            }
            state => state,
        };
        let chain = ChainId::from_word(self.load(slot + CHAIN));
        let head = self.head(slot);
        let made = self.load(slot + MADE).max(head.map_or(0, |head| head.last));
        let (lost, since_ms) = (self.load(slot + LOST), self.load(slot + SINCE));
        Some(Known { chain, state, head, made, lost, since_ms })
    }

    /// All chains of which it is not told in a manifest how they ended, and their slots.
    pub(super) fn chains(&self, is_alive: impl Fn(Process) -> bool) -> Vec<(usize, Known)> {
        let known = |slot| Some((slot, self.known(slot, &is_alive)?));
        self.slots().filter_map(known).collect()
    }

    /// The latest manifest: its number and its hash.
    pub(super) fn manifest(&self) -> Option<(u64, Mac)> {
        let number = self.load(WORD_MANIFEST);
        (number > 0).then(|| (number, Mac::from_words(self.load4(WORD_HASH))))
    }

    /// Whether the machine has crashed, or was started anew, since then.
    pub(super) fn has_crashed(&self) -> bool {
        self.load(WORD_CRASHED) != 0
    }

    /// Whether it is time for a manifest.
    pub(super) fn is_manifest_due(&self, up_ms: u64, is_alive: impl Fn(Process) -> bool) -> bool {
        let since = up_ms.saturating_sub(self.load(WORD_MANIFEST_UP));
        let is_gone = |slot: usize| {
            let process = Process::of(self.load(slot + PROCESS));
            state_of(self.load(slot + STATE)) == Some(State::Open)
                && !process.is_some_and(&is_alive)
        };
        self.load(WORD_WANTED) != 0 || since >= MANIFEST_MS || self.slots().any(is_gone)
    }

    /// Whether this process is the one that writes it.
    pub(super) fn claim_manifest(&self, me: Process, is_alive: impl Fn(Process) -> bool) -> bool {
        let Some(word) = self.words.get(WORD_WRITER) else { return false };
        let writer = word.load(Ordering::Acquire);
        let is_free = Process::of(writer).is_none_or(|writer| !is_alive(writer));
        let claimed = is_free
            && word
                .compare_exchange(writer, me.word(), Ordering::AcqRel, Ordering::Acquire)
                .is_ok();
        if claimed {
            self.store(WORD_WANTED, 0);
        }
        claimed
    }

    /// It was written, by this process. `slots` are those of chains whose end it told, and are free now.
    pub(super) fn set_manifest(
        &self,
        number: u64,
        hash: Mac,
        up_ms: u64,
        slots: &[(usize, ChainId)],
    ) {
        for (slot, chain) in slots {
            if self.load(slot + CHAIN) == chain.word() {
                self.store(slot + STATE, FREE);
            }
        }
        self.store4(WORD_HASH, hash.words());
        self.store(WORD_MANIFEST, number);
        self.store(WORD_MANIFEST_UP, up_ms);
        self.store(WORD_CRASHED, 0);
        self.store(WORD_WRITER, 0);
    }

    /// It won't be written by this process.
    pub(super) fn leave_manifest(&self) {
        self.store(WORD_WANTED, 1);
        self.store(WORD_WRITER, 0);
    }

    /// What the file is to hold; without keys.
    #[must_use]
    pub fn to_file(&self) -> Vec<u8> {
        let public =
            |at: usize| if (WORD_LOCK..HEADER_WORDS).contains(&at) { 0 } else { self.load(at) };
        (0..self.words.len()).flat_map(|at| public(at).to_le_bytes()).collect()
    }

    /// What the file is to hold of a slot, and where.
    #[must_use]
    pub fn slot_to_file(&self, slot: usize) -> (u64, [u8; SLOT_BYTES]) {
        let mut bytes = [0; SLOT_BYTES];
        let (words, _) = bytes.as_chunks_mut::<8>();
        words
            .iter_mut()
            .enumerate()
            .for_each(|(at, word)| *word = self.load(slot + at).to_le_bytes());
        (slot as u64 * 8, bytes)
    }
}

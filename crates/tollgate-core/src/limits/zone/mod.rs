//! The shared memory that all workers see: its layout.
//!
//! ```text
//! header | rates | what was learned of outputs, and of inputs | ledger | slots of each area
//! ```

use super::ask::{Now, IN_FLIGHT};
use super::bucket::Scale;
use super::census::Census;
use super::claim_lock::ClaimLock;
use super::holder::Holder;
use super::key::{Area, Domain, Key, Seed};
use super::layout::{Layout, LayoutError};
use super::learned::{
    self, Author, Inputs, LearnedKeys, Minute, Output, OutputGuess, Outputs, Text, TextRates,
};
use super::ledger::Ledger;
use super::process::Process;
use super::process_lock::ProcessLock;
use super::queue::Queue;
use super::quota::Quota;
use super::rates::{self, Rates};
use super::resets::{self, Resets};
use super::slots::{Slots, SET_WORDS, WAYS};
use super::state_marks::StateMarks;
use super::sync::{AtomicU64, Ordering};
use crate::clock::MonoNanos;

const LAYOUT: Layout = Layout::new(*b"tollgate", 5);

// The header, by word.
const WORD_SEED: usize = 2;
const WORD_LEDGER_WORDS: usize = 6;
/// The words of each of the two tables of what was learned.
const WORD_LEARNED_WORDS: usize = 9;
const WORD_UNIQUES: usize = 7;
const WORD_FAILED_LOADS: usize = 8;
/// See [`StateMarks`].
const WORD_MARKS: usize = 10;
const WORD_LOCK: usize = 14;
/// The number of sets of each area.
const WORD_SETS: usize = 16;
/// Of older versions they are zeros, and mean the same.
const WORD_RESETS: usize = HEADER_WORDS - resets::WORDS;
const HEADER_WORDS: usize = 32;
const _: () = assert!(WORD_SETS + Area::ALL.len() <= WORD_RESETS);
const LEARNED_START: usize = HEADER_WORDS + rates::WORDS;

/// How many words of a zone of `zone_words` are for something else than slots, and of these, for each
/// table of what was learned, and for the ledger.
pub(super) fn words_beside_slots(zone_words: usize) -> (usize, usize, usize) {
    let learned = learned::words_for(zone_words);
    let ledger = Ledger::words_for(zone_words).next_multiple_of(LINE_WORDS);
    (LEARNED_START + 2 * learned + ledger, learned, ledger)
}

/// How many slots for clients a zone of `zone_words` has; 0: it is too small for a zone.
#[must_use]
pub fn client_slots(zone_words: usize) -> usize {
    let sets = zone_words.saturating_sub(words_beside_slots(zone_words).0) / SET_WORDS;
    // Those of clients come first.
    Area::shares(sets).map_or(0, |[clients, ..]| clients * WAYS)
}

/// Words of a cache line: the slots begin on one.
pub(super) const LINE_WORDS: usize = 8;

/// Who teaches whom how many tokens a model makes of a text: strangers, who may be as many as one of
/// them has networks, are no voice for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Authenticated ones.
    Clients,
    /// All others.
    Strangers,
}

impl Group {
    fn name(self) -> &'static [u8] {
        match self {
            Self::Clients => b"",
            Self::Strangers => b"strangers",
        }
    }
}

/// A view of the zone.
#[derive(Clone, Copy, Debug)]
pub struct Zone<'z> {
    pub(super) seed: (u64, u64),
    pub(super) rates: Rates<'z>,
    pub(super) outputs: Outputs<'z>,
    pub(super) inputs: Inputs<'z>,
    areas: [Slots<'z>; Area::ALL.len()],
    pub(super) resets: Resets<'z>,
    ledger: Ledger<'z>,
    queue: Queue<'z>,
    failed_loads: &'z AtomicU64,
    marks: StateMarks<'z>,
    lock: ProcessLock<'z>,
}

impl<'z> Zone<'z> {
    /// Makes an empty zone of `words`, whatever they held. Half of the room for slots goes to
    /// authenticated clients, a quarter to keys of rules that strangers can mint, and the rest to the
    /// other areas.
    ///
    /// # Errors
    ///
    /// When there are too few words for one set of slots in each area.
    pub fn format(words: &'z [AtomicU64], seed: (u64, u64)) -> Result<Self, LayoutError> {
        let (beside, learned_words, ledger_words) = words_beside_slots(words.len());
        let sets = words.len().saturating_sub(beside) / SET_WORDS;
        let shares = Area::shares(sets).ok_or(LayoutError::TooSmall)?;
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        let header = [
            (WORD_SEED, seed.0),
            (WORD_SEED + 1, seed.1),
            (WORD_LEARNED_WORDS, learned_words as u64),
            (WORD_LEDGER_WORDS, ledger_words as u64),
        ];
        let sets = (WORD_SETS..).zip(shares.map(|sets| sets as u64));
        LAYOUT.begin(words, header.into_iter().chain(sets))?;
        Self::attach(words)
    }

    /// The zone that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'z [AtomicU64]) -> Result<Self, LayoutError> {
        let memory = LAYOUT.open(words)?;
        let length = |at: usize, unit: usize| {
            memory.count(at)?.checked_mul(unit).ok_or(LayoutError::Foreign)
        };
        let outputs_end = LEARNED_START.saturating_add(length(WORD_LEARNED_WORDS, 1)?);
        let inputs_end = outputs_end.saturating_add(length(WORD_LEARNED_WORDS, 1)?);
        let ledger_end = inputs_end.saturating_add(length(WORD_LEDGER_WORDS, 1)?);
        let rates = Rates(memory.part(HEADER_WORDS..LEARNED_START)?);
        let in_flight = memory.part(inputs_end..ledger_end)?;
        let ledger = Ledger::new(in_flight).ok_or(LayoutError::TooSmall)?;
        let uniques = memory.word(WORD_UNIQUES)?;
        let resets = Resets::new(memory.part(WORD_RESETS..HEADER_WORDS)?);
        let none = Slots { words: &[], first: 0, rates, ledger, uniques, resets };
        let mut areas = [none; Area::ALL.len()];
        let (mut start, mut first) = (ledger_end, 0);
        for (slots, at) in areas.iter_mut().zip(WORD_SETS..) {
            let end = start.saturating_add(length(at, SET_WORDS)?);
            *slots = Slots { words: memory.part(start..end)?, first, ..*slots };
            (start, first) = (end, first + slots.len());
        }
        Ok(Self {
            seed: memory.seed(WORD_SEED)?,
            rates,
            outputs: Outputs::new(memory.part(LEARNED_START..outputs_end)?),
            inputs: Inputs::new(memory.part(outputs_end..inputs_end)?),
            areas,
            resets,
            ledger,
            queue: Queue::new(in_flight).ok_or(LayoutError::TooSmall)?,
            failed_loads: memory.word(WORD_FAILED_LOADS)?,
            lock: ProcessLock::new(memory.word(WORD_LOCK)?),
            marks: StateMarks::new(memory.rest(WORD_MARKS)?).ok_or(LayoutError::TooSmall)?,
        })
    }

    /// What keys are hashed with: those of two zones differ.
    pub(crate) fn seed(&self) -> (u64, u64) {
        self.seed
    }

    /// The same, with keys that are made with another seed: by which limits are called in the store of a cluster.
    #[must_use]
    pub fn with_seed(self, seed: Seed) -> Self {
        Self { seed: seed.0, ..self }
    }

    /// Whether both are views of the same memory.
    #[must_use]
    pub fn is_same(&self, other: &Zone<'_>) -> bool {
        std::ptr::eq(self.rates.0, other.rates.0)
    }

    /// Counts a changed keys file, or file of a token's keys, that could not be taken into use.
    pub fn count_failed_load(&self) {
        self.failed_loads.fetch_add(1, Ordering::Relaxed);
    }

    /// How many of them there were since the zone was made.
    #[must_use]
    pub fn failed_loads(&self) -> u64 {
        self.failed_loads.load(Ordering::Relaxed)
    }

    /// How the zone stands to the file of its state.
    #[must_use]
    pub fn marks(&self) -> StateMarks<'z> {
        self.marks
    }

    /// The zone's mutex.
    #[must_use]
    pub fn lock(&self) -> ProcessLock<'z> {
        self.lock
    }

    /// How many slots an area has.
    #[must_use]
    pub fn capacity(&self, area: Area) -> usize {
        self.area(area).len()
    }

    /// How many slots of an area are taken. Exact up to 4,096 slots. Of more than that so many are looked at, which
    /// lie all over the area: in 19 of 20 cases it is wrong by at most 1.6% of the slots.
    #[must_use]
    pub fn census(&self, area: Area, now: Now) -> Census {
        self.area(area).census(now)
    }

    /// The key of an authenticated client.
    #[must_use]
    pub fn client_key(&self, client: &str) -> Key {
        Seed(self.seed).client_key(client)
    }

    /// The key of an authenticated client in the `model` block of a tier called `block`.
    #[must_use]
    pub fn model_key(&self, client: &str, block: &str) -> Key {
        Seed(self.seed).model_key(client, block)
    }

    /// Prepares a quota for asks; enters it into the zone's table of rates.
    #[must_use]
    pub fn scale(&self, quota: Quota) -> Scale {
        self.rates.enter(quota)
    }

    /// Where it is kept what is learned of requests of this kind.
    #[must_use]
    pub fn learned_keys(
        &self,
        (tier, model): (&str, &str),
        group: Group,
        author: Author,
    ) -> LearnedKeys {
        let key = |parts| Key::new(self.seed, Area::Clients, Domain::Learned, parts);
        LearnedKeys {
            outputs: key([tier.as_bytes(), model.as_bytes()]),
            inputs: key([model.as_bytes(), group.name()]),
            author,
        }
    }

    /// Whoever is called so.
    #[must_use]
    pub fn author(&self, name: &[u8]) -> Author {
        Author::of_client(Key::new(self.seed, Area::Clients, Domain::Client, [name, b""]))
    }

    /// Notes how much output such a request had. `start` is what is expected of those of whom nothing is
    /// known.
    pub fn learn_output(&self, of: &LearnedKeys, output: Output, start: u32, now: MonoNanos) {
        self.outputs.add(of.outputs, of.author.who(), output, start, Minute::of(now));
    }

    /// A high estimate of the output of such a request.
    #[must_use]
    pub fn guess_output(&self, of: &LearnedKeys, start: u32, now: MonoNanos) -> OutputGuess {
        self.outputs.get(of.outputs, of.author.who(), start, Minute::of(now))
    }

    /// Notes how many tokens the engine made of such an input. `start` are the rates of which nothing is
    /// known.
    pub fn learn_input(
        &self,
        of: &LearnedKeys,
        (text, tokens): (&Text, u64),
        start: &TextRates,
        now: MonoNanos,
    ) {
        self.inputs.add(of.inputs, of.author.who(), (text, tokens), start, Minute::of(now));
    }

    /// How many tokens the engine makes of what; `None` where nobody knows.
    #[must_use]
    pub fn text_rates(
        &self,
        of: &LearnedKeys,
        start: &TextRates,
        now: MonoNanos,
    ) -> Option<TextRates> {
        self.inputs.get(of.inputs, of.author.who(), start, Minute::of(now))
    }

    /// Makes a worker known, so that it can have requests in flight: after it was forked. `None`:
    /// there are too many processes.
    pub fn register(&self, process: Process, lock: &impl ClaimLock) -> Option<Holder> {
        self.ledger.register(process, lock)
    }

    /// Notes that a worker is alive.
    pub fn beat(&self, holder: &Holder, now: MonoNanos) {
        self.ledger.beat(holder, now);
    }

    /// The orderly end of a worker: releases what it still holds, and gives how much that was.
    pub fn leave(&self, holder: Holder, lock: &impl ClaimLock) -> usize {
        let forget = |owner| self.queue.forget(owner);
        self.ledger.leave(holder, forget, |slot| self.in_flight_word(slot), lock)
    }

    /// Releases what processes hold that are dead, their places in the queue included, and gives how many
    /// requests in flight that were. A look into memory while
    /// all give signs of life: to be called several times a second. See [`Ledger::reclaim`].
    pub fn reclaim(
        &self,
        now: MonoNanos,
        is_alive: impl Fn(Process) -> bool,
        lock: &impl ClaimLock,
    ) -> usize {
        let forget = |owner| self.queue.forget(owner);
        self.ledger.reclaim(now, is_alive, forget, |slot| self.in_flight_word(slot), lock)
    }

    /// The ledger of the requests in flight.
    #[must_use]
    pub fn ledger(&self) -> Ledger<'z> {
        self.ledger
    }

    /// Those who wait for a place among them.
    #[must_use]
    pub fn queue(&self) -> Queue<'z> {
        self.queue
    }

    /// The word that counts the requests in flight of the slot with this number.
    #[must_use]
    pub fn in_flight_word(&self, slot: u32) -> Option<&'z AtomicU64> {
        let of = |slots: &Slots<'z>| slots.slot(slots.numbered(slot)?).get(IN_FLIGHT);
        self.areas.iter().find_map(of)
    }

    pub(super) fn slots(&self, key: Key) -> &Slots<'z> {
        self.area(key.area())
    }

    pub(super) fn area(&self, area: Area) -> &Slots<'z> {
        let [clients, rules, keys, key_networks, failures, failure_networks] = &self.areas;
        match area {
            Area::Clients => clients,
            Area::Rules => rules,
            Area::Keys => keys,
            Area::KeyNetworks => key_networks,
            Area::Failures => failures,
            Area::FailureNetworks => failure_networks,
        }
    }
}

#[cfg(test)]
mod tests;

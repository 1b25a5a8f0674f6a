//! Where it all lies.
//!
//! ```text
//! header | rows, one a worker: whose it is, counters, minutes | names | events | blocks ...
//! ```
//!
//! A block belongs to a row, and holds the cells of a flow or of a tier: its first word says which. Blocks
//! follow each other without a gap, and are never given back: where the first word is 0, there are no more.

use std::sync::atomic::{AtomicU64, Ordering};

use super::counter::Counter;
use super::event::Event;
use super::flow::{cells, Flow};
use super::names::{self, Name, Names};
use super::{minutes, tier_cells};
use crate::limits::{Layout, LayoutError, Process};

/// What is counted is in the version, too: whoever counts more can't share the memory.
const LAYOUT: Layout = Layout::new(
    *b"tgmetric",
    1 << 32 | (cells::COUNT as u64) << 20 | (Counter::COUNT as u64) << 8 | tier_cells::COUNT as u64,
);

const HEADER_WORDS: usize = 64;

/// How many processes may count at the same time.
pub const ROWS: usize = 256;
/// Whose row it is.
const WORD_OWNER: usize = 0;
const COUNTERS_AT: usize = 8;
const MINUTES_AT: usize = (COUNTERS_AT + Counter::COUNT).next_multiple_of(8);
const ROW_WORDS: usize = (MINUTES_AT + minutes::WORDS).next_multiple_of(8);

const EVENTS: usize = 1024;
/// What happened, and how often.
const EVENT_WORDS: usize = 2;

const ROWS_AT: usize = HEADER_WORDS;
const NAMES_AT: usize = ROWS_AT + ROWS * ROW_WORDS;
const EVENTS_AT: usize = NAMES_AT + names::WORDS;
const BLOCKS_AT: usize = (EVENTS_AT + EVENTS * EVENT_WORDS).next_multiple_of(8);

/// How large the memory is: the same for every configuration, so that a reload keeps what was counted. Most of
/// it is never touched, and takes no room.
pub const MEMORY_WORDS: usize = 2 << 20;

/// What a block is for, as its first word has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Flow(u8, Flow),
    Tier(u8, Name),
}

impl Block {
    pub(super) fn word(self) -> u64 {
        match self {
            Self::Flow(row, Flow { tier, model, endpoint }) => {
                1 << 56
                    | u64::from(row) << 48
                    | u64::from(tier.0) << 32
                    | u64::from(model.0) << 16
                    | u64::from(endpoint.0)
            }
            Self::Tier(row, tier) => 2 << 56 | u64::from(row) << 48 | u64::from(tier.0),
        }
    }

    fn of(word: u64) -> Option<Self> {
        let name = |shift: u32| Name(u16::try_from(word >> shift & 0xffff).unwrap_or(0));
        let row = u8::try_from(word >> 48 & 0xff).ok()?;
        match word >> 56 {
            1 => Some(Self::Flow(row, Flow { tier: name(32), model: name(16), endpoint: name(0) })),
            2 => Some(Self::Tier(row, name(0))),
            _ => None,
        }
    }

    /// Its words, the first one included: whole cache lines, so that no two processes write one.
    const fn len(self) -> usize {
        let cells = match self {
            Self::Flow(..) => cells::COUNT,
            Self::Tier(..) => tier_cells::COUNT,
        };
        (1 + cells).next_multiple_of(8)
    }
}

/// A view of the memory.
#[derive(Clone, Copy, Debug)]
pub struct Observations<'m> {
    words: &'m [AtomicU64],
}

impl<'m> Observations<'m> {
    /// Makes something of new memory, all zeros, which is left as it is: what isn't touched takes no room.
    ///
    /// # Errors
    ///
    /// When there is too little.
    pub fn format(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        LAYOUT.begin(words, [])?;
        Self::attach(words)
    }

    /// What lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// When it was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        LAYOUT.open(words)?.word(BLOCKS_AT)?;
        Ok(Self { words })
    }

    fn part(&self, at: usize, len: usize) -> &'m [AtomicU64] {
        self.words.get(at..at.saturating_add(len)).unwrap_or_default()
    }

    /// The texts of labels.
    #[must_use]
    pub fn names(&self) -> Names<'m> {
        Names(self.part(NAMES_AT, names::WORDS))
    }

    fn row(&self, row: usize) -> &'m [AtomicU64] {
        self.part(ROWS_AT + row.saturating_mul(ROW_WORDS), ROW_WORDS)
    }

    fn owner(&self, row: usize) -> Option<&'m AtomicU64> {
        self.row(row).get(WORD_OWNER)
    }

    /// The cells of [`Counter`]s of a row.
    #[inline]
    pub(super) fn counters(&self, row: usize) -> &'m [AtomicU64] {
        self.part(ROWS_AT + row * ROW_WORDS + COUNTERS_AT, Counter::COUNT)
    }

    /// The cell of one of them.
    #[inline]
    pub(super) fn counter(&self, row: usize, counter: Counter) -> Option<&'m AtomicU64> {
        self.words.get(ROWS_AT + row * ROW_WORDS + COUNTERS_AT + counter.index())
    }

    /// The ring of the minutes of a row.
    #[inline]
    pub(super) fn minutes(&self, row: usize) -> &'m [AtomicU64] {
        self.part(ROWS_AT + row * ROW_WORDS + MINUTES_AT, minutes::WORDS)
    }

    /// The rows that any process has, or had: each with its number and the process.
    pub(super) fn owners(&self) -> impl Iterator<Item = (usize, Process)> + use<'_, 'm> {
        (0..ROWS).map_while(|row| {
            let owner = self.owner(row)?.load(Ordering::Acquire);
            Process::of(owner).map(|process| (row, process))
        })
    }

    /// Makes a row that of `me`: one whose process is gone, or a new one. `None`: there is none.
    ///
    /// What its process had in flight is gone with it.
    pub(super) fn claim(&self, me: Process, is_alive: impl Fn(Process) -> bool) -> Option<u8> {
        for row in 0..ROWS {
            let owner = self.owner(row)?;
            let before = owner.load(Ordering::Acquire);
            // An earlier process of our number is gone.
            let is_free = Process::of(before).is_none_or(|other| other == me || !is_alive(other));
            let swap = |owner: &AtomicU64| {
                owner.compare_exchange(before, me.word(), Ordering::AcqRel, Ordering::Relaxed)
            };
            if is_free && swap(owner).is_ok() {
                let row = u8::try_from(row).ok()?;
                self.forget_gauges(row);
                return Some(row);
            }
        }
        None
    }

    /// Nothing is in flight or queued in this row.
    pub(super) fn forget_gauges(&self, row: u8) {
        for (block, cells) in self.blocks() {
            if matches!(block, Block::Tier(other, _) if other == row) {
                let gauges = cells.iter().take(tier_cells::GAUGES);
                gauges.for_each(|cell| cell.store(0, Ordering::Relaxed));
            }
        }
    }

    /// All blocks, with their cells.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (Block, &'m [AtomicU64])> + use<'_, 'm> {
        let mut at = BLOCKS_AT;
        std::iter::from_fn(move || {
            let block = Block::of(self.words.get(at)?.load(Ordering::Acquire))?;
            let cells = self.words.get(at + 1..at + block.len())?;
            at += block.len();
            Some((block, cells))
        })
    }

    /// Where the cells of a block begin, which is made if there is none; `None`: there is no room. Takes
    /// long: to be remembered.
    pub(super) fn block(&self, wanted: Block) -> Option<usize> {
        let mut at = BLOCKS_AT;
        while at + wanted.len() <= self.words.len() {
            let first = self.words.get(at)?;
            let found = match first.load(Ordering::Acquire) {
                // Whoever is first has the place: then one looks at what it has become.
                0 => {
                    let mine = wanted.word();
                    match first.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) {
                        Ok(_) => mine,
                        Err(other) => other,
                    }
                }
                found => found,
            };
            if found == wanted.word() {
                return Some(at + 1);
            }
            at += Block::of(found)?.len();
        }
        None
    }

    /// The cells of a block that begin there.
    #[inline]
    pub(super) fn cells<const COUNT: usize>(&self, at: usize) -> Option<&'m [AtomicU64; COUNT]> {
        self.words.get(at..)?.first_chunk()
    }

    /// Counts what happened; `false`: there is no room.
    pub fn count_event(&self, event: Event, times: u64) -> bool {
        let events = self.part(EVENTS_AT, EVENTS * EVENT_WORDS);
        for entry in events.chunks_exact(EVENT_WORDS) {
            let [what, count] = entry else { continue };
            let mine = event.word();
            let found = match what.compare_exchange(0, mine, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => mine,
                Err(other) => other,
            };
            if found == mine {
                count.fetch_add(times, Ordering::Relaxed);
                return true;
            }
        }
        false
    }

    /// What happened so far, and how often.
    pub fn events(&self) -> impl Iterator<Item = (Event, u64)> + use<'m> {
        let events = self.part(EVENTS_AT, EVENTS * EVENT_WORDS).chunks_exact(EVENT_WORDS);
        events.map_while(|entry| {
            let [what, count] = entry else { return None };
            let event = Event::of(what.load(Ordering::Acquire))?;
            Some((event, count.load(Ordering::Relaxed)))
        })
    }
}

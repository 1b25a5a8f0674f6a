//! The list in memory that workers share.
//!
//! ```text
//! header | slots: state, hash (4 words), nothing (3 words)
//! ```
//!
//! A key is in one of the [`REACH`] slots behind the one that its hash names. Whoever looks for one takes no lock: the
//! state of a slot is written last, and it is never the same twice, as it has the number of the word. One process at a
//! time hears words; what files say, any of them may note ([`Revocations::settle`]).

use super::super::super::limits::sync::{AtomicU64, Ordering};
use super::super::super::limits::{Layout, LayoutError, StateMarks};
use super::{InFiles, KeyHash, ListFull, Word};

const LAYOUT: Layout = Layout::new(*b"tgrevoke", 1);

// The header, by word.
/// The number of the list, as far as it was heard.
const WORD_NUMBER: usize = 2;
/// How often it was changed by which keys are refused.
const WORD_TURNS: usize = 3;
/// How many keys are refused.
const WORD_IN_FORCE: usize = 4;
/// See [`StateMarks`].
const WORD_MARKS: usize = 8;
const HEADER_WORDS: usize = 64;

const SLOT_WORDS: usize = 8;
/// How many keys there is room for.
pub const CAPACITY: usize = 16 * 1024;
/// The words that the table takes.
pub const MEMORY_WORDS: usize = HEADER_WORDS + CAPACITY * SLOT_WORDS;
/// How far from its place a key may be.
const REACH: usize = 128;

/// The slot is being changed, or nothing is in it any more.
const NONE: u64 = 0;
/// The key is refused.
const REVOKED: u64 = 1;
/// So it is, and files had it since.
const SEEN: u64 = 2;
/// The files have the last word again, or it was lifted. Kept, so that an older word doesn't come back.
const SETTLED: u64 = 3;
const KIND_BITS: u32 = 2;
const KIND_MASK: u64 = (1 << KIND_BITS) - 1;

fn is_in_force(state: u64) -> bool {
    matches!(state & KIND_MASK, REVOKED | SEEN)
}

/// The keys that are revoked in all nodes, as far as this one has heard.
#[derive(Clone, Copy, Debug)]
pub struct Revocations<'m> {
    number: &'m AtomicU64,
    turns: &'m AtomicU64,
    in_force: &'m AtomicU64,
    marks: StateMarks<'m>,
    slots: &'m [[AtomicU64; SLOT_WORDS]],
}

impl<'m> Revocations<'m> {
    /// Makes an empty list of `words`, whatever they held.
    ///
    /// # Errors
    ///
    /// There are fewer than [`MEMORY_WORDS`].
    pub fn format(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        if words.len() < MEMORY_WORDS {
            return Err(LayoutError::TooSmall);
        }
        for word in words {
            word.store(0, Ordering::Relaxed);
        }
        LAYOUT.begin(words, [])?;
        Self::attach(words)
    }

    /// The list that lies in `words`, as it is.
    ///
    /// # Errors
    ///
    /// It was not made by this version.
    pub fn attach(words: &'m [AtomicU64]) -> Result<Self, LayoutError> {
        let memory = LAYOUT.open(words)?;
        let (slots, _) = memory.part(HEADER_WORDS..MEMORY_WORDS)?.as_chunks();
        Ok(Self {
            number: memory.word(WORD_NUMBER)?,
            turns: memory.word(WORD_TURNS)?,
            in_force: memory.word(WORD_IN_FORCE)?,
            marks: StateMarks::new(memory.rest(WORD_MARKS)?).ok_or(LayoutError::TooSmall)?,
            slots,
        })
    }

    /// How it stands to its file.
    #[must_use]
    pub fn marks(&self) -> StateMarks<'m> {
        self.marks
    }

    /// The number of the list, as far as it was heard.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// How often it has changed which keys are refused: as long as it is the same, so are they.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    /// How many keys are refused.
    #[must_use]
    pub fn in_force(&self) -> u64 {
        self.in_force.load(Ordering::Acquire)
    }

    /// Whether a key is refused. Nearly always there is no such key at all, and this is one load.
    #[must_use]
    #[inline]
    pub fn has(&self, key: &KeyHash) -> bool {
        self.in_force() != 0 && self.find(key).is_some_and(|(_, state)| is_in_force(state))
    }

    /// The slots where a key may be.
    fn places(&self, key: &KeyHash) -> impl Iterator<Item = &'m [AtomicU64; SLOT_WORDS]> {
        let [first, ..] = key.words();
        // The remainder is less than the number of slots, so it fits.
        let first = usize::try_from(first % self.slots.len().max(1) as u64).unwrap_or(0);
        self.slots.iter().cycle().skip(first).take(REACH.min(self.slots.len()))
    }

    fn find(&self, key: &KeyHash) -> Option<(&'m AtomicU64, u64)> {
        for slot in self.places(key) {
            let [state, ..] = slot;
            let before = state.load(Ordering::Acquire);
            if before == NONE {
                return None;
            }
            if read(slot).is_some_and(|(found, _)| found == *key) {
                return Some((state, before));
            }
        }
        None
    }

    /// Notes a word of the list. Only for the one process that speaks with the store, or before there are others.
    ///
    /// # Errors
    ///
    /// There is no room for it. All else is as it was.
    pub fn hear(&self, word: Word) -> Result<(), ListFull> {
        let kind = if word.is_revoked { REVOKED } else { SETTLED };
        let next = word.number << KIND_BITS | kind;
        match self.find(&word.key) {
            // A later word, or the same.
            Some((_, state)) if state >> KIND_BITS >= word.number => return Ok(()),
            Some((place, state)) => {
                place.store(next, Ordering::Release);
                self.count(is_in_force(state), word.is_revoked);
            }
            None => {
                self.insert(word.key, next)?;
                self.count(false, word.is_revoked);
            }
        }
        self.marks.note_change();
        Ok(())
    }

    /// A slot that was never used, or that of the oldest settled word.
    fn insert(&self, key: KeyHash, state: u64) -> Result<(), ListFull> {
        let mut oldest: Option<(&[AtomicU64; SLOT_WORDS], u64)> = None;
        for slot in self.places(&key) {
            let [word, ..] = slot;
            let found = word.load(Ordering::Acquire);
            if found == NONE {
                write(slot, key, state);
                return Ok(());
            }
            let is_older = oldest.is_none_or(|(_, state)| found >> KIND_BITS < state >> KIND_BITS);
            if !is_in_force(found) && is_older {
                oldest = Some((slot, found));
            }
        }
        let (slot, _) = oldest.ok_or(ListFull)?;
        write(slot, key, state);
        Ok(())
    }

    /// Notes what the node's own files say of the keys that are refused. Gives how many aren't any more.
    pub fn settle(&self, look: impl Fn(&KeyHash) -> InFiles) -> usize {
        let mut settled = 0;
        for slot in self.slots {
            let [place, ..] = slot;
            let Some((key, state)) = read(slot).filter(|(_, state)| is_in_force(*state)) else {
                continue;
            };
            let (number, kind) = (state & !KIND_MASK, state & KIND_MASK);
            let next = match (look(&key), kind) {
                (InFiles::Enabled, REVOKED) => SEEN,
                (InFiles::Disabled, _) | (InFiles::Missing, SEEN) => SETTLED,
                _ => continue,
            };
            // A later word may have come meanwhile: that one counts.
            let swapped =
                place.compare_exchange(state, number | next, Ordering::AcqRel, Ordering::Relaxed);
            if swapped.is_ok() {
                if next == SETTLED {
                    settled += 1;
                    self.count(true, false);
                }
                self.marks.note_change();
            }
        }
        settled
    }

    /// All words that are known, and whether files had the key since.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Word, bool)> + 'm {
        self.slots.iter().filter_map(|slot| {
            let (key, state) = read(slot)?;
            let word = Word { key, is_revoked: is_in_force(state), number: state >> KIND_BITS };
            Some((word, state & KIND_MASK == SEEN))
        })
    }

    /// The keys that are refused, for a store that has lost its list.
    #[must_use]
    pub fn words(&self) -> Vec<Word> {
        self.entries().map(|(word, _)| word).filter(|word| word.is_revoked).collect()
    }

    /// All words up to this number were heard.
    pub fn set_number(&self, number: u64) {
        if number != self.number.swap(number, Ordering::AcqRel) {
            self.marks.note_change();
        }
    }

    /// Puts a key where it was when it was written into a file.
    pub(super) fn restore(&self, word: Word, was_seen: bool) -> Result<(), ListFull> {
        self.hear(word)?;
        if was_seen && word.is_revoked {
            if let Some((place, state)) = self.find(&word.key) {
                place.store(state & !KIND_MASK | SEEN, Ordering::Release);
            }
        }
        Ok(())
    }

    fn count(&self, was: bool, is: bool) {
        match (was, is) {
            (false, true) => self.in_force.fetch_add(1, Ordering::AcqRel),
            (true, false) => self.in_force.fetch_sub(1, Ordering::AcqRel),
            _ => return,
        };
        self.turns.fetch_add(1, Ordering::AcqRel);
    }
}

/// What is in a slot, as it is at one moment.
fn read(slot: &[AtomicU64; SLOT_WORDS]) -> Option<(KeyHash, u64)> {
    let [state, hash @ ..] = slot;
    loop {
        let before = state.load(Ordering::Acquire);
        if before & KIND_MASK == NONE {
            return None;
        }
        let [a, b, c, d, ..] = hash;
        let words = [a, b, c, d].map(|word| word.load(Ordering::Acquire));
        if state.load(Ordering::Acquire) == before {
            return Some((KeyHash::from_words(words), before));
        }
    }
}

/// Puts another key into a slot. Until it is done, nothing is in it, but those behind are still found.
fn write(slot: &[AtomicU64; SLOT_WORDS], key: KeyHash, state: u64) {
    let [place, hash @ ..] = slot;
    let before = place.load(Ordering::Acquire);
    if before != NONE {
        place.store(before & !KIND_MASK | NONE, Ordering::SeqCst);
    }
    for (place, word) in hash.iter().zip(key.words()) {
        place.store(word, Ordering::Release);
    }
    place.store(state, Ordering::Release);
}

//! A small table in the zone: lines for models, with cells for clients.
//!
//! ```text
//! a line:  tag | cell | cell | ...
//! a cell:  its head, and as many words as the table wants
//!
//!  63             44 43            28 27             0
//! +-----------------+----------------+----------------+
//! | tag of a client | minute         | payload        |    the head of a cell
//! +-----------------+----------------+----------------+
//! ```
//!
//! It is written without locks, and without repair: where two workers write a cell at once, one of
//! them may not count. A line in which two clients lately had a part doesn't give way to another one, so
//! a client that makes names of models up pushes nobody's out but its own.

use super::super::key::Key;
use super::super::sync::{AtomicU64, Ordering};
use crate::clock::MonoNanos;

/// Lines where a key may be.
const WAYS: u64 = 2;
const TAG_BITS: u32 = 20;
const MINUTE_BITS: u32 = 16;
/// What is left for a table in the head of a cell.
pub(super) const PAYLOAD_BITS: u32 = 28;
/// Minutes after which a client has no part in a line any more.
const LATELY: u16 = 60;
/// Minutes for which what a client taught is a voice among others.
const REMEMBERED: u16 = 24 * 60;

/// Minutes of the monotonic clock; they begin anew after 45 days, which is long forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Minute(u16);

impl Minute {
    pub(in super::super) fn of(now: MonoNanos) -> Self {
        let minute = (now.0 / 60_000_000_000) & u64::from(u16::MAX);
        Self(u16::try_from(minute).unwrap_or(0))
    }

    #[cfg(test)]
    pub(super) const fn at(minute: u64) -> Self {
        // Tests stay within 45 days.
        #[allow(clippy::cast_possible_truncation)]
        Self(minute as u16)
    }

    /// How many minutes `earlier` was before.
    pub(super) fn since(self, earlier: Self) -> u16 {
        self.0.wrapping_sub(earlier.0)
    }
}

/// A client, by some bits of the hash of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Who(u32);

impl Who {
    pub(in super::super) fn of(key: Key) -> Self {
        // Zero is a free cell.
        Self(u32::try_from(key.high >> (64 - TAG_BITS)).unwrap_or(0).max(1))
    }
}

/// The head of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) who: Who,
    pub(super) minute: Minute,
    pub(super) payload: u32,
}

impl Head {
    fn of(word: u64) -> Option<Self> {
        let bits =
            |shift: u32, count: u32| u32::try_from(word >> shift & ((1 << count) - 1)).unwrap_or(0);
        let who = Who(bits(PAYLOAD_BITS + MINUTE_BITS, TAG_BITS));
        let minute = Minute(u16::try_from(bits(PAYLOAD_BITS, MINUTE_BITS)).unwrap_or(0));
        (who.0 != 0).then_some(Self { who, minute, payload: bits(0, PAYLOAD_BITS) })
    }

    fn word(self) -> u64 {
        u64::from(self.who.0) << (PAYLOAD_BITS + MINUTE_BITS)
            | u64::from(self.minute.0) << PAYLOAD_BITS
            | u64::from(self.payload) & ((1 << PAYLOAD_BITS) - 1)
    }
}

/// The table, over its words in the zone.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Lines<'z> {
    words: &'z [AtomicU64],
    line_words: usize,
    cell_words: usize,
}

/// A line that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'z> {
    tag: &'z AtomicU64,
    cells: &'z [AtomicU64],
    cell_words: usize,
}

/// A cell of a line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell<'z>(&'z [AtomicU64]);

impl<'z> Lines<'z> {
    /// A table of lines and cells of so many words.
    pub(super) fn new(words: &'z [AtomicU64], line_words: usize, cell_words: usize) -> Self {
        Self { words, line_words, cell_words }
    }

    /// Its words.
    pub(in super::super) fn len(self) -> usize {
        self.words.len()
    }

    fn lines(self, key: Key) -> impl Iterator<Item = Line<'z>> {
        let count = (self.words.len() / self.line_words).max(1) as u64;
        let numbers = [key.low % count, (key.low >> 32) % count].into_iter();
        numbers.take(usize::try_from(WAYS.min(count)).unwrap_or(1)).filter_map(move |number| {
            let start = usize::try_from(number).ok()?.checked_mul(self.line_words)?;
            let words = self.words.get(start..start.checked_add(self.line_words)?)?;
            let (tag, cells) = words.split_first()?;
            Some(Line { tag, cells, cell_words: self.cell_words })
        })
    }

    pub(super) fn find(self, key: Key) -> Option<Line<'z>> {
        self.lines(key).find(|line| line.tag.load(Ordering::Relaxed) == key.high.max(1))
    }

    /// The line of `key`, which is given one if it has none and there is one to be had.
    pub(super) fn claim(self, key: Key, now: Minute) -> Option<Line<'z>> {
        if let Some(line) = self.find(key) {
            return Some(line);
        }
        let is_free = |line: &Line<'_>| line.tag.load(Ordering::Relaxed) == 0;
        let is_weak = |line: &Line<'_>| {
            line.heads().filter(|head| now.since(head.minute) < LATELY).count() < 2
        };
        let line = self.lines(key).find(is_free).or_else(|| self.lines(key).find(is_weak))?;
        for word in line.cells {
            word.store(0, Ordering::Relaxed);
        }
        line.tag.store(key.high.max(1), Ordering::Relaxed);
        Some(line)
    }

    /// The words in use, with their places.
    pub(in super::super) fn entries(self) -> impl Iterator<Item = (usize, u64)> + 'z {
        let words = self.words.iter().map(|word| word.load(Ordering::Relaxed)).enumerate();
        words.filter(|(_, word)| *word != 0)
    }

    /// Puts words in their places, in a table of the same size that nobody else uses yet. What clients
    /// taught is as old as it was for `age` minutes before `now`.
    pub(in super::super) fn restore(
        self,
        entries: impl Iterator<Item = (usize, u64)>,
        now: Minute,
        saved: Minute,
    ) {
        for (place, entry) in entries {
            if let Some(word) = self.words.get(place) {
                word.store(entry, Ordering::Relaxed);
            }
        }
        for words in self.words.chunks(self.line_words) {
            let cells = words.get(1..).unwrap_or_default();
            for head_word in cells.chunks_exact(self.cell_words).filter_map(<[_]>::first) {
                if let Some(mut head) = Head::of(head_word.load(Ordering::Relaxed)) {
                    let age = saved.since(head.minute);
                    head.minute = Minute(now.0.wrapping_sub(age));
                    head_word.store(head.word(), Ordering::Relaxed);
                }
            }
        }
    }
}

impl<'z> Line<'z> {
    pub(super) fn cells(self) -> impl Iterator<Item = Cell<'z>> {
        self.cells.chunks_exact(self.cell_words).map(Cell)
    }

    fn heads(self) -> impl Iterator<Item = Head> + 'z {
        self.cells().filter_map(Cell::head)
    }

    /// Those whose clients taught something in the last day.
    pub(super) fn remembered(self, now: Minute) -> impl Iterator<Item = (Head, Cell<'z>)> {
        let heads = self.cells().filter_map(|cell| Some((cell.head()?, cell)));
        heads.filter(move |(head, _)| now.since(head.minute) < REMEMBERED)
    }

    pub(super) fn of(self, who: Who) -> Option<(Head, Cell<'z>)> {
        self.cells().find_map(|cell| Some((cell.head().filter(|head| head.who == who)?, cell)))
    }

    /// A cell for a client that has none: a free one, or that of who taught least lately, unless it was
    /// in this minute.
    pub(super) fn spare(self, now: Minute) -> Option<Cell<'z>> {
        let age = |cell: &Cell<'_>| cell.head().map_or(u16::MAX, |head| now.since(head.minute));
        self.cells().max_by_key(age).filter(|cell| age(cell) > 0)
    }
}

impl<'z> Cell<'z> {
    fn head(self) -> Option<Head> {
        Head::of(self.0.first()?.load(Ordering::Relaxed))
    }

    /// The words behind the head.
    pub(super) fn rest(self) -> &'z [AtomicU64] {
        self.0.get(1..).unwrap_or_default()
    }

    pub(super) fn put(self, head: Head) {
        if let Some(word) = self.0.first() {
            word.store(head.word(), Ordering::Relaxed);
        }
    }
}

/// The middle of what clients say, sorted in place: with `own` (what the configuration says) where they
/// are few or even in number, so that it never is what one of them alone says.
pub(super) fn median<T: Copy + Ord + Default, const N: usize>(
    said: impl Iterator<Item = T>,
    own: T,
) -> T {
    let mut voices = [T::default(); N];
    let mut count = 0;
    for (place, voice) in voices.iter_mut().zip(said) {
        *place = voice;
        count += 1;
    }
    if count < 2 {
        return own;
    }
    if count % 2 == 0 {
        if let Some(place) = voices.get_mut(count) {
            *place = own;
            count += 1;
        }
    }
    let voices = voices.get_mut(..count).unwrap_or_default();
    voices.sort_unstable();
    voices.get(count / 2).copied().unwrap_or(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_single_voice_is_the_median() {
        let median = |said: &[u32]| median::<u32, 8>(said.iter().copied(), 50);
        assert_eq!((median(&[]), median(&[1]), median(&[99])), (50, 50, 50));
        // Two, or four, and the configuration's own.
        assert_eq!((median(&[1, 2]), median(&[98, 99]), median(&[99, 1])), (2, 98, 50));
        assert_eq!((median(&[1, 2, 3, 4]), median(&[60, 99, 70, 98])), (3, 70));
        // Of three, that is none of them.
        assert_eq!((median(&[3, 1, 2]), median(&[99, 98, 97])), (2, 98));
    }
}

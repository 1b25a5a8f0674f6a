//! Where the limits of a client are found: a set-associative table in shared memory.
//!
//! A key has two candidate sets of eight slots each (two-choice hashing: with it, sets fill so
//! evenly that a table takes clients up to about three quarters of its slots). A look-up reads the tags
//! of at most two sets, and then a cache line or two of the slot.
//!
//! Finding and taking are lock-free. Giving a slot to a new key, which may evict an idle one, is done
//! under the zone's mutex. A worker that found a slot may use it just when it is given away; what
//! keeps it from charging the wrong client is the order of things:
//!
//! * before a slot changes hands, every word in it is swapped for `FROZEN`, which fails where a
//!   word isn't idle;
//! * whoever changes a word first reads it, *then* checks that the slot is still his, and then
//!   swaps. Between reading and swapping the word can't have been frozen and made anew, because the
//!   new word is never equal to one that was idle before: a bucket carries its time of making, and
//!   an idle one is more than a microsecond older; the word of a budget of which nothing is spent,
//!   and that of the requests in flight, carry a number that is given out once in the life of a
//!   zone.

mod eviction;

use eviction::Strictness;

use super::ask::{Kind, Now, SLOT_WORDS};
use super::bucket::full_word;
use super::budget;
use super::census::Census;
use super::frozen::FROZEN;
use super::key::{Area, Key};
use super::ledger::Ledger;
use super::rates::Rates;
use super::resets::Resets;
use super::sync::{planted, AtomicU64, Ordering, MODEL};

/// Slots in a set.
pub(super) const WAYS: usize = if MODEL { 1 } else { 8 };
/// Words in a set: two tag words a way, then the slots. A multiple of a cache line.
pub(super) const SET_WORDS: usize = WAYS * 2 + WAYS * SLOT_WORDS;

/// A slot that was found: the number of its set and way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlotPlace {
    pub(super) set: usize,
    pub(super) way: usize,
}

/// The slot belongs to another key by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moved;

/// The sets of one area, over their words in the zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slots<'z> {
    pub(super) words: &'z [AtomicU64],
    /// The number of the first slot, which is counted over all areas.
    pub(super) first: usize,
    pub(super) rates: Rates<'z>,
    pub(super) ledger: Ledger<'z>,
    /// Numbers that are given out once.
    pub(super) uniques: &'z AtomicU64,
    pub(super) resets: Resets<'z>,
}

impl<'z> Slots<'z> {
    pub(super) fn sets(&self) -> usize {
        self.words.len() / SET_WORDS
    }

    /// How many slots there are.
    pub(super) fn len(&self) -> usize {
        self.sets() * WAYS
    }

    /// Halves of the hash, scaled to the number of sets (Lemire's multiply-shift instead of `%`).
    fn candidates(&self, key: Key) -> [usize; 2] {
        let scale = |half: u64| {
            let set = (half & 0xffff_ffff).wrapping_mul(self.sets() as u64) >> 32;
            usize::try_from(set).unwrap_or(0)
        };
        [scale(key.high), scale(key.high >> 32)]
    }

    fn set(&self, set: usize) -> &'z [AtomicU64] {
        let start = set.saturating_mul(SET_WORDS);
        self.words.get(start..start.saturating_add(SET_WORDS)).unwrap_or(&[])
    }

    pub(super) fn tags(&self, set: usize) -> (&'z [AtomicU64], &'z [AtomicU64]) {
        let words = self.set(set);
        (words.get(..WAYS).unwrap_or(&[]), words.get(WAYS..2 * WAYS).unwrap_or(&[]))
    }

    /// The words of a slot.
    pub(super) fn slot(&self, place: SlotPlace) -> &'z [AtomicU64] {
        let start = 2 * WAYS + place.way.saturating_mul(SLOT_WORDS);
        self.set(place.set).get(start..start.saturating_add(SLOT_WORDS)).unwrap_or(&[])
    }

    /// The number of a slot, in the ledger.
    pub(super) fn number(&self, place: SlotPlace) -> u32 {
        u32::try_from(self.first + place.set * WAYS + place.way).unwrap_or(u32::MAX)
    }

    /// The slot with this number, if it is in this area.
    pub(super) fn numbered(&self, slot: u32) -> Option<SlotPlace> {
        let index = usize::try_from(slot).ok()?.checked_sub(self.first)?;
        (index < self.len()).then_some(SlotPlace { set: index / WAYS, way: index % WAYS })
    }

    pub(super) fn holds(&self, place: SlotPlace, key: Key) -> bool {
        let (low, high) = self.tags(place.set);
        let is = |tags: &[AtomicU64], part| {
            tags.get(place.way).is_some_and(|tag| tag.load(Ordering::Acquire) == part)
        };
        is(low, key.low) && is(high, key.high)
    }

    /// The slot of `key`, if it has one.
    pub(super) fn find(&self, key: Key) -> Option<SlotPlace> {
        self.candidates(key).into_iter().find_map(|set| {
            let (low, _) = self.tags(set);
            low.iter()
                .enumerate()
                .filter(|(_, tag)| tag.load(Ordering::Acquire) == key.low)
                .map(|(way, _)| SlotPlace { set, way })
                .find(|place| self.holds(*place, key))
        })
    }

    /// The slot of `key`, which is given one if it has none; `None` when both of its sets are full
    /// of live slots. The caller holds the zone's mutex.
    pub(super) fn claim(&self, key: Key, now: Now) -> Option<SlotPlace> {
        if let Some(place) = self.find(key) {
            self.thaw(place, now);
            return Some(place);
        }
        let place = self.free_place(key).or_else(|| self.evict(key, now))?;
        self.give(place, key, now)
    }

    /// Whether `key` has a slot, or would be given one.
    pub(super) fn has_room(&self, key: Key, now: Now) -> bool {
        let is_free = |place: &SlotPlace| {
            let (low, _) = self.tags(place.set);
            low.get(place.way).is_some_and(|tag| tag.load(Ordering::Acquire) == 0)
        };
        self.find(key).is_some()
            || self.places(key).any(|place| is_free(&place))
            || self.places(key).any(|place| self.is_unused(place, now, Strictness::Lenient))
    }

    /// Where `key` may be.
    fn places(&self, key: Key) -> impl Iterator<Item = SlotPlace> {
        let sets = self.candidates(key).into_iter();
        sets.flat_map(|set| (0..WAYS).map(move |way| SlotPlace { set, way }))
    }

    /// How many are taken: of sets that lie all over, if there are more than are looked at.
    pub(super) fn census(&self, now: Now) -> Census {
        Census::of_sets(self.sets(), WAYS, |set| {
            let (low, _) = self.tags(set);
            let taken = low.iter().enumerate().filter(|(_, tag)| tag.load(Ordering::Relaxed) != 0);
            taken.filter(|(way, _)| self.is_live(SlotPlace { set, way: *way }, now)).count()
        })
    }

    /// Gives a free slot to `key`. The caller holds the zone's mutex.
    fn give(&self, place: SlotPlace, key: Key, now: Now) -> Option<SlotPlace> {
        let (low, high) = self.tags(place.set);
        high.get(place.way)?.store(key.high, Ordering::Release);
        self.renew(place, SLOT_WORDS, now);
        low.get(place.way)?.store(key.low, Ordering::Release);
        Some(place)
    }

    /// Gives `key` a slot in a zone that nobody else uses yet: the one that it had, if it can be
    /// found there; `None` when there is no room.
    pub(super) fn put(&self, key: Key, had: SlotPlace, now: Now) -> Option<SlotPlace> {
        let is_free = |place: &SlotPlace| {
            let (low, _) = self.tags(place.set);
            low.get(place.way).is_some_and(|tag| tag.load(Ordering::Acquire) == 0)
        };
        let had = Some(had).filter(|had| self.candidates(key).contains(&had.set)).filter(is_free);
        self.give(had.or_else(|| self.free_place(key))?, key, now)
    }

    /// Whose slot it is.
    pub(super) fn key(&self, area: Area, place: SlotPlace) -> Option<Key> {
        let (low, high) = self.tags(place.set);
        let low = low.get(place.way)?.load(Ordering::Acquire);
        let high = high.get(place.way)?.load(Ordering::Acquire);
        (low != 0).then(|| Key::from_hash(area, low, high))
    }

    /// A number that was never given out before.
    pub(super) fn unique(&self) -> u64 {
        if planted!(RepeatedNumber) {
            return 0;
        }
        self.uniques.fetch_add(1, Ordering::Relaxed)
    }

    /// The word of a limit from which nothing was ever taken.
    pub(super) fn fresh(&self, index: usize, now: Now) -> u64 {
        match Kind::of(index) {
            Kind::Bucket => full_word(now.mono),
            Kind::Budget(calendar) => budget::fresh(calendar, self.unique()),
            Kind::Concurrency => Ledger::fresh(self.unique()),
        }
    }

    /// Makes the first words of a slot anew. Only for words that nobody else changes: frozen ones,
    /// and those of a slot that nobody can find. The caller holds the mutex.
    fn renew(&self, place: SlotPlace, count: usize, now: Now) {
        for (index, word) in self.slot(place).iter().enumerate().take(count) {
            word.store(self.fresh(index, now), Ordering::Release);
        }
    }

    /// A free way in the emptier one of the two candidate sets.
    fn free_place(&self, key: Key) -> Option<SlotPlace> {
        let free = |set: usize| {
            let (low, _) = self.tags(set);
            let mut ways = low.iter().enumerate().filter(|(_, t)| t.load(Ordering::Acquire) == 0);
            let first = ways.next().map(|(way, _)| SlotPlace { set, way });
            (first, ways.count())
        };
        let [(first, spare_first), (second, spare_second)] = self.candidates(key).map(free);
        match (first, second) {
            (Some(_), Some(other)) if spare_second > spare_first => Some(other),
            (Some(place), _) => Some(place),
            (None, place) => place,
        }
    }

    /// Applies `change` to the word `index` of a slot by compare-and-swap. `change` gives the new
    /// word, or `None` to leave it, and what to tell the caller.
    pub(super) fn update<T>(
        &self,
        place: SlotPlace,
        (key, index): (Key, usize),
        mut change: impl FnMut(u64) -> (Option<u64>, T),
    ) -> Result<T, Moved> {
        let mut seen = self.read(place, (key, index))?;
        loop {
            // In this order: see the module's comment.
            self.check(place, key, &seen)?;
            let (next, outcome) = change(seen.value);
            let Some(next) = next else { return Ok(outcome) };
            match seen.swap(next) {
                Ok(()) => return Ok(outcome),
                Err(other) => seen.value = other,
            }
        }
    }

    /// Reads the word `index` of a slot, to be checked and swapped later.
    #[inline]
    pub(super) fn read(
        &self,
        place: SlotPlace,
        (key, index): (Key, usize),
    ) -> Result<Seen<'z>, Moved> {
        let word = self.slot(place).get(index).ok_or(Moved)?;
        let checked_early = planted!(CheckedTooEarly) && self.holds(place, key);
        Ok(Seen { word, checked_early, value: word.load(Ordering::Acquire) })
    }

    /// Whether the slot still is that of `key`, after one of its words was read.
    #[inline]
    pub(super) fn check(&self, place: SlotPlace, key: Key, seen: &Seen<'_>) -> Result<(), Moved> {
        match seen.value != FROZEN && (seen.checked_early || self.holds(place, key)) {
            true => Ok(()),
            false => Err(Moved),
        }
    }
}

/// A word of a slot, as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'z> {
    word: &'z AtomicU64,
    pub(super) value: u64,
    /// Of a planted mistake.
    checked_early: bool,
}

impl Seen<'_> {
    /// Swaps the word for another one. The slot was checked after it was read.
    ///
    /// # Errors
    ///
    /// What it is, if it isn't what was read.
    #[inline]
    pub(super) fn swap(&self, next: u64) -> Result<(), u64> {
        if planted!(StoredBucket) {
            self.word.store(next, Ordering::Release);
            return Ok(());
        }
        let swapped =
            self.word.compare_exchange(self.value, next, Ordering::AcqRel, Ordering::Acquire);
        swapped.map(|_| ())
    }
}

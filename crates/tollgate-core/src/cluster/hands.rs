//! Which entry a limit is given, and from whom it is taken. All of this is done under the table's mutex.

use super::super::limits::key::Area;
use super::super::limits::sync::{planted, AtomicU64, Ordering};
use super::super::limits::{Ask, Key};
use super::entry::{self, amount, signed, Entry};
use super::marks::Marks;
use super::shape::{unit_of, Shape};
use super::table::{store_name, tag_of, LeaseTable, WAYS};

impl<'m> LeaseTable<'m> {
    /// An entry for a limit: its own, or another one. The caller holds the mutex.
    pub(super) fn claim(&self, ask: &Ask, shape: &Shape, name: Key) -> Option<Entry<'m>> {
        if let Some(entry) = self.find(ask) {
            // Only who holds the mutex marks so: that one is dead.
            entry.set_marks(|marks| Marks { is_leaving: false, ..marks });
            return Some(entry);
        }
        let sets = self.candidates(ask.key, ask.word());
        let places = || sets.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)));
        let is_free = |(set, way): &(usize, usize)| self.is_free(*set, *way);
        let free_in = |set: usize| (0..WAYS).filter(|way| is_free(&(set, *way))).count();
        let [first, second] = sets;
        let emptier = if free_in(second) > free_in(first) { second } else { first };
        let free = (0..WAYS).map(|way| (emptier, way)).find(is_free);
        let (set, way) = free.or_else(|| places().find(|(set, way)| self.evict(*set, *way)))?;
        self.give((set, way), ask, shape, name)
    }

    /// Takes an entry away from a limit of which nothing is held, and nothing to be reported. The caller holds the
    /// mutex.
    pub(super) fn evict(&self, set: usize, way: usize) -> bool {
        let Some(entry) = self.at(set * WAYS + way) else { return false };
        let is_called = entry.look.load(Ordering::Acquire) & entry.bit != 0;
        if is_called {
            return false;
        }
        let marks = entry.set_marks(|marks| Marks { is_leaving: !marks.is_tracked, ..marks });
        if !marks.is_leaving {
            return false;
        }
        let [tag, _] = entry.tags;
        tag.store(0, Ordering::SeqCst);
        if Self::take_over(&entry, marks) {
            return true;
        }
        tag.store(entry.tag[0], Ordering::Release);
        entry.set_marks(|marks| Marks { is_leaving: false, ..marks });
        // Something of it counts, and whoever did that was killed before he could say so.
        entry.call();
        false
    }

    /// Swaps the words that requests change for those of the next hands, if nothing in them counts.
    fn take_over(entry: &Entry<'_>, marks: Marks) -> bool {
        let unit = unit_of(marks.word.into());
        let words = entry.words;
        let load = |word: &AtomicU64| word.load(Ordering::SeqCst);
        let swap = |word: &AtomicU64, seen: u64| {
            let next = entry::of_next_hands(seen);
            if planted!(TakenOverUnseen) {
                word.store(next, Ordering::SeqCst);
                return true;
            }
            word.compare_exchange(seen, next, Ordering::SeqCst, Ordering::Acquire).is_ok()
        };
        let [balance, adjust, alone] =
            [&words[entry::BALANCE], &words[entry::ADJUST], &words[entry::ALONE]].map(load);
        let drawn = load(&words[entry::SOLD]).saturating_sub(amount(balance)).div_ceil(unit);
        let acked_adjust = i64::from_ne_bytes(load(&words[entry::ACKED_ADJUST]).to_ne_bytes());
        // The adjustment last: where one of the swaps fails, nothing that counts was changed before it.
        amount(balance) < unit
            && drawn == load(&words[entry::ACKED_DRAWN])
            && amount(alone) == 0
            && entry::units(signed(adjust), unit) == acked_adjust
            && swap(&words[entry::BALANCE], balance)
            && swap(&words[entry::ALONE], alone)
            && swap(&words[entry::ADJUST], adjust)
    }

    /// Gives a free place to a limit. The caller holds the mutex.
    fn give(
        &self,
        (set, way): (usize, usize),
        ask: &Ask,
        shape: &Shape,
        name: Key,
    ) -> Option<Entry<'m>> {
        let (era, round) = (self.words().era(), self.words().round());
        let word = ask.word();
        let tag = tag_of(ask.key, word, era);
        let entry = self.entry(set, way, tag)?;
        let words = entry.words;
        for word in [&words[entry::BALANCE], &words[entry::ADJUST], &words[entry::ALONE]] {
            let old = word.load(Ordering::Acquire);
            word.store(entry::of_next_hands(old), Ordering::Release);
        }
        let area = Area::ALL.iter().position(|area| *area == ask.key.area())?;
        let marks = Marks {
            count: 0,
            word: u8::try_from(word).ok()?,
            area: u8::try_from(area).ok()?,
            is_tracked: false,
            // Until all is written: the thread may have found the limit that had it before.
            is_leaving: true,
            is_reset: false,
            era: u16::try_from(era).ok()?,
        };
        let name = store_name(name, word);
        for (word, value) in [
            (&words[entry::MARKS], marks.bits()),
            (&words[entry::EXPIRES], 0),
            (&words[entry::NEED], 0),
            (&words[entry::ANSWERED], entry::answered(round.wrapping_sub(1), 0)),
            (&words[entry::SOLD], 0),
            (&words[entry::ACKED_DRAWN], 0),
            (&words[entry::ACKED_ADJUST], 0),
            (&words[entry::BORN], round),
            (&words[entry::NAME], name[0]),
            (&words[entry::NAME + 1], name[1]),
            (&words[entry::USED], 0),
            (&words[entry::HEARD], 0),
        ] {
            word.store(value, Ordering::Release);
        }
        entry.describe(shape);
        entry.set_marks(|marks| Marks { is_leaving: false, ..marks });
        let [low, high] = entry.tags;
        high.store(tag[1], Ordering::Release);
        low.store(tag[0], Ordering::Release);
        Some(entry)
    }
}

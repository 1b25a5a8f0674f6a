//! How much output requests lately had: a running high estimate for each pair of tier and model,
//! from which a request that doesn't bound its output is reserved.
//!
//! The estimate follows a quantile, not a mean: each output above it raises it by a large step, and
//! each one below lowers it by a small one, so that it comes to rest where the outputs above are
//! about as much rarer as the step is larger (19 times: the 95th percentile). Steps are relative to
//! the estimate, and an output far above it makes a larger one; so it rises within a few requests,
//! falls over some hundred, and settles between the 92nd and the 99th percentile, whatever the shape
//! of the outputs.
//!
//! The table is small and of one word a pair, without buckets to chain: where two pairs want the
//! same place, the later one takes it. What is lost then is an estimate, which the next request
//! starts anew; nothing is charged by it, as every request is settled by its real use.

use super::key::Key;
use super::sync::{AtomicU64, Ordering, MODEL};

/// Entries of the table, of one word each: 32 bits of the key, 32 bits of the estimate.
pub(super) const WORDS: usize = if MODEL { 4 } else { 512 };
/// Places where a pair may be.
const WAYS: usize = 2;
/// The estimate counts in 16ths of a token, so that the small steps are not rounded away.
const FRACTION_BITS: u32 = 4;

/// The table, over its words in the zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Learned<'z>(pub(super) &'z [AtomicU64]);

/// An entry, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u32,
    estimate: u32,
}

impl Entry {
    fn of(word: u64) -> Self {
        let part = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        Self { tag: part(word >> 32), estimate: part(word) }
    }

    fn word(self) -> u64 {
        u64::from(self.tag) << 32 | u64::from(self.estimate)
    }

    fn next(self, output: u32) -> Self {
        let output = output.min(u32::MAX >> FRACTION_BITS) << FRACTION_BITS;
        let estimate = self.estimate;
        let estimate = match output.checked_sub(estimate) {
            Some(0) => estimate,
            Some(above) => {
                let step = (above / 4).max(estimate / 128 * 19).max(1);
                estimate.saturating_add(step)
            }
            None => estimate.saturating_sub((estimate / 128).clamp(1, estimate - output)),
        };
        Self { tag: self.tag, estimate }
    }
}

impl<'z> Learned<'z> {
    fn tag(key: Key) -> u32 {
        // Zero is a free entry.
        u32::try_from(key.high >> 32).unwrap_or(0).max(1)
    }

    /// The places where the pair may be.
    fn places(&self, key: Key) -> &'z [AtomicU64] {
        let sets = (self.0.len() / WAYS).max(1) as u64;
        let start = usize::try_from(key.low % sets).unwrap_or(0) * WAYS;
        self.0.get(start..start.saturating_add(WAYS)).unwrap_or(&[])
    }

    /// What requests of this pair lately had, in tokens; `None` if nothing is known.
    pub(super) fn get(&self, key: Key) -> Option<u32> {
        self.places(key)
            .iter()
            .map(|word| Entry::of(word.load(Ordering::Relaxed)))
            .find(|entry| entry.tag == Self::tag(key))
            .map(|entry| entry.estimate.div_ceil(1 << FRACTION_BITS))
    }

    /// The entries in use, with their places.
    pub(super) fn entries(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let entries = self.0.iter().map(|word| word.load(Ordering::Relaxed)).enumerate();
        entries.filter(|(_, entry)| *entry != 0)
    }

    /// Puts an entry in its place.
    pub(super) fn put(&self, place: usize, entry: u64) {
        if let Some(word) = self.0.get(place) {
            word.store(entry, Ordering::Relaxed);
        }
    }

    /// A request of this pair had so much output. Of two that end at once, one may not count.
    pub(super) fn add(&self, key: Key, output: u32) {
        let tag = Self::tag(key);
        let places = self.places(key);
        let is = |word: &&AtomicU64, tag: u32| Entry::of(word.load(Ordering::Relaxed)).tag == tag;
        let place = places
            .iter()
            .find(|word| is(word, tag))
            .or_else(|| places.iter().find(|word| is(word, 0)))
            .or_else(|| places.get(usize::from(tag % 2 == 0)));
        let Some(word) = place else { return };
        let seen = word.load(Ordering::Relaxed);
        let next = match Entry::of(seen) {
            entry if entry.tag == tag => entry.next(output),
            _ => Entry { tag, estimate: output.min(u32::MAX >> FRACTION_BITS) << FRACTION_BITS },
        };
        let _ = word.compare_exchange(seen, next.word(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "learned_tests.rs"]
mod tests;

//! The table of rates in the zone: what the rate index of a bucket stands for.
//!
//! Entries are only ever added, so a worker with an old configuration and one with a new one read
//! the same bucket rightly. A zone sees a handful of quotas in its life (one for each `requests` of
//! the configuration and each distinct `rate_limit` of a token); when all indices are in use,
//! further rates are counted in plain ticks, a little less exactly.

use super::sync::{AtomicU64, Ordering, MODEL};

use super::bucket::{Scale, INDICES, PLAIN};
use super::quota::{Period, Quota};

/// Words that the table takes. The first (plain ticks) and the last index (a frozen word) are
/// reserved.
pub(super) const WORDS: usize = if MODEL { 4 } else { INDICES };

/// A quota in one word: two bits of period, 31 of count, 31 of burst. Never zero, which marks a free
/// entry, as a count is never zero.
fn pack(quota: Quota) -> u64 {
    u64::from(quota.period().index()) << 62
        | u64::from(quota.count()) << 31
        | u64::from(quota.burst())
}

fn unpack(word: u64) -> Option<Quota> {
    let number = |bits: u64| u32::try_from(bits & u64::from(Quota::MAX_COUNT)).ok();
    Quota::new(number(word >> 31)?, Period::from_index(word >> 62)?, number(word)?).ok()
}

/// Whether the word can be an entry.
pub(super) fn is_quota(word: u64) -> bool {
    unpack(word).is_some()
}

/// The table, over its words in the zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rates<'z>(pub(super) &'z [AtomicU64]);

impl Rates<'_> {
    /// The scale of `quota`: entered into the table if it isn't there yet.
    pub(super) fn enter(&self, quota: Quota) -> Scale {
        let packed = pack(quota);
        for (index, word) in
            self.0.iter().enumerate().take(INDICES - 1).skip(usize::from(PLAIN) + 1)
        {
            let found = match word.load(Ordering::Acquire) {
                0 => word
                    .compare_exchange(0, packed, Ordering::AcqRel, Ordering::Acquire)
                    .map_or_else(|other| other, |_| packed),
                found => found,
            };
            if found == packed {
                if let Ok(index) = u16::try_from(index) {
                    return Scale::exact(quota, index);
                }
            }
        }
        Scale::plain(quota)
    }

    /// The words of all entries, in the order of their indices.
    pub(super) fn entries(&self) -> impl Iterator<Item = u64> + '_ {
        let words = self.0.iter().take(INDICES - 1).skip(usize::from(PLAIN) + 1);
        words.map(|word| word.load(Ordering::Acquire)).take_while(|word| *word != 0)
    }

    /// The scales of all entries, in the order of their indices from 0 (plain ticks, which have
    /// none): for work on many words, as a scale takes a while to compute.
    pub(super) fn scales(&self) -> Vec<Option<Scale>> {
        let entries = self.entries().zip(PLAIN + 1..);
        std::iter::once(None).chain(entries.map(|(_, index)| self.get(index))).collect()
    }

    /// Enters what [`Rates::entries`] gave into an empty table, with the same indices.
    pub(super) fn fill(&self, entries: impl Iterator<Item = u64>) {
        let words = self.0.iter().take(INDICES - 1).skip(usize::from(PLAIN) + 1);
        for (word, entry) in words.zip(entries) {
            word.store(entry, Ordering::Release);
        }
    }

    /// The scale of the entry `index`.
    pub(super) fn get(&self, index: u16) -> Option<Scale> {
        let word = self.0.get(usize::from(index))?.load(Ordering::Acquire);
        Some(Scale::exact(unpack(word)?, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Vec<AtomicU64> {
        (0..WORDS).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_quota_has_one_index() {
        let words = table();
        let rates = Rates(&words);
        let a = Quota::parse("10r/m", None).unwrap();
        let b = Quota::parse("10r/m", Some("20")).unwrap();
        assert_eq!(rates.enter(a), rates.enter(a));
        assert_ne!(rates.enter(a).index(), rates.enter(b).index());
        assert_eq!(rates.get(rates.enter(b).index()).unwrap().quota(), b);
        assert_eq!(rates.get(500), None);
    }

    #[test]
    fn packing_keeps_every_quota() {
        for text in ["1r/s", "10000000r/s", "100r/m", "5000r/d", "2147483647r/d"] {
            let quota = Quota::parse(text, None).unwrap();
            assert_eq!(unpack(pack(quota)), Some(quota));
        }
        assert_eq!(unpack(0), None);
    }

    #[test]
    fn a_full_table_falls_back_to_plain_ticks() {
        let words = table();
        let rates = Rates(&words);
        for count in 1..2000 {
            let scale = rates.enter(Quota::new(count, Period::Minute, count).unwrap());
            assert_eq!(scale.index() == PLAIN, count >= 1023, "{count}");
        }
    }

    #[test]
    fn workers_that_enter_at_once_agree() {
        let words = table();
        let seen: Vec<Vec<u16>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        (1..200)
                            .map(|n| {
                                let quota = Quota::new(n, Period::Hour, n).unwrap();
                                Rates(&words).enter(quota).index()
                            })
                            .collect()
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert!(seen.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

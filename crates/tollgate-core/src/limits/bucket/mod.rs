//! One token bucket in one 64-bit word: the generic cell rate algorithm (ITU-T I.371; as in the
//! `governor` crate), taken by compare-and-swap, so that no lock is held on the hot path.
//!
//! GCRA keeps the *theoretical arrival time*: the moment at which the bucket would be full again.
//! Kept as a time in nanoseconds, every token would cost a rounded number of nanoseconds, and at
//! 30,000 a second the roundings add up to whole tokens within a few seconds. So a bucket counts in
//! *ticks of its own rate*: a token is a whole number of ticks, always the same, and only the
//! reading of the clock is rounded (down, by less than 128 ns, and it doesn't add up).
//!
//! ```text
//!  63                                       10 9          0
//! +-------------------------------------------+------------+
//! | ticks: when the bucket is full again      | rate index |
//! +-------------------------------------------+------------+
//! ```
//!
//! The rate index says which entry of the zone's [table of rates](super::rates) the ticks belong to.
//! When a reload changes a quota, or a client comes with another tier, the next request finds a
//! bucket with a foreign index and converts it: what was used stays used, counted in tokens, also
//! where it is more than the new capacity. A request that is refused converts it only where that
//! makes the wait shorter: else a client with two tiers could be locked out of the faster one by
//! asking for the slower one.
//!
//! A bucket may be in debt: more in use than its capacity, after a request that was larger than the
//! capacity, or used more than it had reserved. A debt is nothing special in a GCRA, only a level
//! further ahead of the clock. A settlement works in the scale that it finds, so that nothing is
//! rounded or forgotten by converting.

use super::quota::Quota;
use super::standing::{Standing, View, Wait};
use crate::clock::MonoNanos;

/// How many low bits of a word hold the rate index.
const INDEX_BITS: u32 = 10;
/// The number of rate indices, the two reserved ones included.
pub(super) const INDICES: usize = 1 << INDEX_BITS;
const INDEX_MASK: u64 = (1 << INDEX_BITS) - 1;
const TICKS_MAX: u64 = u64::MAX >> INDEX_BITS;

/// The index for plain ticks of 64 ns, which every rate can be counted in, if not exactly: a new
/// bucket, and rates for which the table has no room left.
pub(super) const PLAIN: u16 = 0;

/// How long a plain tick is.
pub(super) const TICK_NANOS: u64 = 1 << 6;

/// A moment in plain ticks; also the word of a full bucket.
fn plain_ticks(now: MonoNanos) -> u64 {
    (now.0 / TICK_NANOS).min(TICKS_MAX - 1)
}

/// The word of a bucket that is full at `now`.
pub(super) fn full_word(now: MonoNanos) -> u64 {
    plain_ticks(now) << INDEX_BITS | u64::from(PLAIN)
}

/// A word, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) index: u16,
    ticks: u64,
}

impl Level {
    pub(super) fn of(word: u64) -> Self {
        // Ten bits fit into u16.
        let index = u16::try_from(word & INDEX_MASK).unwrap_or(PLAIN);
        Self { index, ticks: word >> INDEX_BITS }
    }
}

/// A quota, prepared for the arithmetic of its bucket: how the clock is read in ticks, and what a
/// token costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    quota: Quota,
    index: u16,
    /// ticks = nanoseconds * multiplier >> shift; the multiplier has its top bit set, so that its
    /// rounding is worth less than one tick in the whole range of the clock.
    multiplier: u64,
    shift: u32,
    ticks_per_token: u64,
    capacity_ticks: u64,
}

impl Scale {
    /// The exact scale of `quota`, for the entry `index` of the table of rates.
    pub(super) fn exact(quota: Quota, index: u16) -> Self {
        let period = u128::from(quota.period().nanos());
        let count = u128::from(quota.count());
        // The smallest power of two for which a tick is at least 64 ns: then 53 bits of ticks last
        // for 2^59 ns, 18 years of uptime, and one more bit is left for what is ahead of the clock.
        let mut fraction_bits = 0u32;
        while period >= (count << (fraction_bits + 1)) * 64 {
            fraction_bits += 1;
        }
        let ticks_per_token = 1u64 << fraction_bits;
        // ticks per nanosecond = count * 2^fraction_bits / period, which is at most 1/64.
        let mut shift = 0u32;
        let mut multiplier = 0u128;
        for candidate in 64..=80 {
            let value = ((count << fraction_bits) << candidate) / period;
            if value > u128::from(u64::MAX) {
                break;
            }
            (shift, multiplier) = (candidate, value);
        }
        Self {
            quota,
            index,
            multiplier: u64::try_from(multiplier).unwrap_or(u64::MAX),
            shift,
            ticks_per_token,
            capacity_ticks: u64::from(quota.burst()).saturating_mul(ticks_per_token),
        }
    }

    /// The scale in plain ticks of 64 ns: a token costs the next whole number of ticks, so the rate
    /// is never exceeded, and missed by up to 64 ns a token.
    pub(super) fn plain(quota: Quota) -> Self {
        let ticks_per_token = quota.period().nanos().div_ceil(64 * u64::from(quota.count()));
        Self {
            quota,
            index: PLAIN,
            multiplier: 1 << 63,
            shift: 69,
            ticks_per_token,
            capacity_ticks: u64::from(quota.burst()).saturating_mul(ticks_per_token),
        }
    }

    /// The quota that this is the scale of.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// The standing of a bucket that was never used.
    pub(super) fn full(&self) -> Standing {
        self.standing(0, MonoNanos(0))
    }

    #[cfg(test)]
    pub(super) fn index(&self) -> u16 {
        self.index
    }

    #[inline]
    fn ticks(&self, now: MonoNanos) -> u64 {
        let ticks = (u128::from(now.0) * u128::from(self.multiplier)) >> self.shift;
        u64::try_from(ticks).unwrap_or(TICKS_MAX).min(TICKS_MAX >> 1)
    }

    /// The first moment at which [`Scale::ticks`] reads `ticks` or more, as nanoseconds after `now`.
    fn nanos_until(&self, ticks: u64, now: MonoNanos) -> u64 {
        let moment = (u128::from(ticks) << self.shift).div_ceil(u128::from(self.multiplier));
        u64::try_from(moment).unwrap_or(u64::MAX).saturating_sub(now.0)
    }

    /// The scale in which a level with a foreign rate index is counted. Plain ticks don't say for
    /// which rate they were counted, so they are read as ours. An unknown index can't be written by
    /// this version; reading it as plain errs on the side of refusing.
    fn of_foreign(&self, index: u16, foreign: impl FnOnce(u16) -> Option<Self>) -> Self {
        match index {
            PLAIN => None,
            index => foreign(index),
        }
        .unwrap_or_else(|| Self::plain(self.quota))
    }

    /// Ticks in use at `now`: how far the level is ahead of the clock. For the level of another rate
    /// index, whose scale `foreign` gives, also that scale.
    #[inline]
    fn level(
        &self,
        level: Level,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> (u64, Option<Self>) {
        if level.index == self.index {
            return (level.ticks.saturating_sub(self.ticks(now)), None);
        }
        self.level_of_foreign(level, now, foreign)
    }

    #[cold]
    fn level_of_foreign(
        &self,
        level: Level,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> (u64, Option<Self>) {
        let old = self.of_foreign(level.index, foreign);
        let used = level.ticks.saturating_sub(old.ticks(now));
        let used = (u128::from(used) * u128::from(self.ticks_per_token))
            .div_ceil(u128::from(old.ticks_per_token.max(1)));
        (u64::try_from(used).unwrap_or(u64::MAX), Some(old))
    }

    fn word(&self, ticks: u64) -> u64 {
        ticks.min(TICKS_MAX - 1) << INDEX_BITS | u64::from(self.index)
    }

    fn standing(&self, used: u64, now: MonoNanos) -> Standing {
        let free = self.capacity_ticks.saturating_sub(used);
        Standing {
            quota: self.quota.count().into(),
            period_secs: self.quota.period().seconds().into(),
            capacity: self.quota.burst().into(),
            remaining: free.checked_div(self.ticks_per_token).unwrap_or(0),
            until_full_nanos: match used {
                0 => 0,
                used => self.nanos_until(self.ticks(now).saturating_add(used), now),
            },
        }
    }

    /// How much may be in use for `n` tokens to be taken: what the capacity leaves. For more than
    /// the capacity the bucket has to be full.
    fn room(&self, n: u32) -> u64 {
        self.capacity_ticks.saturating_sub(self.cost(n.into()))
    }

    /// Taking `n` tokens: the word to store and the standing after it, or how long to wait. More
    /// than the capacity is taken from a full bucket only, and leaves it in debt.
    pub(super) fn take(
        &self,
        level: Level,
        n: u32,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> Result<(u64, Standing), Wait> {
        let (used, old) = self.level(level, now, foreign);
        if used > self.room(n) {
            return Err(self.wait_from(level, used, old, n, now));
        }
        let used = used.saturating_add(self.cost(n.into()));
        Ok((self.word(self.ticks(now).saturating_add(used)), self.standing(used, now)))
    }

    /// How long a take of `n` tokens has to wait; `None` if it would succeed now.
    pub(super) fn wait(
        &self,
        level: Level,
        n: u32,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> Option<Wait> {
        let (used, old) = self.level(level, now, foreign);
        (used > self.room(n)).then(|| self.wait_from(level, used, old, n, now))
    }

    /// The wait of a take of `n` tokens that is refused, given what [`Scale::level`] said.
    fn wait_from(
        &self,
        level: Level,
        used: u64,
        old: Option<Self>,
        n: u32,
        now: MonoNanos,
    ) -> Wait {
        let room = self.room(n);
        let until = self.ticks(now).saturating_add(used.saturating_sub(room));
        let nanos = self.nanos_until(until, now).max(1);
        let Some(old) = old else {
            return Wait { nanos, converted: None };
        };
        // As long as the old word stands, it drains at the old rate.
        let room = u128::from(room) * u128::from(old.ticks_per_token)
            / u128::from(self.ticks_per_token.max(1));
        let room = u64::try_from(room).unwrap_or(u64::MAX);
        let old_nanos = old.nanos_until(level.ticks.saturating_sub(room), now).max(1);
        if nanos < old_nanos {
            Wait { nanos, converted: Some(self.word(self.ticks(now).saturating_add(used))) }
        } else {
            Wait { nanos: old_nanos, converted: None }
        }
    }

    fn cost(&self, n: u64) -> u64 {
        n.saturating_mul(self.ticks_per_token)
    }

    /// Settling a take of `reserved` tokens, of which `used` were used: the word to store. What was
    /// not used is given back, but never makes a bucket fuller than full: what the clock has given
    /// back already is not given twice. What was used beyond the reservation is charged, into debt
    /// if need be.
    pub(super) fn settle(
        &self,
        level: Level,
        (reserved, used): (u64, u64),
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> u64 {
        let own = match level.index == self.index {
            true => *self,
            false => self.of_foreign(level.index, foreign),
        };
        let in_use = level.ticks.saturating_sub(own.ticks(now));
        // A full bucket has no rate.
        let own = if in_use == 0 { *self } else { own };
        let left = match used.checked_sub(reserved) {
            Some(excess) => in_use.saturating_add(own.cost(excess)),
            None => in_use.saturating_sub(own.cost(reserved.saturating_sub(used))),
        };
        own.word(own.ticks(now).saturating_add(left))
    }

    /// The standing of a bucket that nothing is taken from.
    pub(super) fn look(
        &self,
        level: Level,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> Standing {
        self.standing(self.level(level, now, foreign).0, now)
    }

    /// The same, and how many tokens are in use.
    pub(super) fn view(
        &self,
        level: Level,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> View {
        let (used, _) = self.level(level, now, foreign);
        View {
            used: used.div_ceil(self.ticks_per_token.max(1)),
            standing: self.standing(used, now),
        }
    }

    /// The word of a bucket of which so many tokens are in use.
    pub(super) fn word_in_use(&self, used: u64, now: MonoNanos) -> u64 {
        self.word(self.ticks(now).saturating_add(self.cost(used)))
    }

    /// Whether the bucket of `level`, which belongs to this scale, has been full for more than a
    /// microsecond. (The margin keeps the word of an idle bucket apart from that of one which is
    /// made at this moment.)
    pub(super) fn is_idle(&self, level: Level, now: MonoNanos) -> bool {
        level.ticks < self.ticks(MonoNanos(now.0.saturating_sub(1_000)))
    }
}

/// Whether a bucket in plain ticks has been full for more than a microsecond.
pub(super) fn is_plain_idle(level: Level, now: MonoNanos) -> bool {
    level.ticks < plain_ticks(MonoNanos(now.0.saturating_sub(1_000)))
}

/// The clock in the ticks of a rate; `None`: in plain ticks.
fn clock(scale: Option<&Scale>, now: MonoNanos) -> u64 {
    scale.map_or_else(|| plain_ticks(now), |scale| scale.ticks(now))
}

/// The word with what is in use at `now` instead of a moment, for a snapshot; `None` if nothing is.
/// `scale` is that of the word's rate index.
pub(super) fn relative(word: u64, scale: Option<&Scale>, now: MonoNanos) -> Option<u64> {
    let used = (word >> INDEX_BITS).saturating_sub(clock(scale, now));
    (used > 0).then_some(used << INDEX_BITS | word & INDEX_MASK)
}

/// The word of a bucket of which [`relative`] said what was in use, so many nanoseconds before
/// `now`.
pub(super) fn absolute(word: u64, scale: Option<&Scale>, now: MonoNanos, elapsed: u64) -> u64 {
    let left = (word >> INDEX_BITS).saturating_sub(clock(scale, MonoNanos(elapsed)));
    let ticks = clock(scale, now).saturating_add(left).min(TICKS_MAX - 1);
    ticks << INDEX_BITS | word & INDEX_MASK
}

/// How long a level by [`relative`] lasts, in nanoseconds.
pub(super) fn lasts(level: Level, scale: Option<&Scale>) -> u64 {
    let plain = || level.ticks.saturating_mul(64);
    scale.map_or_else(plain, |scale| scale.nanos_until(level.ticks, MonoNanos(0)))
}

#[cfg(test)]
mod tests;

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
//! bucket with a foreign index and converts it: what was used stays used, counted in tokens. Where
//! more is in use than the new capacity, the bucket is left to drain at the old rate until it isn't:
//! were the excess forgotten, a client with two tiers could empty the bucket of the larger one by
//! asking for the smaller one.

use super::quota::Quota;
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

/// A word that no bucket holds: its slot is about to be given to somebody else.
pub(super) const FROZEN: u64 = u64::MAX;

/// A moment in plain ticks; also the word of a full bucket.
fn plain_ticks(now: MonoNanos) -> u64 {
    (now.0 >> 6).min(TICKS_MAX - 1)
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

/// The numbers of a bucket after (or without) a take, for headers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The quota of the bucket.
    pub quota: Quota,
    /// Whole tokens left.
    pub remaining: u64,
    /// Nanoseconds until the bucket is full, rounded up.
    pub until_full_nanos: u64,
}

impl Standing {
    /// That of a bucket which was never used.
    #[must_use]
    pub fn full(quota: Quota) -> Self {
        Self { quota, remaining: u64::from(quota.burst()), until_full_nanos: 0 }
    }
}

/// A take that does not succeed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Nanoseconds after which it would.
    pub(super) nanos: u64,
    /// The word to store for that to be true: the same level, but draining at this rate.
    pub(super) converted: Option<u64>,
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

    #[cfg(test)]
    pub(super) fn index(&self) -> u16 {
        self.index
    }

    fn ticks(&self, now: MonoNanos) -> u64 {
        let ticks = (u128::from(now.0) * u128::from(self.multiplier)) >> self.shift;
        u64::try_from(ticks).unwrap_or(TICKS_MAX).min(TICKS_MAX >> 1)
    }

    /// The first moment at which [`Scale::ticks`] reads `ticks` or more, as nanoseconds after `now`.
    fn nanos_until(&self, ticks: u64, now: MonoNanos) -> u64 {
        let moment = (u128::from(ticks) << self.shift).div_ceil(u128::from(self.multiplier));
        u64::try_from(moment).unwrap_or(u64::MAX).saturating_sub(now.0)
    }

    /// Ticks in use at `now`: how far the level is ahead of the clock. For the level of another rate
    /// index, whose scale `foreign` gives, also that scale; there it may be more than the capacity.
    fn level(
        &self,
        level: Level,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> (u64, Option<Self>) {
        if level.index == self.index {
            return (level.ticks.saturating_sub(self.ticks(now)), None);
        }
        // Plain ticks don't say for which rate they were counted, so they are read as ours. An
        // unknown index can't be written by this version; reading it as plain errs on the side of
        // refusing.
        let old = match level.index {
            PLAIN => Self::plain(self.quota),
            index => foreign(index).unwrap_or_else(|| Self::plain(self.quota)),
        };
        let used = level.ticks.saturating_sub(old.ticks(now));
        let used = (u128::from(used) * u128::from(self.ticks_per_token))
            .div_ceil(u128::from(old.ticks_per_token.max(1)));
        (u64::try_from(used).unwrap_or(u64::MAX), Some(old))
    }

    /// Ticks in use at `now`, at most the capacity where they were counted at another rate.
    fn used(&self, level: Level, now: MonoNanos, foreign: impl FnOnce(u16) -> Option<Self>) -> u64 {
        match self.level(level, now, foreign) {
            (used, None) => used,
            (used, Some(_)) => used.min(self.capacity_ticks),
        }
    }

    fn word(&self, ticks: u64) -> u64 {
        ticks.min(TICKS_MAX - 1) << INDEX_BITS | u64::from(self.index)
    }

    fn standing(&self, used: u64, now: MonoNanos) -> Standing {
        let free = self.capacity_ticks.saturating_sub(used);
        Standing {
            quota: self.quota,
            remaining: free.checked_div(self.ticks_per_token).unwrap_or(0),
            until_full_nanos: match used {
                0 => 0,
                used => self.nanos_until(self.ticks(now).saturating_add(used), now),
            },
        }
    }

    /// Taking `n` tokens: the word to store and the standing after it, or how long to wait.
    pub(super) fn take(
        &self,
        level: Level,
        n: u32,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> Result<(u64, Standing), Wait> {
        let (used, old) = self.level(level, now, foreign);
        let wanted = used.saturating_add(self.cost(n));
        if wanted > self.capacity_ticks {
            return Err(self.wait_from(level, used, old, n, now));
        }
        Ok((self.word(self.ticks(now).saturating_add(wanted)), self.standing(wanted, now)))
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
        let wanted = used.saturating_add(self.cost(n));
        (wanted > self.capacity_ticks).then(|| self.wait_from(level, used, old, n, now))
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
        let room = self.capacity_ticks.saturating_sub(self.cost(n));
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
        if used <= self.capacity_ticks && nanos < old_nanos {
            Wait { nanos, converted: Some(self.word(self.ticks(now).saturating_add(used))) }
        } else {
            Wait { nanos: old_nanos, converted: None }
        }
    }

    fn cost(&self, n: u32) -> u64 {
        u64::from(n).saturating_mul(self.ticks_per_token)
    }

    /// Giving `n` tokens back: the word to store. Never fuller than full: what the clock has given
    /// back already is not given twice.
    pub(super) fn give_back(
        &self,
        level: Level,
        n: u32,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> u64 {
        let used = self.used(level, now, foreign);
        let left = used.saturating_sub(self.cost(n));
        self.word(self.ticks(now).saturating_add(left))
    }

    /// The standing of a bucket that nothing is taken from.
    pub(super) fn look(
        &self,
        level: Level,
        now: MonoNanos,
        foreign: impl FnOnce(u16) -> Option<Self>,
    ) -> Standing {
        self.standing(self.used(level, now, foreign), now)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::quota::Period;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;
    const START: MonoNanos = MonoNanos(86_400 * SECOND);

    fn quota(count: u32, period: Period, burst: u32) -> Quota {
        Quota::new(count, period, burst).unwrap()
    }

    fn none(_: u16) -> Option<Scale> {
        None
    }

    /// Takes one token at `now`; `Err` is the wait in nanoseconds.
    fn take(scale: &Scale, word: &mut u64, now: MonoNanos) -> Result<Standing, u64> {
        let (next, standing) =
            scale.take(Level::of(*word), 1, now, none).map_err(|wait| wait.nanos)?;
        *word = next;
        Ok(standing)
    }

    #[test]
    fn ten_a_minute_lets_ten_pass_then_one_every_six_seconds() {
        let scale = Scale::exact(quota(10, Period::Minute, 10), 1);
        let mut word = full_word(START);
        for left in (0..10).rev() {
            assert_eq!(take(&scale, &mut word, START).unwrap().remaining, left);
        }
        let wait = take(&scale, &mut word, START).unwrap_err();
        assert!(wait.abs_diff(6 * SECOND) < 128, "{wait}");
        assert!(take(&scale, &mut word, MonoNanos(START.0 + wait - 1)).is_err());
        assert!(take(&scale, &mut word, MonoNanos(START.0 + wait)).is_ok());
        assert!(take(&scale, &mut word, MonoNanos(START.0 + wait)).is_err());
    }

    #[test]
    fn the_burst_is_the_capacity() {
        let scale = Scale::exact(quota(1, Period::Second, 5), 1);
        let mut word = full_word(START);
        for _ in 0..5 {
            assert!(take(&scale, &mut word, START).is_ok());
        }
        let wait = take(&scale, &mut word, START).unwrap_err();
        assert!(wait <= SECOND + 128);
        let standing = scale.look(Level::of(word), START, none);
        assert_eq!(standing.remaining, 0);
        assert!(standing.until_full_nanos.abs_diff(5 * SECOND) < 128);
    }

    #[test]
    fn a_raised_rate_keeps_what_was_used_and_gives_the_new_rest_at_once() {
        let (old, new) = (
            Scale::exact(quota(10, Period::Minute, 10), 1),
            Scale::exact(quota(100, Period::Minute, 100), 2),
        );
        let mut word = full_word(START);
        for _ in 0..10 {
            take(&old, &mut word, START).unwrap();
        }
        let (_, standing) = new.take(Level::of(word), 1, START, |_| Some(old)).unwrap();
        assert_eq!(standing.remaining, 89);
    }

    /// Keeps what a refusal says is to be stored, as a slot does.
    fn refuse(scale: &Scale, word: &mut u64, now: MonoNanos, old: Scale) -> u64 {
        let wait = scale.take(Level::of(*word), 1, now, |_| Some(old)).unwrap_err();
        assert_eq!(scale.wait(Level::of(*word), 1, now, |_| Some(old)), Some(wait));
        *word = wait.converted.unwrap_or(*word);
        wait.nanos
    }

    #[test]
    fn a_spent_bucket_refills_at_a_raised_rate_from_the_next_refusal_on() {
        let (old, new) = (
            Scale::exact(quota(1, Period::Hour, 1), 1),
            Scale::exact(quota(60, Period::Hour, 1), 2),
        );
        let mut word = full_word(START);
        take(&old, &mut word, START).unwrap();
        let wait = refuse(&new, &mut word, START, old);
        assert!(wait.abs_diff(60 * SECOND) < 128, "{wait}");
        assert!(new.take(Level::of(word), 1, MonoNanos(START.0 + wait - 1), none).is_err());
        assert!(new.take(Level::of(word), 1, MonoNanos(START.0 + wait), none).is_ok());
    }

    #[test]
    fn a_refusal_by_a_smaller_bucket_forgets_nothing_and_its_wait_is_true() {
        let (large, small) = (
            Scale::exact(quota(10, Period::Minute, 1000), 1),
            Scale::exact(quota(10, Period::Minute, 10), 2),
        );
        let mut word = full_word(START);
        for _ in 0..1000 {
            take(&large, &mut word, START).unwrap();
        }
        let wait = refuse(&small, &mut word, START, large);
        assert!(large.take(Level::of(word), 1, START, none).is_err());
        // 991 tokens drain at 10 a minute.
        assert!(wait.abs_diff(991 * 6 * SECOND) < 128, "{wait}");
        let then = |wait: u64| {
            small.take(Level::of(word), 1, MonoNanos(START.0 + wait), |_| Some(large)).is_ok()
        };
        assert!(!then(wait - 1) && then(wait));
    }

    #[test]
    fn plain_ticks_serve_where_the_table_is_full() {
        let (plain, exact) = (
            Scale::plain(quota(10, Period::Minute, 10)),
            Scale::exact(quota(20, Period::Minute, 20), 3),
        );
        let mut word = full_word(START);
        for _ in 0..10 {
            take(&plain, &mut word, START).unwrap();
        }
        let wait = take(&plain, &mut word, START).unwrap_err();
        assert!((6 * SECOND..6 * SECOND + 1000).contains(&wait), "{wait}");
        // Read as the other rate's own ticks: 60 s ahead of the clock are 20 tokens of 20.
        assert!(exact.take(Level::of(word), 1, START, none).is_err());
        // And back: an exact level keeps its tokens in plain ticks.
        let mut word = full_word(START);
        for _ in 0..4 {
            take(&exact, &mut word, START).unwrap();
        }
        let (_, standing) = plain.take(Level::of(word), 1, START, |_| Some(exact)).unwrap();
        assert_eq!(standing.remaining, 5);
    }

    #[test]
    fn no_token_is_lost_to_rounding_at_any_rate() {
        for count in [3u32, 7, 999, 30_011, 170_000, 999_983, 10_000_000] {
            let scale = Scale::exact(quota(count, Period::Second, 1), 1);
            let mut word = full_word(START);
            let (mut now, mut admitted) = (START, 0u64);
            let end = START.0 + 2 * SECOND;
            loop {
                match take(&scale, &mut word, now) {
                    Ok(_) => admitted += 1,
                    Err(wait) => now.0 += wait,
                }
                if now.0 >= end || admitted > 200_000 {
                    break;
                }
            }
            // The one rounding that there is: the reading of the clock at the start, by a tick.
            let nanos = u128::from(now.0 - START.0) + 128;
            let expected = nanos * u128::from(count) / u128::from(SECOND);
            let short = expected as i128 + 1 - i128::from(admitted);
            assert!((0..=1).contains(&short), "{count}: {admitted} of {expected} + 1");
        }
    }

    proptest! {
        /// Against the plain definition, in exact rationals: a bucket of `burst` tokens, refilled
        /// continuously. Rounding the clock down may delay a token by one tick, and nothing else.
        #[test]
        fn agrees_with_a_plain_bucket(
            count in 1u32..1_000_000,
            period in 0u64..4,
            burst in 1u32..50,
            steps in proptest::collection::vec((0u64..3_000_000_000, 1u32..4), 1..60),
        ) {
            let period = Period::from_index(period).unwrap();
            let Ok(quota) = Quota::new(count, period, burst) else { return Ok(()) };
            let scale = Scale::exact(quota, 1);
            let tick = u128::from(quota.period().nanos()) / u128::from(count) / u128::from(scale.ticks_per_token) + 1;
            prop_assert!(tick <= 129);
            let (mut word, mut now) = (full_word(START), START);
            // The model: tokens scaled by the period's nanoseconds, so that it is all integers.
            let unit = u128::from(quota.period().nanos());
            let capacity = u128::from(burst) * unit;
            let (mut tokens, mut last) = (capacity, now);
            for (step, n) in steps {
                now.0 += step;
                tokens = (tokens + u128::from(now.0 - last.0) * u128::from(count)).min(capacity);
                last = now;
                let need = u128::from(n) * unit;
                match scale.take(Level::of(word), n, now, none) {
                    Ok((next, standing)) => {
                        // Never more than the model allows, but for the tick by which the start of
                        // the bucket was rounded down.
                        prop_assert!(tokens + tick * u128::from(count) >= need);
                        tokens = tokens.saturating_sub(need);
                        word = next;
                        prop_assert!(u128::from(standing.remaining) <= (tokens + tick * u128::from(count)) / unit);
                    }
                    Err(wait) => {
                        if n <= burst {
                            prop_assert!(tokens < need + tick * u128::from(count));
                            let later = MonoNanos(now.0 + wait.nanos);
                            prop_assert!(scale.take(Level::of(word), n, later, none).is_ok());
                            prop_assert!(scale.take(Level::of(word), n, MonoNanos(later.0 - 1), none).is_err());
                        }
                    }
                }
            }
        }

        #[test]
        fn a_wait_is_true_after_a_change_of_rate(
            old in (1u32..100_000, 1u32..1000), new in (1u32..100_000, 1u32..1000),
            pause in 0u64..100_000_000_000,
        ) {
            let old = Scale::exact(quota(old.0, Period::Minute, old.1), 1);
            let new = Scale::exact(quota(new.0, Period::Minute, new.1), 2);
            let foreign = |_| Some(old);
            let mut word = full_word(START);
            while take(&old, &mut word, START).is_ok() {}
            let now = MonoNanos(START.0 + pause);
            if let Err(wait) = new.take(Level::of(word), 1, now, foreign) {
                let before = old.look(Level::of(word), now, |_| Some(new)).remaining;
                word = wait.converted.unwrap_or(word);
                // A refusal forgets nothing (and rounds up, in converting there and back).
                let after = old.look(Level::of(word), now, |_| Some(new)).remaining;
                prop_assert!(after <= before);
                let at = |nanos| new.take(Level::of(word), 1, MonoNanos(now.0 + nanos), foreign);
                prop_assert!(at(wait.nanos).is_ok());
                prop_assert!(at(wait.nanos - 1).is_err());
            }
        }

        #[test]
        fn giving_back_restores_but_never_overfills(
            count in 1u32..100_000, burst in 1u32..1000, n in 1u32..100, taken in 0u32..100, later in 0u64..10_000_000_000,
        ) {
            let scale = Scale::exact(quota(count, Period::Minute, burst.max(n + taken)), 1);
            let mut word = full_word(START);
            for _ in 0..taken {
                let _ = take(&scale, &mut word, START);
            }
            let before = scale.look(Level::of(word), START, none);
            let (next, _) = scale.take(Level::of(word), n, START, none).unwrap();
            let same = scale.give_back(Level::of(next), n, START, none);
            prop_assert_eq!(scale.look(Level::of(same), START, none), before);
            let now = MonoNanos(START.0 + later);
            let back = scale.give_back(Level::of(next), n, now, none);
            prop_assert!(scale.look(Level::of(back), now, none).remaining <= u64::from(scale.quota.burst()));
            prop_assert!(scale.look(Level::of(back), now, none).remaining >= before.remaining);
        }

        #[test]
        fn no_word_and_no_moment_overflows(word: u64, now: u64, count in 1u32..Quota::MAX_COUNT, burst in 1u32..Quota::MAX_COUNT, n: u32) {
            if let Ok(quota) = Quota::new(count, Period::Day, burst) {
                for scale in [Scale::exact(quota, 7), Scale::plain(quota)] {
                    let now = MonoNanos(now);
                    let _ = scale.take(Level::of(word), n, now, |_| Some(scale));
                    let _ = scale.give_back(Level::of(word), n, now, none);
                    prop_assert!(scale.look(Level::of(word), now, none).remaining <= u64::from(burst));
                }
            }
        }
    }
}

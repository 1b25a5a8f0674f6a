//! How a bucket drains, in whole numbers: what `double`s can do as exactly, in steps of 16 bits.

use crate::cluster::message::MAX;

/// What is used of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// Whole tokens.
    pub(super) used: u64,
    /// Of the next one to drain: so many of `period_us` parts have.
    pub(super) part: u64,
    /// The period to which `part` belongs.
    pub(super) period_us: u64,
    /// When this was so.
    pub(super) at_us: u64,
}

impl Level {
    /// Lets drain what drains until `now_us`, of `count` tokens a period. A clock that stepped back lets
    /// nothing drain.
    pub(super) fn drain(&mut self, count: u64, period_us: u64, now_us: u64) {
        if self.period_us != period_us {
            self.part = 0;
            self.period_us = period_us;
        }
        let passed = now_us.saturating_sub(self.at_us);
        self.at_us = now_us;
        let parts = u128::from(passed) * u128::from(count) + u128::from(self.part);
        let tokens = parts / u128::from(period_us.max(1));
        if tokens >= u128::from(self.used) {
            (self.used, self.part) = (0, 0);
        } else {
            // Less than `used`, and less than a period: both fit.
            self.used -= u64::try_from(tokens).unwrap_or(self.used);
            self.part = u64::try_from(parts % u128::from(period_us.max(1))).unwrap_or(0);
        }
    }

    /// In how many microseconds `n` tokens more have drained, rounded up.
    pub(super) fn wait_us(&self, n: u64, count: u64) -> u64 {
        let parts = (u128::from(n) * u128::from(self.period_us)).saturating_sub(self.part.into());
        u64::try_from(parts.div_ceil(u128::from(count.max(1)))).unwrap_or(MAX).min(MAX)
    }

    /// Counts more or less. Never below nothing, and never more than can be counted.
    pub(super) fn add(&mut self, n: i64) {
        self.used = self.used.saturating_add_signed(n).min(MAX);
    }
}

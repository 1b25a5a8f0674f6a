//! One bucket for all nodes, at which nobody has to wait.

use tollgate_core::cluster::message::Terms;

/// What is in use of a limit, in parts: a token is as many as its period has microseconds.
#[derive(Clone, Copy, Default)]
pub(super) struct Ideal {
    level: u128,
    at_us: u64,
}

impl Ideal {
    /// How many requests would be admitted now.
    pub(super) fn room(&mut self, terms: Terms, now_us: u64) -> u64 {
        let Terms::Bucket { capacity, count, period_us } = terms else { return 0 };
        let passed = u128::from(now_us - self.at_us) * u128::from(count);
        (self.level, self.at_us) = (self.level.saturating_sub(passed), now_us);
        let room = (u128::from(capacity) * u128::from(period_us)).saturating_sub(self.level);
        u64::try_from(room / u128::from(period_us.max(1))).unwrap_or(u64::MAX)
    }

    /// A request is admitted, if there is room for it.
    pub(super) fn admits(&mut self, terms: Terms, now_us: u64) -> bool {
        let has_room = self.room(terms, now_us) > 0;
        if has_room {
            self.count(terms, now_us);
        }
        has_room
    }

    /// A request was admitted, whether there was room for it or not. Gives by how much the limit is exceeded, rounded
    /// up.
    pub(super) fn count(&mut self, terms: Terms, now_us: u64) -> u64 {
        self.room(terms, now_us);
        let Terms::Bucket { capacity, period_us, .. } = terms else { return 0 };
        self.level += u128::from(period_us);
        let above = self.level.saturating_sub(u128::from(capacity) * u128::from(period_us));
        u64::try_from(above.div_ceil(u128::from(period_us.max(1)))).unwrap_or(u64::MAX)
    }
}

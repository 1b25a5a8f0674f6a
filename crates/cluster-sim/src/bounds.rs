//! What is published of how far a limit can be exceeded, as functions of what happened. docs/cluster-bounds.md quotes them.
//!
//! * A bucket: over any interval of the store's time, admitted <= capacity + rate x time + `allowance`.
//! * A budget: in a period, admitted <= amount + `allowance`.
//! * Slots: in flight, of nodes that have their lease, <= limit + `allowance`.
//!
//! The allowance is nothing, whatever the network does and whichever node stops or dies. It grows where the store fails
//! ([`Allowance`]), and by what a request used beyond its reservation, which no limit can refuse any more.

use tollgate_core::cluster::message::Terms;

/// What a failure of the store adds to a bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// A replica took over: what was sold and reported by exchanges that it hadn't heard of.
    pub lost_tail: u64,
    /// All data were lost: what nodes held of leases just then, and what was in use where those who knew it couldn't
    /// say so before something was sold.
    pub lost_data: u64,
    /// The store's clock stepped forward by more than leases live shorter than accounts: what nodes held just then.
    pub clock_step: u64,
    /// Requests used so much more than they had reserved.
    pub excess: u64,
}

impl Allowance {
    /// All of it.
    #[must_use]
    pub fn sum(self) -> u64 {
        self.lost_tail + self.lost_data + self.clock_step + self.excess
    }
}

/// More was admitted than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// By so much, rounded up.
    pub by: u64,
    /// What the allowance is.
    pub allowance: u64,
}

/// The account of what was admitted, of one limit.
#[derive(Clone, Debug)]
pub struct Bound {
    terms: Terms,
    /// Of a bucket in parts: a token is as many as its period has microseconds. Of others as it is.
    level: u128,
    /// The store's time up to which it has drained.
    at_us: u64,
    /// What adds to the bound.
    pub allowance: Allowance,
    /// How often it was above the bound, and by how much at most.
    pub exceeded: Option<Exceeded>,
    /// All that was ever admitted, less what was given back.
    pub admitted: u64,
}

impl Bound {
    /// Of a limit of which nothing is used.
    #[must_use]
    pub fn new(terms: Terms, now_us: u64) -> Self {
        let allowance = Allowance::default();
        Self { terms, level: 0, at_us: now_us, allowance, exceeded: None, admitted: 0 }
    }

    fn parts(&self) -> u128 {
        match self.terms {
            Terms::Bucket { period_us, .. } => period_us.into(),
            Terms::Budget { .. } | Terms::Slots { .. } => 1,
        }
    }

    /// The store's clock says so: a bucket drains. Where it stepped back, nothing does.
    pub fn pass(&mut self, now_us: u64) {
        if let Terms::Bucket { count, .. } = self.terms {
            let passed = now_us.saturating_sub(self.at_us);
            self.level = self.level.saturating_sub(u128::from(passed) * u128::from(count));
        }
        self.at_us = now_us;
    }

    /// So much was admitted by leases, at the store's time `now_us`.
    pub fn admit(&mut self, n: u64, now_us: u64) {
        self.pass(now_us);
        self.admitted += n;
        self.level += u128::from(n) * self.parts();
        let most = u128::from(self.terms.capacity() + self.allowance.sum()) * self.parts();
        if let Some(above) = self.level.checked_sub(most).filter(|above| *above > 0) {
            let by = u64::try_from(above.div_ceil(self.parts())).unwrap_or(u64::MAX);
            let worst = self.exceeded.map_or(by, |exceeded| exceeded.by.max(by));
            self.exceeded = Some(Exceeded { by: worst, allowance: self.allowance.sum() });
        }
    }

    /// So much of it was given back: of buckets and budgets when the store heard of it, of slots when the request ended.
    pub fn give_back(&mut self, n: u64, now_us: u64) {
        self.pass(now_us);
        self.admitted = self.admitted.saturating_sub(n);
        self.level = self.level.saturating_sub(u128::from(n) * self.parts());
    }

    /// A request used so much more than was reserved.
    pub fn exceed(&mut self, n: u64, now_us: u64) {
        self.allowance.excess += n;
        self.admit(n, now_us);
    }

    /// Nothing is in use; what was exceeded is remembered.
    pub fn begin_anew(&mut self, now_us: u64) {
        (self.level, self.at_us) = (0, now_us);
    }

    /// What is in use, rounded up.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        u64::try_from(self.level.div_ceil(self.parts())).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_may_be_drawn_as_it_drains_and_no_faster() {
        let terms = Terms::Bucket { capacity: 10, count: 60, period_us: 60_000_000 };
        let mut bound = Bound::new(terms, 0);
        bound.admit(10, 0);
        bound.admit(1, 1_000_000);
        assert_eq!(bound.exceeded, None);
        bound.admit(1, 1_999_999);
        assert_eq!(bound.exceeded, Some(Exceeded { by: 1, allowance: 0 }));
        // A clock that stepped back lets nothing drain.
        let mut bound = Bound::new(terms, 5_000_000);
        bound.admit(10, 5_000_000);
        bound.pass(0);
        bound.admit(1, 999_999);
        assert!(bound.exceeded.is_some());
    }
}

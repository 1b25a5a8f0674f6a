//! How a limit stands, and what stands in the way of a request.

/// How a limit stands after (or without) a take, for headers and logs. The unit is that of the
/// limit: requests, tokens, nano-units of money, or requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The quota of a period.
    pub quota: u64,
    /// The length of the period in seconds; 0 for concurrency, which has none.
    pub period_secs: u64,
    /// The most that can be left.
    pub capacity: u64,
    /// What is left, in whole units; 0 while the limit is in debt.
    pub remaining: u64,
    /// Nanoseconds until all of the capacity is left if nothing is used, rounded up. A debt counts. For a
    /// budget until the end of the period; 0 for concurrency, where it isn't known.
    pub until_full_nanos: u64,
}

impl Standing {
    /// Of a limit that nothing was taken from yet.
    pub(super) const UNKNOWN: Self =
        Self { quota: 0, period_secs: 0, capacity: 0, remaining: 0, until_full_nanos: 0 };
}

/// How a limit stands for whoever looks at it. The unit is that of [`Standing`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// How much of it is in use, in whole units, rounded up: more than its capacity where it is in debt.
    pub used: u64,
    /// The quota, what is left, and when all of it is left again.
    pub standing: Standing,
}

impl View {
    /// The share that is used: 1 where nothing is left, more where it is in debt.
    #[must_use]
    pub fn used_ratio(&self) -> f64 {
        self.used as f64 / self.standing.capacity.max(1) as f64
    }
}

/// Why a limit does not let an ask pass. The later one stands in the way for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Obstacle {
    /// Too little is left; it would pass after so many nanoseconds, as far as the present use goes.
    Wait(u64),
    /// It asks for more than the limit can ever hold: waiting doesn't help.
    Oversized,
}

/// A take that does not succeed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Nanoseconds after which it would.
    pub(super) nanos: u64,
    /// The word to store for that to be true: the same use, but a bucket then drains at the rate of
    /// the take, and a budget turns with the present clock.
    pub(super) converted: Option<u64>,
}

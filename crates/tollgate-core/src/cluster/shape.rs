//! What a limit is for the store.

use super::super::limits::ask::Kind;
use super::super::limits::{Calendar, Period, Take};

/// What a limit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A token bucket.
    Bucket {
        /// The most that it holds, in tokens.
        capacity: u32,
        /// Tokens that come back in a period.
        count: u32,
        /// The period.
        period: Period,
    },
    /// Money for a period of the calendar.
    Budget {
        /// How much, in nano-units.
        amount: u64,
        /// The period.
        calendar: Calendar,
    },
    /// Places among the requests in flight.
    Slots {
        /// How many.
        limit: u16,
    },
}

/// Nano-units in a micro-unit: the store counts money in those.
const NANOS_PER_MICRO: u64 = 1_000;

/// How many of the node's units are one of the store's, of the limit that has this word of a slot.
pub(super) fn unit_of(word: usize) -> u64 {
    match Kind::of(word) {
        Kind::Budget(_) => NANOS_PER_MICRO,
        Kind::Bucket | Kind::Concurrency => 1,
    }
}

impl Shape {
    /// That of the limit which is taken from.
    #[must_use]
    #[inline]
    pub fn of(take: &Take) -> Self {
        match *take {
            Take::Bucket { scale, .. } => {
                let quota = scale.quota();
                let (capacity, count) = (quota.burst(), quota.count());
                Self::Bucket { capacity, count, period: quota.period() }
            }
            Take::Budget { budget, .. } => {
                Self::Budget { amount: budget.amount(), calendar: budget.calendar() }
            }
            Take::Concurrency { limit } => Self::Slots { limit },
        }
    }

    /// How many of the node's units are one of the store's: money is counted in nano-units here, and in
    /// micro-units there.
    #[must_use]
    pub fn unit(&self) -> u64 {
        match self {
            Self::Budget { .. } => NANOS_PER_MICRO,
            Self::Bucket { .. } | Self::Slots { .. } => 1,
        }
    }

    /// The most that there is of it, in the units of the store.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        match *self {
            Self::Bucket { capacity, .. } => capacity.into(),
            Self::Budget { amount, .. } => amount / NANOS_PER_MICRO,
            Self::Slots { limit } => limit.into(),
        }
    }
}

//! What a node and the store say to each other: one message, one answer for each call that it takes.
//!
//! All that a message says of a limit are absolute numbers, so a message that is lost, repeated or
//! late changes nothing that another one doesn't put right. Every number is below 2^53, as the store
//! calculates in `double`s.

mod answer;
mod call;
mod numbers;

pub use answer::{Answer, Outcome, Sold, Status, Void};
pub use call::{Call, Shards, MAX_CALL};

/// The largest number of a message; larger ones are cut. (Sums of two stay exact in a `double`.)
pub const MAX: u64 = 1 << 52;
/// The most that a node may hold or want of one limit.
pub const MAX_HELD: u64 = 1 << 45;

/// Which run of a node's memory: a node that restarts is another incarnation. 53 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(u64);

impl Incarnation {
    /// That of 64 random bits.
    #[must_use]
    pub fn from_random(bits: u64) -> Self {
        Self((bits >> 11).max(1))
    }

    /// As a number below 2^53.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Which limit of whom, in the store: a hash with the cluster's own seed, so that the store learns no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId(pub [u8; 16]);

/// What a node tells the store, and asks of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who speaks.
    pub incarnation: Incarnation,
    /// The number of this exchange: no two of an incarnation have the same, and it only rises.
    pub seq: u64,
    /// The store's time, in microseconds since 1970, after which this must not be executed any more.
    pub latest_us: u64,
    /// What is said of each limit. No two have the same `id`.
    pub lines: Vec<Line>,
}

/// What a message says of one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which.
    pub id: StoreId,
    /// How much it grants.
    pub terms: Terms,
    /// The `seq` at which the node began to count what is drawn and adjusted from nothing: an entry that
    /// was given away and made anew counts anew.
    pub born: u64,
    /// How much was taken out of leases, since then.
    pub drawn: u64,
    /// How much more was used than reserved, less what was given back, since then.
    pub adjust: i64,
    /// The `drawn` of the last message that was answered.
    pub acked_drawn: u64,
    /// The `adjust` of the last message that was answered.
    pub acked_adjust: i64,
    /// A message with other numbers than the acknowledged ones was sent, and not answered: perhaps the
    /// store has counted them.
    pub in_doubt: bool,
    /// What is left of the lease; of slots: how many may be in flight.
    pub held: u64,
    /// What the node would like to hold in addition.
    pub want: u64,
    /// What all nodes had used when the store last said so (of a bucket: less what has drained since),
    /// without what this message reports. For a store that has lost it.
    pub known: u64,
    /// When the store said so, by its clock; 0: never (in this period).
    pub heard_us: u64,
    /// An operator wants the limit to be full again.
    pub reset: bool,
}

/// What a limit grants, in the store's units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terms {
    /// `count` tokens a period, and `capacity` at once.
    Bucket {
        /// The most at once: below 2^31.
        capacity: u64,
        /// Tokens a period: below 2^31, and not zero.
        count: u64,
        /// The period in microseconds: at most a day.
        period_us: u64,
    },
    /// So much money in a period of the calendar.
    Budget {
        /// In micro-units: at most 2^45.
        amount: u64,
        /// The number of the period.
        number: u64,
        /// When it begins, in microseconds since 1970.
        from_us: u64,
        /// When the next one begins.
        until_us: u64,
    },
    /// So many at once.
    Slots {
        /// How many.
        limit: u64,
    },
}

impl Terms {
    /// The most that can be sold at once.
    #[must_use]
    pub fn capacity(self) -> u64 {
        match self {
            Self::Bucket { capacity, .. } => capacity,
            Self::Budget { amount, .. } => amount,
            Self::Slots { limit } => limit,
        }
    }
}

#[cfg(test)]
mod tests;

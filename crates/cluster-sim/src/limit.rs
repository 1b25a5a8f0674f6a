//! The limits that clients have in the simulation.

use tollgate_core::cluster::message::Terms;
use tollgate_core::limits::{Ask, Budget, Dimension, Key, Oversize, Quota, Take, Zone};

/// A limit of one client.
#[derive(Clone, Debug)]
pub struct Limit {
    /// Whose.
    pub client: String,
    /// What it grants.
    pub grants: Grants,
}

/// What a limit grants.
#[derive(Clone, Copy, Debug)]
pub enum Grants {
    /// A token bucket.
    Bucket(Quota),
    /// Money; the node counts it in nano-units.
    Budget(Budget),
    /// So many at once.
    Slots(u16),
}

impl Limit {
    /// What a request asks for `n`, in the units of the node.
    #[must_use]
    pub fn ask(&self, zone: &Zone<'_>, n: u64) -> Ask {
        let key: Key = zone.client_key(&self.client);
        Ask::new(
            key,
            match self.grants {
                Grants::Bucket(quota) => Take::Bucket {
                    dimension: Dimension::Tokens,
                    scale: zone.scale(quota),
                    n: u32::try_from(n).unwrap_or(u32::MAX),
                    oversize: Oversize::Refuse,
                },
                Grants::Budget(budget) => Take::Budget { budget, n, guess: 0 },
                Grants::Slots(limit) => Take::Concurrency { limit },
            },
        )
    }

    /// What a unit of the store is in those of a node.
    #[must_use]
    pub fn unit(&self) -> u64 {
        match self.grants {
            Grants::Budget(_) => 1_000,
            Grants::Bucket(_) | Grants::Slots(_) => 1,
        }
    }

    /// What the bound says of it. (The period of a budget is without end here: a schedule lies in one.)
    #[must_use]
    pub fn terms(&self) -> Terms {
        match self.grants {
            Grants::Bucket(quota) => Terms::Bucket {
                capacity: quota.burst().into(),
                count: quota.count().into(),
                period_us: quota.period().nanos() / 1_000,
            },
            Grants::Budget(budget) => Terms::Budget {
                amount: budget.amount() / 1_000,
                number: 1,
                from_us: 0,
                until_us: u64::MAX,
            },
            Grants::Slots(limit) => Terms::Slots { limit: limit.into() },
        }
    }
}

//! What tests need.

use std::sync::atomic::AtomicU64;
use std::sync::Mutex;

use super::{Entry, LeaseTable};
use crate::clock::MonoNanos;
use crate::limits::{Ask, Budget, ClaimLock, Dimension, Key, Oversize, Quota, Seed, Take, Zone};

pub(super) const SECOND: u64 = 1_000_000_000;
/// When the node began.
pub(super) const START: MonoNanos = MonoNanos(100 * SECOND);

pub(super) fn at(nanos: u64) -> MonoNanos {
    MonoNanos(START.0 + nanos)
}

#[derive(Default)]
pub(super) struct Lock(Mutex<()>);

impl ClaimLock for Lock {
    fn with<T>(&self, f: impl FnOnce() -> T) -> T {
        let _held = self.0.lock().unwrap();
        f()
    }
}

/// The memory of one node: its zone, and its table of leases.
pub(super) struct Node {
    zone: Vec<AtomicU64>,
    table: Vec<AtomicU64>,
    pub(super) lock: Lock,
}

fn memory(words: usize) -> Vec<AtomicU64> {
    (0..words).map(|_| AtomicU64::new(0)).collect()
}

impl Node {
    pub(super) fn new(table_words: usize) -> Self {
        let node =
            Self { zone: memory(100_000), table: memory(table_words), lock: Lock::default() };
        Zone::format(&node.zone, (1, 2)).unwrap();
        LeaseTable::format(&node.table, 77, START).unwrap();
        node.table().words().set_seed((5, 6));
        node
    }

    pub(super) fn zone(&self) -> Zone<'_> {
        Zone::attach(&self.zone).unwrap()
    }

    pub(super) fn table(&self) -> LeaseTable<'_> {
        LeaseTable::attach(&self.table).unwrap()
    }

    pub(super) fn requests(&self, client: &str, quota: &str, n: u32) -> Ask {
        let zone = self.zone();
        let scale = zone.scale(Quota::parse(quota, None).unwrap());
        let (dimension, oversize) = (Dimension::Requests, Oversize::Debt);
        Ask::new(zone.client_key(client), Take::Bucket { dimension, scale, n, oversize })
    }

    pub(super) fn money(&self, client: &str, budget: &str, n: u64) -> Ask {
        let budget = Budget::parse(budget).unwrap();
        Ask::new(self.zone().client_key(client), Take::Budget { budget, n, guess: 0 })
    }

    pub(super) fn places(&self, client: &str, limit: u16) -> Ask {
        Ask::new(self.zone().client_key(client), Take::Concurrency { limit })
    }

    /// The entry of an ask, which is made if there is none.
    pub(super) fn entry(&self, client: &str, ask: &Ask) -> Entry<'_> {
        let name = |seed: Seed| Some(seed.client_key(client));
        self.table().find_or_make(ask, name, &self.lock).unwrap()
    }
}

/// Any key.
pub(super) fn key(client: &str) -> Key {
    Seed::new((1, 2)).client_key(client)
}

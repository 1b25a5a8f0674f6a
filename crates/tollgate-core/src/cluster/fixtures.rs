//! What tests need.

use std::num::NonZeroU16;
use std::sync::atomic::AtomicU64;
use std::sync::Mutex;

use super::exchange::{apply, collect, Applied, Asked, Memory, Pace};
use super::message::{Answer, Call, Shards};
use super::mirror::ZoneMirror;
use super::store::Store;
use super::{Entry, LeaseTable};
use crate::clock::MonoNanos;
use crate::limits::{
    Ask, Budget, ClaimLock, Dimension, Key, Now, Oversize, Quota, Seed, Take, Zone,
};

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

/// The store's clock at [`START`]: 2026-06-15T12:00:00Z.
pub(super) const STORE_START_US: u64 = 1_781_524_800_000_000;

/// One that shares a store with others: its memory, and that of its thread.
pub(super) struct Member {
    pub(super) node: Node,
    pub(super) memory: Memory,
}

pub(super) const PACE: Pace = Pace { exchange: 50_000_000, weight: NonZeroU16::MIN };

impl Member {
    pub(super) fn new(incarnation: u64) -> Self {
        Self::with_table(incarnation, 20_000)
    }

    /// One whose table has so many words.
    pub(super) fn with_table(incarnation: u64, table_words: usize) -> Self {
        let node = Node::new(table_words);
        LeaseTable::format(&node.table, incarnation << 11, START).unwrap();
        node.table().words().set_seed((5, 6));
        Self { node, memory: Memory::default() }
    }

    fn mirror(&self, now: MonoNanos) -> ZoneMirror<'_> {
        let wall = self.node.table().words().store_time(now).unwrap_or_default();
        ZoneMirror::new(self.node.zone(), Now { mono: now, wall })
    }

    pub(super) fn collect(&mut self, now: MonoNanos) -> Option<Asked> {
        let mut memory = std::mem::take(&mut self.memory);
        let asked = collect(&self.node.table(), &mut memory, &mut self.mirror(now), PACE, now);
        self.memory = memory;
        asked
    }

    /// What the store answered, or nothing.
    pub(super) fn apply(
        &mut self,
        asked: &Asked,
        answer: Option<Answer>,
        now: MonoNanos,
    ) -> Applied {
        let calls = Call::all(&asked.message, Shards::ONE);
        let mut memory = std::mem::take(&mut self.memory);
        let answers = calls.iter().map(|call| (call, answer.as_ref()));
        let mirror = &mut self.mirror(now);
        let applied = apply(&self.node.table(), &mut memory, mirror, asked, answers, now);
        self.memory = memory;
        applied
    }

    /// An exchange that takes no time.
    pub(super) fn exchange(&mut self, store: &mut Store, now: MonoNanos) -> Option<Applied> {
        let asked = self.collect(now)?;
        let answer = answer(store, &asked, store_us(now));
        Some(self.apply(&asked, Some(answer), now))
    }

    /// The first words: what time it is, and then something.
    pub(super) fn meet(mut self, store: &mut Store) -> Self {
        self.exchange(store, START).unwrap();
        assert!(self.node.table().words().store_us(START).is_some());
        self
    }
}

pub(super) fn store_us(now: MonoNanos) -> u64 {
    STORE_START_US + (now.0 - START.0) / 1_000
}

/// What the store says to a message that reaches it then.
pub(super) fn answer(store: &mut Store, asked: &Asked, now_us: u64) -> Answer {
    let calls = Call::all(&asked.message, Shards::ONE);
    store.exchange(&calls[0], 0, now_us)
}

/// Any key.
pub(super) fn key(client: &str) -> Key {
    Seed::new((1, 2)).client_key(client)
}

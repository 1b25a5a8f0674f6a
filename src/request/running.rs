//! The requests of this worker that can be cut off.

use std::collections::BTreeMap;

use crate::per_worker::PerWorker;
use crate::types::{InFlight, Request};

/// A request that can be cut off.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) request: InFlight,
    /// Whether it ends when its credential does.
    ends_with_key: bool,
    /// How many orders of `tollgate client drop` there were when it began.
    pub(crate) orders: u64,
}

/// The requests of this worker that can be cut off, by their number.
#[derive(Debug, Default)]
struct Requests {
    running: BTreeMap<u64, Entry>,
    last: u64,
}

static REQUESTS: PerWorker<Requests> = PerWorker::new(Requests::default);

/// A request's entry among them, which is gone when this is.
#[derive(Debug)]
pub(crate) struct Running {
    number: u64,
    orders: u64,
}

/// For what one is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    /// Its credential may have been taken back.
    ByKeys,
    /// Its client may have been dropped.
    ByOrders,
}

impl Running {
    /// Has the request looked after. This belongs into its state. `before` is what was there.
    pub(crate) fn new(r: Request<'_>, ends_with_key: bool, before: Option<Self>) -> Self {
        let orders = match before {
            Some(before) => before.orders,
            None => r.main_conf().drops().map_or(0, |drops| drops.get().count()),
        };
        REQUESTS.with(|requests| {
            requests.last = requests.last.saturating_add(1);
            let entry = r.in_flight().map(|request| Entry { request, ends_with_key, orders });
            requests.running.extend(entry.map(|entry| (requests.last, entry)));
            Self { number: requests.last, orders }
        })
    }
}

impl Running {
    /// How many orders there were when it began.
    pub(super) fn orders(&self) -> u64 {
        self.orders
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        REQUESTS.with(|requests| requests.running.remove(&self.number));
    }
}

/// The numbers of those that are to be looked at.
pub(super) fn numbers(looked: Looked) -> Vec<u64> {
    REQUESTS.with(|requests| {
        let entries = requests.running.iter();
        let is_it = |entry: &Entry| looked == Looked::ByOrders || entry.ends_with_key;
        entries.filter(|(_, entry)| is_it(entry)).map(|(number, _)| *number).collect()
    })
}

/// The one of this number, if it is still there.
pub(super) fn get(number: u64) -> Option<Entry> {
    REQUESTS.with(|requests| requests.running.get(&number).copied())
}

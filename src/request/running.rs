//! The requests of this worker that can be cut off.

use std::collections::BTreeMap;

use crate::per_worker::PerWorker;
use crate::types::{InFlight, Request};

/// The requests of this worker that can be cut off, by their number.
#[derive(Debug, Default)]
struct Requests {
    running: BTreeMap<u64, InFlight>,
    last: u64,
}

static REQUESTS: PerWorker<Requests> = PerWorker::new(Requests::default);

/// A request's entry among them, which is gone when this is.
#[derive(Debug)]
pub(crate) struct Running(u64);

impl Running {
    /// Has the request looked after. This belongs into its state.
    pub(crate) fn new(r: Request<'_>) -> Self {
        REQUESTS.with(|requests| {
            requests.last = requests.last.saturating_add(1);
            requests.running.extend(r.in_flight().map(|request| (requests.last, request)));
            Self(requests.last)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        REQUESTS.with(|requests| requests.running.remove(&self.0));
    }
}

/// Their numbers.
pub(super) fn numbers() -> Vec<u64> {
    REQUESTS.with(|requests| requests.running.keys().copied().collect())
}

/// The one of this number, if it is still there.
pub(super) fn get(number: u64) -> Option<InFlight> {
    REQUESTS.with(|requests| requests.running.get(&number).copied())
}

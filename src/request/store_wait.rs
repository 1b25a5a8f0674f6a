//! Requests that wait for the next exchange with the store, as it may sell what the node's lease lacks.

use std::cell::RefCell;
use std::collections::BTreeMap;

use tollgate_core::limits::Ask;

use crate::clock::mono_now;
use crate::keys::live::next_id;
use crate::zone::leases::MappedLeases;
use nginx::request::handles::Parked;
use nginx::timer::Timer;

/// Milliseconds between two looks, at least.
const POLL_MS: u64 = 5;

static TIMER: Timer = Timer::for_requests(poll);

thread_local! {
    /// By their numbers. Only the thread that nginx runs in has any.
    static REQUESTS: RefCell<BTreeMap<u64, Waiter>> = const { RefCell::new(BTreeMap::new()) };
}

struct Waiter {
    leases: MappedLeases,
    until: Until,
    poll_ms: u64,
    parked: Parked,
}

/// Until when a request waits.
pub(super) struct Until {
    /// What it asks for, with the number of the exchange in which the store is asked.
    pub(super) asks: Vec<(Option<Ask>, u64)>,
    /// Nanoseconds of the monotonic clock.
    pub(super) deadline: u64,
}

impl Until {
    fn is_over(&self, leases: &MappedLeases, now: u64) -> bool {
        let table = leases.get();
        let is_answered = |(ask, round): &(Option<Ask>, u64)| {
            let entry = ask.as_ref().and_then(|ask| table.find(ask));
            match entry {
                Some(entry) => entry.is_answered(*round),
                // It is none of this request's any more, or had no name yet.
                None => table.words().seed().is_some(),
            }
        };
        self.deadline <= now || self.asks.iter().all(is_answered)
    }
}

/// A request's entry, which is gone when this is. It belongs into the state of the request.
#[derive(Debug)]
pub(super) struct Waiting(u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        // While a process ends, there may be nothing left to take it out of.
        let _ = REQUESTS.try_with(|requests| requests.borrow_mut().remove(&self.0));
    }
}

/// Lets a request wait. `exchange_nanos` is the time between two exchanges.
pub(super) fn wait(
    leases: &MappedLeases,
    until: Until,
    exchange_nanos: u64,
    parked: Parked,
) -> Waiting {
    let number = next_id();
    let poll_ms = (exchange_nanos / 4_000_000).max(POLL_MS);
    let waiter = Waiter { leases: MappedLeases::clone(leases), until, poll_ms, parked };
    REQUESTS.with_borrow_mut(|requests| requests.insert(number, waiter));
    TIMER.start(poll_ms);
    Waiting(number)
}

/// The handler of the timer.
fn poll() {
    let due: Vec<u64> = REQUESTS.with_borrow(|requests| {
        if let Some(poll_ms) = requests.values().map(|waiter| waiter.poll_ms).min() {
            // First, so that a bug in what follows doesn't end it.
            TIMER.start(poll_ms);
        }
        let now = mono_now().0;
        let is_due = |waiter: &Waiter| waiter.until.is_over(&waiter.leases, now);
        requests.iter().filter(|(_, waiter)| is_due(waiter)).map(|(number, _)| *number).collect()
    });
    #[cfg(debug_assertions)]
    crate::faults::in_timer();
    for number in due {
        // To judge a request may end this or another one.
        let waiter = REQUESTS.with_borrow_mut(|requests| requests.remove(&number));
        if let Some(waiter) = waiter {
            waiter.parked.resume();
        }
    }
}

//! Requests, and answers to them, that wait for the answer of a provider. Several may wait for one.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::clock::mono_now;
use crate::keys::live::next_id;
use crate::types::Tollgate;
use nginx::request::handles::{Parked, Paused};
use nginx::timer::Timer;

/// How long a request waits, in nanoseconds, for all that it waits for together.
const WAIT_NANOS: u64 = 10_000_000_000;

/// Milliseconds between two looks at whose time is up.
const POLL_MS: u64 = 100;

static TIMER: Timer = Timer::for_requests(poll);

thread_local! {
    /// By their numbers. Only the thread that nginx runs in has any.
    static REQUESTS: RefCell<BTreeMap<u64, Waiter>> = const { RefCell::new(BTreeMap::new()) };
}

struct Waiter {
    topic: Topic,
    /// Nanoseconds of the monotonic clock.
    deadline: u64,
    who: Who,
    is_due: bool,
}

/// Who goes on.
enum Who {
    /// A request, in its phase.
    Request(Parked),
    /// The answer of one.
    Answer(Paused<Tollgate>),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic(u64);

impl Topic {
    pub(crate) fn new() -> Self {
        Self(next_id())
    }

    /// Whether anybody waits for it.
    pub(crate) fn is_awaited(self) -> bool {
        REQUESTS.with_borrow(|requests| requests.values().any(|waiter| waiter.topic == self))
    }

    /// There is an answer, or there won't be one: whoever waits for it goes on.
    pub(crate) fn wake(self) {
        let is_any = REQUESTS.with_borrow_mut(|requests| {
            let mut waiters = requests.values_mut().filter(|waiter| waiter.topic == self);
            waiters.by_ref().for_each(|waiter| waiter.is_due = true);
            requests.values().any(|waiter| waiter.is_due)
        });
        if is_any {
            TIMER.soon();
        }
    }
}

/// A request's entry, which is gone when this is. It belongs into the state of the request.
#[derive(Debug)]
pub(crate) struct Waiting(u64);

impl Drop for Waiting {
    fn drop(&mut self) {
        // While a process ends, there may be nothing left to take it out of.
        let _ = REQUESTS.try_with(|requests| requests.borrow_mut().remove(&self.0));
    }
}

/// When a request that begins to wait has to go on without an answer.
pub(crate) fn deadline() -> u64 {
    mono_now().0.saturating_add(WAIT_NANOS)
}

pub(crate) fn is_over(deadline: u64) -> bool {
    deadline <= mono_now().0
}

/// Lets a request wait.
pub(crate) fn wait(topic: Topic, deadline: u64, parked: Parked) -> Waiting {
    add(topic, deadline, Who::Request(parked))
}

/// Lets an answer wait, of which a part is there.
pub(crate) fn pause(topic: Topic, deadline: u64, paused: Paused<Tollgate>) -> Waiting {
    add(topic, deadline, Who::Answer(paused))
}

fn add(topic: Topic, deadline: u64, who: Who) -> Waiting {
    let number = next_id();
    let waiter = Waiter { topic, deadline, who, is_due: false };
    REQUESTS.with_borrow_mut(|requests| requests.insert(number, waiter));
    TIMER.start(POLL_MS);
    Waiting(number)
}

/// The handler of the timer.
fn poll() {
    let due: Vec<u64> = REQUESTS.with_borrow(|requests| {
        if !requests.is_empty() {
            // First, so that a bug in what follows doesn't end it.
            TIMER.start(POLL_MS);
        }
        let is_due = |waiter: &Waiter| waiter.is_due || is_over(waiter.deadline);
        requests.iter().filter(|(_, waiter)| is_due(waiter)).map(|(number, _)| *number).collect()
    });
    for number in due {
        // To judge a request may end this or another one.
        let waiter = REQUESTS.with_borrow_mut(|requests| requests.remove(&number));
        match waiter.map(|waiter| waiter.who) {
            Some(Who::Request(parked)) => parked.resume(),
            Some(Who::Answer(paused)) => paused.go_on(),
            None => {}
        }
    }
}

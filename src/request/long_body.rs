//! Requests with a long body, which is read in several turns of the event loop, so that the worker's other
//! requests don't wait for it. In each turn one of them goes on, whoever has waited for longest.

use std::cell::RefCell;
use std::collections::VecDeque;

use crate::request::state::{State, Step};
use crate::types::Request;
use nginx::request::handles::Parked;
use nginx::timer::Timer;
use nginx::Verdict;

static TIMER: Timer = Timer::for_requests(go_on);

thread_local! {
    /// Only the thread that nginx runs in has any.
    static REQUESTS: RefCell<VecDeque<Parked>> = const { RefCell::new(VecDeque::new()) };
}

/// Lets the request wait for its next turn, in which it goes on with this step. `None` when nginx has no memory.
pub(super) fn wait(r: Request<'_>, state: &RefCell<State>, step: Step) -> Option<Verdict> {
    state.borrow_mut().step = step;
    let parked = r.park()?;
    REQUESTS.with_borrow_mut(|requests| requests.push_back(parked));
    TIMER.next_turn();
    Some(Verdict::Pending)
}

/// The handler of the timer.
fn go_on() {
    let next = REQUESTS.with_borrow_mut(VecDeque::pop_front);
    if REQUESTS.with_borrow(|requests| !requests.is_empty()) {
        TIMER.next_turn();
    }
    // One that has ended meanwhile doesn't notice.
    if let Some(parked) = next {
        parked.resume();
    }
}

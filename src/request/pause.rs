//! ACCESS: a request that has to wait stops here, and goes on in a later turn of the event loop.

use std::cell::RefCell;

use crate::keys::waiting::{self, Topic};
use crate::request::classifier::Wait;
use crate::request::queue;
use crate::request::running::Running;
use crate::request::state::{State, Step};
use crate::types::Request;
use nginx::Verdict;

/// Lets the request wait for what a provider says.
pub(super) fn for_provider(
    r: Request<'_>,
    state: &RefCell<State>,
    topic: Topic,
) -> Option<Verdict> {
    let mut state = state.borrow_mut();
    state.step = Step::Provider;
    let asked = state.asked.as_mut()?;
    asked.waiting = Some(waiting::wait(topic, asked.deadline, r.park()?));
    Some(Verdict::Pending)
}

/// Lets the request wait for what a classifier says.
pub(super) fn for_classifier(
    r: Request<'_>,
    state: &RefCell<State>,
    wait: Wait,
) -> Option<Verdict> {
    let mut state = state.borrow_mut();
    state.step = Step::Classifier;
    let guarded = state.guarded.as_mut()?;
    guarded.waiting = Some(waiting::wait(wait.topic, wait.deadline, r.park()?));
    Some(Verdict::Pending)
}

/// Lets the request wait for what the store sells.
pub(super) fn for_store(r: Request<'_>, state: &RefCell<State>) -> Option<Verdict> {
    let mut state = state.borrow_mut();
    state.step = Step::Lease;
    if r.main_conf().drops().is_some() && state.running.is_none() {
        state.running = Some(Running::new(r, false, None));
    }
    state.awaiting.as_mut()?.wait(r.park()?);
    Some(Verdict::Pending)
}

/// Lets the request wait for its turn.
pub(super) fn for_turn(r: Request<'_>, state: &RefCell<State>) -> Option<Verdict> {
    let mut state = state.borrow_mut();
    state.step = Step::Turn;
    if r.main_conf().drops().is_some() && state.running.is_none() {
        state.running = Some(Running::new(r, false, None));
    }
    let ticket = state.ticket.as_ref()?.ticket();
    queue::wait(ticket, r.park()?);
    Some(Verdict::Pending)
}

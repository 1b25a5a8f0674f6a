//! Settlement: what a request really took takes the place of what it had reserved, its slots are free, and
//! something is learned.
//!
//! That is when the last of its answer comes by, and before it goes on to the client: whoever has all of an
//! answer finds its slot free, whatever the request still waits for (a `mirror`, a subrequest in the
//! background, a `post_action`). What never gets that far, is settled when it is logged.

use std::cell::RefCell;

use crate::request::learn;
use crate::request::state::State;
use crate::types::Request;
use nginx::Reader as _;

/// The header of the answer is about to go out.
pub(crate) fn begin(r: Request<'_>, state: &RefCell<State>) {
    let is_needed = {
        let state = state.borrow();
        !state.reservations.is_empty() || state.metering.is_some()
    };
    if !is_needed {
        r.forget_end();
    } else if r.await_end() {
        end(r);
    }
}

/// The answer has come to its end.
pub(crate) fn end(r: Request<'_>) {
    let Some(state) = r.state().filter(|_| r.is_main()) else { return };
    if r.is_composed() {
        // The end of a page to which subrequests add is not that of their work.
        r.forget_end();
        return;
    }
    if let Some(metering) = &mut state.borrow_mut().metering {
        metering.finish(r, |_| {});
    }
    settle(r, state);
}

/// A `post_action` may come, and take its time: nothing more comes of the answer then, whole or not.
pub(crate) fn before_post_action(r: Request<'_>) {
    let state = r.find_state().filter(|_| r.is_main() && r.is_after_answer());
    if let Some(state) = state {
        settle(r, state);
    }
}

/// Puts what the request took in the place of what it had reserved, and frees its slots. What is settled
/// stays so.
pub(crate) fn settle(r: Request<'_>, state: &RefCell<State>) {
    r.forget_end();
    let (reservations, outcome, is_first) = {
        let mut state = state.borrow_mut();
        if state.in_flight.is_some() {
            state.in_flight = None;
            drop(state.of_client.take());
        }
        let is_first = state.metering.as_mut().is_some_and(|metering| metering.settle(r));
        let outcome = state.metering.as_ref().map(|metering| metering.outcome(r));
        (std::mem::take(&mut state.reservations), outcome, is_first)
    };
    for reservation in reservations {
        reservation.settle(outcome.as_ref());
    }
    let state = state.borrow();
    let zone = r.main_conf().zone().filter(|_| is_first);
    if let (Some(metering), Some(outcome), Some(zone)) = (&state.metering, &outcome, zone) {
        learn::learn(&state, metering, outcome, zone.get());
    }
}

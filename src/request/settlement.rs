//! Settlement: what a request really took takes the place of what it had reserved, its slots are free, and
//! something is learned.
//!
//! That is when the last of its answer comes by, and before it goes on to the client: whoever has all of an
//! answer finds its slot free, whatever the request still waits for (a `mirror`, a subrequest in the
//! background, a `post_action`). What never gets that far, is settled when it is logged.

use std::cell::RefCell;

use tollgate_core::rest::{Head, Rest};

use crate::ffi::request::Request;
use crate::request::estimate;
use crate::request::state::State;

/// The header of the answer is about to go out.
pub(crate) fn begin(r: Request<'_>, state: &RefCell<State>) {
    let head = Head {
        status: r.status_out(),
        content_length: r.content_length_out(),
        has_no_body: r.has_no_body(),
    };
    let rest = Rest::after(&head);
    let is_needed = {
        let mut state = state.borrow_mut();
        let is_needed = !state.reservations.is_empty() || state.metering.is_some();
        state.rest = Some(rest).filter(|_| is_needed);
        is_needed
    };
    if is_needed && rest.is_nothing() {
        end(r);
    }
}

/// The answer has come to its end.
pub(crate) fn end(r: Request<'_>) {
    let Some(state) = r.state().filter(|_| r.is_main()) else { return };
    if r.is_composed() {
        // The end of a page to which subrequests add is not that of their work.
        state.borrow_mut().rest = None;
        return;
    }
    if let Some(metering) = &mut state.borrow_mut().metering {
        metering.finish(|_| {});
    }
    settle(r, state);
}

/// A `post_action` comes, which may take its time: nothing more comes of the answer, whole or not.
pub(crate) fn before_post_action(r: Request<'_>) {
    if let Some(state) = r.find_state() {
        settle(r, state);
    }
}

/// Puts what the request took in the place of what it had reserved, and frees its slots. What is settled
/// stays so.
pub(crate) fn settle(r: Request<'_>, state: &RefCell<State>) {
    let (reservations, outcome, is_first) = {
        let mut state = state.borrow_mut();
        state.rest = None;
        let is_first = state.metering.as_mut().is_some_and(|metering| metering.settle(r));
        let outcome = state.metering.as_ref().map(|metering| metering.outcome(r));
        (std::mem::take(&mut state.reservations), outcome, is_first)
    };
    for reservation in reservations {
        reservation.settle(outcome.as_ref());
    }
    let state = state.borrow();
    let zone = r.main_conf().zone().filter(|_| is_first);
    if let (Some(metering), Some(outcome), Some((zone, _))) = (&state.metering, &outcome, zone) {
        estimate::learn(&state, metering, outcome, zone);
    }
}

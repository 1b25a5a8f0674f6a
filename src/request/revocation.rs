//! `tollgate_on_revoke close`: requests that run while their key or token is taken back are cut off.

use std::collections::BTreeMap;

use crate::per_worker;
use crate::request::authenticate::recheck;
use crate::request::refusal;
use crate::types::InFlight;
use crate::types::Request;

/// The requests of this worker that can be cut off, by their number.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    running: BTreeMap<u64, InFlight>,
    last: u64,
}

/// A request's entry among them, which is gone when this is.
#[derive(Debug)]
pub(crate) struct Running(u64);

impl Running {
    /// Has the request looked after. This belongs into its state.
    pub(crate) fn new(r: Request<'_>) -> Self {
        per_worker::with(|worker| {
            let requests = &mut worker.requests;
            requests.last = requests.last.saturating_add(1);
            requests.running.extend(r.in_flight().map(|request| (requests.last, request)));
            Self(requests.last)
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        per_worker::with(|worker| worker.requests.running.remove(&self.0));
    }
}

/// Cuts off those whose credential isn't good any more.
pub(crate) fn enforce() {
    let numbers: Vec<u64> =
        per_worker::with(|worker| worker.requests.running.keys().copied().collect());
    for number in numbers {
        // The end of one may be that of others, on the same connection.
        let request = per_worker::with(|worker| worker.requests.running.get(&number).copied());
        if let Some(request) = request {
            request.cut_off_if(is_revoked);
        }
    }
}

/// Whether the request is to end. If so, that is noted.
fn is_revoked(r: Request<'_>) -> bool {
    let Some(state) = r.find_state() else { return false };
    let Err(denial) = recheck(r, state) else { return false };
    let mut state = state.borrow_mut();
    (state.cut_off, state.detail) = (Some(denial.reason), denial.detail);
    let client = state.principal.as_ref().map_or("", |principal| principal.client());
    r.log().info(format_args!(
        "tollgate: request of client \"{}\" is cut off: {}",
        client.escape_debug(),
        refusal::Told(denial.reason, state.detail.as_ref())
    ));
    // Once is enough, whatever is in the way of its end.
    state.running.take().is_some()
}

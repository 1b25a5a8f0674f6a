//! The response: ratelimit headers on every answer, and our body on a refusal.

use tollgate_core::decision::{Decision, Reason};
use tollgate_core::ratelimit_headers::{self, retry_after, RequestsLimit, RetryAfter};

use crate::access::make_state;
use crate::ffi::clock::wall_now;
use crate::ffi::request::Request;
use crate::state::{Body, State};

/// Headers of ours. An engine that sends them as well would make them ambiguous.
const RATELIMIT_HEADERS: [&str; 9] = [
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-tier",
    "ratelimit-policy",
    "ratelimit",
];
const REQUEST_ID: &str = "x-request-id";

/// The header filter. `None` when nginx has no memory, or a variable failed: a 500, then.
pub(crate) fn headers(r: Request<'_>) -> Option<()> {
    if !r.is_main() {
        return Some(());
    }
    let state = match (r.find_state(), r.loc_conf().policy()) {
        (Some(state), _) => state,
        // nginx answers before we are asked (the body is too large, say): that has an id, too.
        (None, Some(policy)) => r.attach_state(|| make_state(r, policy))?,
        (None, None) => return Some(()),
    };
    // Only where the answer is made in the location that refused; after an internal redirect to one
    // that we have no say in, it is the operator's error_page.
    let is_here = r.state().is_some();
    let mut state = state.borrow_mut();
    #[cfg(debug_assertions)]
    if !state.abandoned {
        crate::faults::at(r.loc_conf(), crate::faults::Callback::HeaderFilter);
    }
    if state.broken && !state.abandoned && state.refusal().is_none() {
        return None;
    }
    let refusal = state.refusal().filter(|answer| answer.status == r.status_out());
    add_headers(r, &state, refusal.is_some())?;
    if let Some(answer) = refusal.filter(|_| is_here && state.body != Body::ErrorPage) {
        r.set_json_body(answer.body.len());
        state.body = Body::Ours(answer.body);
    }
    Some(())
}

/// The header filter has failed: the response becomes a 500. `false`: that has failed, too.
pub(crate) fn abandon(r: Request<'_>) -> bool {
    let Some(state) = r.find_state() else {
        return false;
    };
    let mut state = state.borrow_mut();
    if state.abandoned {
        return false;
    }
    state.abandoned = true;
    state.decision = Some(Decision::Deny(Reason::InternalError));
    true
}

/// The body filter: what takes the place of the buffers that are passing, if anything does.
pub(crate) fn body(r: Request<'_>) -> Option<&'static [u8]> {
    let state = r.state()?;
    let mut state = state.borrow_mut();
    let Body::Ours(body) = state.body else {
        return None;
    };
    #[cfg(debug_assertions)]
    crate::faults::at(r.loc_conf(), crate::faults::Callback::BodyFilter);
    state.body = Body::Sent;
    Some(body.as_bytes())
}

/// Whether the client was promised a body of ours that it hasn't got.
pub(crate) fn owes_body(r: Request<'_>) -> bool {
    r.find_state().is_some_and(|state| matches!(state.borrow().body, Body::Ours(_)))
}

fn add_headers(r: Request<'_>, state: &State, refused: bool) -> Option<()> {
    let styles = state.policy.ratelimit_headers;
    let limit = state.shown_limit.as_ref().filter(|_| !styles.is_empty());
    r.hide_headers_out(|name| {
        let is = |ours: &str| name.eq_ignore_ascii_case(ours.as_bytes());
        // Cheap for the many headers that are none of ours.
        matches!(name.first(), Some(b'x' | b'X' | b'r' | b'R'))
            && (is(REQUEST_ID) || (limit.is_some() && RATELIMIT_HEADERS.into_iter().any(is)))
    });
    r.push_header_out(REQUEST_ID, r.kept(state.request_id))?;
    let mut complete = Some(());
    let mut emit = |name: &'static str, value: &[u8]| {
        if complete.is_some() {
            complete = r.copy(value).and_then(|value| r.push_header_out(name, value));
        }
    };
    if let Some(report) = limit {
        let (standing, quota) = (&report.standing, report.standing.quota);
        let limit = RequestsLimit {
            quota: u64::from(quota.count()),
            period_secs: u64::from(quota.period().seconds()),
            capacity: u64::from(quota.burst()),
            remaining: standing.remaining,
            until_full_nanos: standing.until_full_nanos,
        };
        let tier = state.tier.as_ref().map(|tier| tier.name.as_str());
        ratelimit_headers::write(styles, &limit, tier, wall_now(), &mut emit);
    }
    if refused && state.wait_nanos > 0 {
        let retry: RetryAfter = retry_after(state.wait_nanos);
        retry.write(&mut emit);
    }
    complete
}

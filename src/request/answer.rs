//! The response: ratelimit headers on every answer, our body on a refusal, and the usage that the
//! engine's answer tells of.

use tollgate_core::answer::{
    content_policy_body, feature_denied_body, malformed_request_body, model_not_found_body, Answer,
};
use tollgate_core::decision::Reason;
use tollgate_core::detail::Cause;
use tollgate_core::llm::Dialect;
use tollgate_core::ratelimit_headers;
use tollgate_core::retry_after::{retry_after, RetryAfter};

use crate::clock::wall_now;
use crate::conf::settings::Upgrade;
use crate::request::browser;
use crate::request::catalogue;
use crate::request::first_look::make_state;
use crate::request::guarded::Screen;
use crate::request::refusal;
use crate::request::report::LimitReport;
use crate::request::screen::{self, Begun};
use crate::request::settlement;
use crate::request::state::State;
use crate::types::Request;
use nginx::{Header, Reader as _, Release};

const SWITCHING_PROTOCOLS: u16 = 101;
const REQUEST_ID: &str = "x-request-id";
const ANTHROPIC_REQUEST_ID: &str = "request-id";

/// The header filter. `None` when nginx has no memory, or a variable failed: a 500, then.
pub(crate) fn headers(r: Request<'_>) -> Option<Header> {
    if !r.is_main() {
        return Some(Header::Passes);
    }
    let state = match (r.find_state(), r.loc_conf().policy()) {
        (Some(state), _) => state,
        // nginx answers before we are asked (the body is too large, say): that has an id, too.
        (None, Some(policy)) => r.attach_state(|keeper| make_state(r, policy, keeper))?,
        (None, None) => return Some(Header::Passes),
    };
    if r.status_out() == SWITCHING_PROTOCOLS && !may_upgrade(r) {
        // The engine answered what it was not asked.
        return Some(Header::BadGateway);
    }
    // Only where the answer is made in the location that refused; after an internal redirect to one
    // that we have no say in, it is the operator's error_page.
    let is_here = r.state().is_some();
    let cell = state;
    let mut state = cell.borrow_mut();
    #[cfg(debug_assertions)]
    if !state.abandoned {
        crate::faults::at(r.loc_conf().planted, crate::faults::Callback::HeaderFilter);
    }
    if state.broken && !state.abandoned && state.refusal().is_none() {
        return None;
    }
    let refusal = state.refusal();
    // Also where a page of the operator's has a status of its own, or is missing.
    add_headers(r, &state, refusal.filter(|_| r.status_out() >= 400))?;
    browser::add_headers(r, &mut state)?;
    let in_our_words = |answer: &&Answer| {
        is_here && state.ruling.is_in_our_words() && answer.status == r.status_out()
    };
    if let Some(answer) = refusal.filter(in_our_words) {
        let body = refusal_body(r, &state, answer)?;
        r.set_json_body(body.len());
        state.ruling.put(r.keep(body));
    } else if refusal.is_some() {
        // A page of the operator's: no answer of an engine.
    } else if let State { metering: Some(metering), policy, .. } = &mut *state {
        if metering.begin(r, policy.cached_answers) {
            r.need_body_in_memory();
            if metering.hides() {
                r.clear_content_length();
            }
        }
    }
    if refusal.is_none() {
        if let Some(keeping) = &mut state.keeping {
            if keeping.begin(r) {
                r.need_body_in_memory();
            }
        }
        let is_page = state.page.is_some();
        if let Some(renaming) = state.renaming.as_mut().filter(|_| !is_page) {
            if renaming.begin(r) {
                r.need_body_in_memory();
                r.clear_content_length();
            }
        }
    }
    let begun = match refusal {
        None if state.guarded.is_some() => screen::begin(r, &mut state),
        _ => Begun::Nothing,
    };
    let waits =
        begun == Begun::Holds || (refusal.is_none() && is_here && catalogue::begin(r, &mut state));
    drop(state);
    // An internal redirect may have led here without ACCESS; the body filter looks here.
    r.attach_state_again();
    if waits {
        return Some(Header::Held);
    }
    settlement::begin(r, cell);
    Some(Header::Passes)
}

/// The body of a refusal. `None` when nginx has no memory.
fn refusal_body<'r>(r: Request<'r>, state: &State, answer: &'static Answer) -> Option<&'r [u8]> {
    let dialect = state.dialect();
    if let (Some(Reason::FeatureDenied), Some(refusal)) = (state.reason(), state.denied) {
        return r.copy(feature_denied_body(refusal, dialect).as_bytes());
    }
    let place = state.guarded.as_ref().and_then(|guarded| guarded.place);
    if let (Some(Reason::ContentPolicy), Some(place)) = (state.reason(), place) {
        return r.copy(content_policy_body(place, dialect).as_bytes());
    }
    let made = match (state.reason(), state.malformed, &state.asked_model) {
        (Some(Reason::MalformedRequest), Some(error), _) => malformed_request_body(error, dialect),
        (Some(Reason::ModelDenied), _, Some(model)) if state.hides_model => {
            model_not_found_body(model, state.policy.engine, dialect)
        }
        _ => return Some(answer.body(dialect).as_bytes()),
    };
    r.copy(made.as_bytes())
}

/// The next bytes of an answer whose header waits.
pub(crate) fn hold(r: Request<'_>, bytes: &[u8]) {
    let Some(state) = r.state() else { return };
    if !screen::hold(r, &mut state.borrow_mut(), bytes) {
        catalogue::hold(r, bytes);
    }
}

/// All of an answer is there whose header waits: what the client gets.
pub(crate) fn release(r: Request<'_>) -> Option<Release<'_>> {
    let state = r.state()?;
    let is_on_screen = {
        let state = state.borrow();
        let guarded = state.guarded.as_ref();
        guarded.and_then(|guarded| guarded.screen.as_ref()).is_some_and(Screen::is_holding)
    };
    match is_on_screen {
        true => screen::release(r, state),
        false => catalogue::release(r).map(Release::Body),
    }
}

/// Nothing on a connection is judged any more once it has another protocol.
fn may_upgrade(r: Request<'_>) -> bool {
    let policy = r.loc_conf().policy();
    policy.is_none_or(|policy| policy.upgrade == Upgrade::Allow || policy.dry_run)
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
    let state = &mut *state;
    state.ruling.fail();
    state.detail = Some(Cause::HeadersFailed.into());
    refusal::log(r, state);
    true
}

/// The body filter: what takes the place of the buffers that are passing, if anything does.
pub(crate) fn body(r: Request<'_>) -> Option<&[u8]> {
    let state = r.state()?;
    let mut state = state.borrow_mut();
    #[cfg(debug_assertions)]
    if state.ruling.owes_body() {
        crate::faults::at(r.loc_conf().planted, crate::faults::Callback::BodyFilter);
    }
    state.ruling.take().map(|body| r.kept(body))
}

/// Whether the client was promised a body of ours that it hasn't got.
pub(crate) fn owes_body(r: Request<'_>) -> bool {
    r.find_state().is_some_and(|state| state.borrow().ruling.owes_body())
}

fn add_headers(r: Request<'_>, state: &State, refusal: Option<&Answer>) -> Option<()> {
    let styles = state.policy.ratelimit_headers;
    let shown = |report: &Option<LimitReport>| report.as_ref().map(|report| report.standing);
    let (requests, tokens) = match styles.is_empty() {
        true => (None, None),
        false => (shown(&state.shown.requests), shown(&state.shown.tokens)),
    };
    // What we say nothing of may come from the engine.
    let is_replaced = |name: &str| match name.contains("tokens") {
        true => tokens.is_some(),
        false => requests.is_some() || (tokens.is_some() && !name.contains("requests")),
    };
    let waits = refusal.is_some() && state.wait_nanos > 0;
    r.hide_headers_out(|name, _| {
        let is = |ours: &str| name.eq_ignore_ascii_case(ours.as_bytes());
        // Cheap for the many headers that are none of ours.
        matches!(name.first(), Some(b'x' | b'X' | b'r' | b'R'))
            && (is(REQUEST_ID)
                || (waits && RetryAfter::NAMES.into_iter().any(is))
                || (state.dialect() == Dialect::Anthropic && is(ANTHROPIC_REQUEST_ID))
                || ratelimit_headers::NAMES.into_iter().any(|ours| is(ours) && is_replaced(ours)))
    });
    r.push_header_out(REQUEST_ID, r.kept(state.request_id))?;
    if state.dialect() == Dialect::Anthropic {
        // Its SDKs read the id from here.
        r.push_header_out(ANTHROPIC_REQUEST_ID, r.kept(state.request_id))?;
    }
    let mut complete = Some(());
    let mut emit = |name: &'static str, value: &[u8]| {
        if complete.is_some() {
            complete = r.copy(value).and_then(|value| r.push_header_out(name, value));
        }
    };
    let tier = state.tier.as_ref().map(|tier| tier.name.as_str());
    ratelimit_headers::write(
        styles,
        requests.as_ref(),
        tokens.as_ref(),
        tier,
        wall_now(),
        &mut emit,
    );
    if let Some(answer) = refusal {
        if waits {
            let retry: RetryAfter = retry_after(state.wait_nanos);
            retry.write(&mut emit);
        }
        if let Some(value) = answer.should_retry {
            emit("x-should-retry", value.as_bytes());
        }
        if let Some(value) = answer.accept_encoding {
            emit("Accept-Encoding", value.as_bytes());
        }
    }
    complete
}

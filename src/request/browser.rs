//! What browsers are told: which pages may read our answers, and what they shall not do with them.
//!
//! * PREACCESS: a preflight has no credential. It is answered before anybody is asked for one, and goes to no
//!   backend.
//! * ACCESS: a page that may read nothing opens no WebSocket, which browsers would let it read.
//! * The header filter: every answer that a page may get to see says whether it may, ours and nginx's own among
//!   them, in the place of what the backend says about it.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::cors::{self, Asked, Cors, Single};
use tollgate_core::decision::Reason;
use tollgate_core::security_headers::{self, Nature, Present};
use tollgate_core::websocket_key;

use crate::conf::policy::Policy;
use crate::request::access;
use crate::request::endpoint;
use crate::request::first_look::make_state;
use crate::request::socket;
use crate::request::state::State;
use crate::request::web_page::WebPage;
use crate::types::Request;
use nginx::Verdict;

const VARY: &str = "Vary";
/// With which a request for a WebSocket comes.
const SUBPROTOCOL: &str = "Sec-WebSocket-Protocol";
const NO_CONTENT: u16 = 204;

/// What the header of the request says of its page.
fn asked<'r>(r: Request<'r>) -> Asked<'r> {
    Asked::of(r.headers_in().map(|header| (header.name, header.value)))
}

/// PREACCESS: answers a preflight. `None`: it is none, or pages are no matter here.
#[inline]
pub(crate) fn preflight(r: Request<'_>) -> Option<Verdict> {
    let policy = r.loc_conf().policy()?;
    policy.cors.as_ref()?;
    answer_preflight(r, policy)
}

fn answer_preflight(r: Request<'_>, policy: &Rc<Policy>) -> Option<Verdict> {
    if !cors::may_be_preflight(r.method()) {
        return None;
    }
    // What nginx leads elsewhere was judged, and that stands.
    if !r.is_main() || r.is_after_answer() || r.find_state().is_some() {
        return None;
    }
    let asked = asked(r);
    if !asked.is_preflight() {
        return None;
    }
    let is_allowed = is_allowed(policy, asked.origin()?);
    if !is_allowed && policy.dry_run {
        // It goes where it went before.
        return None;
    }
    let Some(state) = r.attach_state(|keeper| make_state(r, policy, keeper)) else {
        return Some(Verdict::Status(500));
    };
    let Some(path) = endpoint::path(r) else { return Some(Verdict::Status(500)) };
    {
        let mut state = state.borrow_mut();
        state.start_over(policy, r, (path.bytes, path.route(r, policy)));
        note_page(r, &mut state, asked.origin(), is_allowed);
    }
    match is_allowed {
        false => Some(access::conclude(r, state, Err(Reason::OriginDenied.into()))),
        true => Some(match access::conclude(r, state, Ok(())) {
            Verdict::Declined => Verdict::Status(NO_CONTENT),
            failed => failed,
        }),
    }
}

/// ACCESS: whether the page that a request comes from may open a WebSocket, if it wants to.
pub(crate) fn check_socket(r: Request<'_>, policy: &Policy) -> Result<(), Reason> {
    let Some(cors) = &policy.cors else { return Ok(()) };
    match socket::is_opened(r, policy) && asked(r).is_of_stranger(cors) {
        true => Err(Reason::OriginDenied),
        false => Ok(()),
    }
}

fn is_allowed(policy: &Policy, origin: &[u8]) -> bool {
    policy.cors.as_ref().is_some_and(|cors| cors.allows(origin))
}

/// Remembers the page of a request, as the backend isn't told of it.
fn note_page<'r>(r: Request<'r>, state: &mut State, origin: Option<&'r [u8]>, is_preflight: bool) {
    let page = origin.map(|origin| WebPage { origin: r.keep(origin), is_preflight });
    (state.web_page, state.is_page_noted) = (page.map(Box::new), true);
}

/// Whether the backend is not to be told of pages: it would judge them by other rules than ours.
pub(crate) fn is_silent_about_pages(policy: &Policy) -> bool {
    policy.cors.is_some() && !policy.dry_run
}

/// Remembers the page of a request that goes on, by the lines that were taken off its header.
pub(crate) fn note_hidden<'r>(r: Request<'r>, state: &RefCell<State>, origin: Single<'r>) {
    let state = &mut *state.borrow_mut();
    if !state.is_page_noted {
        note_page(r, state, origin.one(), false);
    }
}

/// The header filter. `None` when nginx has no memory.
#[inline]
pub(crate) fn add_headers(r: Request<'_>, state: &mut State) -> Option<()> {
    match state.policy.is_for_browsers {
        true => add_all(r, state),
        false => Some(()),
    }
}

fn add_all(r: Request<'_>, state: &mut State) -> Option<()> {
    let policy = Rc::clone(&state.policy);
    let reader = policy.cors.as_ref().and_then(|cors| who_may_read(r, state, (&policy, cors)));
    // The backend's lines of CORS give way to ours. Of the security headers, its own stay.
    let (mut varies, mut present) = (false, Present::default());
    r.hide_headers_out(|name, value| {
        present.note(name);
        varies |= name.eq_ignore_ascii_case(VARY.as_bytes()) && cors::varies_by_origin(value);
        reader.is_some() && cors::is_of_cors(name)
    });
    if let (Some(reader), Some(cors)) = (reader, &policy.cors) {
        say_who_may_read(r, (&policy, cors), &reader, varies)?;
    }
    if policy.security_headers {
        say_what_not_to_do(r, state, present)?;
    }
    if policy.takes_subprotocols {
        keep_key_back(r);
    }
    Some(())
}

/// Who may read an answer.
struct MayRead<'r> {
    /// The page, if it may.
    origin: Option<&'r [u8]>,
    is_preflight: bool,
}

/// `None`: the lines of the backend stay, as a dry run changes nothing for a page that may not read.
fn who_may_read<'r>(
    r: Request<'r>,
    state: &mut State,
    (policy, cors): (&Policy, &Cors),
) -> Option<MayRead<'r>> {
    if !state.is_page_noted {
        note_page(r, state, asked(r).origin(), false);
    }
    let page = state.web_page.as_deref();
    let is_preflight = page.is_some_and(|page| page.is_preflight);
    let origin = page.map(|page| r.kept(page.origin)).filter(|origin| cors.allows(origin));
    (origin.is_some() || !policy.dry_run).then_some(MayRead { origin, is_preflight })
}

fn say_who_may_read<'r>(
    r: Request<'r>,
    (policy, cors): (&Policy, &Cors),
    reader: &MayRead<'r>,
    varies: bool,
) -> Option<()> {
    if reader.is_preflight {
        r.push_header_out(VARY, cors::preflight_vary())?;
    } else if !varies {
        r.push_header_out(VARY, b"Origin")?;
    }
    let Some(origin) = reader.origin else { return Some(()) };
    let mut complete = Some(());
    let emit = |name: &'static str, value: &[u8]| {
        if complete.is_some() {
            complete = r.copy(value).and_then(|value| r.push_header_out(name, value));
        }
    };
    match reader.is_preflight {
        true => {
            let asked = asked(r);
            cors.write_preflight(origin, &asked, policy.credential_header_names(), emit);
        }
        false => cors.write(origin, emit),
    }
    complete
}

fn say_what_not_to_do(r: Request<'_>, state: &State, present: Present) -> Option<()> {
    let is_page = r.was_led_here() || !state.ruling.is_in_our_words();
    let nature = Nature { is_tls: r.is_tls(), is_plain_error: r.status_out() >= 400 && !is_page };
    let mut complete = Some(());
    security_headers::write(nature, present, |name, value| {
        if complete.is_some() {
            complete = r.push_header_out(name, value.as_bytes());
        }
    });
    complete
}

/// Whatever the backend chose: a key is no protocol.
fn keep_key_back(r: Request<'_>) {
    if r.headers_out(SUBPROTOCOL).any(websocket_key::may_hold_key) {
        r.hide_headers_out(|name, _| name.eq_ignore_ascii_case(SUBPROTOCOL.as_bytes()));
    }
}

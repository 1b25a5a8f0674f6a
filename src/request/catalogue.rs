//! What engines tell of models, on its way to a client: it waits until all of it is there, and becomes what
//! this client may know.

use std::borrow::Cow;

use tollgate_core::answer::{answer, model_not_found_body};
use tollgate_core::decision::Reason;
use tollgate_core::detail::Cause;
use tollgate_core::llm::catalogue::{Held, Unreadable};
use tollgate_core::llm::engines::Page;
use tollgate_core::permissions::models::Models;
use tollgate_core::ratelimit_headers;

use crate::conf::policy::Policy;
use crate::request::models;
use crate::request::refusal;
use crate::request::settlement;
use crate::request::state::State;
use crate::types::Request;

const OK: u16 = 200;
const NOT_FOUND: u16 = 404;

/// The header of an answer is there. `true`: it has to wait.
#[inline(always)]
pub(crate) fn begin(r: Request<'_>, state: &mut State) -> bool {
    let status = r.status_out();
    (status == NOT_FOUND || state.page.is_some()) && begin_page(r, state, status)
}

fn begin_page(r: Request<'_>, state: &mut State, status: u16) -> bool {
    if status == NOT_FOUND && hides_missing(state) && !r.has_no_body() && !r.is_encoded() {
        r.need_body_in_memory();
        state.held = Some(Box::new(Held::new(Page::Missing, r.content_length_out(), true)));
        return true;
    }
    let Some(page) = state.page else { return false };
    // An error tells of no model.
    if !(200..300).contains(&status) {
        return false;
    }
    if r.has_no_body() {
        // How long it is, and of which version, is of what the engine has.
        r.clear_content_length();
        r.clear_validators();
        return false;
    }
    if !is_restricted(state) && !may_be_json(r.content_type_out()) {
        return false;
    }
    let is_readable = status == OK && !r.is_encoded();
    if !is_readable && state.policy.dry_run {
        return false;
    }
    r.need_body_in_memory();
    state.held = Some(Box::new(Held::new(page, r.content_length_out(), is_readable)));
    true
}

/// Whether a model that the engine lacks has to look like one that the client may not use: vLLM names those
/// that it has.
fn hides_missing(state: &State) -> bool {
    state.policy.hide_models && asked(state).is_some() && is_restricted(state)
}

/// The model that the engine was asked for.
fn asked(state: &State) -> Option<&str> {
    let metered = state.metering.as_ref().and_then(|metering| metering.model.as_deref());
    let unmetered = state.asked_model.as_deref();
    metered.or_else(|| unmetered.map(|name| state.policy.aliases.find(name).unwrap_or(name)))
}

/// What its client calls it.
fn asked_as(state: &State) -> Option<&str> {
    let alias = state.metering.as_ref().and_then(|metering| metering.alias.as_deref());
    alias.or(state.asked_model.as_deref()).or_else(|| asked(state))
}

/// Whether the client may know of some models only. Where nothing is refused, all may.
fn is_restricted(state: &State) -> bool {
    !state.policy.dry_run && models::of(state).are_restricted()
}

/// Whether a page of this type may be a list, whatever else servers call it: no picture, file or stream of events.
fn may_be_json(content_type: &[u8]) -> bool {
    let kind = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii().to_ascii_lowercase();
    let is_text = kind.starts_with(b"text/") && kind != b"text/event-stream";
    kind.is_empty() || is_text || kind.windows(4).any(|part| part == b"json")
}

/// The name by which a client knows a model that the engine calls `name`: its aliases, the first or a further one,
/// or else its own. `None`: it knows none, or no more. `models`: what it may use, where that isn't all.
fn shown<'n>(
    policy: &Policy,
    models: Option<&Models<'_>>,
    (name, index): (&'n str, usize),
) -> Option<Cow<'n, str>> {
    if models.is_some_and(|models| !models::allow(policy, models, name)) {
        return None;
    }
    let aliases = policy.aliases.iter().filter(|(_, model)| *model == name);
    match aliases.map(|(alias, _)| alias).nth(index) {
        Some(alias) => Some(Cow::Owned(alias.to_owned())),
        None => (index == 0).then_some(Cow::Borrowed(name)),
    }
}

/// The next bytes of a page.
pub(crate) fn hold(r: Request<'_>, bytes: &[u8]) {
    let Some(state) = r.state() else { return };
    let Some(held) = &mut state.borrow_mut().held else { return };
    held.add(bytes);
}

/// All of a page is there: what the client gets.
pub(crate) fn release(r: Request<'_>) -> Option<&[u8]> {
    let cell = r.state()?;
    let body = {
        let state = &mut *cell.borrow_mut();
        let held = state.held.take()?;
        let missing = asked(state).filter(|model| held.is_about_missing(model));
        let missing = missing.and_then(|_| asked_as(state));
        let ours =
            missing.map(|model| model_not_found_body(model, state.policy.engine, state.dialect()));
        match mend(state, &held) {
            Ok(_) if ours.is_some() => {
                let body = r.copy(ours.unwrap_or_default().as_bytes())?;
                // A refusal has none, as it takes nothing of a limit.
                r.hide_headers_out(|name, _| {
                    let is = |ours: &str| name.eq_ignore_ascii_case(ours.as_bytes());
                    ratelimit_headers::NAMES.into_iter().any(is)
                });
                r.set_body_len(body.len());
                r.set_json_body(body.len());
                body
            }
            Ok(body) => {
                let body = r.copy(&body)?;
                r.set_body_len(body.len());
                body
            }
            Err(Unreadable) => {
                state.ruling.fail();
                state.detail = Some(Cause::UnreadableList.into());
                refusal::log(r, state);
                let answer = answer(Reason::InternalError);
                let body = answer.body(state.dialect()).as_bytes();
                r.set_status_out(answer.status);
                r.set_body_len(body.len());
                r.set_json_body(body.len());
                body
            }
        }
    };
    settlement::begin(r, cell);
    Some(body)
}

fn mend<'h>(state: &State, held: &'h Held) -> Result<Cow<'h, [u8]>, Unreadable> {
    let restricted = is_restricted(state) && !held.is_error();
    let models = restricted.then(|| models::of(state));
    let aliases = &state.policy.aliases;
    let asked = state.asked_model.as_deref();
    let own = asked.map(|name| (name, aliases.find(name).unwrap_or(name)));
    let mended = held.mend(restricted, &|name, index| match own {
        // As it was asked for.
        Some((own, model)) if model == name && index == 0 => Some(Cow::Owned(own.to_owned())),
        _ => shown(&state.policy, models.as_ref(), (name, index)),
    });
    match mended {
        // Where nothing is refused, it goes on as it is.
        Err(Unreadable) if state.policy.dry_run => {
            held.whole().map(Cow::Borrowed).ok_or(Unreadable)
        }
        mended => mended,
    }
}

//! What the client is shown of an answer that guards look at, or in which it gets values back that the model didn't
//! see.

use std::cell::RefCell;
use std::sync::Arc;

use tollgate_core::answer::{answer, answer_blocked_body};
use tollgate_core::decision::Reason;
use tollgate_core::guards::{Rule, RuleName};
use tollgate_core::llm::meter::{Format, Part};
use tollgate_core::llm::shown::{Body, Guarded as Watched, Shown};
use tollgate_core::llm::Endpoint;
use tollgate_guard::stream::LeakRule;

use crate::conf::guards::OutputGuard;
use crate::observed;
use crate::request::guarded::Screen;
use crate::request::settlement;
use crate::request::state::State;
use crate::types::Request;

/// What has to be done for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    /// Nothing.
    Nothing,
    /// The body has to come by in memory.
    Reads,
    /// The same, and the header waits for it.
    Holds,
}

/// The header of an answer of the engine's is there.
pub(crate) fn begin(r: Request<'_>, state: &mut State) -> Begun {
    let dialect = state.dialect();
    let is_dry_run = state.is_dry_run();
    // What tells of kept objects has none; of responses, it has their form.
    let kept = r.kept(state.judged_path).windows(10).any(|part| part == b"/responses");
    let kept = kept.then_some(Endpoint::Responses);
    let State { guarded: Some(guarded), metering, .. } = state else { return Begun::Nothing };
    guarded.screen = None;
    let output = guarded.guards.output.as_ref();
    if (output.is_none() && guarded.vault.is_none()) || r.has_no_body() || !r.is_of_upstream() {
        return Begun::Nothing;
    }
    let acts = output.is_some_and(OutputGuard::acts);
    let watched = Watched {
        guard: output.map(|output| Arc::clone(&output.stream)).unwrap_or_default(),
        vault: guarded.vault.clone(),
        leak: output.and_then(|output| {
            let Rule { action, label, .. } = output.leak.as_ref()?;
            let rule = output.leak_number();
            let rule = LeakRule { rule, action: *action, label: label.clone() };
            Some((guarded.leak.clone()?, rule))
        }),
        changes: !is_dry_run && (acts || guarded.vault.is_some()),
    };
    let changes = watched.changes;
    let body = Body::of(r.content_type_out(), r.is_encoded());
    let endpoint = metering.as_ref().map(|metering| metering.endpoint).or(kept);
    let refusal = answer_blocked_body(dialect);
    let shown = Box::new(Shown::new(endpoint, body, watched, &refusal));
    let is_stream = match metering {
        Some(metering) => metering.stream,
        None => matches!(body, Body::Documents(Some(Format::Sse | Format::Ndjson))),
    };
    let is_held = changes && !is_stream;
    guarded.screen = Some(Screen { shown, held: is_held.then(Vec::new), has_halted: false });
    r.need_body_in_memory();
    if changes {
        r.clear_content_length();
        r.clear_validators();
    }
    match is_held {
        true => Begun::Holds,
        false => Begun::Reads,
    }
}

/// The next bytes of an answer whose header waits. `false`: it doesn't wait for that.
pub(crate) fn hold(r: Request<'_>, state: &mut State, bytes: &[u8]) -> bool {
    let State { guarded: Some(guarded), metering, .. } = state else { return false };
    let Some(Screen { shown, held: Some(held), .. }) = &mut guarded.screen else { return false };
    let mut show = |part: nginx::Part<'_>| {
        let part = match part {
            nginx::Part::Held(bytes) => Part::Held(bytes),
            nginx::Part::Range(range) => Part::Range(range),
        };
        shown.read(&part, bytes, &mut |part| match part {
            Part::Held(bytes) => held.extend_from_slice(bytes),
            Part::Range(range) => held.extend_from_slice(bytes.get(range).unwrap_or_default()),
        });
    };
    match metering.as_deref_mut().filter(|metering| metering.is_reading()) {
        Some(metering) => nginx::Reader::read(metering, r, bytes, show),
        None => show(nginx::Part::Range(0..bytes.len())),
    }
    true
}

/// All of an answer is there whose header waits: what the client gets. `None`: it doesn't wait for that, or nginx has
/// no memory.
pub(crate) fn release<'r>(r: Request<'r>, cell: &RefCell<State>) -> Option<&'r [u8]> {
    let body = {
        let state = &mut *cell.borrow_mut();
        let dialect = state.dialect();
        let guarded = state.guarded.as_deref_mut()?;
        let screen = guarded.screen.as_mut()?;
        let mut held = screen.held.take()?;
        let mut put = |part: Part<'_>| {
            if let Part::Held(bytes) = part {
                held.extend_from_slice(bytes);
            }
        };
        let shown = &mut screen.shown;
        if let Some(metering) = state.metering.as_deref_mut() {
            nginx::Reader::finish(metering, |part| {
                if let nginx::Part::Held(bytes) = part {
                    shown.read(&Part::Held(bytes), &[], &mut put);
                }
            });
        }
        shown.finish(&mut put);
        match screen.halted() {
            None => {
                let body = r.copy(&held)?;
                r.set_body_len(body.len());
                body
            }
            Some((halt, _)) => {
                (state.cut_off, state.detail) =
                    (Some(Reason::ContentPolicy), Some(guarded.cause(halt)));
                let body = r.copy(answer_blocked_body(dialect).as_bytes())?;
                // What is an error already, stays one.
                if r.status_out() < 400 {
                    r.set_status_out(answer(Reason::ContentPolicy).status);
                }
                r.set_body_len(body.len());
                r.set_json_body(body.len());
                body
            }
        }
    };
    settlement::begin(r, cell);
    settlement::settle(r, cell);
    Some(body)
}

/// Notes what was found in the answer, when nothing more comes of it.
pub(crate) fn count(state: &mut State) {
    let Some(guarded) = state.guarded.as_deref_mut() else { return };
    let Some(screen) = guarded.screen.take() else { return };
    let Some(output) = &guarded.guards.output else { return };
    for (rule, times) in screen.shown.counts() {
        if let Some(rule) = output.rule(rule) {
            guarded.found.note(rule, times, 0);
            let name = RuleName(rule).to_string();
            observed::found(&output.name, &name, rule.action, u64::from(times));
        }
    }
}

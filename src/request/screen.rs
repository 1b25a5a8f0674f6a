//! What the client is shown of an answer that guards look at, or in which it gets values back that the model didn't
//! see.

use std::cell::RefCell;
use std::sync::Arc;

use tollgate_core::answer::answer;
use tollgate_core::decision::Reason;
use tollgate_core::guards::{Rule, RuleName};
use tollgate_core::llm::meter::Format;
use tollgate_core::llm::shown::{Body, Guarded as Watched, Shown};
use tollgate_core::llm::Endpoint;
use tollgate_guard::stream::LeakRule;

use crate::observed;
use crate::request::classifier::Hearing;
use crate::request::guarded::{Refusals, Screen};
use crate::request::settlement;
use crate::request::state::State;
use crate::types::Request;
use nginx::Release;

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
    let is_seen = output.is_some() || guarded.vault.is_some() || guarded.guards.judges_answers();
    if !is_seen || r.has_no_body() || !r.is_of_upstream() {
        return Begun::Nothing;
    }
    let acts = guarded.guards.acts_on_answers();
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
    let refusals = Refusals(dialect);
    let refusal = refusals.later(Reason::ContentPolicy);
    let mut shown = Box::new(Shown::new(endpoint, body, watched, refusal));
    let client = guarded.client.as_deref().unwrap_or_default();
    let hearing = Hearing::new(&guarded.guards, client, !is_dry_run);
    if hearing.is_some() {
        shown.listen();
    }
    let is_stream = match metering {
        Some(metering) => metering.stream,
        None => matches!(body, Body::Documents(Some(Format::Sse | Format::Ndjson))),
    };
    let is_held = changes && !is_stream;
    guarded.screen = Some(Screen {
        shown,
        held: is_held.then(Vec::new),
        has_halted: false,
        has_finished: false,
        hearing,
        unfit: None,
        refusals,
    });
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
    let Some(mut held) = guarded.take_held() else { return false };
    let mut show = |part: nginx::Part<'_>| {
        guarded.read(r, &part, bytes, &mut |part| add(&part, bytes, &mut held))
    };
    match metering.as_deref_mut().filter(|metering| metering.is_reading()) {
        Some(metering) => nginx::Reader::read(metering, r, bytes, show),
        None => show(nginx::Part::Range(0..bytes.len())),
    }
    guarded.put_held(held);
    true
}

fn add(part: &nginx::Part<'_>, bytes: &[u8], held: &mut Vec<u8>) {
    match part {
        nginx::Part::Held(bytes) => held.extend_from_slice(bytes),
        nginx::Part::Range(range) => {
            held.extend_from_slice(bytes.get(range.clone()).unwrap_or_default());
        }
    }
}

/// All of an answer is there whose header waits: what the client gets, unless classifiers have not judged it yet.
/// `None`: it doesn't wait for that, or nginx has no memory.
pub(crate) fn release<'r>(r: Request<'r>, cell: &RefCell<State>) -> Option<Release<'r>> {
    let body = {
        let state = &mut *cell.borrow_mut();
        let dialect = state.dialect();
        let guarded = state.guarded.as_deref_mut()?;
        let mut held = guarded.take_held()?;
        if guarded.screen.as_ref().is_some_and(|screen| screen.has_finished) {
            guarded.go_on(r, &mut |part| add(&part, &[], &mut held));
        } else {
            if let Some(metering) = state.metering.as_deref_mut() {
                nginx::Reader::finish(metering, r, |part| {
                    guarded.read(r, &part, &[], &mut |part| add(&part, &[], &mut held));
                });
            }
            guarded.finish(r, &mut |part| add(&part, &[], &mut held));
        }
        if guarded.is_waiting() {
            guarded.put_held(held);
            None
        } else {
            let screen = guarded.screen.as_mut()?;
            match screen.halted() {
                None => {
                    let body = r.copy(&held)?;
                    r.set_body_len(body.len());
                    Some(body)
                }
                Some((halt, _)) => {
                    let cause = guarded.cause(halt);
                    let reason = cause.cause().reason();
                    (state.cut_off, state.detail) = (Some(reason), Some(cause));
                    let body = r.copy(Refusals(dialect).of(reason).as_bytes())?;
                    // What is an error already, stays one.
                    if r.status_out() < 400 {
                        r.set_status_out(answer(reason).status);
                    }
                    r.set_body_len(body.len());
                    r.set_json_body(body.len());
                    Some(body)
                }
            }
        }
    };
    if body.is_some() {
        settlement::begin(r, cell);
    }
    // The engine is done, whatever is said of its answer.
    settlement::settle(r, cell);
    Some(body.map_or(Release::Waits, Release::Body))
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

impl State {
    /// A part of the answer has been read: notes why no more is shown, if that wasn't known before.
    pub(super) fn note_halt(&mut self, r: Request<'_>) {
        let cause = self.guarded.as_deref_mut().and_then(|guarded| guarded.after_part(r));
        if let Some(cause) = cause {
            (self.cut_off, self.detail) = (Some(cause.cause().reason()), Some(cause));
        }
    }
}

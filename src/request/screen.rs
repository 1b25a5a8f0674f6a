//! What the client is shown of an answer that guards look at, or in which it gets values back that the model didn't
//! see.

use std::cell::RefCell;
use std::sync::Arc;

use tollgate_core::answer::{answer, answer_blocked_body};
use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::{Action, RuleName};
use tollgate_core::llm::meter::Part;
use tollgate_core::llm::shown::{Body, Guarded as Watched, Halt, Shown};
use tollgate_guard::finding::Rule;

use crate::observed;
use crate::request::guards::Guarded;
use crate::request::meter::passed;
use crate::request::refusal;
use crate::request::settlement;
use crate::request::state::State;
use crate::types::Request;

/// The answer of one request.
pub(crate) struct Screen {
    shown: Box<Shown>,
    /// What the client gets, while the header waits for that.
    held: Option<Vec<u8>>,
    /// It is known that nothing more is shown.
    has_halted: bool,
}

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
    let State { guarded: Some(guarded), metering: Some(metering), .. } = state else {
        return Begun::Nothing;
    };
    guarded.screen = None;
    let output = guarded.guards.output.as_ref();
    if (output.is_none() && guarded.vault.is_none()) || r.has_no_body() {
        return Begun::Nothing;
    }
    let acts = output
        .is_some_and(|output| output.guard.rules().iter().any(|rule| rule.action > Action::Log));
    let watched = Watched {
        guard: output.map(|output| Arc::clone(&output.stream)).unwrap_or_default(),
        vault: guarded.vault.clone(),
        leak: None,
        changes: !is_dry_run && (acts || guarded.vault.is_some()),
    };
    let changes = watched.changes;
    let body = Body::of(r.content_type_out(), r.is_encoded());
    let refusal = answer_blocked_body(dialect);
    let shown = Box::new(Shown::new(Some(metering.endpoint), body, watched, &refusal));
    let is_held = changes && !metering.stream;
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

impl Screen {
    /// Whether the header of the answer waits.
    pub(crate) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// A part of what the meter passes on of `bytes`.
    pub(crate) fn read(
        &mut self,
        part: &nginx::Part<'_>,
        bytes: &[u8],
        pass: &mut impl FnMut(nginx::Part<'_>),
    ) {
        let part = match part {
            nginx::Part::Held(bytes) => Part::Held(bytes),
            nginx::Part::Range(range) => Part::Range(range.clone()),
        };
        self.shown.read(&part, bytes, &mut |part| pass(passed(part)));
    }

    /// The answer has come to its end.
    pub(crate) fn finish(&mut self, pass: &mut impl FnMut(nginx::Part<'_>)) {
        self.shown.finish(&mut |part| pass(passed(part)));
    }

    /// Why nothing more of the answer is shown. `is_new`: that wasn't known before.
    fn halted(&mut self) -> Option<(Halt, bool)> {
        let halt = self.shown.halted()?;
        Some((halt, !std::mem::replace(&mut self.has_halted, true)))
    }
}

/// Part of an answer has come by: if nothing more of it is shown, the engine need not go on.
pub(crate) fn after_part(r: Request<'_>, state: &mut State) {
    let Some(guarded) = state.guarded.as_deref_mut() else { return };
    let Some((halt, is_new)) = guarded.screen.as_mut().and_then(Screen::halted) else { return };
    r.end_answer_of_upstream();
    if is_new {
        (state.cut_off, state.detail) = (Some(Reason::ContentPolicy), Some(cause(guarded, halt)));
        r.log().info(format_args!(
            "tollgate: the answer is cut off: {}",
            Reason::ContentPolicy.as_str()
        ));
    }
}

fn cause(guarded: &Guarded, halt: Halt) -> Detail {
    match halt {
        Halt::Unreadable => Cause::UnseenAnswer.into(),
        Halt::Rule(rule) => {
            let name = guarded.output_rule(rule).map(|rule| RuleName(rule).to_string());
            Detail::new(Cause::GuardBlocked, name.unwrap_or_default())
        }
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
        if let Some(metering) = state.metering.as_deref_mut() {
            let shown = &mut screen.shown;
            let mut put = |part: Part<'_>| {
                if let Part::Held(bytes) = part {
                    held.extend_from_slice(bytes);
                }
            };
            nginx::Reader::finish(metering, |part| {
                if let nginx::Part::Held(bytes) = part {
                    shown.read(&Part::Held(bytes), &[], &mut put);
                }
            });
            shown.finish(&mut put);
        }
        match screen.halted() {
            None => {
                let body = r.copy(&held)?;
                r.set_body_len(body.len());
                body
            }
            Some((halt, _)) => {
                (state.cut_off, state.detail) =
                    (Some(Reason::ContentPolicy), Some(cause(guarded, halt)));
                refusal::log(r, state);
                let body = r.copy(answer_blocked_body(dialect).as_bytes())?;
                r.set_status_out(answer(Reason::ContentPolicy).status);
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
        if let Some(rule) = output.guard.rules().get(usize::from(rule)) {
            guarded.found.note(rule, times, 0);
            let name = RuleName(rule).to_string();
            observed::found(&output.name, &name, rule.action.name(), u64::from(times));
        }
    }
}

impl Guarded {
    fn output_rule(&self, rule: u16) -> Option<&Rule> {
        self.guards.output.as_ref()?.guard.rules().get(usize::from(rule))
    }
}

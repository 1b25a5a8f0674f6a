//! What guards have to do with one request, and what its client is shown of the answer.

use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::audit::GuardFindings;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::looking::Looking;
use tollgate_core::guards::{Rule, RuleName};
use tollgate_core::llm::meter::Part;
use tollgate_core::llm::shown::{Halt, Shown};
use tollgate_core::llm::texts::Place;
use tollgate_guard::stream::Leak;
use tollgate_guard::vault::Vault;

use crate::conf::guards::Guards;
use crate::keys::waiting::Waiting;
use crate::request::classifier::Judging;
use crate::request::meter::passed;
use crate::types::Request;

/// What guards have to do with a request.
pub(crate) struct Guarded {
    pub(super) guards: Rc<Guards>,
    /// What they still have to look at.
    pub(super) looking: Option<Looking>,
    /// What classifiers still have to judge.
    pub(super) judging: Option<Judging>,
    /// There while their answers are waited for.
    pub(super) waiting: Option<Waiting>,
    /// What they found.
    pub(crate) found: GuardFindings,
    /// Where they found what they refuse.
    pub(crate) place: Option<Place>,
    /// What the model doesn't see, and the client gets back.
    pub(super) vault: Option<Rc<Vault>>,
    /// The words of the system prompt, if they are looked for in the answer.
    pub(super) leak: Option<Arc<Leak>>,
    /// What the client is shown of the answer.
    pub(super) screen: Option<Screen>,
}

/// The answer of one request.
pub(crate) struct Screen {
    pub(super) shown: Box<Shown>,
    /// What the client gets, while the header waits for that.
    pub(super) held: Option<Vec<u8>>,
    /// It is known that nothing more is shown.
    pub(super) has_halted: bool,
}

impl Guarded {
    /// Whether the client sees the answer through a screen.
    pub(crate) fn shows(&self) -> bool {
        self.screen.is_some()
    }

    /// Nothing was found yet.
    pub(super) fn new(
        guards: Rc<Guards>,
        looking: Option<Looking>,
        leak: Option<Arc<Leak>>,
    ) -> Self {
        let found = GuardFindings::default();
        Self {
            guards,
            looking,
            judging: None,
            waiting: None,
            found,
            place: None,
            vault: None,
            leak,
            screen: None,
        }
    }

    /// Part of an answer has come by: why nothing more of it is shown, if that wasn't known before. The engine need
    /// not go on.
    pub(crate) fn after_part(&mut self, r: Request<'_>) -> Option<Detail> {
        let (halt, is_new) = self.screen.as_mut()?.halted()?;
        r.end_answer_of_upstream();
        is_new.then(|| self.cause(halt))
    }

    pub(super) fn cause(&self, halt: Halt) -> Detail {
        match halt {
            Halt::Unreadable => Cause::UnseenAnswer.into(),
            Halt::Rule(rule) => {
                let name = self.output_rule(rule).map(|rule| RuleName(rule).to_string());
                Detail::new(Cause::GuardBlocked, name.unwrap_or_default())
            }
        }
    }

    fn output_rule(&self, rule: u16) -> Option<&Rule> {
        self.guards.output.as_ref()?.rule(rule)
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
    pub(super) fn halted(&mut self) -> Option<(Halt, bool)> {
        let halt = self.shown.halted()?;
        Some((halt, !std::mem::replace(&mut self.has_halted, true)))
    }
}

//! What guards have to do with one request, and what its client is shown of the answer.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::answer::{answer, answer_blocked_body};
use tollgate_core::audit::GuardFindings;
use tollgate_core::decision::Reason;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::looking::Looking;
use tollgate_core::guards::{Rule, RuleName};
use tollgate_core::llm::meter::Part;
use tollgate_core::llm::shown::{Halt, Refusal, Shown};
use tollgate_core::llm::texts::Place;
use tollgate_core::llm::Dialect;
use tollgate_guard::stream::Leak;
use tollgate_guard::vault::Vault;

use crate::conf::guards::Guards;
use crate::keys::waiting::Waiting;
use crate::request::classifier::{Hearing, Judging};
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
    /// Who asks, if classifiers are asked: one client can't have all that there is of one.
    pub(super) client: Option<Box<str>>,
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
    /// All of the answer has come.
    pub(super) has_finished: bool,
    /// What classifiers say of it, if any are asked.
    pub(super) hearing: Option<Box<Hearing>>,
    /// Why they let nothing more pass.
    pub(super) unfit: Option<Detail>,
    pub(super) refusals: Refusals,
}

/// How much of an answer is read at once that classifiers judge: what comes with a text that isn't judged yet waits
/// for it.
const STRIDE: usize = 2048;

impl Guarded {
    /// What the client gets of an answer whose header waits, if it is one.
    pub(super) fn take_held(&mut self) -> Option<Vec<u8>> {
        self.screen.as_mut()?.held.take()
    }

    /// It waits on, with this.
    pub(super) fn put_held(&mut self, held: Vec<u8>) {
        if let Some(screen) = &mut self.screen {
            screen.held = Some(held);
        }
    }

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
            client: None,
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

    /// A part of what the meter passes on of `bytes`.
    pub(crate) fn read(
        &mut self,
        r: Request<'_>,
        part: &nginx::Part<'_>,
        bytes: &[u8],
        pass: &mut impl FnMut(nginx::Part<'_>),
    ) {
        let Some(Screen { shown, hearing, .. }) = &mut self.screen else { return };
        let Some(hearing) = hearing else {
            let part = match part {
                nginx::Part::Held(bytes) => Part::Held(bytes),
                nginx::Part::Range(range) => Part::Range(range.clone()),
            };
            return shown.read(&part, bytes, &mut |part| pass(passed(part)));
        };
        let all = match part {
            nginx::Part::Held(held) => held,
            nginx::Part::Range(range) => bytes.get(range.clone()).unwrap_or_default(),
        };
        for some in all.chunks(STRIDE) {
            let mut seen = Vec::new();
            shown.read(&Part::Held(some), &[], &mut |part| put(&part, &mut seen));
            hearing.hear(shown.take_said(), &seen);
        }
        self.judge(r, pass);
    }

    /// The answer has come to its end.
    pub(crate) fn finish(&mut self, r: Request<'_>, pass: &mut impl FnMut(nginx::Part<'_>)) {
        let Some(Screen { shown, hearing, has_finished, .. }) = &mut self.screen else { return };
        *has_finished = true;
        let Some(hearing) = hearing else {
            return shown.finish(&mut |part| pass(passed(part)));
        };
        let mut seen = Vec::new();
        shown.finish(&mut |part| put(&part, &mut seen));
        hearing.hear(shown.take_said(), &seen);
        hearing.finish();
        self.judge(r, pass);
    }

    /// What was waited for may be there.
    pub(crate) fn go_on(&mut self, r: Request<'_>, pass: &mut impl FnMut(nginx::Part<'_>)) {
        if let Some(hearing) = self.hearing_mut() {
            hearing.wakes();
            self.judge(r, pass);
        }
    }

    /// Asks classifiers, and passes on what they let pass.
    fn judge(&mut self, r: Request<'_>, pass: &mut impl FnMut(nginx::Part<'_>)) {
        let Some(Screen { shown, hearing: Some(hearing), unfit, refusals, .. }) = &mut self.screen
        else {
            return;
        };
        let mut out = Vec::new();
        if let Err(detail) = hearing.go_on(r, &mut self.found, &mut out) {
            let refusal = refusals.later(detail.cause().reason());
            shown.refuse(refusal, &mut |part| put(&part, &mut out));
            *unfit = Some(detail);
        }
        if !out.is_empty() {
            pass(nginx::Part::Held(&out));
        }
    }

    fn hearing(&self) -> Option<&Hearing> {
        self.screen.as_ref()?.hearing.as_deref()
    }

    fn hearing_mut(&mut self) -> Option<&mut Hearing> {
        self.screen.as_mut()?.hearing.as_deref_mut()
    }

    /// Whether a part of the answer waits for classifiers.
    pub(crate) fn is_waiting(&self) -> bool {
        self.hearing().is_some_and(Hearing::is_waiting)
    }

    /// Whether so much waits, of which `unsent` bytes for the client, that no more is to be read.
    pub(crate) fn is_full(&self, unsent: u64) -> bool {
        self.hearing().is_some_and(|hearing| hearing.is_full(unsent))
    }

    /// Nothing more is read for now.
    pub(crate) fn lags(&mut self, r: Request<'_>) {
        if let Some(hearing) = self.hearing_mut() {
            hearing.lags(r);
        }
    }

    pub(super) fn cause(&self, halt: Halt) -> Detail {
        match halt {
            Halt::Unreadable => Cause::UnseenAnswer.into(),
            Halt::Judged => {
                let unfit = self.screen.as_ref().and_then(|screen| screen.unfit.clone());
                unfit.unwrap_or_else(|| Cause::NotJudged.into())
            }
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

/// What a client is told in the place of what it may not see.
#[derive(Clone, Copy)]
pub(super) struct Refusals(pub(super) Dialect);

impl Refusals {
    /// For this reason: a JSON document.
    pub(super) fn of(self, reason: Reason) -> Cow<'static, str> {
        match reason {
            Reason::ContentPolicy => answer_blocked_body(self.0).into(),
            reason => answer(reason).body(self.0).into(),
        }
    }

    /// The same, for when it is needed.
    pub(super) fn later(self, reason: Reason) -> Refusal {
        Refusal::new(move || self.of(reason))
    }
}

/// Adds what is shown of an answer that is no longer in its buffers.
fn put(part: &Part<'_>, out: &mut Vec<u8>) {
    if let Part::Held(bytes) = part {
        out.extend_from_slice(bytes);
    }
}

impl Screen {
    /// Whether the header of the answer waits.
    pub(crate) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// Why nothing more of the answer is shown. `is_new`: that wasn't known before.
    pub(super) fn halted(&mut self) -> Option<(Halt, bool)> {
        let halt = self.shown.halted()?;
        Some((halt, !std::mem::replace(&mut self.has_halted, true)))
    }
}

//! ACCESS: guards look through what a request says, a part of it in each turn of the event loop, and change it or
//! refuse it. What they do with its answer is in [`screen`](super::screen).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_core::detail::{Cause, Detail};
use tollgate_core::guards::clean::CleanTexts;
use tollgate_core::guards::looking::Looking;
use tollgate_core::guards::outcome::Looked;
use tollgate_core::guards::{Action, Rule, RuleName};
use tollgate_core::llm::meter::Hides;
use tollgate_core::llm::texts::{Role, Texts};
use tollgate_core::llm::Endpoint;
use tollgate_guard::stream::Leak;
use tollgate_guard::vault::Vault;

use crate::conf::guards::{Guards, OutputGuard};
use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::observed;
use crate::per_worker::{random_key, PerWorker};
use crate::request::authenticate::Denial;
use crate::request::body;
use crate::request::classifier;
use crate::request::guarded::Guarded;
use crate::request::judging;
use crate::request::state::State;
use crate::types::Request;

/// Bytes of text that are looked at in one turn of the event loop: a few milliseconds.
const TURN: usize = 128 << 10;

/// Texts that a worker remembers, of all clients: 24 bytes for each.
const REMEMBERED: usize = 16 << 10;

static CLEAN: PerWorker<CleanTexts> = PerWorker::new(|| CleanTexts::new(REMEMBERED, random_key()));

/// Begins to look through the body in this form, if guards hold for the request.
pub(crate) fn begin(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    form: Endpoint,
) -> Result<(), Denial> {
    if policy.guards.is_empty() {
        return Ok(());
    }
    let guards = policy.guards.get(state.borrow().tier.as_ref());
    let Some(guards) = guards else { return Ok(()) };
    let mut leak = None;
    let mut judged = None;
    let looking = match guards.reads_requests() && r.body_len() > 0 {
        false => None,
        true => {
            let body = body::whole(r).ok_or(Cause::BodyUnreadable)?;
            let texts = Texts::of(body, form).ok_or(Cause::BodyNotJson)?;
            if let Some(member) = texts.unseen.filter(|_| guards.acts_on_requests()) {
                return Err(Detail::new(Cause::UnseenContent, member).into());
            }
            if guards.looks_for_leaks() {
                let of_system = texts.iter().filter(|text| text.role == Role::System);
                leak = Some(Arc::new(Leak::of(of_system.map(|text| texts.said(text)))));
            }
            match guards.inputs.is_empty() {
                false => Some(Looking::new(texts, judging::client(r, &state.borrow()))),
                true => {
                    judged = Some(texts);
                    None
                }
            }
        }
    };
    classifier::refuse_questions(r, &guards)?;
    let mut guarded = Guarded::new(guards, looking, leak);
    guarded.ask_for(r, &state.borrow());
    if let Some(texts) = judged {
        judging::begin(r, state, &mut guarded, || Ok(texts))?;
    }
    state.borrow_mut().guarded = Some(Box::new(guarded));
    Ok(())
}

/// Has the answer looked at that tells of what the client keeps at the engine, if guards hold for it: answers that it
/// had before may be in there.
pub(crate) fn begin_kept(r: Request<'_>, state: &RefCell<State>, policy: &Policy) {
    if policy.guards.is_empty() {
        return;
    }
    let mut state = state.borrow_mut();
    let guards = policy
        .guards
        .get(state.tier.as_ref())
        .filter(|guards| guards.output.is_some() || guards.judges_answers());
    if let Some(guards) = guards {
        let mut guarded = Guarded::new(guards, None, None);
        guarded.ask_for(r, &state);
        state.guarded = Some(Box::new(guarded));
    }
}

/// Looks on. `false`: more is left, for a later turn.
pub(crate) fn go_on(r: Request<'_>, state: &RefCell<State>) -> Result<bool, Denial> {
    let Some(mut guarded) = state.borrow_mut().guarded.take() else { return Ok(true) };
    let is_done = match &mut guarded.looking {
        Some(looking) => CLEAN.with(|clean| looking.go_on(&guarded.guards.inputs, clean, TURN)),
        None => true,
    };
    let looked = guarded.looking.take_if(|_| is_done).map(Looking::finish);
    let judged = looked.map_or(Ok(()), |looked| {
        let is_changed = judge(r, state, &mut guarded, &looked)?;
        judging::begin(r, state, &mut guarded, || match is_changed {
            false => Ok(looked.into_texts()),
            true => texts_now(r, state),
        })
    });
    state.borrow_mut().guarded = Some(guarded);
    judged.map(|()| is_done)
}

/// What the model is shown when guards have changed it: a classifier sees no more than that.
fn texts_now(r: Request<'_>, state: &RefCell<State>) -> Result<Texts, Denial> {
    let form = state.borrow().metering.as_ref().map(|metering| metering.endpoint);
    let body = body::whole(r).ok_or(Cause::BodyUnreadable)?;
    Ok(form.and_then(|form| Texts::of(body, form)).ok_or(Cause::BodyUnreadable)?)
}

/// Refuses what is blocked, and changes what is not for the model. `true`: something has changed.
fn judge(
    r: Request<'_>,
    state: &RefCell<State>,
    guarded: &mut Guarded,
    looked: &Looked,
) -> Result<bool, Denial> {
    let guards = &guarded.guards;
    guarded.found.note_injection(looked.injection_score());
    for count in looked.counts() {
        if let Some(rule) = guards.rule(count.guard, count.rule) {
            guarded.found.note(rule, count.times, count.score);
            let guard = guards.input_names.get(count.guard).map_or("", |name| &**name);
            let name = RuleName(rule).to_string();
            observed::found(guard, &name, rule.action, u64::from(count.times));
        }
    }
    if let Some(blocked) = looked.blocked(&guards.inputs) {
        guarded.place = Some(blocked.place);
        let name = guards.rule(blocked.guard, blocked.rule);
        let name = name.map(|rule| RuleName(rule).to_string()).unwrap_or_default();
        return Err(Detail::new(Cause::GuardBlocked, name).into());
    }
    // Where nothing is refused, nothing is changed either.
    if state.borrow().policy.dry_run {
        return Ok(false);
    }
    let mut vault = looked.tokenizes(&guards.inputs).then(Vault::default);
    if let Some(vault) = &mut vault {
        looked.texts().iter().for_each(|text| vault.reserve(looked.texts().said(text)));
    }
    let edits = looked.edits(&guards.inputs, |label, part| {
        vault.as_mut()?.tokenize(label, &part.value, part.before)
    });
    guarded.vault = vault.map(Rc::new);
    if edits.is_empty() {
        return Ok(false);
    }
    if body::keeps_length(r) {
        return Err(Cause::LengthInSet.into());
    }
    let before = state.borrow_mut().edit.take();
    let hides = before.as_ref().map(|before| before.hides).unwrap_or_default();
    let mut state = state.borrow_mut();
    match body::change(r, &edits, Hides::default()) {
        Ok(change) => {
            state.edit = Some(Box::new(change.after(before, hides)));
            Ok(true)
        }
        Err(cause) => {
            // What had been changed before can still be undone.
            state.edit = before;
            Err(cause.into())
        }
    }
}

/// Whether guards do more for requests of this tier than to count.
pub(crate) fn act(policy: &Policy, tier: Option<&Rc<Tier>>) -> bool {
    policy
        .guards
        .declared(tier)
        .is_some_and(|guards| guards.acts_on_requests() || guards.acts_on_answers())
}

impl Guarded {
    /// Notes for whom classifiers are asked about the answer, if any are.
    fn ask_for(&mut self, r: Request<'_>, state: &State) {
        self.client = self.guards.judges_answers().then(|| judging::client(r, state));
    }
}

impl Guards {
    /// Whether anybody wants to know what requests say.
    fn reads_requests(&self) -> bool {
        !self.inputs.is_empty() || self.looks_for_leaks() || self.asks()
    }

    /// Whether classifiers are asked about requests.
    fn asks(&self) -> bool {
        !self.classifiers.is_empty()
    }

    fn looks_for_leaks(&self) -> bool {
        self.output.as_ref().is_some_and(|output| output.leak.is_some())
    }

    /// Whether anything is done about what is found, beside counting it.
    fn acts_on_requests(&self) -> bool {
        let rules = self.inputs.iter().flat_map(|input| input.guard.rules());
        let asked = self.classifiers.iter().map(|classifier| &classifier.rule);
        rules.chain(asked).any(|rule| rule.action > Action::Log)
    }

    /// Whether anything is done about what is found in answers, beside counting it.
    pub(super) fn acts_on_answers(&self) -> bool {
        self.output.as_ref().is_some_and(OutputGuard::acts)
            || self.judges.iter().any(|judge| judge.rule.action > Action::Log)
    }

    /// Whether classifiers are asked about answers.
    pub(super) fn judges_answers(&self) -> bool {
        !self.judges.is_empty()
    }

    fn rule(&self, guard: usize, rule: u16) -> Option<&Rule> {
        self.inputs.get(guard)?.guard.rules().get(usize::from(rule))
    }
}

//! ACCESS: may the client ask for all of that?

use std::cell::RefCell;
use std::sync::LazyLock;

use tollgate_core::detail::{Cause, Detail};
use tollgate_core::llm::engines::{exception, Route};
use tollgate_core::llm::{request, Endpoint, Feature, FeatureSet, LlmRequest, Uses};
use tollgate_core::permissions::{FeatureRefusal, FeatureRules};
use tollgate_core::scheduler::Scheduler;

use crate::conf::policy::Policy;
use crate::conf::rules::Tier;
use crate::request::body::{self, Inspected, Refused, Wanted, Whole};
use crate::request::form;
use crate::request::models;
use crate::request::objects;
use crate::request::state::State;
use crate::types::Request;

/// Those of who is in no tier.
static DEFAULT: LazyLock<FeatureRules> = LazyLock::new(FeatureRules::default);

/// What the requests of a tier may ask for.
pub(crate) fn rules(tier: Option<&Tier>) -> &FeatureRules {
    tier.map_or(&*DEFAULT, |tier| &tier.features)
}

/// Reads the body that nginx has by now, or goes on with it, for what limits need and for what the tier says.
pub(crate) fn inspect(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    form: Option<Endpoint>,
) -> Result<Inspected, Refused> {
    // Without a body, nothing is prepared.
    let (names_model, path) = {
        let state = state.borrow();
        (models::of(&state).matter(), r.kept(state.judged_path))
    };
    if r.body_len() == 0 && !names_model && form_to_look_at(r, policy, path).is_some() {
        let nothing = form.and_then(|form| request::parse(b"{}", form, policy.engine).ok());
        if let Some(nothing) = nothing {
            let asked = Some((nothing, None));
            return Ok(Inspected::Whole(Whole { asked, place: None, mentions: None }));
        }
    }
    let (begun, tier, route, references) = {
        let mut state = state.borrow_mut();
        (state.reading.take(), state.tier.clone(), state.route, objects::are_in_body(&state))
    };
    let boundary = match &route {
        Some(route) => form::boundary(r, route).map_err(body::malformed)?,
        None => None,
    };
    let wanted =
        Wanted { form, boundary: boundary.as_ref(), rules: rules(tier.as_deref()), references };
    body::inspect(r, policy, wanted, begun)
}

/// The form in which a body is looked at that isn't metered: where the engine, which gets this path, would prepare a
/// request.
pub(crate) fn form_to_look_at(r: Request<'_>, policy: &Policy, path: &[u8]) -> Option<Endpoint> {
    policy.is_metered.then(|| policy.engine.prepares(r.method(), path)).flatten()
}

/// Whether the tier says something of a body that isn't read.
pub(crate) fn is_unjudged(
    r: Request<'_>,
    tier: Option<&Tier>,
    policy: &Policy,
    (path, route): (&[u8], &Route),
) -> bool {
    rules(tier).is_own()
        && form_to_look_at(r, policy, path).is_none()
        && !form::is_judged(r, policy, path, route)
}

/// Whether a form has to be read for what the tier says of its parts.
pub(crate) fn are_in_form(
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    (path, route): (&[u8], &Route),
) -> bool {
    rules(state.tier.as_deref()).is_own() && form::is_judged(r, policy, path, route)
}

/// Whether what was found elsewhere may stand here. `None`: the body has to be looked at.
pub(crate) fn may_stand(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    (path, route): (&[u8], &Route),
) -> Option<()> {
    let state = state.borrow();
    let is_due = || {
        form_to_look_at(r, policy, path).is_some() || are_in_form(r, &state, policy, (path, route))
    };
    (state.is_looked_at || !is_due()).then_some(())
}

/// Whether variables have a request prepared whose body wasn't looked at like that.
pub(crate) fn are_others(
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    (path, route): (&[u8], &Route),
) -> bool {
    let form = form_to_look_at(r, policy, path);
    let is_unread = form.is_some() && form != form_to_look_at(r, policy, r.kept(state.judged_path));
    let was_form =
        || state.is_looked_at && state.route.is_some_and(|route| form::names_model(&route));
    is_unread || (are_in_form(r, state, policy, (path, route)) && !was_form())
}

/// Refuses what the tier denies of such a body.
pub(crate) fn look(
    state: &RefCell<State>,
    policy: &Policy,
    request: &LlmRequest,
    uses: Option<&Uses>,
) -> Result<(), Detail> {
    let tier = state.borrow().tier.clone();
    // We say the priority, or a gateway before nginx does.
    let replaced = match policy.scheduler {
        Scheduler::Vllm | Scheduler::LlmD | Scheduler::Pass => {
            FeatureSet::NONE.with(Feature::Priority)
        }
        Scheduler::Off => FeatureSet::NONE,
    };
    let rules = rules(tier.as_deref());
    let outcome = rules.judge(request, uses.unwrap_or(&Uses::NONE), replaced);
    state.borrow_mut().is_looked_at = true;
    outcome.map_err(|refusal| deny(state, refusal))
}

/// As [`look`], of a form. Where the path was opened for whatever it asks, nothing is denied.
pub(crate) fn look_at_form(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    request: &LlmRequest,
    uses: &Uses,
) -> Result<(), Detail> {
    let (tier, path) = {
        let state = state.borrow();
        (state.tier.clone(), r.kept(state.judged_path))
    };
    let is_opened = exception::opens(&policy.endpoints, r.method(), path);
    state.borrow_mut().is_looked_at = true;
    match is_opened {
        true => Ok(()),
        false => {
            let outcome = rules(tier.as_deref()).judge_form(request, uses);
            outcome.map_err(|refusal| deny(state, refusal))
        }
    }
}

/// Refuses what the tier denies. Notes what of the body it changes, and takes that for what was asked for.
pub(crate) fn judge(
    state: &RefCell<State>,
    policy: &Policy,
    request: &mut LlmRequest,
    uses: Option<&Uses>,
) -> Result<(), Detail> {
    let tier = state.borrow().tier.clone();
    let rules = rules(tier.as_deref());
    // Most tiers say nothing, and most bodies have nothing that is denied by default.
    if !rules.is_own() && uses.is_none() && !request.background {
        state.borrow_mut().is_looked_at = true;
        return Ok(());
    }
    look(state, policy, request, uses)?;
    // Of the background, the tier decides before the location.
    let may_go_on = || {
        let said = rules.background();
        said.unwrap_or_else(|| policy.background || !policy.counts_tokens(tier.as_deref()))
    };
    if request.background && !may_go_on() {
        return Err(Cause::Background.into());
    }
    // Where nothing is refused, nothing is changed either.
    if rules.is_own() && !policy.dry_run {
        let changes = rules.changes(request, uses.unwrap_or(&Uses::NONE));
        if let Some(most) = changes.bound {
            request.output_bound = Some(most);
        }
        state.borrow_mut().feature_changes = changes;
    }
    Ok(())
}

/// Refuses what is taken for more tokens of input than the tier allows.
pub(crate) fn judge_input(state: &RefCell<State>, tokens: u64) -> Result<(), Detail> {
    let tier = state.borrow().tier.clone();
    let outcome = rules(tier.as_deref()).judge_input(tokens);
    outcome.map_err(|refusal| deny(state, refusal))
}

fn deny(state: &RefCell<State>, refusal: FeatureRefusal) -> Detail {
    state.borrow_mut().denied = Some(refusal);
    refusal.detail()
}

//! ACCESS: may the client use the model that it asks for?

use std::cell::RefCell;

use tollgate_core::decision::Reason;
use tollgate_core::detail::Cause;
use tollgate_core::llm::engines::naming::{model_before_end, model_in_path};
use tollgate_core::llm::engines::{exception, Naming, Route};
use tollgate_core::llm::{Endpoint, LlmRequest};
use tollgate_core::permissions::models::{Chosen, Denied, Models};
use tollgate_core::principal::Principal;

use crate::conf::policy::Policy;
use crate::request::authenticate::Denial;
use crate::request::rewrite;
use crate::request::state::State;
use crate::types::Request;

/// The form in which a body is read of which nothing but the model matters.
pub(crate) const FORM: Endpoint = Endpoint::Embeddings;

/// What the client may use. All of it is about the names that the engine reads.
#[inline]
pub(crate) fn of(state: &State) -> Models<'_> {
    let tier = state.tier.as_deref();
    let default = tier.and_then(|tier| tier.default_model.as_deref());
    Models::new(
        tier.and_then(|tier| tier.open_models.as_deref()),
        state.principal.as_deref().and_then(Principal::models),
        default.map(|name| state.policy.aliases.find(name).unwrap_or(name)),
    )
}

/// Whether the engine may be asked for the model that it calls so: where all requests are for one, whether
/// that one may be used.
pub(crate) fn allow(policy: &Policy, models: &Models<'_>, name: &str) -> bool {
    models.allow(policy.model.as_deref().unwrap_or(name))
}

/// Judges by the path. `true`: the body has to be read, to see which model it names.
pub(crate) fn before_body(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    route: &Route,
) -> Result<bool, Denial> {
    let state = &mut *state.borrow_mut();
    let models = of(state);
    if !models.matter() {
        return Ok(route.naming == Naming::Body && !policy.aliases.is_empty());
    }
    let path = r.kept(state.judged_path);
    if let (Some(name), None) = (model_before_end(path), &policy.model) {
        let judged = models.judge_fixed(name);
        judged.map_err(|denied| deny(state, policy, Some(name.into()), denied))?;
    }
    let models = of(state);
    match (route.naming, &policy.model) {
        (Naming::Body, None) => Ok(true),
        (Naming::Nowhere, _) => Ok(false),
        _ if !models.are_restricted() => Ok(false),
        (Naming::Path, _) => {
            let name = model_in_path(path);
            let judged =
                name.map(|name| models.judge_fixed(policy.model.as_deref().unwrap_or(name)));
            // Whoever looks for a model gets the same answer, whether it isn't there or isn't for him.
            let denial = match judged {
                Some(Ok(())) => return Ok(false),
                Some(Err(Denied::NotAllowed(detail))) => detail,
                Some(Err(Denied::Unnamed(_))) | None => Cause::UnreadModel.into(),
            };
            (state.asked_model, state.hides_model) = (name.map(Box::from), true);
            Err(denial.into())
        }
        (Naming::Body | Naming::Unread | Naming::Unknown, Some(fixed)) => {
            let judged = models.judge_fixed(fixed);
            judged.map(|()| false).map_err(|denied| deny(state, policy, None, denied))
        }
        (Naming::Unknown, None) if exception::opens(&policy.endpoints, r.method(), path) => {
            Ok(true)
        }
        (Naming::Unread | Naming::Unknown, None) => Err(Cause::UnreadModel.into()),
    }
}

/// Judges the model of a request whose body has been read, by the name that the engine will read. Where it
/// names none, it gets the default.
pub(crate) fn judge(
    state: &RefCell<State>,
    policy: &Policy,
    request: &mut LlmRequest,
) -> Result<(), Denial> {
    request.go_by(&policy.aliases);
    let state = &mut *state.borrow_mut();
    let models = of(state);
    if !models.matter() {
        return Ok(());
    }
    let judged = match &policy.model {
        Some(fixed) => models.judge_fixed(fixed).map(|()| Chosen::AsAsked),
        None => models.judge(request.model.as_deref()),
    };
    match judged {
        Ok(Chosen::AsAsked) => Ok(()),
        Ok(Chosen::Default(name)) => {
            let put = Some(Box::from(name));
            // It may be an alias of that.
            let given = state.tier.as_deref().and_then(|tier| tier.default_model.clone());
            request.model = given.or_else(|| put.clone());
            request.go_by(&policy.aliases);
            state.put_model = put;
            Ok(())
        }
        Err(denied) => {
            // Whoever asks for an alias isn't told what it stands for.
            let name = request.alias.take().or_else(|| request.model.take());
            Err(deny(state, policy, name, denied))
        }
    }
}

/// Changes the body of a request that isn't metered.
pub(crate) fn put(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    request: &LlmRequest,
) -> Result<(), Cause> {
    let change = rewrite::rewrite(r, &state.borrow(), policy, request)?;
    let mut state = state.borrow_mut();
    state.asked_model.clone_from(if request.alias.is_some() {
        &request.alias
    } else {
        &request.model
    });
    state.edit = change;
    Ok(())
}

/// Whether a request that was let in, and was led on to `route`, has to be judged there for what it names.
pub(crate) fn are_elsewhere(path: &[u8], state: &State, route: &Route) -> bool {
    let matter = of(state).matter() || !state.policy.aliases.is_empty();
    let is_in_body_alone = route.form.is_some() && model_before_end(path).is_none();
    matter && !is_in_body_alone && route.naming != Naming::Nowhere
}

fn deny(state: &mut State, policy: &Policy, name: Option<Box<str>>, denied: Denied) -> Denial {
    match denied {
        Denied::NotAllowed(detail) => {
            (state.asked_model, state.hides_model) = (name, policy.hide_models);
            detail.into()
        }
        Denied::Unnamed(error) => {
            state.malformed = Some(error);
            Denial { detail: Some(error.detail()), ..Reason::MalformedRequest.into() }
        }
    }
}

//! ACCESS: may the client use the model that it asks for?

use std::cell::RefCell;

use tollgate_core::decision::Reason;
use tollgate_core::detail::Cause;
use tollgate_core::llm::engines::named::{
    model_in_path, model_in_queries, model_in_query, models_before_end, InQuery,
};
use tollgate_core::llm::engines::{exception, Naming, Route};
use tollgate_core::llm::request::form::{ModelPlace, MODEL_ALONE};
use tollgate_core::llm::{Endpoint, LlmRequest};
use tollgate_core::multipart::ContentType;
use tollgate_core::permissions::models::{Chosen, Denied, Models};
use tollgate_core::principal::Principal;

use crate::conf::policy::Policy;
use crate::request::authenticate::Denial;
use crate::request::form;
use crate::request::renaming::Renaming;
use crate::request::rewrite;
use crate::request::socket;
use crate::request::state::State;
use crate::types::Request;

/// The form in which a body is read of which nothing but the model matters.
pub(crate) const FORM: Endpoint = MODEL_ALONE;

/// What the client may use. All of it is about the names that the engine reads.
#[inline(always)]
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
#[inline(always)]
pub(crate) fn before_body(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    route: &Route,
) -> Result<bool, Denial> {
    // Its borrow must have ended.
    let matters = of(&state.borrow()).matter();
    match matters {
        true => judge_names(r, state, policy, route),
        false => Ok(!policy.aliases.is_empty() && may_be_alias(r, route)),
    }
}

/// Whether the body may name a model by an alias.
fn may_be_alias(r: Request<'_>, route: &Route) -> bool {
    match route.naming {
        Naming::Body => true,
        // What isn't clear goes on as it is.
        Naming::Form => matches!(form::content_type(r), Ok(ContentType::Form(_))),
        Naming::FormOrBody => !matches!(form::content_type(r), Ok(ContentType::Other) | Err(_)),
        Naming::Path | Naming::Nowhere | Naming::Unread | Naming::Unknown => false,
    }
}

/// Judges by the path and the query. As [`before_body`].
fn judge_names(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    route: &Route,
) -> Result<bool, Denial> {
    let state = &mut *state.borrow_mut();
    let path = r.kept(state.judged_path);
    if policy.model.is_none() {
        beside_body(state, policy, route, (path, r.query()))?;
    }
    let models = of(state);
    let naming = match route.naming {
        Naming::Nowhere if socket::is_opened(r, policy) => Naming::Unread,
        naming => naming,
    };
    match (naming, &policy.model) {
        (Naming::Body, None) => Ok(true),
        (Naming::Form | Naming::FormOrBody, None) => match form::content_type(r) {
            Ok(ContentType::Form(_)) => Ok(true),
            Ok(ContentType::Json) if naming == Naming::FormOrBody => Ok(true),
            Ok(_) if of(state).are_restricted() => Err(Cause::UnreadModel.into()),
            Ok(_) => Ok(false),
            Err(error) => {
                state.malformed = Some(error);
                Err(Denial { detail: Some(error.detail()), ..Reason::MalformedRequest.into() })
            }
        },
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
        (_, Some(fixed)) => {
            let judged = models.judge_fixed(fixed);
            judged.map(|()| false).map_err(|denied| deny(state, policy, None, denied))
        }
        (Naming::Unknown, None) if exception::opens(&policy.endpoints, r.method(), path) => {
            Ok(true)
        }
        (Naming::Unread | Naming::Unknown, None) => Err(Cause::UnreadModel.into()),
    }
}

/// Judges what path and query name beside the body. The engine may go by either.
fn beside_body(
    state: &mut State,
    policy: &Policy,
    route: &Route,
    (path, query): (&[u8], &[u8]),
) -> Result<(), Denial> {
    let judge = |state: &mut State, name: &str| {
        let judged = of(state).judge_fixed(name);
        judged.map_err(|denied| deny(state, policy, Some(name.into()), denied))
    };
    let named = match route.names_beside() {
        true => {
            for name in models_before_end(policy.engine, path) {
                judge(state, name)?;
            }
            model_in_queries(path, query)
        }
        false => model_in_query(query),
    };
    match named {
        InQuery::One(name) => judge(state, &name),
        InQuery::Unclear if of(state).are_restricted() => Err(Cause::UnreadModel.into()),
        InQuery::Unclear | InQuery::Nothing => Ok(()),
    }
}

/// Judges the model of a request whose body has been read, also by what came into force while that was sent.
pub(crate) fn judge(
    state: &RefCell<State>,
    policy: &Policy,
    request: &mut LlmRequest,
) -> Result<(), Denial> {
    judge_body(state, policy, request)?;
    let name = policy.model.as_deref().or(request.model.as_deref());
    judge_later(&mut state.borrow_mut(), policy, name)
}

/// Judges what is known of a request that has been waiting, by what came into force since.
pub(crate) fn judge_in_turn(state: &RefCell<State>, policy: &Policy) -> Result<(), Denial> {
    let state = &mut *state.borrow_mut();
    let Some(metering) = &state.metering else { return Ok(()) };
    let name = metering.model.clone();
    judge_later(state, policy, policy.model.as_deref().or(name.as_deref()))
}

fn judge_later(state: &mut State, policy: &Policy, name: Option<&str>) -> Result<(), Denial> {
    let Some(later) = &state.later else { return Ok(()) };
    let tier = later.tier.as_deref().and_then(|tier| tier.open_models.as_deref());
    let judged = Models::new(tier, later.principal.models(), None).judge(name).map(|_| ());
    judged.map_err(|denied| deny(state, policy, name.map(Box::from), denied))
}

/// Judges by the name that the engine will read. Where it
/// names none, it gets the default.
fn judge_body(
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

/// Changes the body of a request that isn't metered. In a form, its model is named at `place`.
pub(crate) fn put(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    request: &LlmRequest,
    place: Option<&ModelPlace>,
) -> Result<(), Denial> {
    let change = match place {
        None => rewrite::rewrite(r, &state.borrow(), policy, request)?,
        Some(place) => {
            let changed = rewrite::rewrite_form(r, &state.borrow(), request, place);
            changed.map_err(|(cause, error)| {
                state.borrow_mut().malformed = error;
                Denial::from(cause)
            })?
        }
    };
    let mut state = state.borrow_mut();
    state.asked_model.clone_from(if request.alias.is_some() {
        &request.alias
    } else {
        &request.model
    });
    state.edit = change.map(Box::new);
    let alias = request.alias.clone();
    state.renaming = alias.map(|alias| Box::new(Renaming::new(alias, request.endpoint)));
    Ok(())
}

/// Whether a request that was let in, and was led on to `route`, has to be judged there for what it names.
pub(crate) fn are_elsewhere(r: Request<'_>, path: &[u8], state: &State, route: &Route) -> bool {
    let matter = of(state).matter() || !state.policy.aliases.is_empty();
    let is_beside_body = || {
        model_in_queries(path, r.query()) != InQuery::Nothing
            || !models_before_end(state.policy.engine, path).is_empty()
    };
    let is_in_body_alone = route.form.is_some() || route.naming == Naming::Nowhere;
    matter && (!is_in_body_alone || is_beside_body())
}

/// Whether a request names its model in another way where variables have it forwarded, than where it was judged.
pub(crate) fn are_others(
    r: Request<'_>,
    state: &State,
    (path, query, route): (&[u8], &[u8], &Route),
) -> bool {
    let engine = state.policy.engine;
    let judged = r.kept(state.judged_path);
    let is_as_judged = state.route.is_some_and(|judged| judged.naming == route.naming)
        && model_in_path(judged) == model_in_path(path)
        && models_before_end(engine, judged) == models_before_end(engine, path)
        && model_in_queries(judged, r.query()) == model_in_queries(path, query);
    let is_nowhere = route.naming == Naming::Nowhere
        && models_before_end(engine, path).is_empty()
        && model_in_queries(path, query) == InQuery::Nothing;
    of(state).are_restricted() && !is_as_judged && !is_nowhere
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

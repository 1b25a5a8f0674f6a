//! ACCESS: what of the body changes before it goes to the engine. All else stays as the client sent it.

use tollgate_core::detail::Cause;
use tollgate_core::llm::meter::Hides;
use tollgate_core::llm::request::edits::Edits;
use tollgate_core::llm::request::form::ModelPlace;
use tollgate_core::llm::request::rewrite::Rewrite;
use tollgate_core::llm::{Engine, LlmRequest, RequestError};
use tollgate_core::multipart::Fault;

use crate::conf::policy::Policy;
use crate::conf::settings::IncludeUsage;
use crate::request::body::{self, Change};
use crate::request::form;
use crate::request::salt;
use crate::request::state::State;
use crate::types::Request;

/// Changes the body, if anything of it has to change.
pub(crate) fn rewrite(
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    request: &LlmRequest,
) -> Result<Option<Change>, Cause> {
    let mut edits = Edits::default();
    if has_wishes(state, policy, request) {
        if body::keeps_length(r) {
            return Err(Cause::LengthInSet);
        }
        let whole = body::whole(r).ok_or(Cause::BodyUnreadable)?;
        let mut rewrite = Rewrite::new(&whole).ok_or(Cause::BodyUnreadable)?;
        wish(&mut rewrite, r, state, policy, request).ok_or(Cause::NoZone)?;
        edits = rewrite.edits();
    }
    let hides = ask_for_usage(r, policy, request, &mut edits)?;
    match edits.is_empty() {
        true => Ok(None),
        false => body::change(r, &edits, hides).map(Some),
    }
}

/// Has a form name the model that it gets, at this place. Nothing else of it is changed. The error is for the client.
pub(crate) fn rewrite_form(
    r: Request<'_>,
    state: &State,
    request: &LlmRequest,
    place: &ModelPlace,
) -> Result<Option<Change>, (Cause, Option<RequestError>)> {
    // Whoever may choose the id of what it makes, doesn't get to in a form.
    if chooses_id(state) {
        return Err((Cause::UnknownObject, None));
    }
    let Some(model) = meant(state, request) else { return Ok(None) };
    if body::keeps_length(r) {
        return Err((Cause::LengthInSet, None));
    }
    let route = state.route.ok_or((Cause::Panic, None))?;
    let boundary = form::boundary(r, &route).ok().flatten().ok_or((Cause::BodyUnreadable, None))?;
    let edits = place.name(&boundary, model).ok_or_else(|| {
        let error = RequestError::BadForm(Fault::Delimiter);
        (error.detail().cause(), Some(error))
    })?;
    body::change(r, &edits, Hides::default()).map(Some).map_err(|cause| (cause, None))
}

/// The model that takes the place of what the client names, or doesn't.
fn meant<'a>(state: &'a State, request: &'a LlmRequest) -> Option<&'a str> {
    let meant = request.alias.as_ref().and(request.model.as_ref());
    meant.or(state.put_model.as_ref()).map(|model| &**model)
}

/// Whether the policy changes anything in this request, beside asking for usage.
fn has_wishes(state: &State, policy: &Policy, request: &LlmRequest) -> bool {
    let is_renamed = request.alias.is_some() || state.put_model.is_some();
    let is_changed = is_renamed || !state.feature_changes.is_empty() || chooses_id(state);
    is_changed || policy.cache_salt.is_some() || policy.scheduler.owns_priority()
}

/// Makes the changes.
fn wish(
    rewrite: &mut Rewrite<'_>,
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    request: &LlmRequest,
) -> Option<()> {
    // What isn't known goes first: what is set, comes.
    state.feature_changes.make(rewrite, request, policy.engine);
    if let Some(model) = meant(state, request) {
        rewrite.set_text("model", model);
    }
    if chooses_id(state) {
        rewrite.remove("request_id");
    }
    if policy.cache_salt.is_some() {
        salt::put_in(rewrite, r, state, policy, request)?;
    }
    if policy.scheduler.owns_priority() {
        let tier = state.tier.as_ref().filter(|_| policy.engine == Engine::Vllm);
        match tier.and_then(|tier| tier.priority) {
            Some(priority) => rewrite.set("priority", priority.to_string().as_bytes()),
            None => rewrite.remove("priority"),
        }
    }
    Some(())
}

/// Whether the client chooses the id of what it makes, by which it could put that in the place of another one's.
fn chooses_id(state: &State) -> bool {
    state.keeping.as_ref().is_some_and(|keeping| keeping.chooses_id)
}

/// Where a stream would not say what it took, asks it to.
fn ask_for_usage(
    r: Request<'_>,
    policy: &Policy,
    request: &LlmRequest,
    edits: &mut Edits,
) -> Result<Hides, Cause> {
    let even_if_declined = match policy.include_usage {
        IncludeUsage::Off => return Ok(Hides::default()),
        IncludeUsage::Auto => false,
        IncludeUsage::Always => true,
    };
    let Some(edit) = request.usage_edit(policy.engine, even_if_declined) else {
        return Ok(Hides::default());
    };
    if body::keeps_length(r) {
        r.log().warn(format_args!(
            "tollgate: the engine is not asked for usage: a variable of \"set\" holds the length of the body"
        ));
        return match even_if_declined {
            true => Err(Cause::LengthInSet),
            false => Ok(Hides::default()),
        };
    }
    edits.add(edit.range, edit.text.as_bytes());
    Ok(edit.hides)
}

/// What a location before this one added to the body, is none of this one's business: the engine here
/// may not know it. `None` when nginx has no memory.
pub(crate) fn leave_none(r: Request<'_>) -> Option<()> {
    let Some(state) = r.find_state() else { return Some(()) };
    let mut state = state.borrow_mut();
    let Some(edit) = state.edit.take() else { return Some(()) };
    state.renaming = None;
    if let Some(metering) = &mut state.metering {
        metering.hide_nothing();
    }
    body::undo(r, &edit)
}

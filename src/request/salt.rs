//! ACCESS: where tenants are kept apart in the engine's cache, what can't be kept apart is refused, and the rest gets
//! its salt.

use tollgate_core::cache_salt::member;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::llm::engines::{exception, Route};
use tollgate_core::llm::request::rewrite::Rewrite;
use tollgate_core::llm::{Endpoint, LlmRequest};

use crate::conf::policy::Policy;
use crate::request::state::State;
use crate::types::Request;

/// Whether what is asked for gets a salt that the engine knows, or needs none, or was opened by the operator.
/// `endpoint`: the form in which the body is read, if it is.
pub(super) fn check(
    r: Request<'_>,
    policy: &Policy,
    path: &[u8],
    route: &Route,
    endpoint: Option<Endpoint>,
) -> Result<(), Detail> {
    if policy.cache_salt.is_none() {
        return Ok(());
    }
    let is_kept_apart = match endpoint {
        Some(form) => member(policy.engine, form).is_some(),
        None => route.is_idle(),
    };
    match is_kept_apart || exception::opens(&policy.endpoints, r.method(), path) {
        true => Ok(()),
        false => Err(Cause::UnsaltedEndpoint.into()),
    }
}

/// Puts the salt of the principal in, in the place of the client's. `None`: there is no zone.
pub(super) fn put_in(
    rewrite: &mut Rewrite<'_>,
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    request: &LlmRequest,
) -> Option<()> {
    let Some(cache_salt) = &policy.cache_salt else { return Some(()) };
    let Some(principal) = &state.principal else { return Some(()) };
    let Some(member) = member(policy.engine, request.endpoint) else { return Some(()) };
    let zone = r.main_conf().zone()?;
    rewrite.set_text(member, &principal.cache_salt(cache_salt.salting(zone.get())));
    Some(())
}

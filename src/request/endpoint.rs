//! ACCESS: which endpoint of the engine is asked for, and may the client have it? What is judged is the path
//! that nginx forwards. Where variables say that, it is looked at once more in PRECONTENT, when they are known.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::detail::{Cause, Detail};
use tollgate_core::forwarding::{evaluated, evaluated_query, Known, Upstream};
use tollgate_core::llm::engines::{exception, Route, RouteMemo};
use tollgate_core::permissions::endpoints::{is_closed, judge, Asked};
use tollgate_core::permissions::scopes::{Scope, Scopes};
use tollgate_core::ruling::{By, Ruling};

use crate::conf::policy::Policy;
use crate::conf::Proxied;
use crate::per_worker::PerWorker;
use crate::request::features;
use crate::request::guards;
use crate::request::models;
use crate::request::objects;
use crate::request::salt;
use crate::request::state::State;
use crate::types::Request;

/// What was found of paths.
static ROUTES: PerWorker<RouteMemo> = PerWorker::new(RouteMemo::default);

/// The path that the engine gets.
#[derive(Clone, Copy)]
pub(crate) struct Path<'r> {
    pub(crate) bytes: &'r [u8],
    /// How many of them, at the beginning, the configuration names.
    own: usize,
}

impl<'r> Path<'r> {
    /// `None` when nginx has no memory.
    fn new(r: Request<'r>, path: Cow<'r, [u8]>, literal: &[u8]) -> Option<Self> {
        let bytes = match path {
            Cow::Borrowed(bytes) => bytes,
            Cow::Owned(bytes) => r.copy(&bytes)?,
        };
        let own = if bytes.starts_with(literal) { literal.len() } else { 0 };
        Some(Self { bytes, own })
    }

    /// What is asked for by it.
    pub(crate) fn route(self, r: Request<'r>, policy: &Policy) -> Route {
        ROUTES.with(|routes| routes.get(policy.engine, r.method(), (self.bytes, self.own)))
    }
}

/// The path that the engine gets from this location. `None` when nginx has no memory.
#[inline]
pub(crate) fn path<'r>(r: Request<'r>) -> Option<Path<'r>> {
    let name = r.location_name();
    match r.loc_conf().upstream() {
        Some(Proxied { upstream, .. }) => {
            Path::new(r, upstream.path(&known(r)), upstream.literal(name))
        }
        // `grpc_pass`, say.
        None if r.has_content_handler() => {
            Path::new(r, Upstream::AsSent.path(&known(r)), Upstream::AsSent.literal(name))
        }
        // Nothing is forwarded, and where a redirect leads, it is judged again.
        None => Path::new(r, Cow::Borrowed(r.uri()), name),
    }
}

fn known<'r>(r: Request<'r>) -> Known<'r> {
    let forwarding = r.forwarding();
    Known {
        uri: r.uri(),
        sent: r.path(),
        is_as_sent: forwarding.is_as_sent,
        is_in_location: forwarding.is_in_location,
        is_escaped: forwarding.is_escaped,
    }
}

/// Whether the client may have it, as far as that can be known by now. `is_read`: its tokens are.
pub(crate) fn check(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    (path, route, is_read): (&[u8], &Route, bool),
) -> Result<(), Detail> {
    if let Some(verdict) = check_file(r, policy) {
        return verdict;
    }
    check_parameters(r, &state.borrow(), policy, (path, r.query()))?;
    let verdict = judge_path(r, &state.borrow(), policy, (path, route, is_read));
    match verdict {
        Err(detail) if detail.cause() == Cause::UnknownEndpoint && has_variables(r) => {
            state.borrow_mut().awaits_path = true;
            Ok(())
        }
        verdict => verdict,
    }
}

/// The verdict of a request that nginx has led to a file. That is the operator's, and no endpoint: a page for an
/// error of the engine, say. `None`: it is none of these.
fn check_file(r: Request<'_>, policy: &Policy) -> Option<Result<(), Detail>> {
    if !(r.is_internal() && r.serves_file()) {
        return None;
    }
    Some(match is_closed(&policy.endpoints, r.method(), r.uri()) {
        true => Err(Cause::ClosedEndpoint.into()),
        false => Ok(()),
    })
}

/// Whether variables say what is forwarded from here.
fn has_variables(r: Request<'_>) -> bool {
    r.loc_conf().upstream().is_some_and(|proxied| proxied.expression.is_some())
}

/// What the client may.
fn granted(state: &State) -> Scopes {
    match (&state.later, &state.principal) {
        (Some(later), _) => {
            later.principal.granted(later.tier.as_ref().and_then(|tier| tier.scopes))
        }
        (None, Some(principal)) => {
            principal.granted(state.tier.as_ref().and_then(|tier| tier.scopes))
        }
        (None, None) => Scopes::DEFAULT,
    }
}

/// Whether parameters may have the engine do what the path doesn't say.
#[inline]
fn check_parameters(
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    (path, query): (&[u8], &[u8]),
) -> Result<(), Detail> {
    if !policy.engine.is_steered() {
        return Ok(());
    }
    // Whatever is read of a body, is no form.
    let of_body = || match r.method() {
        b"GET" | b"HEAD" => {
            let mut kinds = r.headers_in().filter(|header| header.name == b"content-type");
            kinds.find_map(|kind| policy.engine.steering_body(kind.value))
        }
        _ => None,
    };
    let Some(name) = policy.engine.steering_parameter(query).or_else(of_body) else {
        return Ok(());
    };
    let may =
        granted(state).has(Scope::Admin) || exception::opens(&policy.endpoints, r.method(), path);
    match may {
        true => Ok(()),
        false => Err(Detail::new(Cause::OperatorsParameter, name)),
    }
}

fn judge_path(
    r: Request<'_>,
    state: &State,
    policy: &Policy,
    (path, route, is_read): (&[u8], &Route, bool),
) -> Result<(), Detail> {
    let tier = state.tier.as_deref();
    let granted = granted(state);
    let asked = Asked { method: r.method(), path, uri: r.uri(), route, is_read };
    let counts = || policy.counts_tokens(tier);
    match judge(asked, (policy.engine, &policy.endpoints), granted, counts) {
        // Each client reaches its own there, and nothing says what that takes.
        Err(detail) if detail.cause() == Cause::OthersRequests && objects::judges(r, route) => {
            if counts() {
                return Err(Detail::new(Cause::NotCounted, policy.engine.as_str()));
            }
        }
        verdict => verdict?,
    }
    let is_unjudged = || {
        features::is_unjudged(r, tier, policy, (path, route))
            || guards::act(policy, state.tier.as_ref())
    };
    let is_unread = !is_read && !route.is_idle() && is_unjudged();
    if is_unread && !exception::opens(&policy.endpoints, r.method(), path) {
        return Err(Cause::UnreadEndpoint.into());
    }
    salt::check(r, policy, path, route, route.form.filter(|_| is_read))
}

/// An internal redirect has led a request that was let in to a location under the same policy. Whether
/// that lets it in as well; `None`: it has to be judged there.
pub(crate) fn check_here(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Rc<Policy>,
) -> Option<Result<(), Detail>> {
    let (judged, endpoint) = {
        let mut state = state.borrow_mut();
        let is_judged = !std::mem::take(&mut state.awaits_path);
        (is_judged.then(|| r.kept(state.judged_path)), state.endpoint())
    };
    let Some(path) = path(r) else { return Some(Err(Cause::OutOfMemory.into())) };
    if let Err(detail) = check_parameters(r, &state.borrow(), policy, (path.bytes, r.query())) {
        return Some(Err(detail));
    }
    if judged == Some(path.bytes) && policy.endpoints.is_empty() {
        return Some(Ok(()));
    }
    if let Some(verdict) = check_file(r, policy) {
        return Some(verdict);
    }
    let route = path.route(r, policy);
    features::may_stand(r, state, policy, (path.bytes, &route))?;
    let access = state.borrow().route.map(|route| route.objects).unwrap_or_default();
    if route.objects.is_elsewhere(access) {
        return None;
    }
    let here = route.form.filter(|_| policy.is_metered);
    let must_be_judged = (here.is_some() && endpoint != here)
        || models::are_elsewhere(r, path.bytes, &state.borrow(), &route);
    if must_be_judged {
        return None;
    }
    if let Some(cause) = route.ambiguity(path.bytes, path.bytes, path.bytes) {
        return Some(Err(cause.into()));
    }
    Some(check(r, state, policy, (path.bytes, &route, here.is_some())))
}

/// PRECONTENT: variables of `proxy_pass` are known by now, and nginx is about to forward what they say. If
/// that is not what was judged, it has to be open as well, and read as the same.
#[inline(always)]
pub(crate) fn check_evaluated(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
) -> Result<(), Detail> {
    // Its borrow must have ended: variables of ours look at the state.
    let is_due = state.borrow().awaits_path || has_variables(r);
    match is_due {
        true => judge_variables(r, state, policy),
        false => Ok(()),
    }
}

fn judge_variables(r: Request<'_>, state: &RefCell<State>, policy: &Policy) -> Result<(), Detail> {
    // Variables of ours look at the state.
    let (path, query) = evaluated_path(r).ok_or(Cause::VariableFailed)?;
    let mut state = state.borrow_mut();
    let route = path.route(r, policy);
    // It may be one of models, or none any more.
    state.page = route.page;
    let is_as_judged = path.bytes == r.kept(state.judged_path) && !state.awaits_path;
    // Nothing is known of what another module let in.
    let is_ours = state.ruling == Ruling::Admitted(By::Us);
    if !is_ours || (is_as_judged && query == r.query()) {
        return Ok(());
    }
    if !is_as_judged {
        if let Some(cause) = route.ambiguity(path.bytes, path.bytes, path.bytes) {
            return Err(cause.into());
        }
        if policy.is_metered && route.form != state.endpoint() {
            return Err(Cause::ForwardedElsewhere.into());
        }
    }
    let are_others = models::are_others(r, &state, (path.bytes, query, &route))
        || features::are_others(r, &state, policy, (path.bytes, &route))
        || objects::are_others(r, &state, policy, (path.bytes, query, &route));
    if are_others {
        return Err(Cause::ForwardedElsewhere.into());
    }
    check_parameters(r, &state, policy, (path.bytes, query))?;
    if is_as_judged {
        return Ok(());
    }
    let is_read = route.form.is_some() && policy.is_metered;
    judge_path(r, &state, policy, (path.bytes, &route, is_read))
}

/// With the query string. `None` when nginx can't evaluate it, or has no memory.
fn evaluated_path(r: Request<'_>) -> Option<(Path<'_>, &[u8])> {
    let proxied = r.loc_conf().upstream()?;
    let url = proxied.expression.as_ref()?.evaluate(r)?;
    let literal = proxied.upstream.evaluated_literal(url, r.location_name());
    Some((Path::new(r, evaluated(url, &known(r)), literal)?, evaluated_query(url, r.query())))
}

//! ACCESS: which endpoint of the engine is asked for, and may the client have it? What is judged is the path
//! that nginx forwards. Where variables say that, it is looked at once more in PRECONTENT, when they are known.

use std::borrow::Cow;
use std::cell::RefCell;
use std::rc::Rc;

use tollgate_core::decision::Decision;
use tollgate_core::detail::{Cause, Detail};
use tollgate_core::forwarding::{evaluated, Known, Upstream};
use tollgate_core::llm::engines::{Route, RouteMemo};
use tollgate_core::permissions::endpoints::{judge, Asked};
use tollgate_core::permissions::scopes::Scopes;

use crate::conf::policy::Policy;
use crate::per_worker::PerWorker;
use crate::request::access::conclude;
use crate::request::state::State;
use crate::types::Request;
use nginx::Verdict;

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
    let upstream = r.loc_conf().upstream().map_or(&Upstream::AsSent, |proxied| &proxied.upstream);
    Path::new(r, upstream.path(&known(r)), upstream.literal(r.location_name()))
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

/// Whether the client may have it. `is_read`: its tokens are.
pub(crate) fn check(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
    (path, route, is_read): (&[u8], &Route, bool),
) -> Result<(), Detail> {
    let state = state.borrow();
    let tier = state.tier.as_deref();
    let granted = match &state.principal {
        Some(principal) => principal.granted(tier.and_then(|tier| tier.scopes)),
        None => Scopes::DEFAULT,
    };
    let asked = Asked { method: r.method(), path, uri: r.uri(), route, is_read };
    judge(asked, (policy.engine, &policy.endpoints), granted, || policy.counts_tokens(tier))
}

/// An internal redirect has led a request that was let in to a location under the same policy. Whether
/// that lets it in as well; `None`: it has to be judged there.
pub(crate) fn check_here(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Rc<Policy>,
) -> Option<Result<(), Detail>> {
    let (judged, endpoint) = {
        let state = state.borrow();
        (r.kept(state.judged_path), state.endpoint())
    };
    let Some(path) = path(r) else { return Some(Err(Cause::OutOfMemory.into())) };
    // A file is the operator's, and no endpoint: a page for an error of the engine, say.
    if judged == path.bytes || r.serves_file() {
        return Some(Ok(()));
    }
    let route = path.route(r, policy);
    let here = route.form.filter(|_| policy.is_metered);
    if here.is_some() && endpoint != here {
        return None;
    }
    if let Some(cause) = route.ambiguity(path.bytes, path.bytes, path.bytes) {
        return Some(Err(cause.into()));
    }
    Some(check(r, state, policy, (path.bytes, &route, here.is_some())))
}

/// PRECONTENT: variables of `proxy_pass` are known by now, and nginx is about to forward what they say. If
/// that is not what was judged, it has to be open as well, and read as the same.
pub(crate) fn check_evaluated(
    r: Request<'_>,
    state: &RefCell<State>,
    policy: &Policy,
) -> Option<Verdict> {
    let proxied = r.loc_conf().upstream()?;
    // nginx refuses itself what it can't evaluate.
    let url = proxied.expression.as_ref()?.evaluate(r)?;
    let judged = {
        let state = state.borrow();
        (state.ruling.decision() == Some(Decision::Allow)).then_some(())?;
        let judged = r.kept(state.judged_path);
        // It was another module that let it in, and nothing is known of it.
        (!judged.is_empty()).then_some((judged, state.endpoint()))?
    };
    let literal = proxied.upstream.literal(b"");
    let Some(path) = Path::new(r, evaluated(url, &known(r)), literal) else {
        return Some(conclude(r, state, Err(Cause::OutOfMemory.into())));
    };
    if path.bytes == judged.0 {
        return None;
    }
    let route = path.route(r, policy);
    let is_read = route.form.is_some() && policy.is_metered;
    let verdict = match route.ambiguity(path.bytes, path.bytes, path.bytes) {
        Some(cause) => Err(cause.into()),
        None if policy.is_metered && route.form != judged.1 => {
            Err(Cause::ForwardedElsewhere.into())
        }
        None => check(r, state, policy, (path.bytes, &route, is_read)),
    };
    match verdict {
        Ok(()) => None,
        Err(detail) => Some(conclude(r, state, Err(detail.into()))),
    }
}

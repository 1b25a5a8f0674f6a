//! LOG: what is counted of the request.

use tollgate_core::clients::Seen;
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::jwt::looks_like_jws;
use tollgate_core::llm::Source;
use tollgate_core::metrics::counter::AuthResult;
use tollgate_core::metrics::recorder::{Origin, Texts};
use tollgate_core::metrics::{
    tier_cells, Counter, Event, Family, Flow, Name, Observation, Observations, Outcome, Recorder,
};
use tollgate_core::principal::AuthMethod;

use crate::clients::counting;
use crate::conf::MainConf;
use crate::observed;
use crate::request::meter::Taken;
use crate::request::state::{SavedCredential, State};
use crate::types::Request;

/// How a request has ended.
#[derive(Clone, Copy)]
pub(crate) struct End {
    pub(crate) at: UnixMillis,
    /// What the client got; 0: nothing.
    pub(crate) status: u16,
    /// Milliseconds.
    pub(crate) duration_ms: u64,
}

/// The request has ended, and is settled.
// Not among what is done where nobody looks.
#[inline(never)]
pub(crate) fn ended(r: Request<'_>, state: Option<&State>, taken: Option<&Taken>, end: End) {
    let conf = r.main_conf();
    let decision = state.and_then(|state| state.ruling.decision());
    if conf.is_looked_into() {
        count_client(conf, state, taken, decision, end.at);
    }
    observed::with(|memory, recorder| {
        let (texts, metering) = match state {
            Some(state) => (texts(state), state.metering.as_deref()),
            None => (Texts::default(), None),
        };
        let is_served = taken.is_some_and(|taken| taken.source != Source::None);
        let mut find = || recorder.spot(memory, &texts, is_served, conf.known_models());
        let spot = match state.and_then(|state| state.tier.as_ref()) {
            Some(tier) if texts.model.is_empty() => tier.of_metrics().1.plain(texts.endpoint, find),
            _ => find(),
        };
        let flow = spot.flow;
        let observation = Observation {
            flow,
            outcome: Outcome::of(decision, state.and_then(|state| state.cut_off)),
            status: end.status,
            duration_ms: end.duration_ms,
            usage: taken.map(|taken| (taken.source, taken.usage)),
            cost_nanos: taken.and_then(|taken| taken.cost).unwrap_or(0),
            ttft_ms: metering.and_then(|metering| metering.ttft_ms),
        };
        recorder.observe_at(memory, spot, &observation, end.at);
        if state.is_some_and(|state| state.networks.is_some()) {
            if let Some(tier) = recorder.tier_of(memory, flow.tier) {
                tier.add(memory, tier_cells::NETWORKS_EXCEEDED);
            }
        }
        if let Some((method, result)) = state.and_then(|state| judged(r, state)) {
            recorder.count(memory, Counter::Auth(method, result), 1);
        }
        for failed in r.attempts().map(|attempt| attempt.status).filter(|status| *status >= 500) {
            count_failed(memory, recorder, flow, failed);
        }
    });
}

/// Whose request it was, and for what.
#[inline]
fn texts(state: &State) -> Texts<'_> {
    let served = state.metering.as_deref().and_then(|metering| metering.model.as_deref());
    let model = served.or_else(|| {
        let asked = state.asked_model.as_deref()?;
        Some(state.policy.aliases.find(asked).unwrap_or(asked))
    });
    Texts {
        tier: state.tier.as_ref().map_or("", |tier| &tier.name),
        model: model.unwrap_or_default(),
        endpoint: state.route.map_or("", |route| route.line),
    }
}

fn count_client(
    conf: &MainConf,
    state: Option<&State>,
    taken: Option<&Taken>,
    decision: Option<Decision>,
    at: UnixMillis,
) {
    let Some(state) = state.filter(|state| !state.is_for_page) else { return };
    let Some(principal) = &state.principal else { return };
    let taken = taken.filter(|taken| taken.source != Source::None);
    let seen = Seen {
        at,
        tier: state.tier.as_ref().map_or(0, |tier| tier.mark),
        is_refused: matches!(decision, Some(Decision::Deny(_))),
        input: taken.map_or(0, |taken| taken.usage.input),
        output: taken.map_or(0, |taken| taken.usage.output),
        cost_nanos: taken.and_then(|taken| taken.cost).unwrap_or(0),
    };
    counting::ended(conf, principal, &seen);
}

#[cold]
fn count_failed(memory: &Observations<'_>, recorder: &mut Recorder, flow: Flow, status: u64) {
    let first = flow.model;
    let second = recorder.name(memory, &status.to_string(), Origin::Configured);
    let family = Family::UpstreamErrors;
    memory.count_event(Event { family, first, second, third: Name::NONE }, 1);
}

/// What its credential came to; `None`: it was not judged.
fn judged(r: Request<'_>, state: &State) -> Option<(Option<AuthMethod>, AuthResult)> {
    if let Some(principal) = &state.principal {
        return Some((Some(principal.auth()), AuthResult::Accepted));
    }
    if state.policy.anonymous {
        return None;
    }
    let result = AuthResult::of(state.reason()?)?;
    Some((method(r, state), result))
}

/// What a credential that was refused was judged as: see
/// [`authenticate`](crate::request::authenticate::authenticate). `None`: there was none, or more than one.
#[cold]
fn method(r: Request<'_>, state: &State) -> Option<AuthMethod> {
    let policy = &*state.policy;
    let (kept, is_bearer, is_raw) = match state.credential {
        SavedCredential::One { bytes, bearer, raw } => (bytes, bearer, raw),
        SavedCredential::Not(cause) => {
            let is_certificate = cause.reason() == Reason::MissingCredential
                && state.reason() != Some(Reason::MissingCredential);
            return is_certificate.then_some(AuthMethod::ClientCert);
        }
    };
    let is_no_key = policy.api_keys.is_none() || (policy.bearer_is_jwt && !is_raw);
    let has_shape = is_bearer && looks_like_jws(r.kept(kept));
    let is_jwt =
        policy.jwt.is_some() && (has_shape || (policy.introspector.is_none() && is_no_key));
    // Whose key it was is known of one that is in the file.
    let is_key = !is_no_key && state.refused_owner.is_some();
    Some(match () {
        () if is_jwt => AuthMethod::Jwt,
        () if policy.introspector.is_some() && is_bearer && !is_key => AuthMethod::Introspection,
        () => AuthMethod::ApiKey,
    })
}

//! LOG: what is counted of the request.

use tollgate_core::clients::Seen;
use tollgate_core::clock::UnixMillis;
use tollgate_core::decision::{Decision, Reason};
use tollgate_core::jwt::looks_like_jws;
use tollgate_core::llm::Source;
use tollgate_core::metrics::counter::AuthResult;
use tollgate_core::metrics::recorder::{Origin, Texts};
use tollgate_core::metrics::{tier_cells, Counter, Event, Family, Name, Observation, Outcome};
use tollgate_core::principal::AuthMethod;

use crate::clients::counting;
use crate::observed;
use crate::request::meter::Taken;
use crate::request::state::{SavedCredential, State};
use crate::types::Request;

/// The request has ended, and is settled.
pub(crate) fn ended(r: Request<'_>, state: Option<&State>, taken: Option<&Taken>, now: UnixMillis) {
    let status = r.status();
    let duration_ms = u64::try_from(now.0.saturating_sub(r.start_ms())).unwrap_or(0);
    let metering = state.and_then(|state| state.metering.as_deref());
    let tier = state.and_then(|state| state.tier.as_ref()).map_or("", |tier| &tier.name);
    let decision = state.and_then(|state| state.ruling.decision());
    let ruled = Outcome::of(decision, state.and_then(|state| state.cut_off));
    let model = state.and_then(|state| {
        let asked = state.asked_model.as_deref();
        let asked = asked.map(|asked| state.policy.aliases.find(asked).unwrap_or(asked));
        metering.and_then(|metering| metering.model.as_deref()).or(asked)
    });
    let endpoint = state.and_then(|state| state.route).map_or("", |route| route.line);
    let is_served = taken.is_some_and(|taken| taken.source != Source::None);
    let known = r.main_conf().known_models();
    let auth = state.and_then(|state| judged(r, state));
    if let Some((state, principal)) =
        state.and_then(|state| Some((state, state.principal.as_ref()?)))
    {
        if !state.is_for_page {
            let taken = taken.filter(|taken| taken.source != Source::None);
            let seen = Seen {
                at: now,
                tier: state.tier.as_ref().map_or(0, |tier| tier.mark),
                is_refused: matches!(decision, Some(Decision::Deny(_))),
                input: taken.map_or(0, |taken| taken.usage.input),
                output: taken.map_or(0, |taken| taken.usage.output),
                cost_nanos: taken.and_then(|taken| taken.cost).unwrap_or(0),
            };
            counting::ended(r.main_conf(), principal, &seen);
        }
    }
    observed::with(|memory, recorder| {
        let texts = Texts { tier, model: model.unwrap_or_default(), endpoint };
        let spot = recorder.spot(memory, &texts, is_served, known);
        let flow = spot.flow;
        let observation = Observation {
            flow,
            outcome: ruled,
            status,
            duration_ms,
            usage: taken.map(|taken| (taken.source, taken.usage)),
            cost_nanos: taken.and_then(|taken| taken.cost).unwrap_or(0),
            ttft_ms: metering.and_then(|metering| metering.ttft_ms),
        };
        recorder.observe_at(memory, spot, &observation, now);
        if state.is_some_and(|state| state.networks.is_some()) {
            if let Some(tier) = recorder.tier_of(memory, flow.tier) {
                tier.add(memory, tier_cells::NETWORKS_EXCEEDED);
            }
        }
        if let Some((method, result)) = auth {
            recorder.count(memory, Counter::Auth(method, result), 1);
        }
        for failed in r.attempts().map(|attempt| attempt.status).filter(|status| *status >= 500) {
            let first = flow.model;
            let second = recorder.name(memory, &failed.to_string(), Origin::Configured);
            let family = Family::UpstreamErrors;
            memory.count_event(Event { family, first, second, third: Name::NONE }, 1);
        }
    });
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

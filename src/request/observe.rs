//! LOG: what is counted of the request.

use tollgate_core::clients::Seen;
use tollgate_core::decision::Decision;
use tollgate_core::llm::Source;
use tollgate_core::metrics::counter::AuthResult;
use tollgate_core::metrics::recorder::Origin;
use tollgate_core::metrics::{Counter, Family, Flow, Observation, Outcome};
use tollgate_core::principal::AuthMethod;

use crate::clients::counting;
use crate::clock::wall_now;
use crate::observed;
use crate::request::state::{SavedCredential, State};
use crate::types::Request;

/// The request has ended, and is settled.
pub(crate) fn ended(r: Request<'_>, state: Option<&State>) {
    let now = wall_now();
    let status = r.status();
    let duration_ms = u64::try_from(now.0.saturating_sub(r.start_ms())).unwrap_or(0);
    let metering = state.and_then(|state| state.metering.as_deref());
    let outcome = metering.map(|metering| metering.outcome(r));
    let tier = state.and_then(|state| state.tier.as_ref()).map_or("", |tier| &tier.name);
    let decision = state.and_then(|state| state.ruling.decision());
    let ruled = Outcome::of(decision, state.and_then(|state| state.cut_off));
    let model = state.and_then(|state| {
        let asked = state.asked_model.as_deref();
        let asked = asked.map(|asked| state.policy.aliases.find(asked).unwrap_or(asked));
        metering.and_then(|metering| metering.model.as_deref()).or(asked)
    });
    let endpoint = state.and_then(|state| state.route).map_or("", |route| route.line);
    let is_served = outcome.as_ref().is_some_and(|outcome| outcome.source != Source::None);
    let known = r.main_conf().known_models();
    let upstream = r.attempts().last().map(|last| last.status).filter(|status| *status >= 500);
    let auth = state.and_then(judged);
    if let Some((state, principal)) =
        state.and_then(|state| Some((state, state.principal.as_ref()?)))
    {
        if !state.is_for_page {
            let taken = outcome.as_ref().filter(|outcome| outcome.source != Source::None);
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
        let flow = Flow {
            tier: recorder.name(memory, tier, Origin::Configured),
            model: recorder.model(memory, model.unwrap_or_default(), is_served, known),
            endpoint: recorder.name(memory, endpoint, Origin::Configured),
        };
        let observation = Observation {
            flow,
            outcome: ruled,
            status,
            duration_ms,
            usage: outcome.as_ref().map(|outcome| (outcome.source, outcome.usage)),
            cost_nanos: outcome.as_ref().and_then(|outcome| outcome.cost).unwrap_or(0),
            ttft_ms: metering.and_then(|metering| metering.ttft_ms),
        };
        recorder.observe(memory, &observation, now);
        if let Some((method, result)) = auth {
            recorder.count(memory, Counter::Auth(method, result), 1);
        }
        if let Some(failed) = upstream {
            let first = flow.model;
            let second = recorder.name(memory, &failed.to_string(), Origin::Configured);
            let family = Family::UpstreamErrors;
            memory.count_event(tollgate_core::metrics::Event { family, first, second }, 1);
        }
    });
}

/// What its credential came to; `None`: it was not judged.
fn judged(state: &State) -> Option<(Option<AuthMethod>, AuthResult)> {
    if let Some(principal) = &state.principal {
        return Some((Some(principal.auth()), AuthResult::Accepted));
    }
    let reason = state.reason()?;
    let method = match state.credential {
        SavedCredential::Not(_) => None,
        SavedCredential::One { .. } => Some(AuthMethod::ApiKey),
    };
    reason.is_auth_failure().then_some((method, AuthResult::Refused(reason)))
}

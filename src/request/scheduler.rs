//! PRECONTENT: what a scheduler before the engines, or in one, gets to know of a request from us, and from nobody
//! else.

use tollgate_core::scheduler::{is_path_header, is_scheduler_header, Scheduler};

use crate::conf::policy::Policy;
use crate::types::Request;
use nginx::request::headers::HeaderName;

/// As llm-d has it now, and as it was called before.
const FAIRNESS_ID: [HeaderName; 2] = [
    HeaderName::new("X-LLM-D-Inference-Fairness-ID", "x-llm-d-inference-fairness-id"),
    HeaderName::new("X-Gateway-Inference-Fairness-ID", "x-gateway-inference-fairness-id"),
];
const OBJECTIVE: [HeaderName; 2] = [
    HeaderName::new("X-LLM-D-Inference-Objective", "x-llm-d-inference-objective"),
    HeaderName::new("X-Gateway-Inference-Objective", "x-gateway-inference-objective"),
];
const CACHE_SALT: HeaderName = HeaderName::new("X-Cache-Salt", "x-cache-salt");
const CACHE_SALT_NAME: &[u8] = b"x-cache-salt";

/// Whether the client has no say in this header, as schedulers and engines believe it.
pub(super) fn is_ours(name: &[u8], policy: &Policy) -> bool {
    match (policy.scheduler, &policy.cache_salt) {
        (Scheduler::Pass, None) => false,
        // What wins over the salt in the body does not pass, whatever else does.
        (Scheduler::Pass, Some(_)) => {
            name.len() == CACHE_SALT_NAME.len() && is_scheduler_header(name)
        }
        (Scheduler::Off | Scheduler::Vllm, _) => is_scheduler_header(name),
        (Scheduler::LlmD, _) => is_scheduler_header(name) || is_path_header(name),
    }
}

/// Sets the headers. `None` when nginx has no memory.
pub(super) fn tell(r: Request<'_>, policy: &Policy) -> Option<()> {
    match policy.scheduler {
        Scheduler::Off | Scheduler::Pass => Some(()),
        Scheduler::Vllm => tell_salt(r, policy),
        Scheduler::LlmD => tell_llm_d(r),
    }
}

fn tell_llm_d(r: Request<'_>) -> Option<()> {
    let (owner, objective) = {
        let state = r.find_state()?.borrow();
        let owner = state
            .principal
            .as_ref()
            .map(|principal| r.copy(principal.tenant().unwrap_or(principal.client()).as_bytes()));
        let objective = state.tier.as_ref().and_then(|tier| tier.objective.as_ref());
        (owner, objective.map(|name| r.copy(name.as_bytes())))
    };
    for (names, value) in [(&FAIRNESS_ID, owner), (&OBJECTIVE, objective)] {
        if let Some(value) = value {
            let value = value?;
            names.iter().try_for_each(|name| r.push_header_in(name, value))?;
        }
    }
    Some(())
}

/// vLLM takes the salt from the header first: also of what has no body that could hold one.
fn tell_salt(r: Request<'_>, policy: &Policy) -> Option<()> {
    let Some(cache_salt) = &policy.cache_salt else { return Some(()) };
    let salt = {
        let state = r.find_state()?.borrow();
        let Some(principal) = &state.principal else { return Some(()) };
        let zone = r.main_conf().zone()?;
        r.copy(principal.cache_salt(cache_salt.salting(zone.get())).as_bytes())?
    };
    r.push_header_in(&CACHE_SALT, salt)
}

//! What holds in a location for tenants, and what `nginx -t` warns of: rules that don't hold for those who have none,
//! what schedulers are told, and what the log has of keys. What salts are made by is in [`super::cache_salt`].

use std::rc::Rc;
use std::sync::Arc;

use super::api_keys::ApiKeys;
use super::loaded::Loaded;
use super::rules::LimitRule;
use super::settings::{Given, Settings};
use nginx::conf::{ConfContext, ConfError, Position};
use tollgate_core::audit::Fields;
use tollgate_core::llm::Engine;
use tollgate_core::nginx_text::rule_key;
use tollgate_core::scheduler::Scheduler;

/// How many keys name a tenant; warns of rules by tenants that don't hold for the others.
pub(super) fn tell_keys_without(
    cx: &ConfContext<'_>,
    api_keys: Option<&ApiKeys>,
    limits: &[Rc<LimitRule>],
    loaded: &mut Loaded,
    place: &Position,
) -> usize {
    let Some(keys) = api_keys.and_then(ApiKeys::current) else { return 0 };
    let (with_tenant, keys) = (keys.loaded.with_tenant(), keys.loaded.len());
    if with_tenant == 0 || with_tenant == keys {
        return with_tenant;
    }
    for rule in limits.iter().filter(|rule| rule_key::is_of_tenants_alone(&rule.key_text)) {
        if loaded.warned_of_tenants.insert(Arc::clone(&rule.name)) {
            cx.log().warn(format_args!(
                "{} of {keys} keys have no \"tenant\", and the limit \"{}\" does not hold for them; give them \
                 one, or count by a map of \"$tollgate_tenant\" that has a default {place}",
                keys.saturating_sub(with_tenant),
                rule.name
            ));
        }
    }
    with_tenant
}

/// `tollgate_scheduler`
pub(super) fn scheduler(
    settings: &Settings,
    engine: Engine,
    loaded: &mut Loaded,
) -> Result<Scheduler, ConfError> {
    let Some(Given { value: scheduler, place }) = &settings.scheduler else {
        return Ok(Scheduler::default());
    };
    if *scheduler == Scheduler::Vllm && engine != Engine::Vllm {
        return Err(ConfError::new(format!(
            "\"tollgate_scheduler vllm\" has no effect on \"tollgate_engine {}\"; add \"tollgate_engine vllm;\", \
             or say \"tollgate_scheduler off;\" {place}",
            engine.as_str()
        )));
    }
    loaded.tells_objectives |= *scheduler == Scheduler::LlmD;
    loaded.tells_priorities |= scheduler.owns_priority() && engine == Engine::Vllm;
    Ok(*scheduler)
}

/// `tollgate_audit_fields`
pub(super) fn audit_fields(settings: &Settings, has_effect: bool, loaded: &mut Loaded) -> Fields {
    let Some(Given { value: fields, place }) = &settings.audit_fields else {
        return Fields::default();
    };
    if *fields != Fields::default() {
        loaded.logs_fields |= has_effect;
        loaded.audit_fields.get_or_insert_with(|| place.clone());
    }
    fields.clone()
}

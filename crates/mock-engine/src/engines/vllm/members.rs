//! Members that several answers have.

use crate::generation::Usage;
use crate::ordered::{object, Json, Object, ToJson, NULL};

pub(super) const FINGERPRINT: &str = "vllm-0.32.0-mock";

/// Three numbers in the order of vLLM's class, and what details there are.
pub(super) fn usage(usage: Usage, details: impl FnOnce(&mut Object)) -> Json {
    let mut json = Object::default();
    json.put("prompt_tokens", &usage.input)
        .put("total_tokens", &usage.input.saturating_add(usage.output))
        .put("completion_tokens", &usage.output);
    details(&mut json);
    json.json()
}

/// Of a whole answer.
pub(super) fn whole_usage(of: Usage, created_cache: Option<u64>) -> Json {
    let cached = object! {
        "cached_tokens": of.cached, "created_cache_tokens": created_cache,
        "multimodal_tokens": NULL,
    };
    usage(of, |json| {
        json.put("prompt_tokens_details", &cached).put("completion_tokens_details", &reasoning(of));
    })
}

/// Without any details: of pooling, and of several chats in one.
pub(super) fn bare_usage(of: Usage) -> Json {
    usage(of, |json| {
        json.put("prompt_tokens_details", &NULL).put("completion_tokens_details", &NULL);
    })
}

pub(super) fn reasoning(usage: Usage) -> Option<Json> {
    (usage.reasoning > 0).then(|| object! { "reasoning_tokens": usage.reasoning })
}

/// Members that end a whole answer of a chat or a completion.
pub(super) fn put_transfers(json: &mut Object) {
    for name in ["kv_transfer_params", "ec_transfer_params", "metrics"] {
        json.put(name, &NULL);
    }
}

/// What most answers begin with.
pub(super) fn envelope(
    id: &str,
    object: &str,
    created: u64,
    model: &str,
    data: &dyn ToJson,
) -> Object {
    let mut json = Object::default();
    json.put("id", &id)
        .put("object", &object)
        .put("created", &created)
        .put("model", &model)
        .put(if object == "list" { "data" } else { "choices" }, data);
    json
}

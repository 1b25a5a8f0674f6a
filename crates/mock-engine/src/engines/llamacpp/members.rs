//! Members that several answers have.

use super::super::call::Call;
use crate::fields::Fields;
use crate::generation::Usage;
use crate::ordered::{object, Json};

pub(super) const FINGERPRINT: &str = "b0-mock";

/// Whatever model is named, the one that is loaded answers, under the name that was asked for.
pub(super) fn model(call: &Call<'_>, fields: &Fields) -> String {
    let named = fields.get("model").and_then(serde_json::Value::as_str);
    named.or(call.controls.models.as_deref()).unwrap_or("mock").to_owned()
}

pub(super) fn usage(usage: Usage) -> Json {
    object! {
        "completion_tokens": usage.output, "prompt_tokens": usage.input,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": object! { "cached_tokens": usage.cached },
    }
}

pub(super) fn timings(usage: Usage) -> Json {
    object! {
        "cache_n": usage.cached, "prompt_n": usage.input.saturating_sub(usage.cached),
        "prompt_ms": 50.5, "prompt_per_token_ms": 10.5, "prompt_per_second": 95.5,
        "predicted_n": usage.output, "predicted_ms": 130.5, "predicted_per_token_ms": 12.5,
        "predicted_per_second": 79.5,
    }
}

//! llama.cpp's server, as recorded.

mod chat;
mod completions;
mod messages;
mod native;
mod responses;
mod server;
mod streams;

use super::{Call, Endpoint};
use crate::fields::Fields;
use crate::generation::Usage;
use crate::ordered::{object, Json};

const FINGERPRINT: &str = "b0-mock";

pub(super) const ENDPOINTS: &[Endpoint] = &[
    ("GET", "/health", server::health),
    ("GET", "/v1/health", server::health),
    ("GET", "/metrics", server::metrics),
    ("GET", "/props", server::props),
    ("POST", "/props", server::success),
    ("GET", "/models", server::models),
    ("GET", "/v1/models", server::models),
    ("GET", "/slots", server::slots),
    ("POST", "/slots/{id}", server::no_slot_files),
    ("GET", "/lora-adapters", server::no_adapters),
    ("POST", "/lora-adapters", server::success),
    ("POST", "/completion", native::completion),
    ("POST", "/completions", native::completion),
    ("POST", "/v1/completions", completions::completion),
    ("POST", "/chat/completions", chat::chat),
    ("POST", "/v1/chat/completions", chat::chat),
    ("POST", "/v1/responses", responses::response),
    ("POST", "/responses", responses::response),
    ("POST", "/v1/messages", messages::message),
    ("POST", "/v1/messages/count_tokens", messages::count_tokens),
    ("POST", "/v1/chat/completions/input_tokens", server::count_chat),
    ("POST", "/chat/completions/input_tokens", server::count_chat),
    ("POST", "/v1/responses/input_tokens", server::count_response),
    ("POST", "/responses/input_tokens", server::count_response),
    ("POST", "/tokenize", server::tokenize),
    ("POST", "/detokenize", server::detokenize),
    ("POST", "/apply-template", server::apply_template),
    ("POST", "/embedding", server::embedding),
    ("POST", "/embeddings", server::embedding),
    ("POST", "/v1/embeddings", server::embeddings),
    ("POST", "/rerank", server::rerank),
    ("POST", "/reranking", server::rerank),
    ("POST", "/v1/rerank", server::rerank),
    ("POST", "/v1/reranking", server::rerank),
    ("POST", "/infill", server::no_infill),
    ("GET", "/v1/stream", streams::replay),
    ("DELETE", "/v1/stream", streams::stop),
    ("POST", "/v1/streams/lookup", streams::look_up),
];

/// Whatever model is named, the one that is loaded answers, under the name that was asked for.
fn model(call: &Call<'_>, fields: &Fields) -> String {
    let named = fields.get("model").and_then(serde_json::Value::as_str);
    named.or(call.controls.models.as_deref()).unwrap_or("mock").to_owned()
}

fn usage(usage: Usage) -> Json {
    object! {
        "completion_tokens": usage.output, "prompt_tokens": usage.input,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": object! { "cached_tokens": usage.cached },
    }
}

fn timings(usage: Usage) -> Json {
    object! {
        "cache_n": usage.cached, "prompt_n": usage.input.saturating_sub(usage.cached),
        "prompt_ms": 50.5, "prompt_per_token_ms": 10.5, "prompt_per_second": 95.5,
        "predicted_n": usage.output, "predicted_ms": 130.5, "predicted_per_token_ms": 12.5,
        "predicted_per_second": 79.5,
    }
}

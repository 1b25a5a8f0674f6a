//! llama.cpp's server, as recorded.

mod chat;
mod completions;
mod members;
mod messages;
mod native;
mod responses;
mod server;
mod streams;

use super::call::Endpoint;
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

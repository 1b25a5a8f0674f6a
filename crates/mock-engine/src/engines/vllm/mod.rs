//! vLLM 0.32, as recorded.

mod chat;
mod completions;
mod members;
mod messages;
mod pooling;
mod responses;
mod tokens;

use super::answer::Made;
use super::call::{Call, Endpoint};
use super::error::Failure;
use super::routing::empty;
use crate::ordered::object;

pub(super) use messages::message;
pub(super) use pooling::{embeddings, rerank, score};
pub(super) use responses::{response, stored as stored_response};

pub(super) const ENDPOINTS: &[Endpoint] = &[
    ("GET", "/health", empty),
    ("GET", "/ping", empty),
    ("POST", "/ping", empty),
    ("GET", "/version", version),
    ("GET", "/load", load),
    ("GET", "/v1/models", tokens::models),
    ("POST", "/tokenize", tokens::tokenize),
    ("POST", "/detokenize", tokens::detokenize),
    ("POST", "/v1/chat/completions", chat::chat),
    ("POST", "/v1/chat/completions/batch", chat::batch),
    ("POST", "/v1/completions", completions::completion),
    ("POST", "/v1/responses", responses::response),
    ("GET", "/v1/responses/{id}", responses::stored),
    ("POST", "/v1/responses/{id}/cancel", responses::stored),
    ("POST", "/v1/messages", messages::message),
    ("POST", "/v1/messages/count_tokens", messages::count_tokens),
    ("POST", "/invocations", invocations),
    ("POST", "/inference/v1/generate", tokens::generate),
    ("POST", "/generative_scoring", pooling::generative_scoring),
    ("POST", "/v1/embeddings", pooling::embeddings),
    ("POST", "/v2/embed", pooling::embed),
    ("POST", "/pooling", pooling::pooling),
    ("POST", "/classify", pooling::classify),
    ("POST", "/score", pooling::score),
    ("POST", "/v1/score", pooling::score),
    ("POST", "/rerank", pooling::rerank),
    ("POST", "/v1/rerank", pooling::rerank),
    ("POST", "/v2/rerank", pooling::rerank),
    ("POST", "/abort_requests", empty),
    ("POST", "/pause", empty),
    ("POST", "/reset_prefix_cache", empty),
];

fn version(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "version": "0.32.0" }))
}

fn load(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "server_load": 0_u64 }))
}

/// SageMaker's: what is asked is told by the members of the body.
fn invocations(call: &Call<'_>) -> Result<Made, Failure> {
    let fields = call.fields()?;
    let make = match ["messages", "prompt", "input", "queries", "text_1", "query"]
        .into_iter()
        .find(|name| fields.get(name).is_some())
    {
        Some("messages") => chat::chat,
        Some("prompt") => completions::completion,
        Some("input") => pooling::embeddings,
        Some("query") => pooling::rerank,
        Some(_) => pooling::score,
        None => return Err(Failure::Missing("messages")),
    };
    make(call)
}

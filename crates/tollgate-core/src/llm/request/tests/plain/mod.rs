//! The same by way of serde_json, from a body in one slice: what the reader is held to.

mod body;
mod input;
mod names;
mod scalar;
mod stream_options;

use super::super::{LlmRequest, RequestError};
use crate::llm::{Endpoint, Engine};
use crate::surrogate;

/// Reads a body.
pub(super) fn parse(
    body: &[u8],
    endpoint: Endpoint,
    engine: Engine,
) -> Result<LlmRequest, RequestError> {
    let read = |body: &[u8]| match std::str::from_utf8(body) {
        Ok(text) => body::read(text, endpoint, engine),
        Err(_) => Err(RequestError::NotJson),
    };
    match read(body) {
        Err(RequestError::NotJson) => match surrogate::marked(body) {
            Some(marked) => read(&marked),
            None => Err(RequestError::NotJson),
        },
        other => other,
    }
}

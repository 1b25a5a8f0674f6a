//! Real servers, as they were recorded or as their sources say: which paths they know and how they
//! match them, and each answer member by member, in order.
//!
//! `--engine NAME`, or `X-Mock-Engine: NAME` for one request, picks one. Without it the mock speaks
//! the plain APIs of `api`.

mod answer;
mod asked;
mod call;
mod error;
mod llamacpp;
mod ollama;
mod routing;
mod sglang;
#[cfg(test)]
mod tests;
mod tgi;
mod transformers;
mod vllm;

pub(crate) use answer::{Made, Scripted};
pub(crate) use call::Call;
pub(crate) use error::Failure;

use crate::engine::Engine;
use crate::http::{Request, Response};
use call::{Endpoint, Make};
use routing::Routed;

impl Engine {
    fn endpoints(self) -> &'static [Endpoint] {
        match self {
            Self::Vllm => vllm::ENDPOINTS,
            Self::Sglang => sglang::ENDPOINTS,
            Self::Tgi => tgi::ENDPOINTS,
            Self::LlamaCpp => llamacpp::ENDPOINTS,
            Self::Ollama => ollama::ENDPOINTS,
            Self::Transformers => transformers::ENDPOINTS,
        }
    }

    /// What the server makes of a request; a response is the server's own about path or method.
    pub(crate) fn endpoint(self, request: &Request) -> Result<Make, Response> {
        match routing::route(self, self.endpoints(), request) {
            Routed::To(make) => Ok(make),
            Routed::Elsewhere(response) => Err(response),
        }
    }
}

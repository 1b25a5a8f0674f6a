//! Real servers, as they were recorded or as their sources say: which paths they know and how they
//! match them, and each answer member by member, in order.
//!
//! `--engine NAME`, or `X-Mock-Engine: NAME` for one request, picks one. Without it the mock speaks
//! the plain APIs of `api`.

mod answer;
mod asked;
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
pub(crate) use error::Failure;

use crate::controls::Controls;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::http::{Request, Response};
use crate::record::Record;
use routing::Routed;

/// A server that the mock can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Vllm,
    Sglang,
    Tgi,
    LlamaCpp,
    Ollama,
    Transformers,
}

/// What an endpoint is asked.
pub(crate) struct Call<'a> {
    pub(crate) engine: Engine,
    pub(crate) request: &'a Request,
    pub(crate) controls: &'a Controls,
    pub(crate) record: &'a Record,
    pub(crate) body: &'a [u8],
}

/// Makes the answer of an endpoint up.
type Make = fn(&Call<'_>) -> Result<Made, Failure>;

/// Method, path, and what answers there. A segment `{...}` stands for any one.
type Endpoint = (&'static str, &'static str, Make);

impl Engine {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "vllm" => Self::Vllm,
            "sglang" => Self::Sglang,
            "tgi" => Self::Tgi,
            "llamacpp" => Self::LlamaCpp,
            "ollama" => Self::Ollama,
            "transformers" => Self::Transformers,
            _ => return None,
        })
    }

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
        match routing::route(self, request) {
            Routed::To(make) => Ok(make),
            Routed::Elsewhere(response) => Err(response),
        }
    }

    /// llama.cpp generates a whole answer to its end, whether or not anybody still waits for it.
    pub(crate) fn goes_on_alone(self) -> bool {
        self == Self::LlamaCpp
    }
}

impl Call<'_> {
    pub(crate) fn fields(&self) -> Result<Fields, Failure> {
        Fields::parse(self.body).map_err(|error| match error.status {
            400 => Failure::NotJson(error.message),
            _ => Failure::Api(error),
        })
    }

    /// Whether the endpoint is Anthropic's, whose errors have their own form.
    fn is_anthropic(&self) -> bool {
        self.request.path().starts_with(b"/v1/messages")
    }

    /// A parameter of the query, as it was sent.
    fn query(&self, name: &str) -> Option<&str> {
        let query = std::str::from_utf8(&self.request.uri).ok()?.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.split_once('=').filter(|p| p.0 == name)).map(|p| p.1)
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

//! How servers say that they will not.

use super::call::Call;
use crate::engine::Engine;
use crate::error::ApiError;
use crate::http::Response;
use crate::ordered::{object, Json, NULL};

/// Why a request gets no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    NotJson(String),
    Missing(&'static str),
    UnknownModel(String),
    TooLong {
        context: u64,
        input: u64,
    },
    /// The server was not started for this.
    NotServed(&'static str),
    Api(ApiError),
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl Failure {
    fn status(&self, engine: Engine) -> u16 {
        match (self, engine) {
            (Self::NotJson(_) | Self::Missing(_), Engine::Transformers | Engine::Tgi) => 422,
            (Self::NotJson(_) | Self::Missing(_) | Self::TooLong { .. }, _) => 400,
            (Self::UnknownModel(_), Engine::Transformers) => 400,
            (Self::UnknownModel(_), _) => 404,
            (Self::NotServed(_), _) => 501,
            (Self::Api(error), _) => error.status,
        }
    }

    fn message(&self, engine: Engine, served: &str) -> String {
        match (self, engine) {
            (Self::NotJson(message), _) => message.clone(),
            (Self::Missing(name), Engine::LlamaCpp) => format!("'{name}' is required"),
            (Self::Missing(name), _) => format!("Field required: {name}"),
            (Self::UnknownModel(name), Engine::Transformers) => {
                format!("Server is pinned to '{served}'; requested '{name}'.")
            }
            (Self::UnknownModel(name), Engine::Ollama) => format!("model '{name}' not found"),
            (Self::UnknownModel(name), _) => {
                format!("The model `{name}` does not exist. Valid aliases: {served}.")
            }
            (Self::TooLong { context, input }, Engine::LlamaCpp) => format!(
                "request ({input} tokens) exceeds the available context size ({context} tokens), \
                 try increasing it"
            ),
            (Self::TooLong { context, .. }, _) => format!(
                "This model's maximum context length is {context} tokens. However, your prompt \
                 contains at least {} input tokens, which exceeds this limit even without any \
                 output tokens. Please reduce the length of the input prompt. \
                 (parameter=input_tokens, value={0})",
                context.saturating_add(1)
            ),
            (Self::NotServed(message), _) => (*message).to_owned(),
            (Self::Api(error), _) => error.message.clone(),
        }
    }

    pub(crate) fn response(&self, call: &Call<'_>) -> Response {
        let engine = call.engine;
        let status = self.status(engine);
        let message = self.message(engine, call.controls.models.as_deref().unwrap_or_default());
        let anthropic = call.is_anthropic();
        let json = match engine {
            Engine::Vllm if anthropic => anthropic_error(self.vllm_type(status), &message),
            Engine::Vllm => object! { "error": object! {
                "message": message, "type": self.vllm_type(status), "param": self.param(),
                "code": status,
            } },
            Engine::Sglang => object! {
                "object": "error", "message": message, "type": self.sglang_type(status),
                "param": NULL, "code": status,
            },
            Engine::LlamaCpp => self.llamacpp(status, &message),
            Engine::Tgi => object! { "error": message, "error_type": match status {
                424 | 500.. => "generation",
                429 => "overloaded",
                _ => "validation",
            } },
            Engine::Ollama => ollama(call, status, &message, anthropic),
            Engine::Transformers if matches!(self, Self::NotJson(_) | Self::Missing(_)) => {
                object! { "detail": [object! {
                    "type": "json_invalid", "loc": [Json::written("\"body\""), Json::written("0")],
                    "msg": "JSON decode error", "input": object! {},
                    "ctx": object! { "error": "Expecting value" },
                }] }
            }
            Engine::Transformers => object! { "detail": message },
        };
        Response::json(status, json.to_string())
    }

    fn vllm_type(&self, status: u16) -> &'static str {
        match (self, status) {
            (Self::NotJson(_) | Self::Missing(_), _) => "Bad Request",
            (_, 404) => "NotFoundError",
            (_, 500..) => "InternalServerError",
            _ => "BadRequestError",
        }
    }

    fn sglang_type(&self, status: u16) -> &'static str {
        match (self, status) {
            (Self::NotJson(_) | Self::Missing(_), _) => "Bad Request",
            (_, 404) => "NotFoundError",
            (_, 500..) => "InternalServerError",
            _ => "BadRequestError",
        }
    }

    fn param(&self) -> Option<&str> {
        match self {
            Self::NotJson(_) => Some("body.0"),
            Self::Missing(name) => Some(name),
            Self::UnknownModel(_) => Some("model"),
            Self::TooLong { .. } => Some("input_tokens"),
            Self::NotServed(_) => None,
            Self::Api(error) => error.param,
        }
    }

    fn llamacpp(&self, status: u16, message: &str) -> Json {
        let kind = match status {
            501 => "not_supported_error",
            404 => "not_found_error",
            401 => "authentication_error",
            503 => "unavailable_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        let error = match self {
            Self::TooLong { context, input } => object! {
                "code": status, "message": message, "type": "exceed_context_size_error",
                "n_prompt_tokens": *input, "n_ctx": *context,
            },
            _ => object! { "code": status, "message": message, "type": kind },
        };
        object! { "error": error }
    }
}

fn anthropic_error(kind: &str, message: &str) -> Json {
    object! { "type": "error", "error": object! { "type": kind, "message": message } }
}

/// Its own API, those that it takes over, each in its form.
fn ollama(call: &Call<'_>, status: u16, message: &str, anthropic: bool) -> Json {
    let kind = match status {
        400 => "invalid_request_error",
        404 => "not_found_error",
        _ => "api_error",
    };
    if anthropic {
        anthropic_error(kind, message)
    } else if call.request.path().starts_with(b"/v1/") {
        let error = object! { "message": message, "type": kind, "param": NULL, "code": NULL };
        object! { "error": error }
    } else {
        object! { "error": message }
    }
}

//! Errors, as each API words them.

use serde_json::{json, Value};

use crate::http::Response;

/// How an API words its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    OpenAi,
    Anthropic,
    Ollama,
    Tgi,
}

/// A request that gets an error for an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    /// 400 to 599.
    pub(crate) status: u16,
    pub(crate) message: String,
    /// The field of the request at fault.
    pub(crate) param: Option<&'static str>,
    pub(crate) code: Option<&'static str>,
}

impl ApiError {
    /// 400, about one field of the body where `param` names one.
    pub(crate) fn bad_request(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into(), param, code: None }
    }

    pub(crate) fn response(&self, dialect: Dialect) -> Response {
        // TGI says 422 to what it can't read, the others 400.
        let status = match (dialect, self.status) {
            (Dialect::Tgi, 400) => 422,
            (_, status) => status,
        };
        Response::json(status, self.body(dialect).to_string())
    }

    fn body(&self, dialect: Dialect) -> Value {
        match dialect {
            Dialect::OpenAi => json!({"error": {
                "message": self.message,
                "type": openai_type(self.status),
                "param": self.param,
                "code": self.code,
            }}),
            Dialect::Anthropic => json!({
                "type": "error",
                "error": {"type": anthropic_type(self.status), "message": self.message},
            }),
            Dialect::Ollama => json!({"error": self.message}),
            Dialect::Tgi => json!({"error": self.message, "error_type": tgi_type(self.status)}),
        }
    }
}

fn openai_type(status: u16) -> &'static str {
    match status {
        429 => "requests",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// <https://docs.anthropic.com/en/api/errors>
fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

fn tgi_type(status: u16) -> &'static str {
    match status {
        424 | 500.. => "generation",
        429 => "overloaded",
        _ => "validation",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, dialect: Dialect) -> (u16, Value) {
        let error = ApiError { status, message: "No.".to_owned(), param: Some("n"), code: None };
        let response = error.response(dialect);
        (response.status, serde_json::from_slice(&response.body).unwrap())
    }

    #[test]
    fn each_dialect_has_its_own_words() {
        let openai = |kind: &str| {
            let error = json!({"message": "No.", "type": kind, "param": "n", "code": null});
            json!({"error": error})
        };
        let anthropic =
            |kind: &str| json!({"type": "error", "error": {"type": kind, "message": "No."}});
        let tgi = |kind: &str| json!({"error": "No.", "error_type": kind});
        let ollama = json!({"error": "No."});
        for (dialect, status, sent, body) in [
            (Dialect::OpenAi, 400, 400, openai("invalid_request_error")),
            (Dialect::OpenAi, 429, 429, openai("requests")),
            (Dialect::OpenAi, 503, 503, openai("server_error")),
            (Dialect::Anthropic, 400, 400, anthropic("invalid_request_error")),
            (Dialect::Anthropic, 429, 429, anthropic("rate_limit_error")),
            (Dialect::Anthropic, 500, 500, anthropic("api_error")),
            (Dialect::Anthropic, 529, 529, anthropic("overloaded_error")),
            (Dialect::Ollama, 404, 404, ollama),
            (Dialect::Tgi, 400, 422, tgi("validation")),
            (Dialect::Tgi, 424, 424, tgi("generation")),
            (Dialect::Tgi, 429, 429, tgi("overloaded")),
        ] {
            assert_eq!(answer(status, dialect), (sent, body));
        }
    }
}

//! Bodies of answers that tell of the request at hand.

#[cfg(doc)]
use super::{model_not_found, Reason};
use crate::llm::texts::Place;
use crate::llm::{Dialect, Engine, RequestError};
use crate::permissions::FeatureRefusal;

/// The body of [`model_not_found`]'s answer where the name is known: what `engine` itself says of a model
/// that it doesn't have, or the vendor of the dialect.
#[must_use]
pub fn model_not_found_body(model: &str, engine: Engine, dialect: Dialect) -> String {
    let ollama = || format!("model \"{model}\" not found, try pulling it first");
    let (message, kind, param, code) = match (dialect, engine) {
        (Dialect::Anthropic, _) => {
            let message = serde_json::Value::from(format!("model: {model}"));
            return format!(
                "{{\"type\":\"error\",\"error\":{{\"type\":\"not_found_error\",\"message\":{message}}}}}"
            );
        }
        (Dialect::Ollama, _) => {
            return format!("{{\"error\":{}}}", serde_json::Value::from(ollama()));
        }
        (Dialect::Tgi, _) => {
            let message = serde_json::Value::from(format!("The model `{model}` does not exist."));
            return format!("{{\"error\":{message},\"error_type\":\"validation\"}}");
        }
        (Dialect::OpenAi, Engine::Vllm) => {
            (format!("The model `{model}` does not exist."), "NotFoundError", "\"model\"", "404")
        }
        (Dialect::OpenAi, Engine::Sglang) => (
            format!("The model '{model}' does not exist"),
            "invalid_request_error",
            "\"model\"",
            "\"model_not_found\"",
        ),
        (Dialect::OpenAi, Engine::Ollama) => (ollama(), "not_found_error", "null", "null"),
        (Dialect::OpenAi, _) => (
            format!("The model `{model}` does not exist or you do not have access to it."),
            "invalid_request_error",
            "\"model\"",
            "\"model_not_found\"",
        ),
    };
    let message = serde_json::Value::from(message);
    format!(
        "{{\"error\":{{\"message\":{message},\"type\":\"{kind}\",\"param\":{param},\"code\":{code}}}}}"
    )
}

/// The body of [`Reason::MalformedRequest`]'s answer where it is known what is wrong with the request.
/// It names keys of the API, and holds nothing of what was sent.
#[must_use]
pub fn malformed_request_body(error: RequestError, dialect: Dialect) -> String {
    let message = format!("The request can not be taken as it is: {error}.");
    let kinds = ["invalid_request", "invalid_request_error", "validation"];
    written(&message, error.key(), kinds, dialect)
}

/// The body of [`Reason::FeatureDenied`]'s answer where it is known what the request may not ask for. It names
/// fields, and holds nothing else of what was sent.
#[must_use]
pub fn feature_denied_body(refusal: FeatureRefusal, dialect: Dialect) -> String {
    let message = format!(
        "The request is not allowed: {refusal}. Ask the operator of this API for access if you need it."
    );
    let kinds = ["access_denied", "permission_error", "permission"];
    written(&message, refusal.member(), kinds, dialect)
}

/// The body of [`Reason::ContentPolicy`]'s answer where it is known in which message something was found. What that
/// is, it doesn't say.
#[must_use]
pub fn content_policy_body(place: Place, dialect: Dialect) -> String {
    let place = place.to_string();
    let message = format!(
        "The request was refused by a content policy, for what it says in \"{place}\". Change that, or ask the operator of this API."
    );
    let kinds = ["content_policy", "permission_error", "permission"];
    written(&message, Some(&place), kinds, dialect)
}

/// What a client is told in the place of an answer that a guard blocks, or of the rest of it.
#[must_use]
pub fn answer_blocked_body(dialect: Dialect) -> String {
    let message = "The answer was cut off by a content policy. Ask for something else, or ask the operator of this API.";
    written(message, None, ["content_policy", "permission_error", "permission"], dialect)
}

/// A body with this message, about this parameter. The kinds are the code of OpenAI's API, the type of
/// Anthropic's, and that of TGI's.
fn written(message: &str, param: Option<&str>, kinds: [&str; 3], dialect: Dialect) -> String {
    // A string always has a form in JSON.
    let message = serde_json::Value::from(message);
    let [code, anthropic, tgi] = kinds;
    match dialect {
        Dialect::OpenAi => {
            let param = serde_json::Value::from(param);
            format!(
                "{{\"error\":{{\"message\":{message},\"type\":\"invalid_request_error\",\"param\":{param},\"code\":\"{code}\"}}}}"
            )
        }
        Dialect::Anthropic => format!(
            "{{\"type\":\"error\",\"error\":{{\"type\":\"{anthropic}\",\"message\":{message}}}}}"
        ),
        Dialect::Ollama => format!("{{\"error\":{message}}}"),
        Dialect::Tgi => format!("{{\"error\":{message},\"error_type\":\"{tgi}\"}}"),
    }
}

//! Errors as OpenAI's API words them.

use serde_json::json;

use crate::http::Response;

/// A request that gets an error for an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: &'static str,
    pub(crate) message: String,
    /// The field of the request at fault.
    pub(crate) param: Option<&'static str>,
    pub(crate) code: Option<&'static str>,
}

impl ApiError {
    /// 400, about one field of the body where `param` names one.
    pub(crate) fn bad_request(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status: "400 Bad Request", message: message.into(), param, code: None }
    }

    pub(crate) fn response(&self) -> Response {
        let body = json!({
            "error": {
                "message": self.message,
                "type": "invalid_request_error",
                "param": self.param,
                "code": self.code,
            }
        });
        Response::json(self.status, body.to_string())
    }
}

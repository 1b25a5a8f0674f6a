//! What a client sees of a refusal: the one place that turns a [`Reason`] into status, body and
//! headers. The dialect is OpenAI's; the official SDKs show `message` to the developer and choose
//! the exception from the status and `code`.

use crate::decision::Reason;

/// The `Content-Type` of every [`Answer`].
pub const CONTENT_TYPE: &str = "application/json";

/// A complete refusal. All of it is static: refusing costs no memory, and nothing of the request
/// can come back in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// `error.type` of the body.
    pub error_type: &'static str,
    /// `error.code` of the body.
    pub code: &'static str,
    /// The JSON body.
    pub body: &'static str,
    /// The value of `WWW-Authenticate` (RFC 6750 section 3), with a 401 only.
    pub www_authenticate: Option<&'static str>,
}

/// The answer to a request that is refused for `reason`.
///
/// Whether a credential is unknown, expired, revoked or not yet valid is for the audit log: the
/// client sees one answer, lest a stranger learns which of his guesses was once a key. Only that
/// a credential was presented at all shows, which the client knows.
#[must_use]
pub fn answer(reason: Reason) -> &'static Answer {
    match reason {
        Reason::MissingCredential => &MISSING_CREDENTIAL,
        Reason::InvalidCredential
        | Reason::ExpiredCredential
        | Reason::RevokedCredential
        | Reason::NotYetValid
        | Reason::InvalidToken => &WRONG_CREDENTIAL,
        Reason::ConflictingCredentials => &CONFLICTING_CREDENTIALS,
        Reason::AddressDenied | Reason::TierDenied => &ACCESS_DENIED,
        Reason::RequestsExceeded => &REQUESTS_EXCEEDED,
        Reason::AuthFailuresExceeded => &AUTH_FAILURES_EXCEEDED,
        Reason::ZoneFull => &SERVICE_UNAVAILABLE,
        Reason::InternalError => &INTERNAL_ERROR,
    }
}

/// An [`Answer`] whose body is OpenAI's error object. The messages must need no JSON escape.
macro_rules! openai {
    ($status:literal, $type:literal, $code:literal, $message:literal, $www_authenticate:expr) => {
        Answer {
            status: $status,
            error_type: $type,
            code: $code,
            body: concat!(
                "{\"error\":{\"message\":\"",
                $message,
                "\",\"type\":\"",
                $type,
                "\",\"param\":null,\"code\":\"",
                $code,
                "\"}}"
            ),
            www_authenticate: $www_authenticate,
        }
    };
}

static MISSING_CREDENTIAL: Answer = openai!(
    401,
    "invalid_request_error",
    "invalid_api_key",
    "No valid API key or token was provided. Send one that is in force as 'Authorization: Bearer YOUR_KEY'; ask the operator of this API for a new one if it has expired or was revoked.",
    Some("Bearer realm=\"tollgate\"")
);

static WRONG_CREDENTIAL: Answer = Answer {
    www_authenticate: Some("Bearer realm=\"tollgate\", error=\"invalid_token\""),
    ..MISSING_CREDENTIAL
};

static CONFLICTING_CREDENTIALS: Answer = openai!(
    400,
    "invalid_request_error",
    "invalid_request",
    "The request carries two different credentials. Send exactly one API key or token, in one header.",
    None
);

// One body for both reasons: it need not tell the holder of a stolen key what to change.
static ACCESS_DENIED: Answer = openai!(
    403,
    "invalid_request_error",
    "access_denied",
    "You are not allowed to use this API with this credential from this place. Ask the operator of this API for access.",
    None
);

static REQUESTS_EXCEEDED: Answer = openai!(
    429,
    "requests",
    "rate_limit_exceeded",
    "Request limit reached. Wait for the time given in the Retry-After header, then send the request again.",
    None
);

static AUTH_FAILURES_EXCEEDED: Answer = openai!(
    429,
    "requests",
    "rate_limit_exceeded",
    "Too many requests with a wrong credential came from your address. Check your API key or token, and wait for the time given in the Retry-After header.",
    None
);

static SERVICE_UNAVAILABLE: Answer = openai!(
    503,
    "server_error",
    "service_unavailable",
    "The service can not accept the request at the moment. Send it again later.",
    None
);

static INTERNAL_ERROR: Answer = openai!(
    500,
    "server_error",
    "internal_error",
    "The request failed because of an error in the server. Quote the x-request-id header when you report it.",
    None
);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{json, Value};

    const REALM: &str = "Bearer realm=\"tollgate\"";
    const INVALID: &str = "Bearer realm=\"tollgate\", error=\"invalid_token\"";

    #[test]
    fn every_reason_has_the_answer_of_the_table() {
        for reason in Reason::ALL {
            let (status, error_type, code, www_authenticate) = match reason.as_str() {
                "missing_credential" => {
                    (401, "invalid_request_error", "invalid_api_key", Some(REALM))
                }
                "invalid_credential" | "expired_credential" | "revoked_credential"
                | "not_yet_valid" | "invalid_token" => {
                    (401, "invalid_request_error", "invalid_api_key", Some(INVALID))
                }
                "conflicting_credentials" => {
                    (400, "invalid_request_error", "invalid_request", None)
                }
                "address_denied" | "tier_denied" => {
                    (403, "invalid_request_error", "access_denied", None)
                }
                "requests_exceeded" | "auth_failures_exceeded" => {
                    (429, "requests", "rate_limit_exceeded", None)
                }
                "zone_full" => (503, "server_error", "service_unavailable", None),
                "internal_error" => (500, "server_error", "internal_error", None),
                other => panic!("no row for {other}"),
            };
            let answer = answer(reason);
            assert_eq!(answer.status, status, "{reason:?}");
            assert_eq!(answer.error_type, error_type, "{reason:?}");
            assert_eq!(answer.code, code, "{reason:?}");
            assert_eq!(answer.www_authenticate, www_authenticate, "{reason:?}");

            let body: Value = serde_json::from_str(answer.body).unwrap();
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.len() > 20 && message.ends_with('.'), "{message}");
            assert_eq!(
                body,
                json!({"error": {"message": message, "type": error_type, "param": null, "code": code}})
            );
        }
    }

    #[test]
    fn all_401_bodies_are_byte_identical() {
        let bodies: Vec<_> = Reason::ALL
            .into_iter()
            .map(answer)
            .filter(|answer| answer.status == 401)
            .map(|answer| answer.body)
            .collect();
        assert_eq!(bodies.len(), 6);
        assert!(bodies.iter().all(|body| *body == bodies[0]));
    }

    #[test]
    fn www_authenticate_comes_with_a_401_and_only_then() {
        for reason in Reason::ALL {
            let answer = answer(reason);
            assert_eq!(answer.www_authenticate.is_some(), answer.status == 401, "{reason:?}");
        }
    }

    #[test]
    fn what_counts_as_an_auth_failure_is_answered_401_with_invalid_token() {
        for reason in Reason::ALL {
            assert_eq!(
                reason.is_auth_failure(),
                answer(reason).www_authenticate == Some(INVALID),
                "{reason:?}"
            );
        }
    }

    #[test]
    fn the_two_429_tell_the_developer_apart_what_to_do() {
        assert_ne!(
            answer(Reason::RequestsExceeded).body,
            answer(Reason::AuthFailuresExceeded).body
        );
    }
}

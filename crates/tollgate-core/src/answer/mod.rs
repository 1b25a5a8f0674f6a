//! What a client sees of a refusal: the one place that turns a [`Reason`] into status, body and
//! headers. The body is in the dialect of the API that was called; official SDKs show its message to
//! the developer, and choose the exception from the status and from the type or code.

mod bodies;

pub use bodies::{
    answer_blocked_body, content_policy_body, feature_denied_body, malformed_request_body,
    model_not_found_body,
};

use crate::decision::Reason;
use crate::llm::Dialect;
use crate::permissions::scopes::Scope;

/// The `Content-Type` of every [`Answer`].
pub const CONTENT_TYPE: &str = "application/json";

/// A complete refusal. All of it is static: refusing costs no memory, and nothing of the request
/// can come back in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `WWW-Authenticate` (RFC 6750 section 3), with a 401 only.
    pub www_authenticate: Option<&'static str>,
    /// The value of `x-should-retry`, which the official SDKs obey: `false` where waiting as long as
    /// an SDK would is no help. Without it they retry a 429.
    pub should_retry: Option<&'static str>,
    /// The value of `Accept-Encoding`, with a 415 only (RFC 9110 section 12.5.3).
    pub accept_encoding: Option<&'static str>,
    bodies: Bodies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bodies {
    openai: &'static str,
    anthropic: &'static str,
    ollama: &'static str,
    tgi: &'static str,
}

impl Answer {
    /// The JSON body.
    #[must_use]
    pub fn body(&self, dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::OpenAi => self.bodies.openai,
            Dialect::Anthropic => self.bodies.anthropic,
            Dialect::Ollama => self.bodies.ollama,
            Dialect::Tgi => self.bodies.tgi,
        }
    }
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
        Reason::AddressDenied
        | Reason::AddressesExceeded
        | Reason::TierDenied
        | Reason::Dropped => &ACCESS_DENIED,
        Reason::OriginDenied => &ORIGIN_DENIED,
        Reason::ModelDenied => &MODEL_DENIED,
        Reason::EndpointDenied => &ENDPOINT_DENIED,
        Reason::ScopeDenied => &SCOPE_DENIED,
        Reason::FeatureDenied => &FEATURE_DENIED,
        Reason::ContentPolicy => &CONTENT_POLICY,
        Reason::ObjectNotFound => &OBJECT_NOT_FOUND,
        Reason::MalformedPath => &MALFORMED_PATH,
        Reason::MalformedRequest => &MALFORMED_REQUEST,
        Reason::RequestTooLarge => &REQUEST_TOO_LARGE,
        Reason::UnsupportedEncoding => &UNSUPPORTED_ENCODING,
        Reason::RequestOverLimit => &REQUEST_OVER_LIMIT,
        Reason::RequestsExceeded => &REQUESTS_EXCEEDED,
        Reason::TokensExceeded => &TOKENS_EXCEEDED,
        Reason::ConcurrencyExceeded => &CONCURRENCY_EXCEEDED,
        Reason::BudgetExceeded => &BUDGET_EXCEEDED,
        Reason::AuthFailuresExceeded => &AUTH_FAILURES_EXCEEDED,
        Reason::ZoneFull
        | Reason::KeysUnavailable
        | Reason::IntrospectionUnavailable
        | Reason::ClassifierUnavailable
        | Reason::StoreLost => &SERVICE_UNAVAILABLE,
        Reason::InternalError => &INTERNAL_ERROR,
    }
}

/// The value of `WWW-Authenticate` where a token lacks this scope (RFC 6750 section 3.1).
#[must_use]
pub fn insufficient_scope(scope: Scope) -> &'static str {
    macro_rules! challenges {
        ($($scope:ident $name:literal)*) => {
            match scope {
                $(Scope::$scope => concat!(
                    "Bearer realm=\"tollgate\", error=\"insufficient_scope\", scope=\"", $name, "\""
                ),)*
            }
        };
    }
    challenges! {
        Chat "chat" Completions "completions" Embeddings "embeddings" Responses "responses"
        Audio "audio" Images "images" Rerank "rerank" Tokenize "tokenize" Models "models"
        Files "files" Batches "batches" Admin "admin"
    }
}

/// The answer to a request for a model that the client may not use, where it isn't to know that there is one:
/// what the client sees is what it sees of a model that doesn't exist. [`model_not_found_body`] is its body.
#[must_use]
pub fn model_not_found() -> &'static Answer {
    &MODEL_NOT_FOUND
}

/// An [`Answer`] without headers: the status, the message, and what each dialect calls it. The
/// literals must need no JSON escape.
///
/// * OpenAI has a type, a code and the parameter at fault.
/// * The types of Anthropic's API are a closed list.
/// * Ollama has the message only.
/// * TGI's own types are `validation` and `overloaded` (and others, for what happens within it). A
///   client of TGI that doesn't know the type goes by the status.
macro_rules! answer {
    (
        $status:literal, $message:literal,
        openai: $type:literal $code:literal $param:literal,
        anthropic: $anthropic:literal,
        tgi: $tgi:literal $(,)?
    ) => {
        Answer {
            status: $status,
            www_authenticate: None,
            should_retry: None,
            accept_encoding: None,
            bodies: Bodies {
                openai: concat!(
                    "{\"error\":{\"message\":\"",
                    $message,
                    "\",\"type\":\"",
                    $type,
                    "\",\"param\":",
                    $param,
                    ",\"code\":\"",
                    $code,
                    "\"}}"
                ),
                anthropic: concat!(
                    "{\"type\":\"error\",\"error\":{\"type\":\"",
                    $anthropic,
                    "\",\"message\":\"",
                    $message,
                    "\"}}"
                ),
                ollama: concat!("{\"error\":\"", $message, "\"}"),
                tgi: concat!("{\"error\":\"", $message, "\",\"error_type\":\"", $tgi, "\"}"),
            },
        }
    };
}

static MISSING_CREDENTIAL: Answer = Answer {
    www_authenticate: Some("Bearer realm=\"tollgate\""),
    ..answer!(
        401,
        "No valid API key or token was provided. Send one that is in force as 'Authorization: Bearer YOUR_KEY'; ask the operator of this API for a new one if it has expired or was revoked.",
        openai: "invalid_request_error" "invalid_api_key" "null",
        anthropic: "authentication_error",
        tgi: "authentication",
    )
};

static WRONG_CREDENTIAL: Answer = Answer {
    www_authenticate: Some("Bearer realm=\"tollgate\", error=\"invalid_token\""),
    ..MISSING_CREDENTIAL
};

static CONFLICTING_CREDENTIALS: Answer = answer!(
    400,
    "The request carries two different credentials. Send exactly one API key or token, in one header.",
    openai: "invalid_request_error" "invalid_request" "null",
    anthropic: "invalid_request_error",
    tgi: "validation",
);

// One body for both reasons: it need not tell the holder of a stolen key what to change.
static ACCESS_DENIED: Answer = answer!(
    403,
    "You are not allowed to use this API with this credential from this place. Ask the operator of this API for access.",
    openai: "invalid_request_error" "access_denied" "null",
    anthropic: "permission_error",
    tgi: "permission",
);

static ORIGIN_DENIED: Answer = answer!(
    403,
    "Pages of this origin may not use this API. Ask the operator of this API to let it in.",
    openai: "invalid_request_error" "access_denied" "null",
    anthropic: "permission_error",
    tgi: "permission",
);

static MODEL_DENIED: Answer = answer!(
    403,
    "The model of the request is not available to you. Choose another one, or ask the operator of this API for access.",
    openai: "invalid_request_error" "model_access_denied" "\"model\"",
    anthropic: "permission_error",
    tgi: "permission",
);

// Where the name of the model is not known: it is no name.
static MODEL_NOT_FOUND: Answer = answer!(
    404,
    "The model does not exist.",
    openai: "invalid_request_error" "model_not_found" "\"model\"",
    anthropic: "not_found_error",
    tgi: "validation",
);

static ENDPOINT_DENIED: Answer = answer!(
    403,
    "This endpoint is not open to you. Use another one, or ask the operator of this API for access.",
    openai: "invalid_request_error" "access_denied" "null",
    anthropic: "permission_error",
    tgi: "permission",
);

static SCOPE_DENIED: Answer = answer!(
    403,
    "Your credential does not have the scope that this endpoint needs. Use another endpoint, or ask the operator of this API for access.",
    openai: "invalid_request_error" "access_denied" "null",
    anthropic: "permission_error",
    tgi: "permission",
);

// One answer for what another client made and for what nobody made.
static OBJECT_NOT_FOUND: Answer = answer!(
    404,
    "There is no object with this id. Check the id, and that the object was made with a credential of yours.",
    openai: "invalid_request_error" "not_found" "null",
    anthropic: "not_found_error",
    tgi: "validation",
);

// The one feature that locations refuse: a response that goes on when nobody waits for it. What tiers refuse has
// a body of its own.
static FEATURE_DENIED: Answer = answer!(
    403,
    "Responses in the background are not open to you. Send the request without 'background', or ask the operator of this API for access.",
    openai: "invalid_request_error" "access_denied" "\"background\"",
    anthropic: "permission_error",
    tgi: "permission",
);

static CONTENT_POLICY: Answer = answer!(
    403,
    "The request was refused by a content policy. Change what it says, or ask the operator of this API.",
    openai: "invalid_request_error" "content_policy" "null",
    anthropic: "permission_error",
    tgi: "permission",
);

static MALFORMED_PATH: Answer = answer!(
    400,
    "The path of the request can be read in more than one way. Send it without control characters, backslashes, and empty or dot segments.",
    openai: "invalid_request_error" "invalid_request" "null",
    anthropic: "invalid_request_error",
    tgi: "validation",
);

static MALFORMED_REQUEST: Answer = answer!(
    400,
    "The body of the request can not be read, or in more than one way. Send one JSON object that has each field once, spelled and typed as the documentation of this API has it.",
    openai: "invalid_request_error" "invalid_request" "null",
    anthropic: "invalid_request_error",
    tgi: "validation",
);

static REQUEST_TOO_LARGE: Answer = answer!(
    413,
    "The body of the request is too large. Send less in one request.",
    openai: "invalid_request_error" "request_too_large" "null",
    anthropic: "request_too_large",
    tgi: "validation",
);

static UNSUPPORTED_ENCODING: Answer = Answer {
    accept_encoding: Some("identity"),
    ..answer!(
        415,
        "The body of the request has a Content-Encoding, which is not accepted here. Send it uncompressed.",
        openai: "invalid_request_error" "unsupported_encoding" "null",
        anthropic: "invalid_request_error",
        tgi: "validation",
    )
};

// No wait makes it pass, so there is no Retry-After either.
static REQUEST_OVER_LIMIT: Answer = Answer {
    should_retry: Some("false"),
    ..answer!(
        429,
        "The request alone is larger than your token limit. Shorten the input, ask for less output, or ask the operator of this API for a larger limit.",
        openai: "tokens" "rate_limit_exceeded" "null",
        anthropic: "rate_limit_error",
        tgi: "validation",
    )
};

static REQUESTS_EXCEEDED: Answer = answer!(
    429,
    "Request limit reached. Wait for the time given in the Retry-After header, then send the request again.",
    openai: "requests" "rate_limit_exceeded" "null",
    anthropic: "rate_limit_error",
    tgi: "overloaded",
);

static TOKENS_EXCEEDED: Answer = answer!(
    429,
    "Token limit reached. Wait for the time given in the Retry-After header, then send the request again.",
    openai: "tokens" "rate_limit_exceeded" "null",
    anthropic: "rate_limit_error",
    tgi: "overloaded",
);

static CONCURRENCY_EXCEEDED: Answer = answer!(
    429,
    "Too many of your requests are in flight at once. Wait for one of them to end, then send the request again.",
    openai: "requests" "rate_limit_exceeded" "null",
    anthropic: "rate_limit_error",
    tgi: "overloaded",
);

static BUDGET_EXCEEDED: Answer = Answer {
    should_retry: Some("false"),
    ..answer!(
        429,
        "Your budget has less left than this request may cost. Wait for its next period if a Retry-After header gives the time, or ask the operator of this API for a larger budget.",
        openai: "insufficient_quota" "insufficient_quota" "null",
        anthropic: "rate_limit_error",
        tgi: "insufficient_quota",
    )
};

static AUTH_FAILURES_EXCEEDED: Answer = answer!(
    429,
    "Too many requests with a wrong credential came from your address. Check your API key or token, and wait for the time given in the Retry-After header.",
    openai: "requests" "rate_limit_exceeded" "null",
    anthropic: "rate_limit_error",
    tgi: "overloaded",
);

static SERVICE_UNAVAILABLE: Answer = answer!(
    503,
    "The service can not accept the request at the moment. Send it again later.",
    openai: "server_error" "service_unavailable" "null",
    anthropic: "overloaded_error",
    tgi: "overloaded",
);

static INTERNAL_ERROR: Answer = answer!(
    500,
    "The request failed because of an error in the server. Quote the x-request-id header when you report it.",
    openai: "server_error" "internal_error" "null",
    anthropic: "api_error",
    tgi: "internal",
);

#[cfg(test)]
mod tests;

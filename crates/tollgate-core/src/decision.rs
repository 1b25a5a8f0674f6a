//! The outcome of judging a request, with one reason from a closed list.

/// Why a request was refused. The names are part of the audit log's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No credential was presented.
    MissingCredential,
    /// An API key that is in no keys file.
    InvalidCredential,
    /// An API key after its `expires`, or a JWT after its `exp`.
    ExpiredCredential,
    /// An API key that is `disabled`.
    RevokedCredential,
    /// An API key before its `not_before`, or a JWT before its `nbf` or `iat`.
    NotYetValid,
    /// Two different credentials in one request.
    ConflictingCredentials,
    /// A JWT that is malformed, has a bad signature, or whose claims are refused.
    InvalidToken,
    /// The client's address is not one from which the key may be used, or that the tier is open to.
    AddressDenied,
    /// The key is used from more networks than the `addresses` of its tier allow, and this is one of the further ones.
    AddressesExceeded,
    /// The preflight, or the WebSocket, of a page whose origin is not one of `tollgate_cors`.
    OriginDenied,
    /// The principal names no tier and there is no default, or it names a tier that is not declared.
    TierDenied,
    /// The principal may not use the model, or it has no price where a budget applies.
    ModelDenied,
    /// Tokens or money are counted, and the path is not known to take none; or it was closed.
    EndpointDenied,
    /// The principal lacks the scope that the endpoint needs.
    ScopeDenied,
    /// The request asks for something that is not open here.
    FeatureDenied,
    /// A guard found something in the request, or in its answer.
    ContentPolicy,
    /// An object that the client did not make, or that is not there.
    ObjectNotFound,
    /// A path that nginx and the engine could read in two ways.
    MalformedPath,
    /// A body that is not JSON where it must be, or could be read in two ways.
    MalformedRequest,
    /// A body over the size that is inspected.
    RequestTooLarge,
    /// A body with a `Content-Encoding` where it must be read.
    UnsupportedEncoding,
    /// The request alone is larger than a limit can ever hold, and the configuration refuses such.
    RequestOverLimit,
    /// A `requests` limit is spent.
    RequestsExceeded,
    /// A `tokens`, `input_tokens` or `output_tokens` limit has too little left.
    TokensExceeded,
    /// A `concurrency` limit: as many requests as it allows are in flight.
    ConcurrencyExceeded,
    /// A `budget` has too little left.
    BudgetExceeded,
    /// The `auth_failures` limit of the client's address is spent.
    AuthFailuresExceeded,
    /// No room for a further client in the zone.
    ZoneFull,
    /// The keys that tokens are verified with can't be had from the provider.
    KeysUnavailable,
    /// The provider does not say what a token is worth.
    IntrospectionUnavailable,
    /// A classifier does not say whether the request may pass.
    ClassifierUnavailable,
    /// The store of the cluster can't be reached, and `on_loss=deny`.
    StoreLost,
    /// An operator has ended the client's requests (`tollgate client drop`).
    Dropped,
    /// A bug: a callback of the module panicked, or nginx could not give what it needs.
    InternalError,
}

impl Reason {
    /// Every reason, in the order of the documentation.
    pub const ALL: [Self; 34] = [
        Self::MissingCredential,
        Self::InvalidCredential,
        Self::ExpiredCredential,
        Self::RevokedCredential,
        Self::NotYetValid,
        Self::ConflictingCredentials,
        Self::InvalidToken,
        Self::AddressDenied,
        Self::AddressesExceeded,
        Self::OriginDenied,
        Self::TierDenied,
        Self::ModelDenied,
        Self::EndpointDenied,
        Self::ScopeDenied,
        Self::FeatureDenied,
        Self::ContentPolicy,
        Self::ObjectNotFound,
        Self::MalformedPath,
        Self::MalformedRequest,
        Self::RequestTooLarge,
        Self::UnsupportedEncoding,
        Self::RequestOverLimit,
        Self::RequestsExceeded,
        Self::TokensExceeded,
        Self::ConcurrencyExceeded,
        Self::BudgetExceeded,
        Self::AuthFailuresExceeded,
        Self::ZoneFull,
        Self::KeysUnavailable,
        Self::IntrospectionUnavailable,
        Self::ClassifierUnavailable,
        Self::StoreLost,
        Self::Dropped,
        Self::InternalError,
    ];

    /// The name in the audit log and in `$tollgate_reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingCredential => "missing_credential",
            Self::InvalidCredential => "invalid_credential",
            Self::ExpiredCredential => "expired_credential",
            Self::RevokedCredential => "revoked_credential",
            Self::NotYetValid => "not_yet_valid",
            Self::ConflictingCredentials => "conflicting_credentials",
            Self::InvalidToken => "invalid_token",
            Self::AddressDenied => "address_denied",
            Self::AddressesExceeded => "addresses_exceeded",
            Self::OriginDenied => "origin_denied",
            Self::TierDenied => "tier_denied",
            Self::ModelDenied => "model_denied",
            Self::EndpointDenied => "endpoint_denied",
            Self::ScopeDenied => "scope_denied",
            Self::FeatureDenied => "feature_denied",
            Self::ContentPolicy => "content_policy",
            Self::ObjectNotFound => "object_not_found",
            Self::MalformedPath => "malformed_path",
            Self::MalformedRequest => "malformed_request",
            Self::RequestTooLarge => "request_too_large",
            Self::UnsupportedEncoding => "unsupported_encoding",
            Self::RequestOverLimit => "request_over_limit",
            Self::RequestsExceeded => "requests_exceeded",
            Self::TokensExceeded => "tokens_exceeded",
            Self::ConcurrencyExceeded => "concurrency_exceeded",
            Self::BudgetExceeded => "budget_exceeded",
            Self::AuthFailuresExceeded => "auth_failures_exceeded",
            Self::ZoneFull => "zone_full",
            Self::KeysUnavailable => "keys_unavailable",
            Self::IntrospectionUnavailable => "introspection_unavailable",
            Self::ClassifierUnavailable => "classifier_unavailable",
            Self::StoreLost => "store_lost",
            Self::Dropped => "dropped",
            Self::InternalError => "internal_error",
        }
    }

    /// How a refusal for this reason is told of in the error log.
    #[must_use]
    pub fn notice(self) -> Notice {
        match self {
            Self::InternalError => Notice::Always,
            Self::MissingCredential
            | Self::InvalidCredential
            | Self::ExpiredCredential
            | Self::RevokedCredential
            | Self::NotYetValid
            | Self::ConflictingCredentials
            | Self::InvalidToken
            | Self::AddressDenied
            | Self::OriginDenied
            | Self::TierDenied
            | Self::ModelDenied
            | Self::EndpointDenied
            | Self::ScopeDenied
            | Self::FeatureDenied
            | Self::ObjectNotFound
            | Self::MalformedPath
            | Self::MalformedRequest
            | Self::RequestTooLarge
            | Self::UnsupportedEncoding
            | Self::KeysUnavailable
            | Self::IntrospectionUnavailable
            | Self::ClassifierUnavailable => Notice::Once,
            // Limits do what they are there for.
            Self::RequestOverLimit
            | Self::RequestsExceeded
            | Self::TokensExceeded
            | Self::ConcurrencyExceeded
            | Self::BudgetExceeded
            | Self::AuthFailuresExceeded => Notice::Quietly,
            // It does what it is there for.
            Self::ContentPolicy => Notice::Quietly,
            // Of the key it is told once an hour.
            Self::AddressesExceeded => Notice::Quietly,
            // The operator knows.
            Self::Dropped => Notice::Quietly,
            // The zone complains, and so does who asks the store.
            Self::ZoneFull | Self::StoreLost => Notice::Quietly,
        }
    }

    /// Whether a credential was presented and found wrong: what `auth_failures` counts.
    #[must_use]
    pub fn is_auth_failure(self) -> bool {
        match self {
            Self::InvalidCredential
            | Self::ExpiredCredential
            | Self::RevokedCredential
            | Self::NotYetValid
            | Self::InvalidToken => true,
            Self::MissingCredential
            | Self::ConflictingCredentials
            | Self::AddressDenied
            | Self::AddressesExceeded
            | Self::OriginDenied
            | Self::TierDenied
            | Self::ModelDenied
            | Self::EndpointDenied
            | Self::ScopeDenied
            | Self::FeatureDenied
            | Self::ContentPolicy
            | Self::ObjectNotFound
            | Self::MalformedPath
            | Self::MalformedRequest
            | Self::RequestTooLarge
            | Self::UnsupportedEncoding
            | Self::RequestOverLimit
            | Self::RequestsExceeded
            | Self::TokensExceeded
            | Self::ConcurrencyExceeded
            | Self::BudgetExceeded
            | Self::AuthFailuresExceeded
            | Self::ZoneFull
            | Self::KeysUnavailable
            | Self::IntrospectionUnavailable
            | Self::ClassifierUnavailable
            | Self::StoreLost
            | Self::Dropped
            | Self::InternalError => false,
        }
    }
}

/// How a refusal is told of in the error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// At level `error`: something is wrong with the server.
    Always,
    /// At level `error` the first one of its kind for a while (see [`Told`](crate::detail::Told)), and
    /// the others at level `info`: whoever looks for the cause finds it, and no stranger fills the log.
    Once,
    /// At level `info`: the client is told what there is to know, or the error log is elsewhere.
    Quietly,
}

/// What was decided about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The request may pass.
    Allow,
    /// The request is refused, for this reason.
    Deny(Reason),
}

impl Decision {
    /// The name in the audit log and in `$tollgate_decision`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
        }
    }

    /// The reason of a refusal.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        match self {
            Self::Allow => None,
            Self::Deny(reason) => Some(reason),
        }
    }
}

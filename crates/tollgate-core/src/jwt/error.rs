//! Why a token is refused.

use std::fmt;

use super::claim_map::ClaimMap;
use crate::decision::Reason;
use crate::detail::{Cause, Detail};

/// One of the three parts of a compact JWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The payload: of a JWT, its claims set.
    Payload,
    /// The signature.
    Signature,
}

impl Part {
    fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        }
    }
}

/// Why a token is refused. Its text is fit for a log: it names members and claims that the
/// standards or the configuration define, and holds nothing out of the token itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// Longer than the policy's `max_len`.
    TooLong,
    /// Not three parts with two dots between them (RFC 7515 section 7.1).
    NotCompact,
    /// A part that is not canonical base64url.
    Encoding(Part),
    /// A header or claims set that is no JSON object with distinct names.
    NotAnObject(Part),
    /// A header member that asks for what we do not do (`crit`, `b64`, `zip`, `enc`).
    HeaderMember(&'static str),
    /// A header member of the wrong type.
    HeaderType(&'static str),
    /// A `typ` that says that the token is for something else (RFC 8725 section 3.11).
    ForeignType,
    /// No `alg`, or one that is unknown; `none` is unknown.
    UnknownAlgorithm,
    /// An algorithm that the configuration does not allow.
    AlgorithmNotAllowed,
    /// No key that the header's `kid` and `alg` may be used with.
    NoKey,
    /// None of the keys made this signature.
    BadSignature,
    /// A claim that the policy requires is missing.
    MissingClaim(&'static str),
    /// A claim of the wrong type, or with a value that cannot be used.
    BadClaim(&'static str),
    /// An `iss` other than the configured ones.
    IssuerNotAllowed,
    /// A good signature, with a key that is not for tokens of this `iss`.
    ForeignKey,
    /// No `aud` among the configured ones.
    AudienceNotAllowed,
    /// At or after `exp`, leeway included.
    Expired,
    /// Before `nbf` or `iat`, leeway included.
    NotYetValid,
    /// A `cnf` that binds it to something that is not known here (RFC 7800 section 3.1).
    UnknownBinding,
    /// Its provider says that it is not active (RFC 7662 section 2.2).
    Inactive,
}

impl TokenError {
    /// The reason to log and count.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.cause().reason()
    }

    /// What is said of it in logs, where `claims` tells which claims the fields are taken from.
    #[must_use]
    pub fn detail(&self, claims: &ClaimMap) -> Detail {
        match self.name() {
            None => self.cause().into(),
            Some(field) => match claims.claim_of(field) {
                Some(claim) => Detail::new(self.cause(), claim.to_owned()),
                None => Detail::new(self.cause(), field),
            },
        }
    }

    fn cause(&self) -> Cause {
        match self {
            Self::TooLong => Cause::TokenTooLong,
            Self::NotCompact => Cause::NotCompact,
            Self::Encoding(_) => Cause::BadEncoding,
            Self::NotAnObject(_) => Cause::NotJson,
            Self::HeaderMember(_) => Cause::HeaderMember,
            Self::HeaderType(_) => Cause::HeaderType,
            Self::ForeignType => Cause::ForeignType,
            Self::UnknownAlgorithm => Cause::UnknownAlgorithm,
            Self::AlgorithmNotAllowed => Cause::AlgorithmNotAllowed,
            Self::NoKey => Cause::NoKey,
            Self::BadSignature => Cause::BadSignature,
            Self::MissingClaim(_) => Cause::MissingClaim,
            Self::BadClaim(_) => Cause::BadClaim,
            Self::IssuerNotAllowed => Cause::IssuerNotAllowed,
            Self::ForeignKey => Cause::ForeignKey,
            Self::AudienceNotAllowed => Cause::AudienceNotAllowed,
            Self::Expired => Cause::TokenExpired,
            Self::NotYetValid => Cause::TokenNotYetValid,
            Self::UnknownBinding => Cause::UnknownBinding,
            Self::Inactive => Cause::Inactive,
        }
    }

    /// What it is about: a part, a member of the header, a registered claim, or a field of the principal.
    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Encoding(part) | Self::NotAnObject(part) => Some(part.as_str()),
            Self::HeaderMember(name) | Self::HeaderType(name) => Some(name),
            Self::MissingClaim(name) | Self::BadClaim(name) => Some(name),
            Self::TooLong
            | Self::NotCompact
            | Self::ForeignType
            | Self::UnknownAlgorithm
            | Self::AlgorithmNotAllowed
            | Self::NoKey
            | Self::BadSignature
            | Self::IssuerNotAllowed
            | Self::ForeignKey
            | Self::AudienceNotAllowed
            | Self::Expired
            | Self::NotYetValid
            | Self::UnknownBinding
            | Self::Inactive => None,
        }
    }
}

/// With fields of the principal under their own names. [`TokenError::detail`] names the claims.
impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            None => Detail::from(self.cause()).fmt(f),
            Some(name) => Detail::new(self.cause(), name).fmt(f),
        }
    }
}

impl std::error::Error for TokenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_have_a_reason_of_their_own() {
        assert_eq!(TokenError::Expired.reason(), Reason::ExpiredCredential);
        assert_eq!(TokenError::NotYetValid.reason(), Reason::NotYetValid);
        for error in [TokenError::TooLong, TokenError::BadSignature, TokenError::BadClaim("exp")] {
            assert_eq!(error.reason(), Reason::InvalidToken);
        }
    }

    #[test]
    fn claims_have_the_names_that_the_configuration_gives_them() {
        let mut claims = ClaimMap::default();
        claims.set("tier", "realm_access.tier").unwrap();
        let detail = |error: TokenError| {
            let detail = error.detail(&claims);
            (detail.value().into_owned(), detail.to_string())
        };
        for (error, value, text) in [
            (
                TokenError::BadClaim("tier"),
                "bad_claim realm_access.tier",
                "claim \"realm_access.tier\" has an unusable value",
            ),
            (TokenError::MissingClaim("client"), "missing_claim sub", "claim \"sub\" is missing"),
            (
                TokenError::BadClaim("scopes"),
                "bad_claim scope",
                "claim \"scope\" has an unusable value",
            ),
            (TokenError::MissingClaim("exp"), "missing_claim exp", "claim \"exp\" is missing"),
            (
                TokenError::NotAnObject(Part::Payload),
                "not_json payload",
                "the payload is no JSON object with distinct member names",
            ),
            (TokenError::BadSignature, "bad_signature", "the signature is wrong"),
        ] {
            assert_eq!(detail(error), (value.to_owned(), text.to_owned()));
        }
    }

    #[test]
    fn text_is_a_lower_case_sentence_without_a_full_stop() {
        for error in [
            TokenError::Encoding(Part::Payload),
            TokenError::HeaderMember("crit"),
            TokenError::NoKey,
            TokenError::BadClaim("client"),
        ] {
            let text = error.to_string();
            assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
        }
        assert_eq!(TokenError::BadSignature.to_string(), "the signature is wrong");
        let missing = TokenError::MissingClaim("client").to_string();
        assert_eq!(missing, "claim \"client\" is missing");
    }
}

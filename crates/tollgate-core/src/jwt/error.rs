//! Why a token is refused.

use std::fmt;

use crate::decision::Reason;

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

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
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
    /// Its provider says that it is not active (RFC 7662 section 2.2).
    Inactive,
}

impl TokenError {
    /// The reason to log and count.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Expired => Reason::ExpiredCredential,
            Self::NotYetValid => Reason::NotYetValid,
            Self::TooLong
            | Self::NotCompact
            | Self::Encoding(_)
            | Self::NotAnObject(_)
            | Self::HeaderMember(_)
            | Self::HeaderType(_)
            | Self::ForeignType
            | Self::UnknownAlgorithm
            | Self::AlgorithmNotAllowed
            | Self::NoKey
            | Self::BadSignature
            | Self::MissingClaim(_)
            | Self::BadClaim(_)
            | Self::IssuerNotAllowed
            | Self::ForeignKey
            | Self::AudienceNotAllowed
            | Self::Inactive => Reason::InvalidToken,
        }
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("the token is too long"),
            Self::NotCompact => f.write_str("the token is no compact JWS of three parts"),
            Self::Encoding(part) => write!(f, "the {part} is not canonical base64url"),
            Self::NotAnObject(part) => {
                write!(f, "the {part} is no JSON object with distinct member names")
            }
            Self::HeaderMember(name) => write!(f, "header member \"{name}\" is not accepted"),
            Self::HeaderType(name) => write!(f, "header member \"{name}\" has the wrong type"),
            Self::ForeignType => f.write_str("\"typ\" is that of a token for another purpose"),
            Self::UnknownAlgorithm => f.write_str("\"alg\" is missing or unknown"),
            Self::AlgorithmNotAllowed => f.write_str("\"alg\" is not allowed here"),
            Self::NoKey => f.write_str("no key fits \"kid\" and \"alg\""),
            Self::BadSignature => f.write_str("the signature is wrong"),
            Self::MissingClaim(claim) => write!(f, "claim \"{claim}\" is missing"),
            Self::BadClaim(claim) => write!(f, "claim \"{claim}\" has an unusable value"),
            Self::IssuerNotAllowed => f.write_str("\"iss\" is not an accepted issuer"),
            Self::ForeignKey => f.write_str("the key that signed the token is not one of \"iss\""),
            Self::AudienceNotAllowed => f.write_str("\"aud\" holds no accepted audience"),
            Self::Expired => f.write_str("the token has expired"),
            Self::NotYetValid => f.write_str("the token is not valid yet"),
            Self::Inactive => f.write_str("the token is not active"),
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
    }
}

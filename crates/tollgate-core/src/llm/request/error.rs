//! Why the body of a request is refused.

use std::fmt;

use crate::detail::{Cause, Detail};
use crate::multipart::Fault;

/// Why the body of a request is refused, with 400. Its text is fit for the client and for a log: it
/// names keys that the APIs define, and holds nothing out of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// Not JSON (RFC 8259) in UTF-8, or followed by something else.
    NotJson,
    /// JSON, but no object.
    NotAnObject,
    /// Arrays and objects inside each other, more than
    /// [`MAX_DEPTH`](super::MAX_DEPTH) deep.
    TooDeep,
    /// A form with files, and servers could differ in what they make of it.
    BadForm(Fault),
    /// A key twice in one object. Servers differ in which one counts.
    DuplicateKey(&'static str),
    /// A key in another spelling than its own, such as `MODEL`. Servers differ in whether it counts.
    MisspeltKey(&'static str),
    /// A key, or its value, with half of a surrogate pair. Servers differ in what they read there.
    HalfPair(&'static str),
    /// A key that has to be there is not, or its value is empty.
    Missing(&'static str),
    /// A value of another type than the key's, or out of range. Servers differ in what they make of
    /// it.
    BadValue(&'static str),
}

impl RequestError {
    /// The key that the error is about: `param` in OpenAI's errors.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::NotJson | Self::NotAnObject | Self::TooDeep | Self::BadForm(_) => None,
            Self::DuplicateKey(key)
            | Self::MisspeltKey(key)
            | Self::HalfPair(key)
            | Self::Missing(key)
            | Self::BadValue(key) => Some(key),
        }
    }

    /// What is said of it in logs.
    #[must_use]
    pub fn detail(&self) -> Detail {
        let cause = match self {
            Self::NotJson => Cause::BodyNotJson,
            Self::NotAnObject => Cause::BodyNotAnObject,
            Self::TooDeep => Cause::BodyTooDeep,
            Self::BadForm(_) => Cause::BodyNotAForm,
            Self::DuplicateKey(_) => Cause::DuplicateMember,
            Self::MisspeltKey(_) => Cause::MisspeltMember,
            Self::HalfPair(_) => Cause::HalfPair,
            Self::Missing(_) => Cause::MissingMember,
            Self::BadValue(_) => Cause::BadMember,
        };
        match self.key() {
            None => cause.into(),
            Some(key) => Detail::new(cause, key),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("the body is not valid JSON in UTF-8"),
            Self::NotAnObject => f.write_str("the body is not a JSON object"),
            Self::TooDeep => f.write_str("the body is nested too deeply"),
            Self::BadForm(fault) => write!(f, "the body is no plain form: {fault}"),
            Self::DuplicateKey(key) => write!(f, "\"{key}\" is given more than once"),
            Self::MisspeltKey(key) => write!(f, "\"{key}\" is not written in lower case"),
            Self::HalfPair(key) => {
                write!(f, "\"{key}\" has half of a surrogate pair (\\ud800 to \\udfff)")
            }
            Self::Missing(key) => write!(f, "\"{key}\" is missing"),
            Self::BadValue(key) => write!(f, "\"{key}\" must be {}", expected(key)),
        }
    }
}

impl std::error::Error for RequestError {}

/// What the value of a key must be.
fn expected(key: &str) -> &'static str {
    match key {
        "model" => "a string of at most 256 bytes without control characters",
        "stream" | "background" | "include_usage" | "continuous_usage_stats" => "true or false",
        "stream_options" | "options" | "parameters" | "sampling_params" => "an object",
        "n" | "n_cmpl" | "best_of" => "a whole number from 1 to 4096",
        _ => "a whole number that is not negative",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_a_lower_case_sentence_without_a_full_stop() {
        for error in [
            RequestError::NotJson,
            RequestError::NotAnObject,
            RequestError::TooDeep,
            RequestError::BadForm(Fault::Name),
            RequestError::DuplicateKey("model"),
            RequestError::MisspeltKey("stream"),
            RequestError::HalfPair("model"),
            RequestError::Missing("model"),
            RequestError::BadValue("n"),
        ] {
            let text = error.to_string();
            assert!(!text.ends_with('.') && !text.starts_with(char::is_uppercase), "{text}");
            assert_eq!(error.key().is_some(), text.starts_with('"'), "{text}");
        }
    }

    #[test]
    fn detail_names_the_key() {
        let value = |error: RequestError| error.detail().value().into_owned();
        assert_eq!(value(RequestError::NotJson), "body_not_json");
        assert_eq!(value(RequestError::DuplicateKey("model")), "duplicate_member model");
        assert_eq!(value(RequestError::BadValue("max_tokens")), "bad_member max_tokens");
    }

    #[test]
    fn text_says_what_the_value_must_be() {
        let text = |key| RequestError::BadValue(key).to_string();
        assert_eq!(text("stream"), "\"stream\" must be true or false");
        assert_eq!(
            text("max_tokens"),
            "\"max_tokens\" must be a whole number that is not negative"
        );
    }
}

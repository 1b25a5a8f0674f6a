//! Parameters by which a request has an engine do more than its path says.

use super::Engine;
use crate::forwarding::decoded;

/// Those of llama.cpp's router: whoever asks for the models with the one has it read them anew, and end those that
/// have changed; with the other, a model is loaded that is to be loaded by operators alone.
const STEERING: [&str; 2] = ["reload", "autoload"];

/// A body that is parameters as well, whatever the method.
const FORM: &str = "application/x-www-form-urlencoded";

impl Engine {
    /// Whether it may be one that heeds such parameters. Behind `openai` there may be any engine.
    #[must_use]
    #[inline]
    pub fn is_steered(self) -> bool {
        matches!(self, Self::LlamaCpp | Self::OpenAi)
    }

    /// The first such parameter of a query, in any spelling.
    #[must_use]
    pub fn steering_parameter(self, query: &[u8]) -> Option<&'static str> {
        (self.is_steered() && !query.is_empty()).then(|| steering(query)).flatten()
    }

    /// The same of a body of this type, in which nobody looks for them.
    #[must_use]
    pub fn steering_body(self, content_type: &[u8]) -> Option<&'static str> {
        let begins = content_type.trim_ascii().get(..FORM.len());
        let is_form = begins.is_some_and(|begins| begins.eq_ignore_ascii_case(FORM.as_bytes()));
        (self.is_steered() && is_form).then_some(FORM)
    }
}

fn steering(query: &[u8]) -> Option<&'static str> {
    let mut pairs = query.split(|byte| matches!(byte, b'&' | b';'));
    pairs.find_map(|pair| {
        let name = decoded(pair.split(|byte| *byte == b'=').next().unwrap_or_default());
        let is = |steering: &&&str| name.trim_ascii().eq_ignore_ascii_case(steering.as_bytes());
        STEERING.iter().find(is).copied()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_of_operators_are_found_in_any_spelling() {
        for (query, expected) in [
            ("reload=1", "reload"),
            ("reload", "reload"),
            ("x=1&%72eload=1", "reload"),
            ("x;RELOAD=", "reload"),
            ("autoload=true&reload=1", "autoload"),
            ("%20autoload=1", "autoload"),
        ] {
            for engine in [Engine::LlamaCpp, Engine::OpenAi] {
                assert_eq!(engine.steering_parameter(query.as_bytes()), Some(expected), "{query}");
            }
            assert_eq!(Engine::Vllm.steering_parameter(query.as_bytes()), None, "{query}");
        }
        for query in ["", "x=reload", "reloads=1", "limit=5&after=reload", "re+load=1"] {
            assert_eq!(Engine::LlamaCpp.steering_parameter(query.as_bytes()), None, "{query}");
        }
    }

    #[test]
    fn bodies_that_are_parameters_are_told_by_their_type() {
        for kind in ["application/x-www-form-urlencoded", " Application/X-WWW-Form-Urlencoded;a=b"]
        {
            assert!(Engine::LlamaCpp.steering_body(kind.as_bytes()).is_some(), "{kind}");
            assert!(Engine::Ollama.steering_body(kind.as_bytes()).is_none(), "{kind}");
        }
        for kind in ["", "application/json", "multipart/form-data; boundary=b"] {
            assert!(Engine::LlamaCpp.steering_body(kind.as_bytes()).is_none(), "{kind}");
        }
    }
}

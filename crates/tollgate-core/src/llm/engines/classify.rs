//! Which form a path belongs to, and in which dialect a refusal there speaks.

use super::Engine;
use crate::llm::endpoint::{Dialect, Endpoint};

/// The form in which a request by `method` for `path` is read (see [`Engine::read`]), and how a refusal
/// looks to a client that asked for it, which may be no endpoint that is known.
#[must_use]
pub fn classify(method: &[u8], path: &[u8], engine: Engine) -> (Option<Endpoint>, Dialect) {
    let row = engine.read(path);
    let dialect = match (row.and_then(|row| row.form), engine.dialect()) {
        // TGI answers in its own form wherever it isn't OpenAI's API.
        (Some(Endpoint::Invocations), dialect) => dialect,
        (Some(endpoint), _) => endpoint.dialect(),
        // Ollama has OpenAI's API beside its own.
        (None, Dialect::Ollama) if !is_below_api(path) => Dialect::OpenAi,
        (None, dialect) => dialect,
    };
    (row.filter(|row| row.methods.contain(method)).and_then(|row| row.form), dialect)
}

/// Whether a segment of the path, other than the last, is `api`.
fn is_below_api(path: &[u8]) -> bool {
    let mut segments = path.split(|&byte| byte == b'/');
    // What is before the first slash, is no segment.
    segments.next();
    segments.next_back();
    segments.any(|segment| segment.eq_ignore_ascii_case(b"api"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialect_follows_the_endpoint_and_else_the_engine() {
        for (path, engine, expected) in [
            ("/v1/messages", Engine::Vllm, Dialect::Anthropic),
            ("/v1/messages/count_tokens", Engine::Anthropic, Dialect::Anthropic),
            ("/v1/models", Engine::Vllm, Dialect::OpenAi),
            ("/v1/chat/completions", Engine::Tgi, Dialect::OpenAi),
            ("/info", Engine::Tgi, Dialect::Tgi),
            ("/api/tags", Engine::Ollama, Dialect::Ollama),
            ("/gpu/API/tags", Engine::Ollama, Dialect::Ollama),
            ("/v1/models", Engine::Ollama, Dialect::OpenAi),
            ("/api", Engine::Ollama, Dialect::OpenAi),
            ("/api/", Engine::Ollama, Dialect::Ollama),
            ("/apis/tags", Engine::Ollama, Dialect::OpenAi),
            ("", Engine::Ollama, Dialect::OpenAi),
            ("/api/models", Engine::Vllm, Dialect::OpenAi),
        ] {
            let endpoint = engine.read(path.as_bytes()).and_then(|row| row.form);
            assert_eq!(
                classify(b"POST", path.as_bytes(), engine),
                (endpoint, expected),
                "{path} {engine:?}"
            );
            let get = (None, expected);
            assert_eq!(classify(b"GET", path.as_bytes(), engine), get, "{path} {engine:?}");
        }
    }

    #[test]
    fn only_the_methods_of_a_line_are_read() {
        let of = |method: &[u8], path: &[u8], engine| classify(method, path, engine).0;
        assert_eq!(of(b"PUT", b"/generate", Engine::Sglang), Some(Endpoint::SglangGenerate));
        assert_eq!(of(b"PUT", b"/v1/chat/completions", Engine::Sglang), None);
        assert_eq!(of(b"post", b"/generate", Engine::Sglang), None);
    }
}

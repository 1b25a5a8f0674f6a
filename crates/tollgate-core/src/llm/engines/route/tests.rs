#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn form(engine: Engine, path: &str) -> Option<Endpoint> {
    engine.read(path.as_bytes())?.form
}

#[test]
fn every_line_that_is_read_is_found_by_its_path() {
    for engine in Engine::ALL {
        for row in engine.table().rows.iter().filter(|row| row.form.is_some()) {
            assert_eq!(form(engine, row.path), row.form, "{engine:?} {}", row.path);
        }
    }
}

#[test]
fn lines_that_are_read_come_first() {
    for engine in Engine::ALL {
        let rows = engine.table().rows;
        assert!(rows.is_sorted_by_key(|row| row.form.is_none()), "{engine:?}");
    }
}

#[test]
fn prefix_case_version_and_trailing_slashes_do_not_hide_an_endpoint() {
    for path in [
        "/api/openai/v1/chat/completions",
        "/chat/completions",
        "/V1/Chat/COMPLETIONS",
        "/v1/chat/completions/",
        "/v1/chat/completions///",
    ] {
        for engine in Engine::ALL {
            assert_eq!(form(engine, path), Some(Endpoint::Chat), "{path} {engine:?}");
        }
    }
    assert_eq!(form(Engine::Ollama, "/ollama/api/chat/"), Some(Endpoint::OllamaChat));
    assert_eq!(form(Engine::Vllm, "/gpu/V2/Embed"), Some(Endpoint::CohereEmbed));
    assert_eq!(form(Engine::Vllm, "/gpu/inference/v1/generate"), Some(Endpoint::TokenGenerate));
}

#[test]
fn longest_end_decides() {
    for (engine, path, expected) in [
        (Engine::OpenAi, "/v1/completions", Endpoint::Completions),
        (Engine::OpenAi, "/x/chat/completions", Endpoint::Chat),
        (Engine::LlamaCpp, "/v1/completions", Endpoint::Completions),
        (Engine::LlamaCpp, "/completions", Endpoint::LlamaCompletion),
        (Engine::LlamaCpp, "/x/completions", Endpoint::LlamaCompletion),
        (Engine::LlamaCpp, "/x/v1/completions", Endpoint::Completions),
        (Engine::LlamaCpp, "/v1/embeddings", Endpoint::Embeddings),
        (Engine::LlamaCpp, "/embeddings", Endpoint::LlamaEmbedding),
        (Engine::LlamaCpp, "/api/chat", Endpoint::Chat),
        (Engine::Ollama, "/api/embeddings", Endpoint::OllamaEmbed),
        (Engine::Ollama, "/v1/embeddings", Endpoint::Embeddings),
        (Engine::Vllm, "/api/embeddings", Endpoint::Embeddings),
        (Engine::Tgi, "/", Endpoint::TgiGenerate),
        (Engine::Tgi, "/tgi/", Endpoint::TgiGenerate),
        (Engine::Tgi, "/tgi//", Endpoint::TgiGenerate),
        (Engine::Tgi, "/tgi/?x", Endpoint::TgiGenerate),
        (Engine::Tgi, "///", Endpoint::TgiGenerate),
        (Engine::Tgi, "/api/generate", Endpoint::TgiGenerate),
        (Engine::Sglang, "/api/generate", Endpoint::OllamaGenerate),
        (Engine::Sglang, "/generate", Endpoint::SglangGenerate),
    ] {
        assert_eq!(form(engine, path), Some(expected), "{path} {engine:?}");
    }
}

#[test]
fn what_lies_below_or_beside_an_endpoint_is_another_one() {
    for path in [
        "",
        "/",
        "//",
        "/v1",
        "/v1/models",
        "/v1/messages/count_tokens",
        "/v1/chat/completions/chatcmpl-1",
        "/v1/responses/resp_1",
        "/v1/my-completions",
        "/v1/completion",
        "/api/tags",
        "chat",
    ] {
        assert_eq!(form(Engine::OpenAi, path), None, "{path}");
    }
    assert_eq!(form(Engine::Vllm, "/generate"), None);
    assert_eq!(form(Engine::Vllm, "/"), None);
    for path in ["/tgi", "/tokenize/", "/x/tokenize/", "/docs/"] {
        assert_eq!(form(Engine::Tgi, path), None, "{path}");
    }
}

fn standing(engine: Engine, method: &str, path: &str) -> Standing {
    engine.standing(method.as_bytes(), path.as_bytes(), 0)
}

fn scope(engine: Engine, method: &str, path: &str, own: usize) -> Option<Scope> {
    match engine.standing(method.as_bytes(), path.as_bytes(), own) {
        Standing::Clients { scope, .. } => Some(scope),
        _ => None,
    }
}

#[test]
fn what_is_for_clients_is_known_to_the_letter() {
    for (engine, method, path, expected) in [
        (Engine::Vllm, "POST", "/tokenize", Scope::Tokenize),
        (Engine::Vllm, "POST", "/v1/responses/resp_1/cancel", Scope::Responses),
        (Engine::Vllm, "HEAD", "/health", Scope::Models),
        (Engine::LlamaCpp, "POST", "/apply-template", Scope::Tokenize),
        (Engine::OpenAi, "DELETE", "/v1/responses/resp_1", Scope::Responses),
        (Engine::OpenAi, "GET", "/v1/models/org/model-1.5:free", Scope::Models),
        (Engine::OpenAi, "GET", "/models", Scope::Models),
        (Engine::OpenAi, "POST", "/v1/chat/completions/chatcmpl-1", Scope::Chat),
        (Engine::Ollama, "POST", "/api/show", Scope::Models),
        (Engine::Tgi, "GET", "/", Scope::Models),
    ] {
        assert_eq!(scope(engine, method, path, 0), Some(expected), "{method} {path}");
    }
    for (engine, method, path) in [
        (Engine::Vllm, "POST", "/Tokenize"),
        (Engine::Vllm, "POST", "/tokenize/"),
        (Engine::Vllm, "POST", "/x/tokenize"),
        (Engine::Vllm, "PUT", "/tokenize"),
        (Engine::Vllm, "post", "/tokenize"),
        (Engine::Vllm, "OPTIONS", "/tokenize"),
        (Engine::Vllm, "POST", "/v1/responses//cancel"),
        (Engine::Vllm, "POST", "/v1/responses/a/b/cancel"),
        (Engine::OpenAi, "GET", "/v1/models/"),
        (Engine::OpenAi, "GET", "/v1/models/a//b"),
        (Engine::Vllm, "GET", "/v1/models?x"),
        (Engine::Vllm, "GET", "/v1/responses/resp_1?x"),
        (Engine::OpenAi, "GET", "/v1/models/a/b#x"),
        (Engine::OpenAi, "POST", "/v1/threads/runs"),
        (Engine::OpenAi, "POST", "/v1/threads/thread_1/runs"),
        (Engine::OpenAi, "POST", "/v1/chat/completions/derender"),
        (Engine::Vllm, "GET", "/whatever"),
        (Engine::Vllm, "GET", "/metrics/v1/models"),
        (Engine::Vllm, "POST", "/metrics/v1/chat/completions"),
        (Engine::Vllm, "GET", ""),
    ] {
        assert_eq!(standing(engine, method, path), Standing::Unknown, "{method} {path}");
    }
}

#[test]
fn what_is_read_is_for_clients_in_all_of_its_spellings() {
    for path in ["/v1/chat/completions", "/chat/completions", "/V1/Chat/COMPLETIONS//"] {
        assert_eq!(scope(Engine::Vllm, "POST", path, 0), Some(Scope::Chat), "{path}");
        assert_eq!(scope(Engine::Vllm, "GET", path, 0), None, "{path}");
    }
    assert_eq!(scope(Engine::Vllm, "POST", "/v1/chat/completions?x", 0), Some(Scope::Chat));
}

#[test]
fn prefix_is_the_operators_or_none() {
    let engine = Engine::Vllm;
    for (method, path, literal, expected) in [
        ("GET", "/llm/v1/models", "/llm/", Some(Scope::Models)),
        ("GET", "/llm/v1/models", "/llm", Some(Scope::Models)),
        ("GET", "/llm/v1/models", "/llm/v1/", Some(Scope::Models)),
        ("GET", "/llm/v1/models", "/llm/v1/models", Some(Scope::Models)),
        ("GET", "/llm/v1/models", "/ll", None),
        ("GET", "/llm/v1/models", "/", None),
        ("GET", "/llm/x/v1/models", "/llm/", None),
        ("POST", "/llm/v1/chat/completions", "/llm/", Some(Scope::Chat)),
        ("POST", "/llm/v1/chat/completions", "/", None),
        ("POST", "/llm/x/v1/chat/completions", "/llm/", None),
        ("GET", "/llm/metrics", "/llm/", None),
    ] {
        assert_eq!(scope(engine, method, path, literal.len()), expected, "{path} {literal}");
    }
}

#[test]
fn what_is_for_operators_is_known_in_any_spelling() {
    for (engine, method, path) in [
        (Engine::Vllm, "GET", "/metrics"),
        (Engine::Vllm, "HEAD", "/x/METRICS//"),
        (Engine::Vllm, "GET", "/metrics?x"),
        (Engine::Vllm, "POST", "/load_lora_adapter"),
        (Engine::Vllm, "DELETE", "/x/adapters/y"),
        (Engine::LlamaCpp, "POST", "/slots/0"),
        (Engine::LlamaCpp, "GET", "/props"),
        (Engine::OpenAi, "GET", "/props"),
        (Engine::OpenAi, "POST", "/api/pull"),
        (Engine::OpenAi, "GET", "/v1/models/x/metrics"),
        (Engine::OpenAi, "DELETE", "/v1/models/x"),
    ] {
        assert_eq!(standing(engine, method, path), Standing::Operators, "{method} {path}");
    }
    for (engine, method, path) in [
        (Engine::LlamaCpp, "GET", "/v1/stream"),
        (Engine::LlamaCpp, "DELETE", "/x/V1/Stream/"),
        (Engine::LlamaCpp, "HEAD", "/slots"),
        (Engine::LlamaCpp, "POST", "/v1/streams/lookup"),
        (Engine::LlamaCpp, "POST", "/v1/chat/completions/control"),
        (Engine::Vllm, "POST", "/abort_requests"),
        (Engine::Sglang, "POST", "/abort_request"),
        (Engine::OpenAi, "GET", "/v1/stream"),
        (Engine::OpenAi, "POST", "/abort_requests"),
    ] {
        assert_eq!(standing(engine, method, path), Standing::Others, "{method} {path}");
    }
    for (engine, method, path) in [
        (Engine::Vllm, "GET", "/props"),
        (Engine::Vllm, "PATCH", "/metrics"),
        (Engine::LlamaCpp, "GET", "/v1/streams"),
        (Engine::LlamaCpp, "GET", "/xmetrics"),
    ] {
        assert_eq!(standing(engine, method, path), Standing::Unknown, "{method} {path}");
    }
}

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

#[test]
fn nothing_that_takes_tokens_of_an_engine_is_harmless_behind_openai() {
    for engine in Engine::ALL {
        for row in engine.table().rows {
            let path = row.path.as_bytes();
            let takes = matches!(row.kind, Kind::Generates | Kind::Prefill);
            for method in [&b"GET"[..], b"POST"] {
                if !(takes && row.methods.contain(method)) {
                    continue;
                }
                let is_read = classify(method, path, Engine::OpenAi).0.is_some();
                let standing = Engine::OpenAi.standing(method, path, 0);
                let is_harmless = matches!(standing, Standing::Clients { is_harmless: true, .. });
                assert!(is_read || !is_harmless, "{} of {engine:?}", row.path);
            }
        }
    }
}

#[test]
fn what_prepares_a_request_is_looked_at_behind_openai() {
    for engine in Engine::ALL {
        for row in engine.table().rows.iter().filter(|row| row.kind == Kind::Counts) {
            let path = row.path.as_bytes();
            let is_open =
                matches!(Engine::OpenAi.standing(b"POST", path, 0), Standing::Clients { .. });
            let is_looked_at = Engine::OpenAi.prepares(b"POST", path).is_some();
            assert!(!is_open || is_looked_at, "{} of {engine:?}", row.path);
        }
    }
}

#[test]
fn a_version_is_a_segment_of_v_and_one_digit() {
    assert_eq!(without_version(b"/v1/chat"), Some(&b"/chat"[..]));
    assert_eq!(without_version(b"/v2/rerank"), Some(&b"/rerank"[..]));
    for other in ["/v/x", "/va/x", "/v1", "/v1beta/x", "/version", "/x/v1/x"] {
        assert_eq!(without_version(other.as_bytes()), None, "{other}");
    }
}

//! The line of a table that a request is for.

use std::sync::LazyLock;

use super::{Engine, Kind, Row};
use crate::llm::endpoint::{Dialect, Endpoint};
use crate::path::up_to_query;

impl Engine {
    /// The line of those that are read which `path` belongs to: nginx's normalised URI, unescaped,
    /// without a query.
    ///
    /// Only the end of the path counts, so that it may stand below a prefix of the operator's, and the
    /// version at its beginning may be missing. ASCII case and trailing slashes are ignored, and an encoded `?` or `#` with what follows it: some
    /// servers accept such spellings, and a request must not escape its metering by one. What fits best
    /// is taken: the whole path, then its longest end. TGI's `/` is known at the root only.
    #[must_use]
    pub fn read(self, path: &[u8]) -> Option<&'static Row> {
        self.read_exactly(path).or_else(|| self.read_exactly(up_to_query(path)?))
    }

    fn read_exactly(self, path: &[u8]) -> Option<&'static Row> {
        let path = without_slashes_at_end(path);
        let mut best: Option<((usize, bool), &Row)> = None;
        // In each table they come first.
        for row in self.table().rows.iter().take_while(|row| row.form.is_some()) {
            let Some(fit) = fit(path, row.path.as_bytes()) else { continue };
            if best.is_none_or(|(other, _)| fit > other) {
                best = Some((fit, row));
            }
        }
        best.map(|(_, row)| row)
    }

    /// Whether a request for `path` that isn't read may pass where tokens are counted.
    ///
    /// What is harmless is known by exactly the path and method of the engine's router; all else could
    /// make the model work. GET and HEAD pass unless they are known to do more than read.
    #[must_use]
    pub fn is_harmless(self, method: &[u8], path: &[u8]) -> bool {
        match method {
            b"OPTIONS" => true,
            b"GET" | b"HEAD" => !self.is_known_to_harm(path),
            _ => {
                let is_it = |row: &&Row| row.methods.contain(method) && is_exactly(path, row.path);
                let mut rows = self.table().rows.iter().filter(is_it).peekable();
                rows.peek().is_some() && rows.all(|row| row.kind.is_harmless())
            }
        }
    }

    /// Whether any spelling of `path` is one at which the engine reaches into the requests of other
    /// clients: for nobody, unless the operator opens it.
    #[must_use]
    pub fn reaches_others(self, method: &[u8], path: &[u8]) -> bool {
        self.of(&REACHING).any(|row| row.methods.contain(method) && fits(path, row))
    }

    /// Whether any spelling of `path` is one at which a GET does more than read.
    fn is_known_to_harm(self, path: &[u8]) -> bool {
        self.of(&HARMFUL_GETS).any(|row| fits(path, row))
    }

    /// The lines that may be served here: behind `openai` there may be any engine.
    fn of(self, lines: &'static [(Self, &'static Row)]) -> impl Iterator<Item = &'static Row> {
        let is_here = move |(engine, _): &&(Self, &Row)| *engine == self || self == Self::OpenAi;
        lines.iter().filter(is_here).map(|(_, row)| *row)
    }
}

/// The lines by which a GET does more than read.
static HARMFUL_GETS: LazyLock<Vec<(Engine, &'static Row)>> = LazyLock::new(|| {
    lines(|row| {
        row.methods.contain(b"GET")
            && matches!(row.kind, Kind::Generates | Kind::Prefill | Kind::Others | Kind::Admin)
    })
});

/// The lines that reach into the requests of other clients.
static REACHING: LazyLock<Vec<(Engine, &'static Row)>> =
    LazyLock::new(|| lines(|row| row.kind == Kind::Others));

fn lines(is_one: impl Fn(&Row) -> bool) -> Vec<(Engine, &'static Row)> {
    let all = Engine::ALL.into_iter();
    let all = all.flat_map(|engine| engine.table().rows.iter().map(move |row| (engine, row)));
    all.filter(|(_, row)| is_one(row)).collect()
}

/// Whether any reading of `path` is that of the row.
fn fits(path: &[u8], row: &Row) -> bool {
    [Some(path), up_to_query(path)]
        .into_iter()
        .flatten()
        .any(|path| fit(without_slashes_at_end(path), row.path.as_bytes()).is_some())
}

fn without_slashes_at_end(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    path.get(..end).unwrap_or_default()
}

/// How well the end of `path` is `row`, a path of a table: by the length of that end, which may lack the
/// version of the row. A row without one comes before a row that lost it, and the whole path before any
/// end.
fn fit(path: &[u8], row: &[u8]) -> Option<(usize, bool)> {
    const WHOLE: (usize, bool) = (usize::MAX, true);
    // Of the root nothing is left.
    if row == b"/" {
        return path.is_empty().then_some(WHOLE);
    }
    if is_end(path, row) {
        return Some(if path.len() == row.len() { WHOLE } else { (row.len(), true) });
    }
    let short = without_version(row)?;
    is_end(path, short).then_some((short.len(), false))
}

/// `/v1/x` without its `/v1`; `None`: it has none.
fn without_version(path: &[u8]) -> Option<&[u8]> {
    match path {
        [b'/', b'v', digit, rest @ ..] if digit.is_ascii_digit() && rest.starts_with(b"/") => {
            Some(rest)
        }
        _ => None,
    }
}

/// Whether the end of `path` is `end`, in any case.
fn is_end(path: &[u8], end: &[u8]) -> bool {
    let Some(start) = path.len().checked_sub(end.len()) else { return false };
    // Nearly all that are another one, differ in their last byte.
    path.last().map(u8::to_ascii_lowercase) == end.last().map(u8::to_ascii_lowercase)
        && path.get(start..).is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// Whether `path` is the one of a row, to the letter; `{...}` stands for any segment but an empty one.
fn is_exactly(path: &[u8], row: &str) -> bool {
    let mut segments = path.split(|&byte| byte == b'/');
    let mut expected = row.as_bytes().split(|&byte| byte == b'/');
    loop {
        match (segments.next(), expected.next()) {
            (None, None) => return true,
            (Some(segment), Some(expected)) => {
                let is_any = expected.starts_with(b"{") && !segment.is_empty();
                if !is_any && segment != expected {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

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
    }

    #[test]
    fn harmless_is_known_to_the_letter_and_all_else_is_not() {
        for (engine, method, path) in [
            (Engine::Vllm, "POST", "/tokenize"),
            (Engine::Vllm, "POST", "/v1/messages/count_tokens"),
            (Engine::Vllm, "POST", "/v1/responses/resp_1/cancel"),
            (Engine::LlamaCpp, "POST", "/apply-template"),
            (Engine::OpenAi, "DELETE", "/v1/responses/resp_1"),
            (Engine::Ollama, "POST", "/api/show"),
            (Engine::Vllm, "OPTIONS", "/v1/chat/completions"),
            (Engine::Vllm, "GET", "/metrics"),
            (Engine::Vllm, "GET", "/whatever"),
            (Engine::LlamaCpp, "HEAD", "/props"),
        ] {
            assert!(engine.is_harmless(method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
        for (engine, method, path) in [
            (Engine::Vllm, "POST", "/Tokenize"),
            (Engine::Vllm, "POST", "/tokenize/"),
            (Engine::Vllm, "POST", "/x/tokenize"),
            (Engine::Vllm, "PUT", "/tokenize"),
            (Engine::Vllm, "POST", "/v1/responses//cancel"),
            (Engine::Vllm, "POST", "/v1/responses/a/b/cancel"),
            (Engine::Vllm, "POST", "/pause"),
            (Engine::Vllm, "POST", "/v1/audio/transcriptions"),
            (Engine::Vllm, "POST", "/whatever"),
            (Engine::Vllm, "DELETE", "/whatever"),
            (Engine::Vllm, "get", "/whatever"),
            (Engine::Vllm, "POST", "/is_scaling_elastic_ep"),
            (Engine::Vllm, "GET", "/v1/realtime"),
            (Engine::Vllm, "GET", "/x/V1/Realtime/"),
            (Engine::OpenAi, "POST", "/v1/chat/completions/batch"),
            (Engine::OpenAi, "POST", "/v1/chat/completions/control"),
            (Engine::OpenAi, "POST", "/tokenize"),
            (Engine::OpenAi, "GET", "/v1/stream"),
            (Engine::LlamaCpp, "GET", "/v1/stream"),
            (Engine::LlamaCpp, "HEAD", "/v1/stream"),
            (Engine::LlamaCpp, "DELETE", "/v1/stream"),
            (Engine::LlamaCpp, "POST", "/v1/streams/lookup"),
            (Engine::LlamaCpp, "GET", "/slots"),
            (Engine::LlamaCpp, "GET", "/tools"),
            (Engine::Sglang, "GET", "/flush_cache"),
            (Engine::Sglang, "GET", "/health_generate"),
        ] {
            assert!(!engine.is_harmless(method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
    }

    #[test]
    fn requests_of_others_are_out_of_reach_in_any_spelling() {
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
            assert!(engine.reaches_others(method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
        for (engine, method, path) in [
            (Engine::Vllm, "GET", "/v1/stream"),
            (Engine::LlamaCpp, "POST", "/v1/stream"),
            (Engine::LlamaCpp, "GET", "/v1/streams"),
            (Engine::LlamaCpp, "POST", "/slots/0"),
            (Engine::LlamaCpp, "GET", "/v1/models"),
        ] {
            assert!(!engine.reaches_others(method.as_bytes(), path.as_bytes()), "{method} {path}");
        }
    }

    #[test]
    fn nothing_that_is_read_or_not_for_clients_is_harmless_by_its_method() {
        for engine in Engine::ALL {
            for row in engine.table().rows.iter().filter(|row| !row.kind.is_harmless()) {
                for method in [&b"POST"[..], b"PUT", b"DELETE"] {
                    if row.methods.contain(method) {
                        let path = row.path.replace(['{', '}'], "x");
                        let is_harmless = engine.is_harmless(method, path.as_bytes());
                        assert!(!is_harmless, "{engine:?} {}", row.path);
                    }
                }
            }
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
}

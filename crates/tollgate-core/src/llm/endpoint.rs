//! Which API a path belongs to, and in which dialect it speaks.

/// `tollgate_engine`: what kind of server is behind a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Anything that speaks OpenAI's API.
    #[default]
    OpenAi,
    /// vLLM
    Vllm,
    /// SGLang
    Sglang,
    /// Hugging Face's Text Generation Inference
    Tgi,
    /// llama.cpp's server
    LlamaCpp,
    /// Ollama
    Ollama,
    /// Anything that speaks Anthropic's API.
    Anthropic,
}

impl Engine {
    /// Every engine, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::Vllm,
        Self::Sglang,
        Self::Tgi,
        Self::LlamaCpp,
        Self::Ollama,
        Self::Anthropic,
    ];

    /// The name in `tollgate_engine` and in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::Tgi => "tgi",
            Self::LlamaCpp => "llamacpp",
            Self::Ollama => "ollama",
            Self::Anthropic => "anthropic",
        }
    }

    /// The engine of this name, in exactly this case.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.as_str().as_bytes() == name)
    }

    /// Whether it makes an answer that is no stream to its end, though its client has left. The others
    /// look after their clients (vLLM, SGLang, TGI, Ollama), or are not known.
    #[must_use]
    pub fn goes_on_after_client_left(self) -> bool {
        match self {
            Self::LlamaCpp => true,
            Self::OpenAi
            | Self::Vllm
            | Self::Sglang
            | Self::Tgi
            | Self::Ollama
            | Self::Anthropic => false,
        }
    }

    /// The dialect of its own API, for paths that are no [`Endpoint`].
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi | Self::Vllm | Self::Sglang | Self::LlamaCpp => Dialect::OpenAi,
            Self::Tgi => Dialect::Tgi,
            Self::Ollama => Dialect::Ollama,
            Self::Anthropic => Dialect::Anthropic,
        }
    }
}

/// An API, as far as errors go: how a refusal looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// `{"error":{"message":...,"type":...,"param":...,"code":...}}`
    #[default]
    OpenAi,
    /// `{"type":"error","error":{"type":...,"message":...}}`
    Anthropic,
    /// `{"error":"..."}`: Ollama's own API.
    Ollama,
    /// `{"error":"...","error_type":"..."}`: TGI's own API.
    Tgi,
}

/// An endpoint whose requests and answers can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// OpenAI: `/v1/chat/completions`
    Chat,
    /// OpenAI: `/v1/completions`
    Completions,
    /// OpenAI: `/v1/embeddings`
    Embeddings,
    /// OpenAI: `/v1/responses`
    Responses,
    /// Anthropic: `/v1/messages`
    Messages,
    /// Ollama: `/api/chat`
    OllamaChat,
    /// Ollama: `/api/generate`
    OllamaGenerate,
    /// Ollama: `/api/embed`
    OllamaEmbed,
    /// TGI: `/generate`, and `/` which is the same with `stream`
    TgiGenerate,
    /// TGI: `/generate_stream`
    TgiGenerateStream,
}

impl Endpoint {
    /// The endpoint that `path` belongs to: nginx's normalised URI, unescaped, without a query.
    ///
    /// Only the end of the path counts, so that it may stand below a prefix of the operator's. ASCII
    /// case and trailing slashes are ignored: some servers accept such spellings, and a request must
    /// not escape its metering by one. TGI's `/` is known at the root only.
    #[must_use]
    pub fn of(path: &[u8], engine: Engine) -> Option<Self> {
        let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
        let path = path.get(..end)?;
        if path.is_empty() {
            return (engine == Engine::Tgi).then_some(Self::TgiGenerate);
        }
        let slash = path.iter().rposition(|&byte| byte == b'/')?;
        let (before, last) = path.split_at_checked(slash)?;
        Some(if is(last, b"/completions") {
            if ends_with(before, b"/chat") {
                Self::Chat
            } else {
                Self::Completions
            }
        } else if is(last, b"/responses") {
            Self::Responses
        } else if is(last, b"/messages") {
            Self::Messages
        } else if is(last, b"/embeddings") {
            match engine {
                // The older of its two; elsewhere `/api` is a prefix of the operator's.
                Engine::Ollama if ends_with(before, b"/api") => Self::OllamaEmbed,
                _ => Self::Embeddings,
            }
        } else if is(last, b"/embed") && ends_with(before, b"/api") {
            Self::OllamaEmbed
        } else if is(last, b"/chat") && ends_with(before, b"/api") {
            match engine {
                // Answered as `/v1/chat/completions` is.
                Engine::LlamaCpp => Self::Chat,
                _ => Self::OllamaChat,
            }
        } else if is(last, b"/generate") {
            match engine {
                // No API of Ollama's there, so `/api` is a prefix of the operator's.
                Engine::Tgi => Self::TgiGenerate,
                _ if ends_with(before, b"/api") => Self::OllamaGenerate,
                // Its own is another one than TGI's, and is not read.
                Engine::Sglang => return None,
                _ => Self::TgiGenerate,
            }
        } else if is(last, b"/generate_stream") {
            Self::TgiGenerateStream
        } else if engine == Engine::LlamaCpp && is(last, b"/completion") {
            // Its own name for it, as is the next.
            Self::Completions
        } else if engine == Engine::LlamaCpp && is(last, b"/embedding") {
            Self::Embeddings
        } else {
            return None;
        })
    }

    /// How a refusal looks to a client of this endpoint.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings | Self::Responses => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => Dialect::Ollama,
            Self::TgiGenerate | Self::TgiGenerateStream => Dialect::Tgi,
        }
    }

    /// The name in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::OllamaChat => "ollama_chat",
            Self::OllamaGenerate => "ollama_generate",
            Self::OllamaEmbed => "ollama_embed",
            Self::TgiGenerate => "tgi_generate",
            Self::TgiGenerateStream => "tgi_generate_stream",
        }
    }

    /// Whether answers hold tokens that the model made: embeddings have none.
    #[must_use]
    pub fn has_output(self) -> bool {
        match self {
            Self::Embeddings | Self::OllamaEmbed => false,
            Self::Chat
            | Self::Completions
            | Self::Responses
            | Self::Messages
            | Self::OllamaChat
            | Self::OllamaGenerate
            | Self::TgiGenerate
            | Self::TgiGenerateStream => true,
        }
    }
}

/// The endpoint that `path` belongs to (see [`Endpoint::of`]), and how a refusal looks to a client that
/// asked for it, which may be no endpoint that is known.
#[must_use]
pub fn classify(path: &[u8], engine: Engine) -> (Option<Endpoint>, Dialect) {
    let endpoint = Endpoint::of(path, engine);
    let dialect = match (endpoint, engine.dialect()) {
        (Some(endpoint), _) => endpoint.dialect(),
        // Ollama has OpenAI's API beside its own.
        (None, Dialect::Ollama) if !is_below_api(path) => Dialect::OpenAi,
        (None, dialect) => dialect,
    };
    (endpoint, dialect)
}

/// Whether a segment of the path, other than the last, is `api`.
fn is_below_api(path: &[u8]) -> bool {
    let mut segments = path.split(|&byte| byte == b'/');
    // What is before the first slash, is no segment.
    segments.next();
    segments.next_back();
    segments.any(|segment| segment.eq_ignore_ascii_case(b"api"))
}

/// Whether the last segment of a path, with the slash before it, is `name`. Nearly all that are not,
/// have another length.
fn is<const N: usize>(last: &[u8], name: &[u8; N]) -> bool {
    last.len() == N && ends_with(last, name)
}

/// Whether the end of `path` is `end`, in any case. All of it is compared at once.
fn ends_with<const N: usize>(path: &[u8], end: &[u8; N]) -> bool {
    path.last_chunk::<N>().is_some_and(|last| {
        let pairs = last.iter().zip(end);
        pairs.fold(0, |differ, (a, b)| differ | (a.to_ascii_lowercase() ^ b)) == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(path: &str) -> Option<Endpoint> {
        Endpoint::of(path.as_bytes(), Engine::OpenAi)
    }

    #[test]
    fn engine_is_found_by_its_name_and_no_other_spelling() {
        for engine in Engine::ALL {
            assert_eq!(Engine::from_name(engine.as_str().as_bytes()), Some(engine));
        }
        for name in [&b""[..], b"OpenAI", b"vllm ", b"llama.cpp"] {
            assert_eq!(Engine::from_name(name), None);
        }
    }

    #[test]
    fn endpoints_are_known_by_the_paths_of_their_apis() {
        for (path, expected) in [
            ("/v1/chat/completions", Endpoint::Chat),
            ("/v1/completions", Endpoint::Completions),
            ("/v1/embeddings", Endpoint::Embeddings),
            ("/v1/responses", Endpoint::Responses),
            ("/v1/messages", Endpoint::Messages),
            ("/api/chat", Endpoint::OllamaChat),
            ("/api/generate", Endpoint::OllamaGenerate),
            ("/api/embed", Endpoint::OllamaEmbed),
            ("/generate", Endpoint::TgiGenerate),
            ("/generate_stream", Endpoint::TgiGenerateStream),
        ] {
            for engine in [Engine::OpenAi, Engine::Vllm, Engine::Ollama, Engine::Anthropic] {
                assert_eq!(Endpoint::of(path.as_bytes(), engine), Some(expected), "{path}");
            }
        }
    }

    #[test]
    fn prefix_case_and_trailing_slashes_do_not_hide_an_endpoint() {
        for path in [
            "/api/openai/v1/chat/completions",
            "/chat/completions",
            "/V1/Chat/COMPLETIONS",
            "/v1/chat/completions/",
            "/v1/chat/completions///",
        ] {
            assert_eq!(endpoint(path), Some(Endpoint::Chat), "{path}");
        }
        assert_eq!(endpoint("/ollama/api/chat/"), Some(Endpoint::OllamaChat));
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
            "/v1/chat/completions\0",
        ] {
            assert_eq!(endpoint(path), None, "{path}");
        }
    }

    #[test]
    fn engine_settles_what_a_path_leaves_open() {
        let of = |path: &str, engine| Endpoint::of(path.as_bytes(), engine);
        assert_eq!(of("/", Engine::Tgi), Some(Endpoint::TgiGenerate));
        assert_eq!(of("/", Engine::Vllm), None);
        assert_eq!(of("/api/generate", Engine::Tgi), Some(Endpoint::TgiGenerate));
        assert_eq!(of("/api/generate", Engine::Sglang), Some(Endpoint::OllamaGenerate));
        assert_eq!(of("/generate", Engine::Sglang), None);
        assert_eq!(of("/api/chat", Engine::LlamaCpp), Some(Endpoint::Chat));
        assert_eq!(of("/completion", Engine::LlamaCpp), Some(Endpoint::Completions));
        assert_eq!(of("/embedding", Engine::LlamaCpp), Some(Endpoint::Embeddings));
        assert_eq!(of("/api/embeddings", Engine::Ollama), Some(Endpoint::OllamaEmbed));
        assert_eq!(of("/api/embeddings", Engine::Vllm), Some(Endpoint::Embeddings));
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
            let endpoint = Endpoint::of(path.as_bytes(), engine);
            assert_eq!(classify(path.as_bytes(), engine).1, expected, "{path} {engine:?}");
            assert_eq!(
                classify(path.as_bytes(), engine),
                (endpoint, expected),
                "{path} {engine:?}"
            );
        }
    }

    #[test]
    fn only_embeddings_are_without_output() {
        assert!(!Endpoint::Embeddings.has_output() && !Endpoint::OllamaEmbed.has_output());
        assert!(Endpoint::Chat.has_output() && Endpoint::TgiGenerateStream.has_output());
    }
}

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

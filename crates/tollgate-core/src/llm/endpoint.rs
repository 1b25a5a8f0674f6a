//! The forms of requests and answers, and the dialects that they speak.

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

/// A form of requests and answers that can be read: that of an endpoint, wherever engines have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// OpenAI: `/v1/chat/completions`
    Chat,
    /// vLLM: `/v1/chat/completions/batch`, whose `messages` are an array of chats. Answers as
    /// [`Self::Chat`].
    ChatBatch,
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
    /// llama.cpp: `/completion`, and `/completions` which is not OpenAI's. Answers say
    /// `tokens_predicted` and `tokens_evaluated`.
    LlamaCompletion,
    /// llama.cpp: `/infill`. Answers as [`Self::LlamaCompletion`].
    LlamaInfill,
    /// llama.cpp: `/embedding`, and `/embeddings` which is not OpenAI's. Answers are an array, and say
    /// no usage.
    LlamaEmbedding,
    /// vLLM: `/inference/v1/generate`, token ids in and out
    TokenGenerate,
    /// vLLM: `/generative_scoring`, SGLang: `/v1/score`: a token for each item
    GenerativeScoring,
    /// SGLang: `/generate`. Answers say `meta_info.prompt_tokens` and `meta_info.completion_tokens`; to
    /// several prompts, or `n`, they are an array.
    SglangGenerate,
    /// SGLang: `/encode`, `/classify`. Answers say `meta_info.prompt_tokens`.
    SglangEncode,
    /// vLLM: `/pooling`
    Pooling,
    /// vLLM, SGLang: `/classify`
    Classify,
    /// vLLM: `/score`
    Score,
    /// vLLM, SGLang, llama.cpp: `/rerank`
    Rerank,
    /// Cohere: `/v2/embed`. Answers say `meta.billed_units.input_tokens`.
    CohereEmbed,
    /// SageMaker: `/invocations`, one of the others by the shape of the body. No request that was read
    /// has this form, and no answer.
    Invocations,
}

impl Endpoint {
    /// Every form.
    pub const ALL: [Self; 24] = [
        Self::Chat,
        Self::ChatBatch,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::Messages,
        Self::OllamaChat,
        Self::OllamaGenerate,
        Self::OllamaEmbed,
        Self::TgiGenerate,
        Self::TgiGenerateStream,
        Self::LlamaCompletion,
        Self::LlamaInfill,
        Self::LlamaEmbedding,
        Self::TokenGenerate,
        Self::GenerativeScoring,
        Self::SglangGenerate,
        Self::SglangEncode,
        Self::Pooling,
        Self::Classify,
        Self::Score,
        Self::Rerank,
        Self::CohereEmbed,
        Self::Invocations,
    ];

    /// How a refusal looks to a client of this endpoint.
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::Messages => Dialect::Anthropic,
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => Dialect::Ollama,
            Self::TgiGenerate | Self::TgiGenerateStream => Dialect::Tgi,
            Self::Chat
            | Self::ChatBatch
            | Self::Completions
            | Self::Embeddings
            | Self::Responses
            | Self::LlamaCompletion
            | Self::LlamaInfill
            | Self::LlamaEmbedding
            | Self::TokenGenerate
            | Self::GenerativeScoring
            | Self::SglangGenerate
            | Self::SglangEncode
            | Self::Pooling
            | Self::Classify
            | Self::Score
            | Self::Rerank
            | Self::CohereEmbed
            | Self::Invocations => Dialect::OpenAi,
        }
    }

    /// The name in docs/engines.md.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::ChatBatch => "chat_batch",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::OllamaChat => "ollama_chat",
            Self::OllamaGenerate => "ollama_generate",
            Self::OllamaEmbed => "ollama_embed",
            Self::TgiGenerate => "tgi_generate",
            Self::TgiGenerateStream => "tgi_generate_stream",
            Self::LlamaCompletion => "llama_completion",
            Self::LlamaInfill => "llama_infill",
            Self::LlamaEmbedding => "llama_embedding",
            Self::TokenGenerate => "token_generate",
            Self::GenerativeScoring => "generative_scoring",
            Self::SglangGenerate => "sglang_generate",
            Self::SglangEncode => "sglang_encode",
            Self::Pooling => "pooling",
            Self::Classify => "classify",
            Self::Score => "score",
            Self::Rerank => "rerank",
            Self::CohereEmbed => "cohere_embed",
            Self::Invocations => "invocations",
        }
    }

    /// Whether answers hold tokens that the model made: embeddings and the like have none.
    #[must_use]
    pub const fn has_output(self) -> bool {
        match self {
            Self::Embeddings
            | Self::OllamaEmbed
            | Self::LlamaEmbedding
            | Self::SglangEncode
            | Self::Pooling
            | Self::Classify
            | Self::Score
            | Self::Rerank
            | Self::CohereEmbed => false,
            Self::Chat
            | Self::ChatBatch
            | Self::Completions
            | Self::Responses
            | Self::Messages
            | Self::OllamaChat
            | Self::OllamaGenerate
            | Self::TgiGenerate
            | Self::TgiGenerateStream
            | Self::LlamaCompletion
            | Self::LlamaInfill
            | Self::TokenGenerate
            | Self::GenerativeScoring
            | Self::SglangGenerate
            | Self::Invocations => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct() {
        for (index, form) in Endpoint::ALL.into_iter().enumerate() {
            let rest = Endpoint::ALL.get(index + 1..).unwrap_or_default();
            assert!(rest.iter().all(|other| other.as_str() != form.as_str()), "{form:?}");
        }
    }
}

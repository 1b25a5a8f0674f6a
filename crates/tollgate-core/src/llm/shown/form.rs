//! The forms of answers, as far as it matters which member means what.

use crate::llm::Endpoint;

/// Where the texts of an answer stand that are not under names that mean the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Of OpenAI's APIs, all of them, and what resembles them.
    OpenAi,
    /// Of Anthropic's.
    Messages,
    Ollama,
    Tgi,
    /// Native answers of llama.cpp.
    Llama,
    /// Native answers of SGLang.
    Sglang,
    /// Tokens as numbers, and no text.
    Tokens,
}

impl Form {
    /// Of the answers of an endpoint; `None`: of one that isn't metered.
    pub(super) fn of(endpoint: Option<Endpoint>) -> Self {
        match endpoint {
            Some(Endpoint::Messages) => Self::Messages,
            Some(Endpoint::OllamaChat | Endpoint::OllamaGenerate | Endpoint::OllamaEmbed) => {
                Self::Ollama
            }
            Some(Endpoint::TgiGenerate | Endpoint::TgiGenerateStream) => Self::Tgi,
            Some(Endpoint::LlamaCompletion | Endpoint::LlamaInfill) => Self::Llama,
            Some(Endpoint::SglangGenerate | Endpoint::SglangEncode) => Self::Sglang,
            Some(Endpoint::TokenGenerate) => Self::Tokens,
            Some(
                Endpoint::Chat
                | Endpoint::ChatBatch
                | Endpoint::Completions
                | Endpoint::Embeddings
                | Endpoint::Responses
                | Endpoint::LlamaEmbedding
                | Endpoint::GenerativeScoring
                | Endpoint::Pooling
                | Endpoint::Classify
                | Endpoint::Score
                | Endpoint::Rerank
                | Endpoint::CohereEmbed
                | Endpoint::Invocations,
            )
            | None => Self::OpenAi,
        }
    }

    /// Whether several answers in a stream are told apart by `index` at the root of each document.
    pub(super) fn has_index_at_root(self) -> bool {
        matches!(self, Self::Llama | Self::Sglang)
    }
}

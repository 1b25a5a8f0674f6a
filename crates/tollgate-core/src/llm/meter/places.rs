//! Where in an answer the things stand that count: for each endpoint, the way from the root of a JSON
//! document to its usage, its text and its end.

use super::Format;
use crate::llm::Endpoint;

/// Where a value stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The root of an event of Chat or Completions.
    ChatEvent,
    /// The root of an answer of Chat or Completions.
    ChatAnswer,
    /// The root of an answer of Embeddings.
    EmbeddingsAnswer,
    /// The root of an event of Responses.
    ResponsesEvent,
    /// The root of an answer of Responses.
    ResponsesAnswer,
    /// The root of an event of Messages.
    MessagesEvent,
    /// The root of an answer of Messages.
    MessagesAnswer,
    /// The root of a line or an answer of Ollama's chat and generate.
    OllamaAnswer,
    /// The root of an answer of Ollama's embed.
    OllamaEmbedding,
    /// The root of an event of TGI.
    TgiEvent,
    /// The root of an answer of TGI, and the one element of an array of them (its compatible `/`).
    TgiAnswer,

    /// The array `choices` of an event: empty where the event has nothing but usage.
    EventChoices,
    EventChoice,
    AnswerChoices,
    AnswerChoice,
    /// `delta` or `message` of a choice, `message` of Ollama.
    Message,
    ToolCalls,
    ToolCall,
    Function,
    Audio,
    /// A block of Messages' `content`, also `content_block` and `delta` of its events.
    Block,
    Blocks,
    OutputItems,
    OutputItem,
    /// Text of the answer: a string, or an array of parts with text in them.
    Text,
    Part,
    /// Arguments of a tool: a string, or an object in which every string is text.
    Arguments,
    /// The string `delta` of an event of Responses: its type tells whether it is text.
    Delta,
    /// The text of one token of TGI: may be empty.
    Token,
    TokenText,
    /// The whole text at the end of a TGI stream.
    WholeText,

    /// The object that says the usage.
    Usage,
    /// The same in a place of second rank.
    VendorUsage,
    /// `usage` of Chat, Completions and Embeddings, whose members have other names.
    ChatUsage,
    /// `prompt_tokens_details` and `input_tokens_details`
    InputDetails,
    /// `completion_tokens_details` and `output_tokens_details`
    OutputDetails,
    /// `x_groq`
    Vendor,
    /// `response` in an event of Responses.
    Response,
    /// `message` in the first event of Messages.
    MessageStart,
    /// `details` of TGI.
    Details,
    Prefill,
    PrefillToken,
    Count(Count),

    /// `type` or `object`: what kind of event it is.
    Kind,
    /// `done` of Ollama.
    Done,
    /// The engine's error: an object or a string.
    Error,
    /// A string that says nothing, and another one in each document.
    Varying,
}

/// A number of tokens that an engine says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Input,
    Output,
    Total,
    CachedInput,
    /// Anthropic's `cache_creation_input_tokens`, which `input_tokens` lacks.
    CacheCreation,
    Reasoning,
}

impl Place {
    /// The place of the outermost value of an answer, or of one event or line of it.
    pub(super) fn root(endpoint: Endpoint, format: Format) -> Self {
        match (endpoint, format) {
            (
                Endpoint::Chat
                | Endpoint::ChatBatch
                | Endpoint::Completions
                | Endpoint::LlamaCompletion
                | Endpoint::LlamaInfill
                | Endpoint::TokenGenerate
                | Endpoint::GenerativeScoring
                | Endpoint::Invocations,
                Format::Sse | Format::Ndjson,
            ) => Self::ChatEvent,
            (
                Endpoint::Chat
                | Endpoint::ChatBatch
                | Endpoint::Completions
                | Endpoint::LlamaCompletion
                | Endpoint::LlamaInfill
                | Endpoint::TokenGenerate
                | Endpoint::GenerativeScoring
                | Endpoint::Invocations,
                Format::Json,
            ) => Self::ChatAnswer,
            (
                Endpoint::Embeddings
                | Endpoint::LlamaEmbedding
                | Endpoint::SglangEncode
                | Endpoint::Pooling
                | Endpoint::Classify
                | Endpoint::Score
                | Endpoint::Rerank
                | Endpoint::CohereEmbed,
                _,
            ) => Self::EmbeddingsAnswer,
            (Endpoint::Responses, Format::Sse | Format::Ndjson) => Self::ResponsesEvent,
            (Endpoint::Responses, Format::Json) => Self::ResponsesAnswer,
            (Endpoint::Messages, Format::Sse | Format::Ndjson) => Self::MessagesEvent,
            (Endpoint::Messages, Format::Json) => Self::MessagesAnswer,
            (Endpoint::OllamaChat | Endpoint::OllamaGenerate, _) => Self::OllamaAnswer,
            (Endpoint::OllamaEmbed, _) => Self::OllamaEmbedding,
            (
                Endpoint::TgiGenerate | Endpoint::TgiGenerateStream | Endpoint::SglangGenerate,
                Format::Sse | Format::Ndjson,
            ) => Self::TgiEvent,
            (
                Endpoint::TgiGenerate | Endpoint::TgiGenerateStream | Endpoint::SglangGenerate,
                Format::Json,
            ) => Self::TgiAnswer,
        }
    }

    /// The place of the member `key` of the object at `self`, if it matters.
    pub(super) fn member(self, key: &[u8]) -> Option<Self> {
        Some(match self {
            Self::ChatEvent => match key {
                b"choices" => Self::EventChoices,
                b"usage" => Self::ChatUsage,
                b"x_groq" => Self::Vendor,
                b"object" => Self::Kind,
                b"error" => Self::Error,
                b"obfuscation" => Self::Varying,
                _ => return None,
            },
            Self::ChatAnswer => match key {
                b"choices" => Self::AnswerChoices,
                b"usage" => Self::ChatUsage,
                b"x_groq" => Self::Vendor,
                b"object" => Self::Kind,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::EventChoice => match key {
                b"delta" => Self::Message,
                b"text" => Self::Text,
                // Moonshot's place.
                b"usage" => Self::VendorUsage,
                _ => return None,
            },
            Self::AnswerChoice => match key {
                b"message" => Self::Message,
                b"text" => Self::Text,
                b"usage" => Self::VendorUsage,
                _ => return None,
            },
            // Groq's place.
            Self::Vendor => match key {
                b"usage" => Self::VendorUsage,
                _ => return None,
            },
            Self::Message => match key {
                b"content" | b"reasoning" | b"reasoning_content" | b"refusal" | b"thinking" => {
                    Self::Text
                }
                b"tool_calls" => Self::ToolCalls,
                b"function_call" => Self::Function,
                b"audio" => Self::Audio,
                _ => return None,
            },
            Self::ToolCall => match key {
                b"function" | b"custom" => Self::Function,
                _ => return None,
            },
            Self::Function => match key {
                b"name" => Self::Text,
                b"arguments" | b"input" => Self::Arguments,
                _ => return None,
            },
            Self::Arguments => Self::Arguments,
            Self::Audio => match key {
                b"transcript" => Self::Text,
                _ => return None,
            },
            Self::Part => match key {
                b"text" | b"thinking" | b"refusal" => Self::Text,
                _ => return None,
            },

            Self::EmbeddingsAnswer => match key {
                b"usage" => Self::ChatUsage,
                b"error" => Self::Error,
                _ => return None,
            },

            Self::ResponsesEvent => match key {
                b"type" => Self::Kind,
                b"delta" => Self::Delta,
                b"response" => Self::Response,
                b"error" => Self::Error,
                b"obfuscation" => Self::Varying,
                _ => return None,
            },
            Self::ResponsesAnswer => match key {
                b"output" => Self::OutputItems,
                b"usage" => Self::Usage,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::Response => match key {
                b"usage" => Self::Usage,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::OutputItem => match key {
                b"content" | b"summary" | b"name" => Self::Text,
                b"arguments" | b"input" => Self::Arguments,
                _ => return None,
            },

            Self::MessagesEvent => match key {
                b"type" => Self::Kind,
                b"delta" | b"content_block" => Self::Block,
                b"message" => Self::MessageStart,
                b"usage" => Self::Usage,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::MessagesAnswer => match key {
                b"type" => Self::Kind,
                b"content" => Self::Blocks,
                b"usage" => Self::Usage,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::MessageStart => match key {
                b"usage" => Self::Usage,
                _ => return None,
            },
            Self::Block => match key {
                b"text" | b"thinking" | b"partial_json" | b"name" => Self::Text,
                b"input" => Self::Arguments,
                _ => return None,
            },

            Self::OllamaAnswer => match key {
                b"message" => Self::Message,
                b"response" | b"thinking" => Self::Text,
                b"done" => Self::Done,
                b"prompt_eval_count" => Self::Count(Count::Input),
                b"eval_count" => Self::Count(Count::Output),
                b"error" => Self::Error,
                b"created_at" => Self::Varying,
                _ => return None,
            },
            Self::OllamaEmbedding => match key {
                b"prompt_eval_count" => Self::Count(Count::Input),
                b"error" => Self::Error,
                _ => return None,
            },

            Self::TgiEvent => match key {
                b"token" => Self::Token,
                b"generated_text" => Self::WholeText,
                b"details" => Self::Details,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::TgiAnswer => match key {
                b"generated_text" => Self::Text,
                b"details" => Self::Details,
                b"error" => Self::Error,
                _ => return None,
            },
            Self::Token => match key {
                b"text" => Self::TokenText,
                _ => return None,
            },
            Self::Details => match key {
                b"generated_tokens" => Self::Count(Count::Output),
                b"input_length" => Self::Count(Count::Input),
                b"prefill" => Self::Prefill,
                _ => return None,
            },

            Self::ChatUsage | Self::VendorUsage => match key {
                b"prompt_tokens" => Self::Count(Count::Input),
                b"completion_tokens" => Self::Count(Count::Output),
                b"total_tokens" => Self::Count(Count::Total),
                b"prompt_tokens_details" => Self::InputDetails,
                b"completion_tokens_details" => Self::OutputDetails,
                // Of DeepSeek and Moonshot.
                b"prompt_cache_hit_tokens" | b"cached_tokens" => Self::Count(Count::CachedInput),
                // Of SGLang.
                b"reasoning_tokens" if self == Self::ChatUsage => Self::Count(Count::Reasoning),
                _ => return None,
            },
            Self::Usage => match key {
                b"input_tokens" => Self::Count(Count::Input),
                b"output_tokens" => Self::Count(Count::Output),
                b"total_tokens" => Self::Count(Count::Total),
                b"input_tokens_details" => Self::InputDetails,
                b"output_tokens_details" => Self::OutputDetails,
                // Of Messages.
                b"cache_creation_input_tokens" => Self::Count(Count::CacheCreation),
                b"cache_read_input_tokens" => Self::Count(Count::CachedInput),
                _ => return None,
            },
            Self::InputDetails => match key {
                b"cached_tokens" => Self::Count(Count::CachedInput),
                _ => return None,
            },
            Self::OutputDetails => match key {
                b"reasoning_tokens" => Self::Count(Count::Reasoning),
                _ => return None,
            },

            Self::EventChoices
            | Self::AnswerChoices
            | Self::ToolCalls
            | Self::Blocks
            | Self::OutputItems
            | Self::Text
            | Self::Delta
            | Self::TokenText
            | Self::WholeText
            | Self::Prefill
            | Self::PrefillToken
            | Self::Count(_)
            | Self::Kind
            | Self::Done
            | Self::Error
            | Self::Varying => return None,
        })
    }

    /// Whether what stands here is likely to be another string in each document, or is told at once and
    /// not only when its document ends. So what comes before such a place leaves no trace but in the
    /// event at hand, and a string in such a place leaves none there.
    pub(super) fn varies(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Arguments
                | Self::Delta
                | Self::TokenText
                | Self::Error
                | Self::Varying
        )
    }

    /// The place of the elements of the array at `self`, if they matter.
    pub(super) fn element(self) -> Option<Self> {
        Some(match self {
            Self::EventChoices => Self::EventChoice,
            Self::AnswerChoices => Self::AnswerChoice,
            Self::Text => Self::Part,
            Self::ToolCalls => Self::ToolCall,
            Self::Blocks => Self::Block,
            Self::OutputItems => Self::OutputItem,
            Self::Arguments => Self::Arguments,
            Self::Prefill => Self::PrefillToken,
            Self::TgiAnswer => Self::TgiAnswer,
            _ => return None,
        })
    }
}

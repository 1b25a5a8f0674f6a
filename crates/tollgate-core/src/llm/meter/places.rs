//! Where in an answer the things stand that count: for each form of answers, the way from the root of a
//! JSON document to its usage, its text and its end.
//!
//! A form has one root, for an answer that is one document and for one that is streamed: which of them it
//! is, shows when it comes, and not in what was asked.

use crate::llm::Endpoint;

/// Where a value stands in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The root of an answer of OpenAI's older APIs (chat, completions, embeddings), of what else has
    /// `usage` with `prompt_tokens`, and of their events.
    OpenAi,
    /// The root of an answer of Responses, and of its events.
    Responses,
    /// The root of an answer of Messages, and of its events.
    Messages,
    /// The root of an answer of Ollama, and of its lines.
    Ollama,
    /// The root of an answer of TGI, of its events, and the one element of an array of them (its
    /// compatible `/`).
    Tgi,
    /// The root of a native answer of llama.cpp, and of its events: an object, or an array of them.
    Llama,
    /// The root of a native answer of SGLang, and of its events: an object, or an array of them.
    Sglang,
    /// One of several answers in an array.
    LlamaAnswer,
    SglangAnswer,

    /// The array `choices`.
    Choices,
    Choice,
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
    /// The text of a model's reasoning, under one of its names.
    Reasoning(Alias),
    Part,
    /// Arguments of a tool: a string, or an object in which every string is text.
    Arguments,
    /// The string `delta` of an event of Responses: its type tells whether it is text.
    Delta,
    /// The text of one token of TGI: may be empty.
    Token,
    TokenText,
    /// The whole text: at the end of a stream of TGI once more.
    WholeText,
    /// The text of SGLang, all of it up to now in each event.
    TextSoFar,
    /// Tokens of the output, as numbers.
    TokenIds,
    TokenId,

    /// The object that says the usage.
    Usage,
    /// The same in a place of second rank.
    VendorUsage,
    /// `usage` of Chat, Completions and Embeddings, whose members have other names.
    ChatUsage,
    /// `timings` of llama.cpp, which says what its usage would say.
    Timings,
    /// `timings` of llama.cpp in its native answers, whose numbers stand beside it.
    NativeTimings,
    /// `meta_info` of SGLang.
    MetaInfo,
    /// `meta` of Cohere.
    Meta,
    /// `prompt_tokens_details` and `input_tokens_details`
    InputDetails,
    /// `cache_creation` of Messages, which says for how long.
    CacheCreation,
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
    /// `best_of_sequences` of TGI: what it made besides, and didn't choose.
    Sequences,
    Sequence,
    SequenceTokens,
    Count(Count),

    /// The number of a choice.
    Index,
    /// Why an answer ended: a string, or an object whose `type` says it, once it has.
    Finish,
    /// `incomplete_details` of Responses.
    Incomplete,
    /// `type` or `object`: what kind of event it is.
    Kind,
    /// `done` of Ollama.
    Done,
    /// The engine's error: an object or a string.
    Error,
    ErrorMessage,
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
    /// What is written to the cache: part of the input, but for Anthropic's `cache_creation_input_tokens`,
    /// which `input_tokens` lacks.
    CacheWrite,
    /// Of that, what is kept for an hour.
    CacheWrite1h,
    /// llama.cpp's `prompt_n`: the input but for what was cached.
    UncachedInput,
    Reasoning,
}

/// The names of a member with the model's reasoning. Some engines send it under two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alias {
    Reasoning,
    ReasoningContent,
    Thinking,
}

impl Place {
    /// The place of the outermost value of an answer, or of one event or line of it.
    pub(super) fn root(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::Chat
            | Endpoint::ChatBatch
            | Endpoint::Completions
            | Endpoint::Embeddings
            | Endpoint::LlamaEmbedding
            | Endpoint::TokenGenerate
            | Endpoint::GenerativeScoring
            | Endpoint::Pooling
            | Endpoint::Classify
            | Endpoint::Score
            | Endpoint::Rerank
            | Endpoint::CohereEmbed
            | Endpoint::Invocations => Self::OpenAi,
            Endpoint::Responses => Self::Responses,
            Endpoint::Messages => Self::Messages,
            Endpoint::OllamaChat | Endpoint::OllamaGenerate | Endpoint::OllamaEmbed => Self::Ollama,
            Endpoint::TgiGenerate | Endpoint::TgiGenerateStream => Self::Tgi,
            Endpoint::LlamaCompletion | Endpoint::LlamaInfill => Self::Llama,
            Endpoint::SglangGenerate | Endpoint::SglangEncode => Self::Sglang,
        }
    }

    /// The place of the member `key` of the object at `self`, if it matters.
    pub(super) fn member(self, key: &[u8]) -> Option<Self> {
        match self {
            Self::OpenAi
            | Self::Choice
            | Self::Message
            | Self::ToolCall
            | Self::Function
            | Self::Arguments
            | Self::Audio
            | Self::Part
            | Self::Meta
            | Self::Vendor => self.openai_member(key),
            Self::Responses | Self::Response | Self::OutputItem | Self::Incomplete => {
                self.responses_member(key)
            }
            Self::Messages | Self::MessageStart | Self::Block => self.messages_member(key),
            Self::Ollama => Self::ollama_member(key),
            Self::Llama | Self::LlamaAnswer => Self::llama_member(key),
            Self::Sglang | Self::SglangAnswer | Self::MetaInfo => self.sglang_member(key),
            Self::Finish => (key == b"type").then_some(Self::Finish),
            Self::Error => (key == b"message").then_some(Self::ErrorMessage),
            Self::Tgi | Self::Token | Self::Details | Self::Sequence => self.tgi_member(key),
            Self::ChatUsage
            | Self::VendorUsage
            | Self::Usage
            | Self::Timings
            | Self::NativeTimings
            | Self::InputDetails
            | Self::CacheCreation
            | Self::OutputDetails => self.usage_member(key),
            Self::Choices
            | Self::ToolCalls
            | Self::Blocks
            | Self::OutputItems
            | Self::Text
            | Self::Reasoning(_)
            | Self::Delta
            | Self::TokenText
            | Self::WholeText
            | Self::TokenIds
            | Self::TokenId
            | Self::Prefill
            | Self::PrefillToken
            | Self::Sequences
            | Self::SequenceTokens
            | Self::Count(_)
            | Self::Index
            | Self::TextSoFar
            | Self::Kind
            | Self::Done
            | Self::ErrorMessage
            | Self::Varying => None,
        }
    }

    fn openai_member(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::OpenAi, b"choices") => Self::Choices,
            (Self::OpenAi, b"usage") => Self::ChatUsage,
            (Self::OpenAi, b"timings") => Self::Timings,
            (Self::OpenAi, b"x_groq") => Self::Vendor,
            (Self::OpenAi, b"meta") => Self::Meta,
            (Self::Meta, b"billed_units") => Self::Usage,
            (Self::OpenAi, b"object") => Self::Kind,
            (Self::OpenAi, b"error") => Self::Error,
            (Self::OpenAi, b"obfuscation") => Self::Varying,

            (Self::Choice, b"delta" | b"message") => Self::Message,
            (Self::Choice, b"text") => Self::Text,
            (Self::Choice, b"token_ids") => Self::TokenIds,
            (Self::Choice, b"index") => Self::Index,
            (Self::Choice, b"finish_reason") => Self::Finish,
            // Moonshot's and Groq's places.
            (Self::Choice | Self::Vendor, b"usage") => Self::VendorUsage,

            (Self::Message, b"content" | b"refusal") => Self::Text,
            (Self::Message, b"reasoning") => Self::Reasoning(Alias::Reasoning),
            (Self::Message, b"reasoning_content") => Self::Reasoning(Alias::ReasoningContent),
            (Self::Message, b"thinking") => Self::Reasoning(Alias::Thinking),
            (Self::Message, b"tool_calls") => Self::ToolCalls,
            (Self::Message, b"function_call") => Self::Function,
            (Self::Message, b"audio") => Self::Audio,

            (Self::ToolCall, b"function" | b"custom") => Self::Function,
            (Self::Function, b"name") => Self::Text,
            (Self::Function, b"arguments" | b"input") => Self::Arguments,
            (Self::Arguments, _) => Self::Arguments,
            (Self::Audio, b"transcript") => Self::Text,
            (Self::Part, b"text" | b"thinking" | b"refusal") => Self::Text,
            _ => return None,
        })
    }

    fn responses_member(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::Responses, b"type") => Self::Kind,
            (Self::Responses, b"delta") => Self::Delta,
            (Self::Responses, b"response") => Self::Response,
            (Self::Responses, b"output") => Self::OutputItems,
            (Self::Responses, b"obfuscation") => Self::Varying,
            (Self::Responses | Self::Response, b"usage") => Self::Usage,
            (Self::Responses | Self::Response, b"error") => Self::Error,
            (Self::Responses | Self::Response, b"incomplete_details") => Self::Incomplete,
            (Self::Incomplete, b"reason") => Self::Finish,
            (Self::OutputItem, b"content" | b"summary" | b"name") => Self::Text,
            (Self::OutputItem, b"arguments" | b"input") => Self::Arguments,
            _ => return None,
        })
    }

    fn messages_member(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::Messages, b"type") => Self::Kind,
            (Self::Messages, b"delta" | b"content_block") => Self::Block,
            (Self::Messages, b"content") => Self::Blocks,
            (Self::Messages, b"message") => Self::MessageStart,
            (Self::Messages, b"error") => Self::Error,
            (Self::Messages | Self::MessageStart, b"usage") => Self::Usage,
            (Self::Messages | Self::Block, b"stop_reason") => Self::Finish,
            (Self::Block, b"text" | b"thinking" | b"partial_json" | b"name") => Self::Text,
            (Self::Block, b"input") => Self::Arguments,
            _ => return None,
        })
    }

    fn ollama_member(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"message" => Self::Message,
            b"response" => Self::Text,
            b"thinking" => Self::Reasoning(Alias::Thinking),
            b"done" => Self::Done,
            b"done_reason" => Self::Finish,
            b"prompt_eval_count" => Self::Count(Count::Input),
            b"eval_count" => Self::Count(Count::Output),
            b"error" => Self::Error,
            b"created_at" => Self::Varying,
            _ => return None,
        })
    }

    fn llama_member(key: &[u8]) -> Option<Self> {
        Some(match key {
            b"content" => Self::Text,
            b"tokens" => Self::TokenIds,
            b"tokens_evaluated" => Self::Count(Count::Input),
            b"tokens_predicted" => Self::Count(Count::Output),
            b"timings" => Self::NativeTimings,
            b"index" => Self::Index,
            b"stop" => Self::Done,
            b"stop_type" => Self::Finish,
            b"error" => Self::Error,
            _ => return None,
        })
    }

    fn sglang_member(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::MetaInfo, b"prompt_tokens") => Self::Count(Count::Input),
            (Self::MetaInfo, b"completion_tokens") => Self::Count(Count::Output),
            (Self::MetaInfo, b"cached_tokens") => Self::Count(Count::CachedInput),
            (Self::MetaInfo, b"reasoning_tokens") => Self::Count(Count::Reasoning),
            (Self::MetaInfo, b"finish_reason") => Self::Finish,
            (Self::MetaInfo, _) => return None,
            (_, b"meta_info") => Self::MetaInfo,
            (_, b"text") => Self::TextSoFar,
            (_, b"index") => Self::Index,
            (_, b"object") => Self::Kind,
            (_, b"error") => Self::Error,
            _ => return None,
        })
    }

    fn tgi_member(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::Tgi, b"token") => Self::Token,
            (Self::Tgi, b"generated_text") => Self::WholeText,
            (Self::Tgi, b"details") => Self::Details,
            (Self::Tgi, b"error") => Self::Error,
            (Self::Token, b"text") => Self::TokenText,
            (Self::Details, b"generated_tokens") => Self::Count(Count::Output),
            (Self::Details, b"input_length" | b"prompt_tokens") => Self::Count(Count::Input),
            (Self::Details, b"best_of_sequences") => Self::Sequences,
            (Self::Sequence, b"generated_tokens") => Self::SequenceTokens,
            (Self::Details, b"prefill") => Self::Prefill,
            (Self::Details, b"finish_reason") => Self::Finish,
            _ => return None,
        })
    }

    fn usage_member(self, key: &[u8]) -> Option<Self> {
        Some(Self::Count(match (self, key) {
            (Self::ChatUsage | Self::VendorUsage, b"prompt_tokens_details")
            | (Self::Usage, b"input_tokens_details") => return Some(Self::InputDetails),
            (Self::ChatUsage | Self::VendorUsage, b"completion_tokens_details")
            | (Self::Usage, b"output_tokens_details") => return Some(Self::OutputDetails),

            (Self::ChatUsage | Self::VendorUsage, b"prompt_tokens")
            | (Self::Usage, b"input_tokens") => Count::Input,
            (Self::ChatUsage | Self::VendorUsage, b"completion_tokens")
            | (Self::Usage, b"output_tokens")
            | (Self::Timings, b"predicted_n") => Count::Output,
            (Self::ChatUsage | Self::VendorUsage | Self::Usage, b"total_tokens") => Count::Total,
            // Of DeepSeek and Moonshot.
            (
                Self::ChatUsage | Self::VendorUsage,
                b"prompt_cache_hit_tokens" | b"cached_tokens",
            )
            | (Self::InputDetails, b"cached_tokens")
            // Of Messages.
            | (Self::Usage, b"cache_read_input_tokens")
            | (Self::Timings | Self::NativeTimings, b"cache_n") => Count::CachedInput,
            (Self::Usage, b"cache_creation_input_tokens") => Count::CacheWrite,
            (Self::Usage, b"cache_creation") => return Some(Self::CacheCreation),
            (Self::CacheCreation, b"ephemeral_1h_input_tokens") => Count::CacheWrite1h,
            // Of OpenRouter and transformers.
            (Self::InputDetails, b"cache_write_tokens") => Count::CacheWrite,
            (Self::Timings, b"prompt_n") => Count::UncachedInput,
            // The first of SGLang.
            (Self::ChatUsage | Self::OutputDetails, b"reasoning_tokens") => Count::Reasoning,
            _ => return None,
        }))
    }

    /// Whether what stands here is likely to be another string in each document, or is told at once and
    /// not only when its document ends. So what comes before such a place leaves no trace but in the
    /// event at hand, and a string in such a place leaves none there.
    pub(super) fn varies(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Reasoning(_)
                | Self::Arguments
                | Self::Delta
                | Self::TokenText
                | Self::TextSoFar
                | Self::Error
                | Self::ErrorMessage
                | Self::Varying
        )
    }

    /// The place of the elements of the array at `self`, if they matter.
    pub(super) fn element(self) -> Option<Self> {
        Some(match self {
            Self::Choices => Self::Choice,
            Self::Text | Self::Reasoning(_) => Self::Part,
            Self::ToolCalls => Self::ToolCall,
            Self::Blocks => Self::Block,
            Self::OutputItems => Self::OutputItem,
            Self::Arguments => Self::Arguments,
            Self::TokenIds => Self::TokenId,
            Self::Prefill => Self::PrefillToken,
            Self::Sequences => Self::Sequence,
            Self::Tgi => Self::Tgi,
            Self::Llama => Self::LlamaAnswer,
            Self::Sglang => Self::SglangAnswer,
            _ => return None,
        })
    }
}

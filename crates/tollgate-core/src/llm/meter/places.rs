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
            (Endpoint::Chat | Endpoint::Completions, Format::Sse | Format::Ndjson) => {
                Self::ChatEvent
            }
            (Endpoint::Chat | Endpoint::Completions, Format::Json) => Self::ChatAnswer,
            (Endpoint::Embeddings, _) => Self::EmbeddingsAnswer,
            (Endpoint::Responses, Format::Sse | Format::Ndjson) => Self::ResponsesEvent,
            (Endpoint::Responses, Format::Json) => Self::ResponsesAnswer,
            (Endpoint::Messages, Format::Sse | Format::Ndjson) => Self::MessagesEvent,
            (Endpoint::Messages, Format::Json) => Self::MessagesAnswer,
            (Endpoint::OllamaChat | Endpoint::OllamaGenerate, _) => Self::OllamaAnswer,
            (Endpoint::OllamaEmbed, _) => Self::OllamaEmbedding,
            (Endpoint::TgiGenerate | Endpoint::TgiGenerateStream, Format::Sse | Format::Ndjson) => {
                Self::TgiEvent
            }
            (Endpoint::TgiGenerate | Endpoint::TgiGenerateStream, Format::Json) => Self::TgiAnswer,
        }
    }

    /// The place of the member `key` of the object at `self`, if it matters.
    pub(super) fn member(self, key: &[u8]) -> Option<Self> {
        Some(match (self, key) {
            (Self::ChatEvent, b"choices") => Self::EventChoices,
            (Self::ChatAnswer, b"choices") => Self::AnswerChoices,
            (Self::ChatEvent | Self::ChatAnswer | Self::EmbeddingsAnswer, b"usage") => {
                Self::ChatUsage
            }
            (Self::ChatEvent | Self::ChatAnswer, b"x_groq") => Self::Vendor,
            (Self::ChatEvent | Self::ChatAnswer, b"object") => Self::Kind,
            (Self::EventChoice, b"delta") => Self::Message,
            (Self::AnswerChoice, b"message") => Self::Message,
            (Self::EventChoice | Self::AnswerChoice, b"text") => Self::Text,
            // Moonshot's place, and Groq's.
            (Self::EventChoice | Self::AnswerChoice | Self::Vendor, b"usage") => Self::VendorUsage,

            (Self::ResponsesEvent, b"response") => Self::Response,
            (Self::ResponsesEvent, b"delta") => Self::Delta,
            (Self::ResponsesAnswer, b"output") => Self::OutputItems,
            (Self::ResponsesAnswer | Self::Response, b"usage") => Self::Usage,
            (Self::OutputItem, b"content" | b"summary" | b"name") => Self::Text,
            (Self::OutputItem, b"arguments" | b"input") => Self::Arguments,

            (Self::MessagesEvent, b"message") => Self::MessageStart,
            (Self::MessagesEvent, b"delta" | b"content_block") => Self::Block,
            (Self::MessagesAnswer, b"content") => Self::Blocks,
            (Self::MessagesEvent | Self::MessageStart | Self::MessagesAnswer, b"usage") => {
                Self::Usage
            }
            (Self::Block, b"text" | b"thinking" | b"partial_json" | b"name") => Self::Text,
            (Self::Block, b"input") => Self::Arguments,

            (Self::OllamaAnswer, b"message") => Self::Message,
            (Self::OllamaAnswer, b"response" | b"thinking") => Self::Text,
            (Self::OllamaAnswer, b"done") => Self::Done,
            (Self::OllamaAnswer | Self::OllamaEmbedding, b"prompt_eval_count") => {
                Self::Count(Count::Input)
            }
            (Self::OllamaAnswer, b"eval_count") => Self::Count(Count::Output),

            (Self::TgiEvent, b"token") => Self::Token,
            (Self::TgiEvent, b"generated_text") => Self::WholeText,
            (Self::TgiAnswer, b"generated_text") => Self::Text,
            (Self::TgiEvent | Self::TgiAnswer, b"details") => Self::Details,
            (Self::Token, b"text") => Self::TokenText,
            (Self::Details, b"generated_tokens") => Self::Count(Count::Output),
            (Self::Details, b"input_length") => Self::Count(Count::Input),
            (Self::Details, b"prefill") => Self::Prefill,

            (Self::ResponsesEvent | Self::MessagesEvent | Self::MessagesAnswer, b"type") => {
                Self::Kind
            }
            (
                Self::ChatEvent
                | Self::ChatAnswer
                | Self::EmbeddingsAnswer
                | Self::ResponsesEvent
                | Self::ResponsesAnswer
                | Self::Response
                | Self::MessagesEvent
                | Self::MessagesAnswer
                | Self::OllamaAnswer
                | Self::OllamaEmbedding
                | Self::TgiEvent
                | Self::TgiAnswer,
                b"error",
            ) => Self::Error,

            (
                Self::Message,
                b"content" | b"reasoning" | b"reasoning_content" | b"refusal" | b"thinking",
            ) => Self::Text,
            (Self::Message, b"tool_calls") => Self::ToolCalls,
            (Self::Message, b"function_call") => Self::Function,
            (Self::Message, b"audio") => Self::Audio,
            (Self::ToolCall, b"function" | b"custom") => Self::Function,
            (Self::Function, b"name") => Self::Text,
            (Self::Function, b"arguments" | b"input") | (Self::Arguments, _) => Self::Arguments,
            (Self::Audio, b"transcript") | (Self::Part, b"text" | b"thinking" | b"refusal") => {
                Self::Text
            }

            (Self::ChatUsage | Self::VendorUsage, b"prompt_tokens")
            | (Self::Usage, b"input_tokens") => Self::Count(Count::Input),
            (Self::ChatUsage | Self::VendorUsage, b"completion_tokens")
            | (Self::Usage, b"output_tokens") => Self::Count(Count::Output),
            (Self::ChatUsage | Self::VendorUsage | Self::Usage, b"total_tokens") => {
                Self::Count(Count::Total)
            }
            (Self::ChatUsage | Self::VendorUsage, b"prompt_tokens_details")
            | (Self::Usage, b"input_tokens_details") => Self::InputDetails,
            (Self::ChatUsage | Self::VendorUsage, b"completion_tokens_details")
            | (Self::Usage, b"output_tokens_details") => Self::OutputDetails,
            // Of Messages; of DeepSeek and Moonshot; of SGLang.
            (Self::Usage, b"cache_creation_input_tokens") => Self::Count(Count::CacheCreation),
            (Self::Usage, b"cache_read_input_tokens")
            | (
                Self::ChatUsage | Self::VendorUsage,
                b"prompt_cache_hit_tokens" | b"cached_tokens",
            )
            | (Self::InputDetails, b"cached_tokens") => Self::Count(Count::CachedInput),
            (Self::ChatUsage | Self::OutputDetails, b"reasoning_tokens") => {
                Self::Count(Count::Reasoning)
            }
            _ => return None,
        })
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

//! Where values stand in a body, as far as that says what it uses.

use super::media::Kind;
use crate::json::JsonString;
use crate::llm::feature::Feature;
use crate::llm::request::feature_members::{self, Member};
use crate::llm::Endpoint;

/// Where a value stands in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spot {
    /// The body.
    Body,
    /// An object of settings, of this name.
    Settings(&'static str),
    /// The value of a member that is a feature.
    Value(Member),
    /// In such a value.
    Inside(Member),
    /// The array of messages, or of several such arrays.
    Messages,
    /// What the model is given to read: messages, parts of them, prompts.
    Talk,
    /// A prompt that the engine keeps, and what is put into it, by names that are the operator's own.
    Prompt,
    Variables,
    /// A picture, sound or file, in the member of this name.
    Media(Kind, &'static str),
    /// How it is written. To SGLang, it may be a tensor.
    MediaFormat(&'static str),
    /// What a plugin of vLLM gets: pictures, or where they are to be found, in a form of its own.
    Data,
    /// Where Anthropic's API keeps media, and plain text as well.
    Source,
    SourceKind,
    SourceData,
    Tools,
    /// A list of them.
    ToolList,
    /// One of them.
    Tool,
    ToolKind,
    /// Where it runs: of a shell, a container of the engine's, or the client's machine.
    Environment,
    EnvironmentKind,
    /// The format of the output, in the member of this name.
    Format(&'static str),
    FormatKind(&'static str),
    /// Objects of which one member is a format.
    HasFormat,
    /// What an answer of Responses is to include.
    Include,
    /// Variables of the chat template.
    Kwargs,
    ServiceTier,
    Store,
    /// In a tool, a schema, a grammar.
    Schema,
    /// Nothing of interest.
    Skip,
    /// Nothing of interest, and no text either.
    Kind,
}

impl Spot {
    /// Where the value of the body's member `name` stands, which is no object of settings.
    pub(super) fn of_body(form: Endpoint, name: &[u8]) -> Self {
        match name {
            b"messages" => Self::Messages,
            b"input" if form == Endpoint::Responses => Self::Messages,
            b"prompt" if form == Endpoint::Responses => Self::Prompt,
            b"tools" | b"functions" => Self::Tools,
            b"response_format" => Self::Format("response_format"),
            b"output_format" => Self::Format("output_format"),
            b"format" => Self::Format("format"),
            b"text" if form == Endpoint::Responses => Self::HasFormat,
            b"output_config" => Self::HasFormat,
            b"include" => Self::Include,
            b"chat_template_kwargs" => Self::Kwargs,
            b"service_tier" => Self::ServiceTier,
            b"store" => Self::Store,
            b"images" => Self::Media(Kind::Data, "images"),
            b"image_data" => Self::Media(Kind::Path, "image_data"),
            b"video_data" => Self::Media(Kind::Path, "video_data"),
            b"audio_data" => Self::Media(Kind::Path, "audio_data"),
            b"data" if form == Endpoint::Pooling => Self::Data,
            b"input"
            | b"inputs"
            | b"prompt"
            | b"system"
            | b"instructions"
            | b"content"
            | b"content_parts"
            | b"text"
            | b"texts"
            | b"query"
            | b"queries"
            | b"documents"
            | b"items"
            | b"data"
            | b"data_1"
            | b"data_2"
            | b"text_1"
            | b"text_2"
            | b"prediction"
            | b"previous_response"
            | b"previous_input_messages" => Self::Talk,
            name => Self::of_feature(name),
        }
    }

    /// The same of a member that is a feature whenever it is used.
    pub(super) fn of_feature(name: &[u8]) -> Self {
        feature_members::member(name).map_or(Self::Skip, Self::Value)
    }

    /// The same of what the model is given to read.
    pub(super) fn of_talk(name: &[u8]) -> Self {
        match name {
            b"image_url" => Self::Media(Kind::Url, "image_url"),
            b"audio_url" => Self::Media(Kind::Url, "audio_url"),
            b"video_url" => Self::Media(Kind::Url, "video_url"),
            b"file_url" => Self::Media(Kind::Url, "file_url"),
            b"input_image" => Self::Media(Kind::Url, "input_image"),
            b"input_video" => Self::Media(Kind::Url, "input_video"),
            b"input_audio" => Self::Media(Kind::Data, "input_audio"),
            b"file" => Self::Media(Kind::Data, "file"),
            b"file_data" => Self::Media(Kind::Data, "file_data"),
            b"file_id" => Self::Media(Kind::Id, "file_id"),
            b"images" => Self::Media(Kind::Data, "images"),
            b"multimodal_data" => Self::Media(Kind::Data, "multimodal_data"),
            b"image" => Self::Media(Kind::Path, "image"),
            b"video" => Self::Media(Kind::Path, "video"),
            b"audio" => Self::Media(Kind::Path, "audio"),
            b"source" => Self::Source,
            // SGLang's messages may have some.
            b"tools" => Self::Tools,
            // What a tool was called with, or what a text refers to.
            b"input" | b"arguments" | b"parameters" | b"action" | b"annotations" | b"citations" => {
                Self::Skip
            }
            b"type" | b"role" => Self::Kind,
            b"uuid" | b"image_embeds" | b"audio_embeds" | b"video_embeds" | b"prompt_embeds" => {
                Self::of_feature(name)
            }
            _ => Self::Talk,
        }
    }

    /// Whether what stands there counts as a schema.
    pub(super) fn is_schema(self) -> bool {
        match self {
            Self::Value(member) | Self::Inside(member) => member.feature == Feature::GuidedDecoding,
            Self::Tools | Self::ToolList | Self::Tool | Self::ToolKind | Self::Schema => true,
            Self::Environment | Self::EnvironmentKind => true,
            Self::Format(_) | Self::FormatKind(_) => true,
            _ => false,
        }
    }
}

/// A key as it is written, if it may be a known one.
pub(super) fn written(key: JsonString<'_>) -> Option<&str> {
    key.whole().and_then(|name| std::str::from_utf8(name).ok())
}

/// The longest name of interest, in bytes, is shorter than what is kept of a string.
pub(super) const MAX_NAME: usize = 48;

/// A key in the spelling of the tables, as servers read it that fold case. Halves of surrogate pairs are left out.
pub(super) fn folded<'k>(key: JsonString<'k>, room: &'k mut [u8; MAX_NAME]) -> &'k [u8] {
    let Some(written) = key.short() else { return b"" };
    let is_lower = |byte: &u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if written.iter().all(is_lower) {
        return written;
    }
    let mut len = 0;
    for character in std::str::from_utf8(written).unwrap_or_default().chars() {
        let byte = match character {
            '\u{17f}' => b's',
            '\u{212a}' => b'k',
            other => u8::try_from(other).unwrap_or(0xff).to_ascii_lowercase(),
        };
        if let Some(place) = room.get_mut(len) {
            *place = byte;
            len += 1;
        }
    }
    room.get(..len).unwrap_or_default()
}

//! What the values of a body are to the model.

/// What a value is to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Nothing that it reads.
    Skip,
    /// A string to be read as it is; anything else is [`Self::Json`].
    Plain,
    /// Something that it is shown as JSON, such as a tool's schema.
    Json,
    /// The array of messages, or of several such arrays.
    Chats,
    /// An element of that.
    Chat,
    /// The array of messages; a string is one without a role.
    Messages,
    /// One of them.
    Message,
    /// What a message says: a string, a part, or an array of these.
    Content,
    /// A prompt: a string, an array of token ids, or an array of either of these.
    Prompt,
    /// An element of a prompt that is an array.
    PromptElement,
    /// llama.cpp's prompt with media.
    PromptObject,
    /// Token ids.
    Tokens,
    /// An array of images in base64.
    Images,
    /// A picture, sound or file, by value or by URL.
    Media,
    /// Where Anthropic's API keeps media, and plain text as well, told apart by `type`.
    Source,
    /// `type` of a source.
    SourceKind,
    /// `data` of a source.
    SourceData,
}

impl Place {
    /// Whether a string that stands here is for the model to read.
    pub(super) fn is_text(self) -> bool {
        !matches!(self, Self::Skip | Self::Media | Self::Source | Self::Images | Self::SourceKind)
    }
}

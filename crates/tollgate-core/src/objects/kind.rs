//! The kinds of objects.

/// What a client keeps at an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A response of `/v1/responses`.
    Response,
    /// A chat that was stored.
    Chat,
    /// A file.
    File,
    /// A batch of requests: OpenAI's, or Anthropic's.
    Batch,
    /// A conversation.
    Conversation,
    /// A video.
    Video,
    /// A vector store.
    VectorStore,
    /// A container, in which tools run.
    Container,
    /// An item of a response, or of a conversation.
    Item,
    /// llama.cpp: a stream that goes on without its client. The client chooses its id.
    Stream,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Response,
        Self::Chat,
        Self::File,
        Self::Batch,
        Self::Conversation,
        Self::Video,
        Self::VectorStore,
        Self::Container,
        Self::Item,
        Self::Stream,
    ];

    /// What tells it from the others in the memory, and in its file.
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Response => 1,
            Self::Chat => 2,
            Self::File => 3,
            Self::Batch => 4,
            Self::Conversation => 5,
            Self::Video => 6,
            Self::VectorStore => 7,
            Self::Container => 8,
            Self::Item => 9,
            Self::Stream => 10,
        }
    }
}

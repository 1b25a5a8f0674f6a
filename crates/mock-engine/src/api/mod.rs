//! The APIs: how each reads a request, and how each words an answer.

mod answer;
mod completions;
mod embeddings;
mod messages;
mod ollama;
mod responses;
#[cfg(test)]
mod tests;
mod tgi;

pub(crate) use answer::Answer;
pub(crate) use embeddings::{base64, vector};

use crate::controls::Controls;
use crate::error::{ApiError, Dialect};
use crate::fields::Fields;

/// Where a request can be sent with POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    OllamaChat,
    OllamaGenerate,
    OllamaEmbed,
    /// Whole or streamed, by the request's `stream`.
    Tgi,
    TgiGenerate,
    TgiGenerateStream,
}

impl Endpoint {
    pub(crate) fn of(path: &[u8]) -> Option<Self> {
        Some(match path {
            b"/v1/chat/completions" => Self::Chat,
            b"/v1/completions" => Self::Completions,
            b"/v1/embeddings" => Self::Embeddings,
            b"/v1/responses" => Self::Responses,
            b"/v1/messages" => Self::Messages,
            b"/api/chat" => Self::OllamaChat,
            b"/api/generate" => Self::OllamaGenerate,
            b"/api/embed" => Self::OllamaEmbed,
            b"/" => Self::Tgi,
            b"/generate" => Self::TgiGenerate,
            b"/generate_stream" => Self::TgiGenerateStream,
            _ => return None,
        })
    }

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Chat | Self::Completions | Self::Embeddings | Self::Responses => Dialect::OpenAi,
            Self::Messages => Dialect::Anthropic,
            Self::OllamaChat | Self::OllamaGenerate | Self::OllamaEmbed => Dialect::Ollama,
            Self::Tgi | Self::TgiGenerate | Self::TgiGenerateStream => Dialect::Tgi,
        }
    }

    /// Reads a request's body, and makes the answer up.
    pub(crate) fn answer(
        self,
        body: &[u8],
        controls: &Controls,
    ) -> Result<Box<dyn Answer>, ApiError> {
        use completions::{Completion, Shape};
        use ollama::{Ollama, Part};
        use tgi::{Tgi, Way};

        let fields = Fields::parse(body)?;
        Ok(match self {
            Self::Chat => Box::new(Completion::read(Shape::Chat, &fields, controls)?),
            Self::Completions => Box::new(Completion::read(Shape::Text, &fields, controls)?),
            Self::Embeddings => Box::new(embeddings::Embeddings::read(&fields, controls)?),
            Self::Responses => Box::new(responses::Response::read(&fields, controls)?),
            Self::Messages => Box::new(messages::Message::read(&fields, controls)?),
            Self::OllamaChat => Box::new(Ollama::read(Part::Chat, &fields, controls)?),
            Self::OllamaGenerate => Box::new(Ollama::read(Part::Generate, &fields, controls)?),
            Self::OllamaEmbed => Box::new(embeddings::OllamaEmbed::read(&fields, controls)?),
            Self::Tgi => Box::new(Tgi::read(Way::Either, &fields, controls)?),
            Self::TgiGenerate => Box::new(Tgi::read(Way::Whole, &fields, controls)?),
            Self::TgiGenerateStream => Box::new(Tgi::read(Way::Streamed, &fields, controls)?),
        })
    }
}

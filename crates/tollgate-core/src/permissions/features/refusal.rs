//! What a request is refused for that asks for too much.

use std::fmt;

use crate::detail::{Cause, Detail};
use crate::llm::feature::Feature;
use crate::llm::request::uses::MemberName;
use crate::llm::request::Quantity;
use crate::llm::{Endpoint, LlmRequest};

/// How much a request may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maximum {
    /// Tokens of output.
    OutputTokens,
    /// Tokens of input.
    InputTokens,
    /// Answers.
    N,
    /// Messages.
    Messages,
    /// Tools.
    Tools,
    /// Bytes of tools, schemas, grammars and patterns.
    SchemaBytes,
}

impl Maximum {
    /// The name in the configuration and in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutputTokens => "max_output_tokens",
            Self::InputTokens => "max_input_tokens",
            Self::N => "max_n",
            Self::Messages => "max_messages",
            Self::Tools => "max_tools",
            Self::SchemaBytes => "max_schema_bytes",
        }
    }

    /// What it counts.
    fn counts(self) -> &'static str {
        match self {
            Self::OutputTokens => "tokens of output",
            Self::InputTokens => "tokens of input",
            Self::N => "answers",
            Self::Messages => "messages",
            Self::Tools => "tools",
            Self::SchemaBytes => "bytes of tools and schemas",
        }
    }

    /// The member of `request` that says it, if that is one.
    pub(super) fn member(self, request: &LlmRequest) -> Option<&'static str> {
        use Endpoint::{
            LlamaCompletion, LlamaInfill, OllamaChat, OllamaGenerate, Responses, SglangGenerate,
            TgiGenerate, TgiGenerateStream,
        };
        match self {
            Self::OutputTokens => Some(match (request.bound_member, request.endpoint) {
                (Some(said), _) => said.as_str(),
                (None, Responses) => "max_output_tokens",
                (None, SglangGenerate | TgiGenerate | TgiGenerateStream) => "max_new_tokens",
                (None, OllamaChat | OllamaGenerate) => "num_predict",
                (None, LlamaCompletion | LlamaInfill) => "n_predict",
                (None, _) => "max_tokens",
            }),
            // The others are prompts.
            Self::N => request.count_member.map(Quantity::as_str),
            Self::Messages if request.endpoint == Responses => Some("input"),
            Self::Messages => Some("messages"),
            Self::Tools => Some("tools"),
            Self::InputTokens | Self::SchemaBytes => None,
        }
    }
}

/// Why a request is refused, with 403. Its text is for the client: it may have the name of a member of the body. For a
/// log there is [`detail`](Self::detail).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureRefusal {
    /// It uses a feature that it may not, by this member.
    Denied {
        /// The feature.
        feature: Feature,
        /// The first member by which it is used.
        member: &'static str,
    },
    /// It asks for more than it may.
    Over {
        /// Of what.
        maximum: Maximum,
        /// How much it may ask for.
        most: u64,
        /// The member that asks for it, if that is one.
        member: Option<MemberName>,
    },
    /// It has a member that the engine doesn't know.
    Unknown {
        /// Which one, if its name can be shown.
        member: Option<MemberName>,
    },
}

impl FeatureRefusal {
    /// The member that it is about: `param` in OpenAI's errors.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        match self {
            Self::Denied { member, .. } => Some(*member),
            Self::Over { member, .. } | Self::Unknown { member } => {
                member.as_ref().map(MemberName::as_str)
            }
        }
    }

    /// What is said of it in logs.
    #[must_use]
    pub fn detail(&self) -> Detail {
        match self {
            Self::Denied { feature, .. } => Detail::new(Cause::DeniedFeature, feature.as_str()),
            Self::Over { maximum, .. } => Detail::new(Cause::OverMaximum, maximum.as_str()),
            Self::Unknown { .. } => Cause::UnknownMember.into(),
        }
    }
}

impl fmt::Display for FeatureRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied { feature: Feature::RemoteMedia, member } => write!(
                f,
                "it has media that would have to be fetched, in \"{member}\"; send them in a data: URL"
            ),
            Self::Denied { feature, member } => {
                write!(f, "it uses {feature}, by \"{member}\", which is not open to you")
            }
            Self::Over { maximum, most, .. } => {
                write!(f, "it asks for more than {most} {}", maximum.counts())
            }
            Self::Unknown { member: Some(name) } => write!(
                f,
                "it has a field \"{}\" that is not known here; leave out what the API does not have",
                name.as_str()
            ),
            Self::Unknown { member: None } => {
                f.write_str("it has a field that is not known here; leave out what the API does not have")
            }
        }
    }
}

impl std::error::Error for FeatureRefusal {}

//! The engines, and what each serves at which path: one table an engine. From these follow which bodies
//! are read, and in which form, and what is refused where tokens are counted; docs/engines.md is made
//! of them.
//!
//! * [`row`]: a line of a table;
//! * [`route`]: the line that a request is for;
//! * [`preparing`]: paths at which an engine prepares a request, and does no more;
//! * [`naming`]: where a request names its model, and what tells of models;
//! * [`named`]: the models that are named outside of the body;
//! * [`parameter`]: parameters by which a request has an engine do more than its path says;
//! * [`memo`]: the routes that were asked for a moment ago;
//! * [`exception`]: what an operator opens beyond it, or closes;
//! * one file for each engine, which says the version that it was taken from.

mod anthropic;
pub mod exception;
mod llamacpp;
pub mod memo;
pub mod named;
pub mod naming;
mod ollama;
mod openai;
mod parameter;
mod preparing;
pub mod route;
pub mod row;
mod sglang;
mod tgi;
mod vllm;

pub use exception::Exception;
pub use memo::{Route, RouteMemo};
pub use naming::{Naming, Page};
pub use route::{is_operation, Standing};
pub use row::{Kind, Methods, Row, Table};

use super::endpoint::Dialect;

/// `tollgate_engine`: what kind of server is behind a location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Anything that speaks OpenAI's API.
    #[default]
    OpenAi,
    /// vLLM
    Vllm,
    /// SGLang
    Sglang,
    /// Hugging Face's Text Generation Inference
    Tgi,
    /// llama.cpp's server
    LlamaCpp,
    /// Ollama
    Ollama,
    /// Anything that speaks Anthropic's API.
    Anthropic,
}

/// A header by which a client has an engine do something else than the body says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SteeringHeader {
    /// In lower case.
    pub name: &'static [u8],
    /// Whether a stream goes on by it when its client has left.
    pub resumes: bool,
}

impl SteeringHeader {
    /// llama.cpp gives the rest of a stream to whoever names it.
    pub const CONVERSATION_ID: Self = Self { name: b"x-conversation-id", resumes: true };
    /// vLLM takes it for the model of a request to `/invocations`.
    pub const ADAPTER_ID: Self =
        Self { name: b"x-amzn-sagemaker-adapter-identifier", resumes: false };
}

impl Engine {
    /// Every engine, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::OpenAi,
        Self::Vllm,
        Self::Sglang,
        Self::Tgi,
        Self::LlamaCpp,
        Self::Ollama,
        Self::Anthropic,
    ];

    /// The name in `tollgate_engine` and in the audit log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::Tgi => "tgi",
            Self::LlamaCpp => "llamacpp",
            Self::Ollama => "ollama",
            Self::Anthropic => "anthropic",
        }
    }

    /// The engine of this name, in exactly this case.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.as_str().as_bytes() == name)
    }

    /// What it serves.
    #[must_use]
    pub fn table(self) -> &'static Table {
        match self {
            Self::OpenAi => &openai::TABLE,
            Self::Vllm => &vllm::TABLE,
            Self::Sglang => &sglang::TABLE,
            Self::Tgi => &tgi::TABLE,
            Self::LlamaCpp => &llamacpp::TABLE,
            Self::Ollama => &ollama::TABLE,
            Self::Anthropic => &anthropic::TABLE,
        }
    }

    /// Whether it makes an answer that is no stream to its end, though its client has left. The others
    /// look after their clients (vLLM, SGLang, TGI, Ollama), or are not known.
    #[must_use]
    pub fn goes_on_after_client_left(self) -> bool {
        match self {
            Self::LlamaCpp => true,
            Self::OpenAi
            | Self::Vllm
            | Self::Sglang
            | Self::Tgi
            | Self::Ollama
            | Self::Anthropic => false,
        }
    }

    /// Whether an error with this status may hold what the model wrote: llama.cpp says so what it can't
    /// make sense of.
    #[must_use]
    pub fn may_show_output_in_error(self, status: u16) -> bool {
        self == Self::LlamaCpp && status == 500
    }

    /// Whether it says, or can be made to say, how much of an input it had in its cache.
    #[must_use]
    pub fn says_cached_input(self) -> bool {
        match self {
            Self::OpenAi | Self::Vllm | Self::Sglang | Self::LlamaCpp | Self::Anthropic => true,
            Self::Tgi | Self::Ollama => false,
        }
    }

    /// The headers by which a client has it do something else than the body says. Behind `openai` there
    /// may be any engine.
    #[must_use]
    pub fn steering_headers(self) -> &'static [SteeringHeader] {
        match self {
            Self::OpenAi => &[SteeringHeader::CONVERSATION_ID, SteeringHeader::ADAPTER_ID],
            Self::Vllm => &[SteeringHeader::ADAPTER_ID],
            Self::LlamaCpp => &[SteeringHeader::CONVERSATION_ID],
            Self::Sglang | Self::Tgi | Self::Ollama | Self::Anthropic => &[],
        }
    }

    /// The dialect of its own API, for paths that are no [`Endpoint`](super::Endpoint).
    #[must_use]
    pub fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi | Self::Vllm | Self::Sglang | Self::LlamaCpp => Dialect::OpenAi,
            Self::Tgi => Dialect::Tgi,
            Self::Ollama => Dialect::Ollama,
            Self::Anthropic => Dialect::Anthropic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_is_found_by_its_name_and_no_other_spelling() {
        for engine in Engine::ALL {
            assert_eq!(Engine::from_name(engine.as_str().as_bytes()), Some(engine));
        }
        for name in [&b""[..], b"OpenAI", b"vllm ", b"llama.cpp"] {
            assert_eq!(Engine::from_name(name), None);
        }
    }

    #[test]
    fn only_an_answer_that_llama_cpp_makes_no_sense_of_shows_output_in_an_error() {
        for engine in Engine::ALL {
            assert_eq!(engine.may_show_output_in_error(500), engine == Engine::LlamaCpp);
            assert!(!engine.may_show_output_in_error(400) && !engine.may_show_output_in_error(503));
        }
    }

    #[test]
    fn no_two_lines_are_for_the_same_request() {
        let methods = [&b"GET"[..], b"POST", b"PUT", b"PATCH", b"DELETE"];
        for engine in Engine::ALL {
            let rows = engine.table().rows;
            for (index, row) in rows.iter().enumerate() {
                for other in rows.iter().skip(index + 1).filter(|other| other.path == row.path) {
                    let both = |method: &&&[u8]| {
                        row.methods.contain(method) && other.methods.contain(method)
                    };
                    assert!(methods.iter().find(both).is_none(), "{engine:?} {}", row.path);
                }
            }
        }
    }

    #[test]
    fn admin_is_the_scope_of_what_is_not_for_clients_and_of_nothing_else() {
        for row in Engine::ALL.into_iter().flat_map(|engine| engine.table().rows) {
            let is_admin = row.scope == crate::permissions::scopes::Scope::Admin;
            assert_eq!(is_admin, !row.is_for_clients(), "{}", row.path);
        }
    }

    #[test]
    fn what_is_read_takes_tokens() {
        for row in Engine::ALL.into_iter().flat_map(|engine| engine.table().rows) {
            let Some(form) = row.form else { continue };
            let kind = if form.has_output() { Kind::Generates } else { Kind::Prefill };
            assert_eq!(row.kind, kind, "{}", row.path);
        }
    }
}

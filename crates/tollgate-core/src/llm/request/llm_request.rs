//! What a request asks for.

use super::aliases::Aliases;
use super::quantity::Quantity;
use super::stream_options::{StreamOptions, UsageEdit};
use crate::llm::{Endpoint, Engine, Parts};

/// How deep arrays and objects may stand inside each other. Just under the 128 at which serde_json
/// gives up, so that the refusal can say why.
pub const MAX_DEPTH: u32 = 120;

/// The longest name of a model, in bytes.
pub const MAX_MODEL_LEN: usize = 256;

/// The largest `n`, `n_cmpl` and `best_of`. vLLM's own limit is 16384, OpenAI's 128.
pub const MAX_CHOICES: u64 = 4096;

/// What a request asks for, as far as limits and metering go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmRequest {
    /// The endpoint that it was sent to.
    pub endpoint: Endpoint,
    /// `model`, as the engine reads it. At most [`MAX_MODEL_LEN`] bytes, without control characters.
    pub model: Option<Box<str>>,
    /// What the client calls it, where that is an alias: the body names it so, until that is changed.
    pub alias: Option<Box<str>>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// The most output tokens of one choice; `None` where the request sets no bound. Where it sets
    /// several, the largest, as engines differ in which one counts. A bound of 0 is none: to some
    /// engines it means no tokens, to others no limit.
    pub output_bound: Option<u64>,
    /// The member that says so; `None` where none does.
    pub bound_member: Option<Quantity>,
    /// How many outputs there will be: `n` or `best_of` (to llama.cpp also `n_cmpl`), whichever is
    /// larger, for every prompt.
    pub choices: u64,
    /// Whether the answer is made after the request has been answered: `background` of Responses.
    pub background: bool,
    /// How many of them are made of one prompt.
    pub per_prompt: u64,
    /// The member that says so; `None`: there is one of each prompt.
    pub count_member: Option<Quantity>,
    /// How much the model is given to read.
    pub input: InputSize,
    /// What its text is made of.
    pub parts: Parts,
    /// Whether it has a member by which it may use a [feature](crate::llm::Feature) that tiers deny by default.
    pub is_suspect: bool,
    pub(super) stream_options: StreamOptions,
}

/// How much a request gives the model to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputSize {
    /// Bytes of text, in UTF-8, escapes decoded: the strings in the messages, the prompt and the
    /// like. What a model is shown as JSON (the schemas of tools, the arguments of calls) counts as
    /// long as it is when written without blanks and escapes.
    pub text_bytes: u64,
    /// Messages, or prompts where there is an array of them.
    pub messages: u64,
    /// Pictures, sounds and files, by value or by URL. Their bytes are not among the text.
    pub media: u64,
    /// Tokens that were given as numbers.
    pub token_ids: u64,
}

/// Whether a stream says its usage only if `stream_options` ask for it.
fn has_stream_options(form: Endpoint) -> bool {
    matches!(form, Endpoint::Chat | Endpoint::Completions | Endpoint::TokenGenerate)
}

/// Whether `continuous_usage_stats` is asked for, by which vLLM says in each chunk how far it is: it sends
/// several tokens in a chunk, so that those of a stream that is cut cannot be counted. Real clients add
/// these numbers up, or don't show the text beside them; so none of them reaches one that didn't ask.
fn wants_running_usage(engine: Engine) -> bool {
    engine == Engine::Vllm
}

impl LlmRequest {
    /// Goes by the model that its name stands for, if it is one of these.
    pub fn go_by(&mut self, aliases: &Aliases) {
        let model = self.model.as_deref().and_then(|name| aliases.find(name));
        if let Some(model) = model.map(Box::from) {
            self.alias = self.model.replace(model);
        }
    }

    /// `stream_options.include_usage`, if it is given.
    #[must_use]
    pub fn include_usage(&self) -> Option<bool> {
        self.stream_options.include_usage()
    }

    /// What to change in the body so that the stream will say its usage: `None` where it will without
    /// that, or where the client has declined it (`"include_usage": false`), unless it is asked for
    /// `even_if_declined`.
    #[must_use]
    pub fn usage_edit(&self, engine: Engine, even_if_declined: bool) -> Option<UsageEdit> {
        // Elsewhere streams always say it.
        if !self.stream || !has_stream_options(self.endpoint) {
            return None;
        }
        self.stream_options.usage_edit(wants_running_usage(engine), even_if_declined)
    }
}

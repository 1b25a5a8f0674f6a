//! What was asked for.

use super::Hides;
use crate::llm::{Endpoint, Engine};

/// What was asked for, as far as it matters for reading the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What was asked.
    pub endpoint: Endpoint,
    /// Who answers.
    pub engine: Engine,
    /// How many answers there will be.
    pub choices: u64,
    /// How many of them are answers to one prompt.
    pub per_prompt: u64,
    /// The most output tokens that each of them may have, as far as the client said.
    pub output_bound: Option<u64>,
    /// What we asked for, and the client did not.
    pub hides: Hides,
}

impl Asked {
    /// One answer, of which nothing is hidden.
    #[must_use]
    pub fn one(endpoint: Endpoint, engine: Engine) -> Self {
        let hides = Hides::default();
        Self { endpoint, engine, choices: 1, per_prompt: 1, output_bound: None, hides }
    }

    pub(super) fn prompts(&self) -> u64 {
        (self.choices / self.per_prompt.max(1)).max(1)
    }

    /// Whether usage beside a choice of a stream is that of this choice alone.
    pub(super) fn says_usage_of_each_choice(&self) -> bool {
        match self.engine {
            Engine::Vllm | Engine::Sglang | Engine::LlamaCpp => true,
            Engine::OpenAi | Engine::Tgi | Engine::Ollama | Engine::Anthropic => false,
        }
    }
}

//! What of a stream is kept from a client that didn't ask for it: what we asked the engine for.

use super::event::UsageMember;
use crate::llm::Engine;

/// What was added to a request, and is not to be seen in its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hides {
    /// The usage was asked for: hides the chunk that has nothing else, and what comes of it in others.
    pub usage: bool,
    /// The usage of each chunk was asked for: hides it in chunks with a choice.
    pub running_usage: bool,
}

impl Hides {
    pub(super) fn any(self) -> bool {
        self.usage || self.running_usage
    }
}

/// What an engine changes in the chunks of a stream when its usage is asked for. Of these that say
/// otherwise, versions: vLLM 0.32, SGLang 0.5, TGI 3.3, Ollama 0.12, llama.cpp of xllamacpp 2026.10.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    /// Chunks with choices get `"usage": null`.
    null: bool,
    /// They get numbers that are all 0.
    zero: bool,
    /// They get numbers.
    said: bool,
    /// Members that stand in the last chunk of a choice, and move to the chunk with the usage.
    pub(super) moved: &'static [&'static [u8]],
    /// Whether there is one chunk with the usage for all choices, each of which had them.
    pub(super) of_each: bool,
}

impl Changes {
    pub(super) fn of(engine: Engine, hides: Hides) -> Self {
        let changes = match engine {
            // OpenAI itself writes null. Others have numbers in the last chunk of a choice, asked or not.
            Engine::OpenAi | Engine::Anthropic => {
                Self { null: true, zero: true, said: false, moved: &[], of_each: false }
            }
            Engine::Vllm => Self {
                null: true,
                zero: true,
                said: true,
                moved: &[b"system_fingerprint"],
                of_each: true,
            },
            // Null is there in any case.
            Engine::Sglang => {
                Self { null: false, zero: true, said: true, moved: &[], of_each: false }
            }
            // So it is, and its completions have numbers in the last chunk, asked or not.
            Engine::Tgi => {
                Self { null: false, zero: false, said: false, moved: &[], of_each: false }
            }
            // So have its completions.
            Engine::LlamaCpp => {
                Self { null: false, zero: false, said: false, moved: &[b"timings"], of_each: false }
            }
            Engine::Ollama => {
                Self { null: true, zero: true, said: true, moved: &[], of_each: false }
            }
        };
        match hides.usage {
            true => changes,
            // The client asked for the rest.
            false => Self { moved: &[], of_each: false, ..changes },
        }
    }

    /// Whether `usage` of a chunk with a choice is of ours.
    pub(super) fn include(self, usage: UsageMember) -> bool {
        match usage {
            UsageMember::Absent => false,
            UsageMember::Null => self.null,
            UsageMember::Zero => self.zero,
            UsageMember::Said => self.said,
        }
    }
}

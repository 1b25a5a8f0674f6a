//! The servers that the mock can stand for, by name; `engines` has how they answer.

/// A server that the mock can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Vllm,
    Sglang,
    Tgi,
    LlamaCpp,
    Ollama,
    Transformers,
}

impl Engine {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "vllm" => Self::Vllm,
            "sglang" => Self::Sglang,
            "tgi" => Self::Tgi,
            "llamacpp" => Self::LlamaCpp,
            "ollama" => Self::Ollama,
            "transformers" => Self::Transformers,
            _ => return None,
        })
    }

    /// llama.cpp generates a whole answer to its end, whether or not anybody still waits for it.
    pub(crate) fn goes_on_alone(self) -> bool {
        self == Self::LlamaCpp
    }
}

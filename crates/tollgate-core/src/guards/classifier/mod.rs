//! Classifiers: models behind an internal location that judge what rules can't.
//!
//! * [`words`]: the line `classifier` of a `tollgate_guard` block;
//! * [`windows`]: how the texts of a request are cut for one; [`gate`]: those of an answer, and what waits for it;
//! * [`question`]: what it is asked; [`verdict`]: what it answers;
//! * [`memory`]: what it has said of texts before.

pub mod gate;
pub mod memory;
pub mod question;
pub mod verdict;
pub mod windows;
pub mod words;

use tollgate_guard::finding::Action;

/// What a classifier is asked, and how it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// OpenAI's `POST /v1/moderations`.
    Moderation,
    /// Llama Guard, behind `POST /v1/chat/completions`.
    LlamaGuard,
    /// vLLM's `POST /classify`: the probability of each class.
    Classify,
    /// Presidio's `POST /analyze`: personal data.
    Presidio,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Moderation, Self::LlamaGuard, Self::Classify, Self::Presidio];

    /// Its name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moderation => "moderation",
            Self::LlamaGuard => "llama-guard",
            Self::Classify => "classify",
            Self::Presidio => "presidio",
        }
    }

    /// How much of a text it is shown at once unless the configuration says so, in bytes: with Prompt Guard that is
    /// about what its 512 tokens hold.
    #[must_use]
    pub fn window(self) -> usize {
        match self {
            Self::Classify => 1 << 10,
            Self::Presidio => 4 << 10,
            Self::Moderation | Self::LlamaGuard => 8 << 10,
        }
    }

    /// How many windows one question may be about. Presidio tells of each thing that it finds, so that the answer may
    /// be much longer than the question.
    #[must_use]
    pub fn batch(self) -> usize {
        match self {
            Self::LlamaGuard => 1,
            Self::Presidio => 4,
            Self::Moderation | Self::Classify => 16,
        }
    }

    /// From which score on a text is refused unless the configuration says so, if it goes by scores.
    #[must_use]
    pub fn threshold(self) -> Option<u8> {
        match self {
            Self::Moderation | Self::LlamaGuard => None,
            Self::Classify | Self::Presidio => Some(50),
        }
    }
}

/// Of what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// What requests say.
    Request,
    /// What a model answers.
    Answer,
}

/// A classifier, as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classifier {
    /// Of what it is asked: of one, or of both.
    pub sides: Vec<Side>,
    /// The internal location where it is asked.
    pub uri: Box<str>,
    /// Its name in logs and metrics, behind `classifier`; `classifier` if it has none.
    pub name: Box<str>,
    /// What it is asked, and how it answers.
    pub format: Format,
    /// The model that is named in questions.
    pub model: Option<Box<str>>,
    /// From which score on a text is refused, 1 to 100. `None`: where the classifier itself says so.
    pub threshold: Option<u8>,
    /// The classes whose probabilities are added up; empty: all but the first. Of [`Format::Classify`].
    pub classes: Vec<usize>,
    /// What is looked for; empty: all that it knows. Of [`Format::Presidio`].
    pub entities: Vec<Box<str>>,
    /// The language of texts. Of [`Format::Presidio`].
    pub language: Box<str>,
    /// How long a request waits for all answers about it, in milliseconds.
    pub timeout_ms: u64,
    /// A request passes where the classifier doesn't answer.
    pub allows_on_failure: bool,
    /// What is done about what it refuses: [`Action::Block`] or [`Action::Log`].
    pub action: Action,
    /// How much of a text of a request it is shown at once, in bytes.
    pub window: usize,
    /// The same of an answer: as long as that takes to be made, its client waits.
    pub answer_window: usize,
    /// How many windows a request, or an answer, may have.
    pub max_windows: usize,
    /// For how long what it said is remembered, in milliseconds; 0: not at all.
    pub cache_ms: u64,
}

/// What a classifier says of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The text is refused.
    pub is_refused: bool,
    /// How sure it is that it should be, in hundredths: 0 to 100. `None`: it doesn't say.
    pub score: Option<u8>,
}

/// Why there is no verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The classifier doesn't answer, or not in its format: that is nothing the text does.
    Unavailable,
    /// It doesn't want to judge this text, or its answer says neither yes nor no. A client can bring that about, so
    /// that such a text is never let pass.
    Undecided,
}

#[cfg(test)]
mod tests;

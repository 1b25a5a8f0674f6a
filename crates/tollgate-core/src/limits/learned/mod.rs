//! What is learned of the answers of engines, for estimates of the requests to come: [`outputs`], how
//! long they are, and [`inputs`], how many tokens a model makes of how much text.
//!
//! Nothing is ever charged by it that an engine has said; so what is kept is small and may be lost. Both
//! are tables of [`lines`], one for a model (and tier), with a cell for each of a few clients. What a
//! client taught counts for itself; others get what the clients have in common, which none of them
//! decides alone: their [median](lines::median), with the configuration's own value as one more voice.

mod inputs;
mod lines;
mod outputs;

pub(super) use inputs::Inputs;
pub use inputs::{Rates as TextRates, Text, FEATURES};
pub(super) use lines::{Minute, Who};
pub(super) use outputs::Outputs;
pub use outputs::{Output, OutputGuess};

use super::key::Key;
use super::sync::MODEL;

/// Of whom something is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author(Who);

impl Author {
    /// The client of this key (see [`Zone::client_key`](super::Zone::client_key)).
    #[must_use]
    pub fn of_client(key: Key) -> Self {
        Self(Who::of(key))
    }

    pub(super) fn who(self) -> Who {
        self.0
    }
}

/// Where it is kept what requests of one kind teach: those of a tier for a model, and of one author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedKeys {
    pub(super) outputs: Key,
    pub(super) inputs: Key,
    pub(super) author: Author,
}

/// How many words of a zone of `zone_words` each of the two tables takes: one in 64.
pub(super) fn words_for(zone_words: usize) -> usize {
    if MODEL {
        return 0;
    }
    (zone_words / 64).clamp(256, 8192).next_multiple_of(inputs::LINE_WORDS)
}

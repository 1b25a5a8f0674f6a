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

use super::sync::MODEL;

/// How many words of a zone of `zone_words` each of the two tables takes: one in 64.
pub(super) fn words_for(zone_words: usize) -> usize {
    if MODEL {
        return 0;
    }
    (zone_words / 64).clamp(256, 8192).next_multiple_of(inputs::LINE_WORDS)
}

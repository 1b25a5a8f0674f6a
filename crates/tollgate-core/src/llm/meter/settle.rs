//! What to charge for an answer.

use super::reading::Reading;
use crate::llm::{Source, Usage};

/// What an answer may cost that doesn't say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The input as estimated, and the output that was reserved.
    pub reserved: Usage,
    /// The most output that may be charged for an answer that was cut off, unless the engine itself said
    /// more: the client's own bound, or no bound.
    pub most_output: u64,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// Whether the engine makes an answer that is no stream to its end, though nobody waits for it.
    pub goes_on: bool,
}

impl Terms {
    /// What to charge a client that left before its answer began. The engine had read the prompt. What it
    /// made of an answer, nobody knows: nothing that is to be charged if it stops when its client leaves,
    /// and what was reserved if it doesn't.
    #[must_use]
    pub fn of_no_answer(&self) -> (Usage, Source) {
        let output = if self.goes_on && !self.stream { self.reserved.output } else { 0 };
        (Usage { input: self.reserved.input, output, ..Usage::default() }, Source::Partial)
    }
}

/// What to charge for an answer with a body, which may be empty.
///
/// `cut` tells that the answer didn't come to its end, because of the client, the engine or a timeout; an
/// answer without its end mark, or one that failed on its way, is taken to be cut in any case.
///
/// * The engine's last word counts as it is: [`Source::Measured`], cut or not.
/// * A whole answer without usage is [`Source::Estimated`]: the estimate of the input, and the output
///   counted. Where there is neither usage nor text, it is charged as reserved: that nothing was recognised
///   doesn't mean that nothing was made. So is one that lacks the numbers because of its client, if the
///   text doesn't make up for more.
/// * A stream that was cut is [`Source::Partial`]: the input that the engine said, else the estimate, as it
///   had read all of it; the output that it said last, but at least what came. As reserved, if what came
///   is nothing that the engine could have answered.
/// * So is an answer that is no stream: it was ready before any of it was sent, so what is missing of it,
///   is charged as reserved.
/// * An error instead of an answer costs nothing, and so does an answer that ends without a byte:
///   [`Source::None`].
#[must_use]
pub fn settle(reading: Option<&Reading>, terms: &Terms, cut: bool) -> (Usage, Source) {
    let reserved = terms.reserved;
    let Some(reading) = reading else {
        return match cut {
            // The header of an answer that is no stream comes when all of it is made.
            true if !terms.stream => (reserved, Source::Partial),
            true => (Usage { input: reserved.input, ..Usage::default() }, Source::Partial),
            false => (Usage::default(), Source::None),
        };
    };
    let said = reading.said;
    let input = said.input.map(|said| input_of(said, reading, reserved.input));
    let usage = |input: u64, output| {
        let cached_input = said.cached_input.unwrap_or(0).min(input);
        let cache_write = said.cache_write.unwrap_or(0).min(input - cached_input);
        Usage {
            input,
            output,
            cached_input,
            cache_write,
            cache_write_1h: said.cache_write_1h.unwrap_or(0).min(cache_write),
            reasoning: said.reasoning.unwrap_or(0).min(output),
        }
    };
    if reading.failed && reading.deltas == 0 && said.output.unwrap_or(0) == 0 {
        return (Usage::default(), Source::None);
    }
    if let (true, Some(input), Some(output)) = (reading.said_final, input, said.output) {
        let is_exact = !reading.is_estimated && !reading.lacks_prompts;
        let source = if is_exact { Source::Measured } else { Source::Estimated };
        return (usage(input, output), source);
    }
    // An end mark is of a form that is known.
    let has_no_end = !reading.ended && (reading.is_recognised() || !reading.is_strange);
    let is_partial = cut || reading.failed || has_no_end;
    let source = if is_partial { Source::Partial } else { Source::Estimated };
    let is_as_reserved = match reading.is_recognised() {
        true => {
            // An error that came whole shows all that came of the answer.
            let shows_all = reading.ended && reading.failed;
            (is_partial && !reading.is_streamed && !shows_all) || reading.is_silent
        }
        // Of a stream that was cut, what can be recognised may not have come yet. Without an end mark it is cut as
        // soon as it has begun, though its end looks like that of an answer: the engine has died.
        false => {
            let is_cut = cut || (has_no_end && reading.has_begun);
            !is_cut || !reading.is_streamed || reading.is_strange
        }
    };
    let counted = match reading.counted_output() {
        counted if is_partial => counted.min(terms.most_output),
        counted => counted,
    };
    let output = match said.output {
        Some(output) if reading.said_final => output,
        Some(output) if is_as_reserved => output.max(counted).max(reserved.output),
        Some(output) => output.max(counted),
        None if is_as_reserved => counted.max(reserved.output),
        None => counted,
    };
    (usage(input.unwrap_or(reserved.input), output), source)
}

/// The input, of which the engine said `said`.
fn input_of(said: u64, reading: &Reading, estimated: u64) -> u64 {
    if reading.lacks_prompts {
        return said.max(estimated);
    }
    match reading.input_with_cache {
        // Within a third of the estimate: nearer than what both numbers would make together.
        Some(whole) if estimated.abs_diff(whole) <= whole / 3 => whole,
        _ => said,
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
mod tests;

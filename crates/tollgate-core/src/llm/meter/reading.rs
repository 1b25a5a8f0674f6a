//! What an answer said and showed, and what to charge for it.

use crate::llm::{Source, Usage};

/// The usage as far as the engine said it, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Of the input, cached ones included.
    pub input: Option<u64>,
    /// Of the output, reasoning included.
    pub output: Option<u64>,
    /// Of the input, those from the prefix cache; never more than `input`.
    pub cached_input: Option<u64>,
    /// Of the output, those of the model's reasoning; never more than `output`.
    pub reasoning: Option<u64>,
}

/// What a [`Meter`](super::Meter) has read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the engine said last.
    pub said: Said,
    /// Whether that is the engine's last word, and not how far it had come.
    pub said_final: bool,
    /// Whether the answer came to its end: `[DONE]`, `message_stop`, `response.completed`,
    /// `done:true`, TGI's last event, or a whole JSON document.
    pub ended: bool,
    /// How many pieces of output came that are not empty: text, reasoning, tool calls, refusals,
    /// transcripts of audio. In a stream, most engines send one for each token.
    pub deltas: u64,
    /// The length of these pieces, in bytes of UTF-8.
    pub delta_bytes: u64,
    /// Whether the engine reported an error instead of (the rest of) an answer.
    pub failed: bool,
}

/// More bytes than this for each delta, and the engine evidently sends several tokens at once.
const MAX_BYTES_PER_DELTA: u64 = 8;

/// How long a token of text is taken to be where nothing better is known.
const BYTES_PER_TOKEN: u64 = 4;

impl Reading {
    /// The tokens of the output that came, counted: one for each delta; or one for four bytes, where
    /// the deltas are too long for that, as the text of an answer that is not streamed.
    #[must_use]
    pub fn counted_output(&self) -> u64 {
        if self.delta_bytes > self.deltas.saturating_mul(MAX_BYTES_PER_DELTA) {
            self.delta_bytes.div_ceil(BYTES_PER_TOKEN)
        } else {
            self.deltas
        }
    }
}

/// What to charge for an answer.
///
/// `reserved` is the estimate of the input, and the most output that may be charged for an answer
/// that was cut off, unless the engine itself said more. `cut` tells that the answer didn't come to
/// its end, because of the client, the engine or a timeout; an answer without its end mark, or one
/// that failed on its way, is taken to be cut in any case.
///
/// * The engine's last word counts as it is: [`Source::Measured`], cut or not.
/// * A cut answer is [`Source::Partial`]: the input that the engine said, else the estimate, as it
///   had read all of it; the output that it said last, but at least what came.
/// * A whole answer without usage is [`Source::Estimated`]: the estimate of the input, and the output
///   counted.
/// * An error instead of an answer costs nothing: [`Source::None`].
#[must_use]
pub fn settle(reading: &Reading, reserved: Usage, cut: bool) -> (Usage, Source) {
    let Reading { said, said_final, .. } = *reading;
    let cached_input = said.cached_input.unwrap_or(0);
    let reasoning = said.reasoning.unwrap_or(0);
    if let (true, Some(input), Some(output)) = (said_final, said.input, said.output) {
        return (Usage { input, output, cached_input, reasoning }, Source::Measured);
    }
    if reading.failed && reading.deltas == 0 {
        return (Usage::default(), Source::None);
    }
    let is_partial = cut || reading.failed || !reading.ended;
    let counted = match reading.counted_output() {
        counted if is_partial => counted.min(reserved.output),
        counted => counted,
    };
    let output = match said.output {
        Some(output) if said_final => output,
        Some(output) => output.max(counted),
        None => counted,
    };
    let input = said.input.unwrap_or(reserved.input);
    let source = if is_partial { Source::Partial } else { Source::Estimated };
    (Usage { input, output, cached_input, reasoning }, source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RESERVED: Usage = Usage { input: 100, output: 50, cached_input: 0, reasoning: 0 };

    fn said(input: Option<u64>, output: Option<u64>) -> Said {
        Said { input, output, ..Said::default() }
    }

    fn charge(reading: Reading, cut: bool) -> (u64, u64, Source) {
        let (usage, source) = settle(&reading, RESERVED, cut);
        (usage.input, usage.output, source)
    }

    #[test]
    fn the_engines_last_word_counts_however_the_answer_went_on() {
        let reading = Reading {
            said: Said {
                input: Some(31),
                output: Some(400),
                cached_input: Some(26),
                reasoning: Some(7),
            },
            said_final: true,
            deltas: 3,
            delta_bytes: 9,
            ..Reading::default()
        };
        let usage = Usage { input: 31, output: 400, cached_input: 26, reasoning: 7 };
        for (ended, failed, cut) in
            [(true, false, false), (false, false, true), (false, true, true)]
        {
            let reading = Reading { ended, failed, ..reading };
            assert_eq!(settle(&reading, RESERVED, cut), (usage, Source::Measured));
        }
    }

    #[test]
    fn a_cut_answer_is_charged_by_its_deltas_up_to_the_reservation() {
        let reading = Reading { deltas: 20, delta_bytes: 80, ..Reading::default() };
        assert_eq!(charge(reading, true), (100, 20, Source::Partial));
        // Without its end mark it is cut, even if nobody noticed.
        assert_eq!(charge(reading, false), (100, 20, Source::Partial));
        let more = Reading { deltas: 51, ..reading };
        assert_eq!(charge(more, true), (100, 50, Source::Partial));
        // The end mark itself may have been cut off from the client.
        let ended = Reading { ended: true, ..reading };
        assert_eq!(charge(ended, true), (100, 20, Source::Partial));
        assert_eq!(charge(Reading::default(), true), (100, 0, Source::Partial));
    }

    #[test]
    fn what_the_engine_said_on_its_way_is_no_less_than_what_came() {
        let reading = Reading {
            said: said(Some(31), Some(12)),
            deltas: 9,
            delta_bytes: 9,
            ..Reading::default()
        };
        assert_eq!(charge(reading, true), (31, 12, Source::Partial));
        assert_eq!(charge(Reading { deltas: 14, ..reading }, true), (31, 14, Source::Partial));
        let beyond = Reading { said: said(Some(31), Some(70)), ..reading };
        assert_eq!(charge(beyond, true), (31, 70, Source::Partial));
    }

    #[test]
    fn a_whole_answer_without_usage_is_estimated() {
        let reading = Reading { ended: true, deltas: 60, delta_bytes: 240, ..Reading::default() };
        assert_eq!(charge(reading, false), (100, 60, Source::Estimated));
        let half_said = Reading { said: said(None, Some(12)), said_final: true, ..reading };
        assert_eq!(charge(half_said, false), (100, 12, Source::Estimated));
    }

    #[test]
    fn an_error_costs_nothing_unless_output_had_come() {
        let reading = Reading { failed: true, ended: true, ..Reading::default() };
        assert_eq!(settle(&reading, RESERVED, false), (Usage::default(), Source::None));
        let late = Reading { deltas: 2, delta_bytes: 8, ..reading };
        assert_eq!(charge(late, false), (100, 2, Source::Partial));
    }

    #[test]
    fn bundled_tokens_are_counted_by_their_bytes() {
        let reading = |deltas, delta_bytes| Reading { deltas, delta_bytes, ..Reading::default() };
        assert_eq!(reading(10, 80).counted_output(), 10);
        assert_eq!(reading(10, 81).counted_output(), 21);
        assert_eq!(reading(1, 4_000).counted_output(), 1_000);
        assert_eq!(reading(0, 0).counted_output(), 0);
        assert_eq!(reading(u64::MAX, u64::MAX).counted_output(), u64::MAX);
    }

    proptest! {
        #[test]
        fn a_cut_answer_costs_between_what_came_and_what_was_reserved_or_said(
            deltas in 0_u64..100, bytes in 0_u64..2_000, output: Option<u16>,
        ) {
            let output = output.map(u64::from);
            let reading = Reading {
                said: said(None, output), deltas, delta_bytes: bytes, ..Reading::default()
            };
            let (usage, source) = settle(&reading, RESERVED, true);
            prop_assert_eq!(source, Source::Partial);
            prop_assert!(usage.output >= deltas.min(RESERVED.output));
            prop_assert!(usage.output <= output.unwrap_or(0).max(RESERVED.output));
        }
    }
}

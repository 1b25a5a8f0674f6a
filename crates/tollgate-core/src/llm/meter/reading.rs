//! What an answer said and showed.

/// The usage as far as the engine said it, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Of the input, cached ones included.
    pub input: Option<u64>,
    /// Of the output, reasoning included.
    pub output: Option<u64>,
    /// Of the input, those from the prefix cache; never more than `input`.
    pub cached_input: Option<u64>,
    /// Of the input, those that were written to that cache.
    pub cache_write: Option<u64>,
    /// Of those, the ones that are kept for an hour.
    pub cache_write_1h: Option<u64>,
    /// Of the output, those of the model's reasoning; never more than `output`.
    pub reasoning: Option<u64>,
}

/// What a [`Meter`](super::Meter) has read so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// What the engine said last. A 0 that it filled in before it knew better, is not said.
    pub said: Said,
    /// Whether that is the engine's last word, and not how far it had come.
    pub said_final: bool,
    /// Whether a part of `said` is no number of the engine's, but follows from one: of several choices,
    /// llama.cpp says the usage of the first.
    pub is_estimated: bool,
    /// Whether the input as said is that of some of the prompts.
    pub lacks_prompts: bool,
    /// The input, if the cached part of it was told twice: which of two versions of SGLang it is that says
    /// so, cannot be seen.
    pub input_with_cache: Option<u64>,
    /// Whether the answer came to its end: `[DONE]`, `message_stop`, `response.completed`,
    /// `done:true`, TGI's last event, the end of every choice, or a whole JSON document.
    pub ended: bool,
    /// Whether it came in many documents, while it was made, and not as one when it was ready.
    pub is_streamed: bool,
    /// Whether a chunk with a choice came, whatever was in it.
    pub has_begun: bool,
    /// Whether something came, and nothing of it has the form of an answer.
    pub is_strange: bool,
    /// How many pieces of output came that are not empty: text, reasoning, tool calls, refusals,
    /// transcripts of audio. In a stream, most engines send one for each token.
    pub deltas: u64,
    /// The length of these pieces, in bytes of UTF-8.
    pub delta_bytes: u64,
    /// Of these pieces, those that came behind the event in which the engine last said its output.
    pub late_deltas: u64,
    /// The length of those, in bytes of UTF-8.
    pub late_bytes: u64,
    /// Whether the numbers are missing that this engine never leaves out by itself (llama.cpp's
    /// `response_fields`), or may stand in what follows and can't be read.
    pub is_silent: bool,
    /// Whether the engine reported an error instead of (the rest of) an answer.
    pub failed: bool,
    /// Whether the answer, or one of several, ended because it had reached the most tokens that it may
    /// have: it tells what was allowed, and not what it would have taken.
    pub hit_bound: bool,
}

/// More bytes than this for each delta, and the engine evidently sends several tokens at once.
const MAX_BYTES_PER_DELTA: u64 = 8;

/// How long a token of text is taken to be where nothing better is known.
const BYTES_PER_TOKEN: u64 = 4;

impl Reading {
    /// The tokens of the output that came, counted: one for each delta; or one for four bytes, where
    /// the deltas are too long for that, as the text of an answer that is not streamed. What the engine has
    /// said a number of, is not longer than that; but each delta was a token at least.
    #[must_use]
    pub fn counted_output(&self) -> u64 {
        let all = counted(self.deltas, self.delta_bytes);
        match self.said.output {
            None => all,
            Some(said) => {
                let late = counted(self.late_deltas, self.late_bytes);
                all.min(said.saturating_add(late).max(self.deltas))
            }
        }
    }

    /// Whether there was anything in it to charge by: usage, or text.
    #[must_use]
    pub fn is_recognised(&self) -> bool {
        self.said.input.or(self.said.output).is_some() || self.deltas > 0
    }
}

fn counted(deltas: u64, bytes: u64) -> u64 {
    if bytes > deltas.saturating_mul(MAX_BYTES_PER_DELTA) {
        bytes.div_ceil(BYTES_PER_TOKEN)
    } else {
        deltas
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundled_tokens_are_counted_by_their_bytes() {
        let reading = |deltas, delta_bytes| Reading { deltas, delta_bytes, ..Reading::default() };
        assert_eq!(reading(10, 80).counted_output(), 10);
        assert_eq!(reading(10, 81).counted_output(), 21);
        assert_eq!(reading(1, 4_000).counted_output(), 1_000);
        assert_eq!(reading(0, 0).counted_output(), 0);
        assert_eq!(reading(u64::MAX, u64::MAX).counted_output(), u64::MAX);
    }

    #[test]
    fn a_number_of_the_engine_is_nearer_than_a_length() {
        let counted = |said, (deltas, delta_bytes), (late_deltas, late_bytes)| {
            let said = Said { output: Some(said), ..Said::default() };
            let reading = Reading {
                said,
                deltas,
                delta_bytes,
                late_deltas,
                late_bytes,
                ..Reading::default()
            };
            reading.counted_output()
        };
        // All of the text is in the number; then 40 bytes in one delta are not.
        assert_eq!(counted(67, (39, 400), (0, 0)), 67);
        assert_eq!(counted(67, (40, 440), (1, 40)), 77);
        // A number that tells fewer than there were deltas, or is made up before anything came.
        assert_eq!(counted(12, (39, 400), (0, 0)), 39);
        assert_eq!(counted(1, (39, 400), (39, 400)), 100);
        assert_eq!(counted(1, (9, 9), (9, 9)), 9);
        assert_eq!(counted(u64::MAX, (1, 1), (u64::MAX, u64::MAX)), 1);
    }
}

//! What comes of all that an answer said and showed.

use super::super::event::Counts;
use super::super::places::Place;
use super::super::reading::{Reading, Said};
use super::Tally;
use crate::llm::{Endpoint, Engine};

impl Tally {
    pub(in super::super) fn reading(&self) -> Reading {
        let counts = match self.whole.is_said() {
            true => self.whole,
            false => self.shares.sum(self.asked.per_prompt),
        };
        let mut said = self.said(counts);
        // An answer that is one document has the usage of the first of them alone.
        let is_of_first = !self.is_streamed
            && (self.has_timings || self.asked.engine == Engine::LlamaCpp)
            && self.root == Place::OpenAi;
        let rest = match said.output {
            Some(first) if is_of_first => self.rest.output(first, self.asked.output_bound),
            _ => Some(0),
        };
        said.output = said.output.map(|output| match rest {
            Some(rest) => output.saturating_add(rest),
            None => output.saturating_add(self.rest.estimate(output)),
        });
        let prompts = match self.whole.is_said() {
            true if is_of_first => 1,
            true => self.asked.prompts(),
            false => self.shares.prompts(self.asked.per_prompt),
        };
        // Text that comes again and again is counted where nothing better is known.
        let (deltas, delta_bytes) = match said.output {
            None if self.deltas == 0 && self.text_so_far > 0 => (1, self.text_so_far),
            // Of several, TGI shows the best.
            None if self.root == Place::Tgi => {
                let all = self.asked.choices.max(1);
                (self.deltas.saturating_mul(all), self.delta_bytes.saturating_mul(all))
            }
            _ => (self.deltas, self.delta_bytes),
        };
        // A running number may be that of one of several answers.
        let is_of_all = self.asked.choices <= 1 || !self.whole.is_said();
        let (late_deltas, late_bytes) = match is_of_all {
            true => (
                deltas.saturating_sub(self.deltas_said),
                delta_bytes.saturating_sub(self.bytes_said),
            ),
            false => (deltas, delta_bytes),
        };
        // These say their numbers in any case, unless the client chose what they say.
        let says_always = matches!(self.root, Place::Llama | Place::Sglang);
        let is_silent =
            (says_always || self.has_rest) && self.ended && said.output.is_none() && !self.failed;
        Reading {
            said,
            said_final: self.said_final,
            is_estimated: rest.is_none(),
            lacks_prompts: said.input.is_some() && prompts < self.asked.prompts(),
            input_with_cache: self.input_with_cache(counts),
            ended: self.ended,
            is_streamed: self.is_streamed,
            has_begun: self.has_begun,
            is_strange: self.is_strange && !self.is_known,
            deltas,
            delta_bytes,
            late_deltas,
            late_bytes,
            is_silent,
            failed: self.failed,
            hit_bound: self.hit_bound,
        }
    }

    fn said(&self, counts: Counts) -> Said {
        let Counts { input, output, total, cached_input, cache_write, reasoning, .. } = counts;
        // Numbers that are filled in: something was made, of something.
        let is_placeholder = self.deltas > 0 && input.unwrap_or(0) == 0 && output.unwrap_or(0) == 0;
        // Before the engine's last word, 0 is what it doesn't know yet.
        let known = |count: Option<u64>| {
            count.filter(|count| *count > 0 || (self.said_final && !is_placeholder))
        };
        let (input, output, total) = (known(input), known(output), known(total));
        let (input, output) = match self.asked.endpoint {
            Endpoint::Messages if self.cache_is_twice => (input, output),
            Endpoint::Messages => {
                let cached = cached_input.unwrap_or(0) + cache_write.unwrap_or(0);
                let input = match (input, cached) {
                    (None, 0) => None,
                    (input, cached) => Some(input.unwrap_or(0) + cached),
                };
                (input, output)
            }
            endpoint if !endpoint.has_output() => {
                let input = input.or(total);
                (input, output.or(input.map(|_| 0)))
            }
            _ => {
                let input = input.or_else(|| total?.checked_sub(output?));
                // Some leave reasoning out of the output, and have it in the total.
                (
                    input,
                    output
                        .max(total.zip(input).and_then(|(total, input)| total.checked_sub(input))),
                )
            }
        };
        let part = |part: Option<u64>| part.map(|part| part.min(input.unwrap_or(0)));
        Said {
            input,
            output,
            cached_input: part(cached_input),
            cache_write: part(cache_write),
            cache_write_1h: part(counts.cache_write_1h),
            reasoning: reasoning.map(|reasoning| reasoning.min(output.unwrap_or(0))),
        }
    }

    /// The input, if what is cached is in it already: older versions of SGLang say it so, and newer ones
    /// don't, in the same words.
    fn input_with_cache(&self, counts: Counts) -> Option<u64> {
        let is_open = self.asked.engine == Engine::Sglang
            && self.asked.endpoint == Endpoint::Messages
            && !self.cache_is_twice;
        let cached = counts.cached_input.filter(|cached| *cached > 0)?;
        counts.input.filter(|input| is_open && *input >= cached)
    }
}

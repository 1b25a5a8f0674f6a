//! The native API of Text Generation Inference: `/generate`, `/generate_stream` and `/`.
//!
//! <https://huggingface.github.io/text-generation-inference/>

use serde_json::{json, Value};

use super::answer::Answer;
use crate::controls::Controls;
use crate::error::ApiError;
use crate::fields::{flag, positive, Fields};
use crate::generation::{Ask, Finish, Generation};
use crate::peer::Ended;
use crate::stream::{Format, Stream};

/// How an answer comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Whole,
    Streamed,
    /// `/`: as the request's `stream` says, and a whole answer is in a list.
    Either,
}

#[derive(Debug)]
pub(super) struct Tgi {
    generation: Generation,
    stream: bool,
    listed: bool,
    details: bool,
    /// `details` list the tokens of the input.
    prefill: bool,
}

impl Tgi {
    pub(super) fn read(way: Way, fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        if !fields.get("inputs").is_some_and(Value::is_string) {
            return Err(ApiError::bad_request(Some("inputs"), "'inputs' must be a text."));
        }
        let parameter = |name| fields.get_in("parameters", name);
        let ask = Ask {
            // The server has one model, and requests don't name it.
            model: String::new(),
            input_tokens: fields.tokens_of(&["inputs"]),
            max_tokens: positive(parameter("max_new_tokens"), "max_new_tokens")?,
            choices: 1,
        };
        // The API has no tool calls.
        let controls = Controls { tool_call: false, ..controls.clone() };
        Ok(Self {
            generation: Generation::new(ask, &controls),
            stream: match way {
                Way::Whole => false,
                Way::Streamed => true,
                Way::Either => fields.flag("stream", false)?,
            },
            listed: way == Way::Either,
            details: flag(parameter("details"), "details", false)?,
            prefill: flag(parameter("decoder_input_details"), "decoder_input_details", false)?,
        })
    }

    fn finish_reason(&self) -> &'static str {
        match self.generation.finish() {
            Finish::Length => "length",
            Finish::Stop | Finish::ToolCall => "eos_token",
        }
    }

    fn text(&self) -> String {
        self.generation.tokens().map(|token| token.text).collect()
    }
}

fn token(number: usize, text: &str) -> Value {
    json!({"id": 100 + number % 8, "text": text, "logprob": -0.5, "special": false})
}

impl Tgi {
    fn json(&self) -> Value {
        let mut answer = json!({"generated_text": self.text()});
        let usage = self.generation.usage();
        let with_details = self.details && self.generation.has_usage();
        if let (true, Some(fields)) = (with_details, answer.as_object_mut()) {
            let prefill: Vec<_> = (0..if self.prefill { usage.input } else { 0 })
                .map(|number| json!({"id": number, "text": "word", "logprob": null}))
                .collect();
            let tokens: Vec<_> = self
                .generation
                .tokens()
                .enumerate()
                .map(|(number, sent)| token(number, sent.text))
                .collect();
            let details = json!({
                "finish_reason": self.finish_reason(),
                "generated_tokens": usage.output,
                "seed": null,
                "prefill": prefill,
                "tokens": tokens,
            });
            fields.insert("details".to_owned(), details);
        }
        if self.listed {
            json!([answer])
        } else {
            answer
        }
    }
}

impl Answer for Tgi {
    fn format(&self) -> Option<Format> {
        self.stream.then_some(Format::TightSse)
    }

    fn tokens(&self) -> u64 {
        self.generation.usage().output
    }

    fn input(&self) -> u64 {
        self.generation.usage().input
    }

    fn whole(&self) -> String {
        self.json().to_string()
    }

    /// The last event is that of the last token: an answer without tokens has no events.
    fn stream(&self, out: &mut Stream<'_>) -> Result<(), Ended> {
        let generation = &self.generation;
        let mut sent = 0;
        for (number, one) in generation.tokens().enumerate() {
            sent += 1;
            let usage = generation.usage_after(sent);
            let left = generation.usage().output - sent;
            let has_details = generation.has_usage_on_every_event()
                || left == 1 && generation.has_usage_before_the_end()
                || left == 0 && generation.has_usage();
            let details = has_details.then(|| {
                json!({
                    "finish_reason": self.finish_reason(),
                    "generated_tokens": usage.output,
                    "seed": null,
                    "input_length": usage.input,
                })
            });
            let event = json!({
                "index": sent,
                "token": token(number, one.text),
                "generated_text": (left == 0).then(|| self.text()),
                "details": details,
            });
            out.delta(None, &event.to_string())?;
        }
        out.deltas_end()
    }
}

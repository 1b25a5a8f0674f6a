//! OpenAI's chat completions and completions, with what vLLM adds to them.
//!
//! <https://platform.openai.com/docs/api-reference/chat/streaming>

use std::collections::BTreeMap;

use serde_json::{json, Value};

use super::answer::Answer;
use crate::controls::{Controls, UsageMode};
use crate::error::ApiError;
use crate::fields::{flag, Fields};
use crate::generation::{Ask, Finish, Generation, Kind, Usage};
use crate::peer::Ended;
use crate::stream::{Format, Stream, Template};

/// As many choices as OpenAI allows.
const MAX_CHOICES: u64 = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `/v1/chat/completions`
    Chat,
    /// `/v1/completions`
    Text,
}

#[derive(Debug)]
pub(super) struct Completion {
    shape: Shape,
    generation: Generation,
    stream: bool,
    /// A chunk with usage, and no choices, comes last.
    include_usage: bool,
    /// Every chunk says what the usage is so far.
    continuous_usage: bool,
    /// The chunks without usage have a null.
    usage_null: bool,
}

impl Completion {
    pub(super) fn read(
        shape: Shape,
        fields: &Fields,
        controls: &Controls,
    ) -> Result<Self, ApiError> {
        let model = fields.model()?;
        let (input_tokens, prompts) = match shape {
            Shape::Chat => {
                fields.list("messages")?;
                (fields.tokens_of(&["messages"]), 1)
            }
            Shape::Text => (fields.tokens_of(&["prompt", "suffix"]), prompts(fields)?),
        };
        let n = fields.positive("n")?.unwrap_or(1);
        if n > MAX_CHOICES {
            return Err(ApiError::bad_request(Some("n"), "'n' must be 128 at most."));
        }
        let stream = fields.flag("stream", false)?;
        if fields.get("stream_options").is_some() && !stream {
            return Err(ApiError::bad_request(
                Some("stream_options"),
                "'stream_options' goes with 'stream': true only.",
            ));
        }
        let option = |name| flag(fields.get_in("stream_options", name), "stream_options", false);
        let asked = option("include_usage")?;
        let continuous = option("continuous_usage_stats")?;
        let bounds = [fields.positive("max_completion_tokens")?, fields.positive("max_tokens")?];

        let ask = Ask {
            model,
            input_tokens,
            max_tokens: bounds.into_iter().flatten().min(),
            choices: n.saturating_mul(prompts),
        };
        let (include_usage, continuous_usage) = match controls.usage {
            UsageMode::Honest => (asked, asked && continuous),
            UsageMode::Absent => (false, false),
            UsageMode::Twice => (true, false),
            UsageMode::Every => (true, true),
        };
        Ok(Self {
            shape,
            generation: Generation::new(ask, controls),
            stream,
            include_usage,
            continuous_usage,
            usage_null: controls.usage_null && asked && include_usage,
        })
    }

    fn text_choice(&self, index: u64, text: &str, finish: Option<&str>) -> Value {
        json!({"index": index, "text": text, "logprobs": null, "finish_reason": finish})
    }

    fn delta_choice(&self, index: u64, delta: &Value, finish: Option<&str>) -> Value {
        json!({"index": index, "delta": delta, "logprobs": null, "finish_reason": finish})
    }

    fn finish_reason(&self) -> &'static str {
        match (self.generation.finish(), self.shape) {
            (Finish::Length, _) => "length",
            (Finish::ToolCall, Shape::Chat) => "tool_calls",
            (Finish::Stop | Finish::ToolCall, _) => "stop",
        }
    }

    fn envelope(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": self.generation.id(match self.shape {
                Shape::Chat => "chatcmpl-",
                Shape::Text => "cmpl-",
            }),
            "object": object,
            "created": self.generation.created.as_secs(),
            "model": self.generation.model,
            "choices": choices,
        })
    }

    fn chunk(&self, choices: Value, usage: Option<Usage>) -> Value {
        let object = match self.shape {
            Shape::Chat => "chat.completion.chunk",
            Shape::Text => "text_completion",
        };
        let mut chunk = self.envelope(object, choices);
        if let Some(fields) = chunk.as_object_mut() {
            if let Some(usage) = usage {
                fields.insert("usage".to_owned(), usage_json(usage));
            } else if self.usage_null {
                fields.insert("usage".to_owned(), Value::Null);
            }
        }
        chunk
    }

    /// A chunk that carries one token, which is still an empty string, and the key of that.
    fn token_chunk(&self, index: u64, kind: Kind, usage: Option<Usage>) -> (Value, &'static str) {
        let (choice, key) = match (self.shape, kind) {
            (Shape::Text, _) => (self.text_choice(index, "", None), "text"),
            (Shape::Chat, Kind::Text) => {
                (self.delta_choice(index, &json!({"content": ""}), None), "content")
            }
            (Shape::Chat, Kind::Reasoning) => {
                let delta = json!({"reasoning_content": ""});
                (self.delta_choice(index, &delta, None), "reasoning_content")
            }
            (Shape::Chat, Kind::Arguments) => {
                let delta = json!({"tool_calls": [{"index": 0, "function": {"arguments": ""}}]});
                (self.delta_choice(index, &delta, None), "arguments")
            }
        };
        (self.chunk(json!([choice]), usage), key)
    }

    /// The first chunk of a choice, or of its tool call: what is said before any token.
    fn opening(&self, index: u64, kind: Kind) -> Value {
        match kind {
            Kind::Arguments => {
                let call = json!({
                    "index": 0,
                    "id": self.generation.id("call_"),
                    "type": "function",
                    "function": {"name": "look_up", "arguments": ""},
                });
                self.delta_choice(index, &json!({"tool_calls": [call]}), None)
            }
            Kind::Text | Kind::Reasoning => {
                self.delta_choice(index, &json!({"role": "assistant", "content": ""}), None)
            }
        }
    }

    fn open(&self, out: &mut Stream<'_>, kind: Kind, usage: Option<Usage>) -> Result<(), Ended> {
        for index in 0..self.generation.choices {
            out.event(None, &self.chunk(json!([self.opening(index, kind)]), usage).to_string())?;
        }
        Ok(())
    }
}

/// How many prompts there are; a list of token ids is one.
fn prompts(fields: &Fields) -> Result<u64, ApiError> {
    match fields.get("prompt") {
        Some(Value::String(_)) => Ok(1),
        Some(Value::Array(list)) if !list.is_empty() => Ok(if list.iter().any(Value::is_number) {
            1
        } else {
            list.iter().fold(0, |count, _| count + 1)
        }),
        _ => Err(ApiError::bad_request(Some("prompt"), "'prompt' must be a text or a list.")),
    }
}

pub(super) fn usage_json(usage: Usage) -> Value {
    let mut json = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
    });
    if let Some(fields) = json.as_object_mut() {
        if usage.cached > 0 || usage.written > 0 {
            let mut details = json!({"cached_tokens": usage.cached});
            if let (1.., Some(details)) = (usage.written, details.as_object_mut()) {
                details.insert("cache_write_tokens".to_owned(), json!(usage.written));
            }
            fields.insert("prompt_tokens_details".to_owned(), details);
        }
        if usage.reasoning > 0 {
            let details = json!({"reasoning_tokens": usage.reasoning});
            fields.insert("completion_tokens_details".to_owned(), details);
        }
    }
    json
}

impl Completion {
    fn json(&self) -> Value {
        let generation = &self.generation;
        let choices = (0..generation.choices).map(|index| match self.shape {
            Shape::Text => {
                let text: String = generation.tokens().map(|token| token.text).collect();
                self.text_choice(index, &text, Some(self.finish_reason()))
            }
            Shape::Chat => {
                let arguments = generation.text(Kind::Arguments);
                let text = generation.text(Kind::Text);
                let mut message = json!({
                    "role": "assistant",
                    "content": text.or(arguments.is_none().then(String::new)),
                });
                if let Some(fields) = message.as_object_mut() {
                    if let Some(reasoning) = generation.text(Kind::Reasoning) {
                        fields.insert("reasoning_content".to_owned(), json!(reasoning));
                    }
                    if let Some(arguments) = arguments {
                        let call = json!({
                            "id": generation.id("call_"),
                            "type": "function",
                            "function": {"name": "look_up", "arguments": arguments},
                        });
                        fields.insert("tool_calls".to_owned(), json!([call]));
                    }
                }
                json!({
                    "index": index,
                    "message": message,
                    "logprobs": null,
                    "finish_reason": self.finish_reason(),
                })
            }
        });
        let object = match self.shape {
            Shape::Chat => "chat.completion",
            Shape::Text => "text_completion",
        };
        let mut answer = self.envelope(object, choices.collect());
        if let (true, Some(fields)) = (generation.has_usage(), answer.as_object_mut()) {
            fields.insert("usage".to_owned(), usage_json(generation.usage()));
        }
        answer
    }
}

impl Answer for Completion {
    fn format(&self) -> Option<Format> {
        self.stream.then_some(Format::Sse)
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

    fn stream(&self, out: &mut Stream<'_>) -> Result<(), Ended> {
        let generation = &self.generation;
        let so_far = |sent| self.continuous_usage.then(|| generation.usage_after(sent));
        let mut templates: BTreeMap<(u64, Kind), (Template, String)> = BTreeMap::new();
        let mut sent = 0;
        let mut calls = false;

        if self.shape == Shape::Chat {
            self.open(out, Kind::Text, so_far(0))?;
        }
        for token in generation.tokens() {
            if self.shape == Shape::Chat && token.kind == Kind::Arguments && !calls {
                calls = true;
                self.open(out, Kind::Arguments, so_far(sent))?;
            }
            for index in 0..generation.choices {
                sent += 1;
                let make = || {
                    let (chunk, key) = self.token_chunk(index, token.kind, so_far(sent));
                    (Template::new(&chunk, key), String::new())
                };
                let (template, data) = templates.entry((index, token.kind)).or_insert_with(make);
                if self.continuous_usage {
                    *template = make().0;
                }
                template.fill(token.text, data);
                out.delta(None, data)?;
            }
        }
        out.deltas_end()?;

        for index in 0..generation.choices {
            let finish = Some(self.finish_reason());
            let choice = match self.shape {
                Shape::Chat => self.delta_choice(index, &json!({}), finish),
                Shape::Text => self.text_choice(index, "", finish),
            };
            let is_last = index + 1 == generation.choices;
            let usage = (self.continuous_usage || is_last && generation.has_usage_before_the_end())
                .then(|| generation.usage());
            out.event(None, &self.chunk(json!([choice]), usage).to_string())?;
        }
        if self.include_usage {
            out.event(None, &self.chunk(json!([]), Some(generation.usage())).to_string())?;
        }
        out.event(None, "[DONE]")
    }
}

//! OpenAI's responses.
//!
//! <https://platform.openai.com/docs/api-reference/responses-streaming>

use serde_json::{json, Value};

use super::answer::Answer;
use crate::controls::Controls;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::generation::{Ask, Finish, Generation, Kind, Usage};
use crate::peer::Ended;
use crate::stream::{Format, Stream};

/// The order in which a response has its items.
const KINDS: [Kind; 3] = [Kind::Reasoning, Kind::Text, Kind::Arguments];

#[derive(Debug)]
pub(super) struct Response {
    generation: Generation,
    stream: bool,
}

impl Response {
    pub(super) fn read(fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        let model = fields.model()?;
        if !fields.get("input").is_some_and(|input| input.is_string() || input.is_array()) {
            return Err(ApiError::bad_request(Some("input"), "'input' must be a text or a list."));
        }
        let ask = Ask {
            model,
            input_tokens: fields.tokens_of(&["instructions", "input"]),
            max_tokens: fields.positive("max_output_tokens")?,
            choices: 1,
        };
        let generation = Generation::new(ask, controls);
        Ok(Self { generation, stream: fields.flag("stream", false)? })
    }

    fn status(&self) -> &'static str {
        match self.generation.finish() {
            Finish::Length => "incomplete",
            Finish::Stop | Finish::ToolCall => "completed",
        }
    }

    fn response(&self, status: &str, output: &[Value], usage: Option<Usage>) -> Value {
        let incomplete = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        json!({
            "id": self.generation.id("resp_"),
            "object": "response",
            "created_at": self.generation.created.as_secs(),
            "status": status,
            "error": null,
            "incomplete_details": incomplete,
            "model": self.generation.model,
            "output": output,
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage.map(usage_json),
        })
    }

    fn item_id(&self, kind: Kind) -> String {
        self.generation.id(match kind {
            Kind::Reasoning => "rs_",
            Kind::Text => "msg_",
            Kind::Arguments => "fc_",
        })
    }

    /// An item of the output; without text it is one that has just begun.
    fn item(&self, kind: Kind, text: Option<&str>) -> Value {
        let id = self.item_id(kind);
        let status = if text.is_some() { self.status() } else { "in_progress" };
        let content: Vec<_> = text.map(|text| part(kind, text)).into_iter().collect();
        match kind {
            Kind::Reasoning => json!({
                "id": id, "type": "reasoning", "summary": [], "content": content, "status": status,
            }),
            Kind::Text => json!({
                "id": id, "type": "message", "role": "assistant", "status": status,
                "content": content,
            }),
            Kind::Arguments => json!({
                "id": id, "type": "function_call", "call_id": self.generation.id("call_"),
                "name": "look_up", "arguments": text.unwrap_or_default(), "status": status,
            }),
        }
    }

    fn output(&self) -> Vec<Value> {
        KINDS
            .into_iter()
            .filter_map(|kind| Some(self.item(kind, Some(&self.generation.text(kind)?))))
            .collect()
    }
}

fn part(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Reasoning => json!({"type": "reasoning_text", "text": text}),
        Kind::Text | Kind::Arguments => {
            json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
        }
    }
}

fn usage_json(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input.saturating_add(usage.output),
    })
}

/// Events have their name in the data as well, and a number.
struct Events<'a, 'b> {
    out: &'a mut Stream<'b>,
    number: u64,
}

impl Events<'_, '_> {
    fn complete(&mut self, name: &'static str, mut data: Value) -> Value {
        if let Some(fields) = data.as_object_mut() {
            fields.insert("type".to_owned(), json!(name));
            fields.insert("sequence_number".to_owned(), json!(self.number));
        }
        self.number += 1;
        data
    }

    fn send(&mut self, name: &'static str, data: Value) -> Result<(), Ended> {
        let data = self.complete(name, data);
        self.out.event(Some(name), &data.to_string())
    }
}

impl Response {
    fn json(&self) -> Value {
        let usage = self.generation.has_usage().then(|| self.generation.usage());
        self.response(self.status(), &self.output(), usage)
    }
}

impl Answer for Response {
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
        let mut events = Events { out, number: 0 };
        let running = |usage| json!({"response": self.response("in_progress", &[], usage)});
        events.send("response.created", running(None))?;
        events.send("response.in_progress", running(None))?;

        let mut sent = 0;
        let items = KINDS.into_iter().filter_map(|kind| Some((kind, generation.text(kind)?)));
        for (index, (kind, text)) in items.enumerate() {
            let (delta, done, member) = match kind {
                Kind::Reasoning => {
                    ("response.reasoning_text.delta", "response.reasoning_text.done", "text")
                }
                Kind::Text => ("response.output_text.delta", "response.output_text.done", "text"),
                Kind::Arguments => (
                    "response.function_call_arguments.delta",
                    "response.function_call_arguments.done",
                    "arguments",
                ),
            };
            // Every event about an item, or about the only part of its content, says which one.
            let place = |name: &str, value: Value| {
                let mut data = json!({"item_id": self.item_id(kind), "output_index": index});
                if let Some(fields) = data.as_object_mut() {
                    fields.insert(name.to_owned(), value);
                    if kind != Kind::Arguments {
                        fields.insert("content_index".to_owned(), json!(0));
                    }
                }
                data
            };

            let item = json!({"output_index": index, "item": self.item(kind, None)});
            events.send("response.output_item.added", item)?;
            if kind != Kind::Arguments {
                events.send("response.content_part.added", place("part", part(kind, "")))?;
            }
            for token in generation.tokens().filter(|token| token.kind == kind) {
                let event = events.complete(delta, place("delta", json!(token.text)));
                events.out.delta(Some(delta), &event.to_string())?;
                sent += 1;
                if generation.has_usage_on_every_event() {
                    let usage = Some(generation.usage_after(sent));
                    events.send("response.in_progress", running(usage))?;
                }
            }
            events.send(done, place(member, json!(text)))?;
            if kind != Kind::Arguments {
                events.send("response.content_part.done", place("part", part(kind, &text)))?;
            }
            let item = json!({"output_index": index, "item": self.item(kind, Some(&text))});
            events.send("response.output_item.done", item)?;
        }
        events.out.deltas_end()?;

        if generation.has_usage_before_the_end() {
            events.send("response.in_progress", running(Some(generation.usage())))?;
        }
        let end = match generation.finish() {
            Finish::Length => "response.incomplete",
            Finish::Stop | Finish::ToolCall => "response.completed",
        };
        events.send(end, json!({"response": self.json()}))
    }
}

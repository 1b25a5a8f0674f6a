//! `/v1/responses`, at once or in the background.

use std::time::Instant;

use serde_json::Value;

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, RESPONSE};
use super::super::call::Call;
use super::super::error::Failure;
use crate::error::ApiError;
use crate::generation::{Kind, Usage};
use crate::ordered::{object, Json, Object, NULL};
use crate::record::Stored;
use crate::stream::Format;

const KINDS: [Kind; 3] = [Kind::Reasoning, Kind::Text, Kind::Arguments];

pub(crate) fn response(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, RESPONSE)?;
    if asked.fields.flag("background", false)? {
        return Ok(in_background(call, &asked));
    }
    if asked.fields.flag("store", true)? {
        let json = end(&asked).to_string();
        let stored = Stored { ready: Instant::now(), before: json.clone(), after: json };
        call.record.store(asked.id("resp_"), stored);
    }
    if asked.stream {
        return Ok(stream(&asked));
    }
    Ok(Made::whole(asked.usage().input, asked.usage().output, end(&asked)))
}

/// Answered before anything is generated, which the engine then does whatever the client does.
fn in_background(call: &Call<'_>, asked: &Asked) -> Made {
    let tokens = u32::try_from(asked.usage().output).unwrap_or(u32::MAX);
    let time = call.controls.latency + call.controls.token_delay.saturating_mul(tokens);
    let stored = Stored {
        ready: Instant::now() + time,
        before: body(asked, "in_progress", &[], None).to_string(),
        after: end(asked).to_string(),
    };
    call.record.store(asked.id("resp_"), stored);
    call.record.makes(call.request, asked.usage().input, asked.usage().output);
    Made::fixed(&body(asked, "queued", &[], None))
}

/// The latest of a response in the background.
pub(crate) fn stored(call: &Call<'_>) -> Result<Made, Failure> {
    let path = String::from_utf8_lossy(call.request.path());
    let id = path.split('/').nth(3).unwrap_or_default();
    match call.record.stored(id) {
        Some(json) => Ok(Made::text(200, "application/json", &json)),
        None => Err(Failure::Api(ApiError {
            status: 404,
            message: format!("Response with id '{id}' not found."),
            param: Some("response_id"),
            code: None,
        })),
    }
}

fn end(asked: &Asked) -> Json {
    let output: Vec<_> =
        KINDS.into_iter().filter_map(|kind| item(asked, kind, asked.text(kind))).collect();
    let status = if asked.is_cut() { "incomplete" } else { "completed" };
    body(asked, status, &output, Some(asked.usage()))
}

fn body(asked: &Asked, status: &str, output: &[Json], usage: Option<Usage>) -> Json {
    let incomplete = (status == "incomplete").then(|| object! { "reason": "max_output_tokens" });
    let number = |name: &str, default: f64| {
        asked.fields.get(name).and_then(Value::as_f64).unwrap_or(default)
    };
    let mut json = Object::default();
    json.put("id", &asked.id("resp_"))
        .put("created_at", &asked.created())
        .put("incomplete_details", &incomplete)
        .put("instructions", &asked.fields.get("instructions").and_then(Value::as_str))
        .put("metadata", &NULL)
        .put("model", &asked.model())
        .put("object", &"response")
        .put("output", &output.to_vec())
        .put("parallel_tool_calls", &true)
        .put("temperature", &number("temperature", 1.0))
        .put("tool_choice", &"none")
        .put("tools", &Vec::<Json>::new())
        .put("top_p", &number("top_p", 1.0))
        .put("background", &(asked.fields.get("background") == Some(&Value::Bool(true))))
        .put("max_output_tokens", &asked.fields.get("max_output_tokens").and_then(Value::as_u64));
    for name in ["max_tool_calls", "previous_response_id", "prompt", "reasoning"] {
        json.put(name, &NULL);
    }
    json.put("service_tier", &"auto")
        .put("status", &status)
        .put("text", &NULL)
        .put("top_logprobs", &NULL)
        .put("truncation", &"disabled")
        .put("usage", &usage.map(usage_json))
        .put("user", &NULL)
        .put("presence_penalty", &0.0)
        .put("frequency_penalty", &0.0);
    for name in ["kv_transfer_params", "ec_transfer_params", "input_messages", "output_messages"] {
        json.put(name, &NULL);
    }
    json.json()
}

fn usage_json(usage: Usage) -> Json {
    let none = Vec::<Json>::new();
    let input = object! {
        "cached_tokens": usage.cached, "cache_write_tokens": 0_u64,
        "input_tokens_per_turn": none, "cached_tokens_per_turn": none,
    };
    let output = object! {
        "reasoning_tokens": usage.reasoning, "tool_output_tokens": 0_u64,
        "output_tokens_per_turn": none, "tool_output_tokens_per_turn": none,
    };
    object! {
        "input_tokens": usage.input, "input_tokens_details": input,
        "output_tokens": usage.output, "output_tokens_details": output,
        "total_tokens": usage.input.saturating_add(usage.output),
    }
}

fn item_id(asked: &Asked, kind: Kind) -> String {
    asked.id(match kind {
        Kind::Reasoning => "rs_",
        Kind::Text => "msg_",
        Kind::Arguments => "fc_",
    })
}

/// An item that has ended; `None` where there is none of this kind.
fn item(asked: &Asked, kind: Kind, text: Option<String>) -> Option<Json> {
    let text = text?;
    let id = item_id(asked, kind);
    Some(match kind {
        Kind::Reasoning => object! {
            "id": id, "summary": Vec::<Json>::new(), "type": "reasoning",
            "content": [object! { "text": text, "type": "reasoning_text" }],
            "encrypted_content": NULL, "status": NULL,
        },
        Kind::Text => object! {
            "id": id, "content": [text_part(&text, NULL)], "role": "assistant",
            "status": "completed", "type": "message", "phase": NULL,
        },
        Kind::Arguments => object! {
            "arguments": text, "call_id": asked.id("call_"), "name": asked.tool(),
            "type": "function_call", "id": id, "status": "completed",
        },
    })
}

fn text_part(text: &str, logprobs: Option<Json>) -> Json {
    object! {
        "annotations": Vec::<Json>::new(), "text": text, "type": "output_text",
        "logprobs": logprobs,
    }
}

/// An item that begins.
fn new_item(asked: &Asked, kind: Kind) -> Json {
    let id = item_id(asked, kind);
    match kind {
        Kind::Reasoning => object! {
            "id": id, "summary": Vec::<Json>::new(), "type": "reasoning", "content": NULL,
            "encrypted_content": NULL, "status": "in_progress",
        },
        Kind::Text => object! {
            "id": id, "content": Vec::<Json>::new(), "role": "assistant",
            "status": "in_progress", "type": "message", "phase": NULL,
        },
        Kind::Arguments => object! {
            "arguments": "", "call_id": asked.id("call_"), "name": asked.tool(),
            "type": "function_call", "id": id, "status": "in_progress",
        },
    }
}

/// Events, which count themselves.
struct Events {
    script: Script,
    number: u64,
}

impl Events {
    fn json(&mut self, name: &'static str, mut data: Object) -> Json {
        data.put("sequence_number", &self.number).put("type", &name);
        self.number += 1;
        data.json()
    }

    fn event(&mut self, name: &'static str, data: Object) {
        let json = self.json(name, data);
        self.script.event(Some(name), &json);
    }
}

fn object_of(members: &[(&str, &dyn crate::ordered::ToJson)]) -> Object {
    let mut object = Object::default();
    for (name, value) in members {
        object.put(name, *value);
    }
    object
}

fn stream(asked: &Asked) -> Made {
    let mut events = Events { script: Script::new(Format::Sse), number: 0 };
    let running = body(asked, "in_progress", &[], None);
    events.event("response.created", object_of(&[("response", &running)]));
    events.event("response.in_progress", object_of(&[("response", &running)]));

    let items = KINDS.into_iter().filter_map(|kind| Some((kind, asked.text(kind)?)));
    for (index, (kind, text)) in items.enumerate() {
        let id = item_id(asked, kind);
        let added = object_of(&[("item", &new_item(asked, kind)), ("output_index", &index)]);
        events.event("response.output_item.added", added);
        let part = match kind {
            Kind::Reasoning => Some(object! { "text": "", "type": "reasoning_text" }),
            Kind::Text => Some(text_part("", Some(Json::written("[]")))),
            Kind::Arguments => None,
        };
        let place = |part: &Json| {
            object_of(&[
                ("content_index", &0_u64),
                ("item_id", &id),
                ("output_index", &index),
                ("part", part),
            ])
        };
        if let Some(part) = &part {
            events.event("response.content_part.added", place(part));
        }
        for word in asked.words().iter().filter(|word| word.kind == kind) {
            let (name, members) = match kind {
                Kind::Arguments => (
                    "response.function_call_arguments.delta",
                    object_of(&[("delta", &word.text), ("item_id", &id), ("output_index", &index)]),
                ),
                Kind::Reasoning => (
                    "response.reasoning_text.delta",
                    object_of(&[
                        ("content_index", &0_u64),
                        ("delta", &word.text),
                        ("item_id", &id),
                        ("output_index", &index),
                    ]),
                ),
                Kind::Text => (
                    "response.output_text.delta",
                    object_of(&[
                        ("content_index", &0_u64),
                        ("delta", &word.text),
                        ("item_id", &id),
                        ("logprobs", &Json::written("[]")),
                        ("output_index", &index),
                    ]),
                ),
            };
            let json = events.json(name, members);
            events.script.delta(Some(name), &json);
        }
        close(asked, &mut events, kind, index, &text);
        if let Some(item) = item(asked, kind, Some(text)) {
            let done = object_of(&[("item", &item), ("output_index", &index)]);
            events.event("response.output_item.done", done);
        }
    }
    events.event("response.completed", object_of(&[("response", &end(asked))]));
    events.script.made(asked.usage().input, asked.usage().output)
}

/// The events between an item's last delta and its end.
fn close(asked: &Asked, events: &mut Events, kind: Kind, index: usize, text: &str) {
    let id = item_id(asked, kind);
    let (name, mut done) = match kind {
        Kind::Reasoning => (
            "response.reasoning_text.done",
            object_of(&[("content_index", &0_u64), ("item_id", &id), ("output_index", &index)]),
        ),
        Kind::Text => (
            "response.output_text.done",
            object_of(&[
                ("content_index", &0_u64),
                ("item_id", &id),
                ("logprobs", &Json::written("[]")),
                ("output_index", &index),
            ]),
        ),
        Kind::Arguments => (
            "response.function_call_arguments.done",
            object_of(&[
                ("arguments", &text),
                ("item_id", &id),
                ("name", &asked.tool()),
                ("output_index", &index),
            ]),
        ),
    };
    if kind == Kind::Arguments {
        events.event(name, done);
        return;
    }
    // The text comes after the number, in these two.
    done.put("sequence_number", &events.number).put("text", &text).put("type", &name);
    events.number += 1;
    events.script.event(Some(name), &done.json());
    let part = match kind {
        Kind::Reasoning => object! { "text": text, "type": "reasoning_text" },
        Kind::Text | Kind::Arguments => text_part(text, NULL),
    };
    let done = object_of(&[
        ("content_index", &0_u64),
        ("item_id", &id),
        ("output_index", &index),
        ("part", &part),
    ]);
    events.event("response.content_part.done", done);
}

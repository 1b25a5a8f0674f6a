//! `/v1/responses`: events with fewer members than OpenAI's, and no numbers.

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, RESPONSE};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::timings;
use crate::generation::{Kind, Usage};
use crate::ordered::{object, Json};
use crate::stream::Format;

const KINDS: [Kind; 3] = [Kind::Reasoning, Kind::Text, Kind::Arguments];

pub(super) fn response(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, RESPONSE)?;
    let model = super::members::model(call, &asked.fields);
    if asked.stream {
        return Ok(stream(&asked, &model));
    }
    let output: Vec<_> = KINDS.into_iter().filter_map(|kind| item(&asked, kind, false)).collect();
    let json = object! {
        "completed_at": asked.created(), "created_at": asked.created(), "id": asked.id("resp_"),
        "model": model, "object": "response", "output": output, "status": "completed",
        "usage": usage(asked.usage()),
    };
    Ok(Made::whole(asked.usage().input, asked.usage().output, json))
}

fn usage(usage: Usage) -> Json {
    object! {
        "input_tokens": usage.input, "output_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "input_tokens_details": object! { "cached_tokens": usage.cached },
    }
}

fn id(asked: &Asked, kind: Kind) -> String {
    asked.id(match kind {
        Kind::Reasoning => "rs_",
        Kind::Text => "msg_",
        Kind::Arguments => "fc_",
    })
}

fn text_part(text: &str) -> Json {
    object! {
        "type": "output_text", "annotations": Vec::<Json>::new(), "logprobs": Vec::<Json>::new(),
        "text": text,
    }
}

/// An item that has ended; a stream has its members in another order.
fn item(asked: &Asked, kind: Kind, streamed: bool) -> Option<Json> {
    let text = asked.text(kind)?;
    let id = id(asked, kind);
    Some(match kind {
        Kind::Reasoning => object! {
            "id": id, "summary": Vec::<Json>::new(), "type": "reasoning",
            "content": [object! { "text": text, "type": "reasoning_text" }],
            "encrypted_content": "", "status": "completed",
        },
        Kind::Text if streamed => object! {
            "type": "message", "status": "completed", "id": id, "content": [text_part(&text)],
            "role": "assistant",
        },
        Kind::Text => object! {
            "content": [text_part(&text)], "id": id, "role": "assistant", "status": "completed",
            "type": "message",
        },
        Kind::Arguments => object! {
            "type": "function_call", "status": "completed", "arguments": text,
            "call_id": asked.id("fc_"), "name": asked.tool(),
        },
    })
}

fn stream(asked: &Asked, model: &str) -> Made {
    let mut script = Script::new(Format::BareSse);
    for name in ["response.created", "response.in_progress"] {
        let response = object! {
            "id": asked.id("resp_"), "object": "response", "status": "in_progress",
        };
        script.event(Some(name), &object! { "type": name, "response": response });
    }
    let kinds = KINDS.into_iter().filter_map(|kind| Some((kind, asked.text(kind)?)));
    for (kind, text) in kinds {
        let id = id(asked, kind);
        let begun = match kind {
            Kind::Reasoning => object! {
                "id": id, "summary": Vec::<Json>::new(), "type": "reasoning",
                "content": Vec::<Json>::new(), "encrypted_content": "", "status": "in_progress",
            },
            Kind::Text => object! {
                "content": Vec::<Json>::new(), "id": id, "role": "assistant",
                "status": "in_progress", "type": "message",
            },
            Kind::Arguments => object! {
                "arguments": "", "call_id": id, "name": asked.tool(), "type": "function_call",
                "status": "in_progress",
            },
        };
        let name = "response.output_item.added";
        script.event(Some(name), &object! { "type": name, "item": begun });
        if kind == Kind::Text {
            let name = "response.content_part.added";
            let part = object! { "type": "output_text", "text": "" };
            script.event(Some(name), &object! { "type": name, "item_id": id, "part": part });
        }
        let name = match kind {
            Kind::Reasoning => "response.reasoning_text.delta",
            Kind::Text => "response.output_text.delta",
            Kind::Arguments => "response.function_call_arguments.delta",
        };
        for word in asked.words().iter().filter(|word| word.kind == kind) {
            let delta = object! { "type": name, "item_id": id, "delta": word.text };
            script.delta(Some(name), &delta);
        }
        if kind == Kind::Text {
            let name = "response.output_text.done";
            script.event(Some(name), &object! { "type": name, "item_id": id, "text": text });
            let name = "response.content_part.done";
            let part = text_part(&text);
            script.event(Some(name), &object! { "type": name, "item_id": id, "part": part });
        }
        let name = "response.output_item.done";
        script.event(Some(name), &object! { "type": name, "item": item(asked, kind, true) });
    }
    let output: Vec<_> = KINDS.into_iter().filter_map(|kind| item(asked, kind, true)).collect();
    let response = object! {
        "id": asked.id("resp_"), "object": "response", "created_at": asked.created(),
        "status": "completed", "model": model, "output": output, "usage": usage(asked.usage()),
    };
    let name = "response.completed";
    let end = object! { "type": name, "response": response, "timings": timings(asked.usage()) };
    script.event(Some(name), &end);
    script.made(asked.usage().input, asked.usage().output)
}

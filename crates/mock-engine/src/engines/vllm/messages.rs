//! Anthropic's messages, as vLLM has them.

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, MESSAGE};
use super::super::call::Call;
use super::super::error::Failure;
use crate::generation::{Kind, Usage};
use crate::ordered::{object, Json, Object, NULL};
use crate::stream::Format;

/// The order of blocks.
const KINDS: [Kind; 3] = [Kind::Reasoning, Kind::Text, Kind::Arguments];

pub(crate) fn message(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, MESSAGE)?;
    if asked.stream {
        return Ok(stream(&asked));
    }
    let blocks: Vec<_> = KINDS
        .into_iter()
        .filter_map(|kind| Some(block(&asked, kind, &asked.text(kind)?)))
        .collect();
    let json = object! {
        "id": asked.id("chatcmpl-"), "type": "message", "role": "assistant", "content": blocks,
        "model": asked.model(), "stop_reason": asked.stop_reason(), "usage": usage(asked.usage()),
    };
    Ok(Made::whole(asked.usage().input, asked.usage().output, json))
}

pub(super) fn count_tokens(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, MESSAGE)?;
    let input = asked.usage().input;
    let before = object! { "original_input_tokens": input };
    Ok(Made::fixed(&object! { "input_tokens": input, "context_management": before }))
}

fn usage(usage: Usage) -> Json {
    object! {
        "input_tokens": usage.input.saturating_sub(usage.cached), "output_tokens": usage.output,
        "cache_creation_input_tokens": 0_u64, "cache_read_input_tokens": usage.cached,
    }
}

fn block(asked: &Asked, kind: Kind, text: &str) -> Json {
    match kind {
        Kind::Reasoning => object! { "type": "thinking", "thinking": text },
        Kind::Text => object! { "type": "text", "text": text },
        Kind::Arguments => {
            let is_json = serde_json::from_str::<serde_json::Value>(text).is_ok();
            let input = Json::written(if is_json { text } else { "{}" });
            object! {
                "type": "tool_use", "id": asked.id("chatcmpl-tool-"), "name": asked.tool(),
                "input": input,
            }
        }
    }
}

fn stream(asked: &Asked) -> Made {
    let mut script = Script::new(Format::Sse);
    let usage_at_start = object! { "input_tokens": asked.usage().input, "output_tokens": 0_u64 };
    let message = object! {
        "id": asked.id("chatcmpl-"), "type": "message", "role": "assistant",
        "content": Vec::<Json>::new(), "model": asked.model(), "stop_reason": NULL,
        "stop_sequence": NULL, "usage": usage_at_start,
    };
    script.event(Some("message_start"), &object! { "type": "message_start", "message": message });
    let kinds = KINDS.into_iter().filter(|kind| asked.text(*kind).is_some());
    for (index, kind) in kinds.enumerate() {
        let start = object! {
            "type": "content_block_start", "content_block": block(asked, kind, ""),
            "index": index,
        };
        script.event(Some("content_block_start"), &start);
        for word in asked.words().iter().filter(|word| word.kind == kind) {
            let (name, member) = match kind {
                Kind::Reasoning => ("thinking_delta", "thinking"),
                Kind::Text => ("text_delta", "text"),
                Kind::Arguments => ("input_json_delta", "partial_json"),
            };
            let mut delta = Object::default();
            delta.put("type", &name).put(member, &word.text);
            let event = object! {
                "type": "content_block_delta", "delta": delta.json(), "index": index,
            };
            script.delta(Some("content_block_delta"), &event);
        }
        let stop = object! { "type": "content_block_stop", "index": index };
        script.event(Some("content_block_stop"), &stop);
    }
    let delta = object! { "stop_reason": asked.stop_reason(), "stop_sequence": NULL };
    let end = object! { "type": "message_delta", "delta": delta, "usage": usage(asked.usage()) };
    script.event(Some("message_delta"), &end);
    script.event(Some("message_stop"), &object! { "type": "message_stop" });
    script.made(asked.usage().input, asked.usage().output)
}

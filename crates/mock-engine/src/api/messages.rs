//! Anthropic's messages.
//!
//! <https://docs.anthropic.com/en/docs/build-with-claude/streaming>

use serde_json::{json, Value};

use super::answer::Answer;
use crate::controls::Controls;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::generation::{Ask, Finish, Generation, Kind, Usage};
use crate::peer::Ended;
use crate::stream::{Format, Stream, Template};

/// The order in which an answer has its blocks.
const KINDS: [Kind; 3] = [Kind::Reasoning, Kind::Text, Kind::Arguments];

#[derive(Debug)]
pub(super) struct Message {
    generation: Generation,
    stream: bool,
}

impl Message {
    pub(super) fn read(fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        let model = fields.model()?;
        fields.list("messages")?;
        let Some(max_tokens) = fields.positive("max_tokens")? else {
            return Err(ApiError::bad_request(Some("max_tokens"), "max_tokens: Field required"));
        };
        let ask = Ask {
            model,
            input_tokens: fields.tokens_of(&["system", "messages"]),
            max_tokens: Some(max_tokens),
            choices: 1,
        };
        let generation = Generation::new(ask, controls);
        Ok(Self { generation, stream: fields.flag("stream", false)? })
    }

    fn stop_reason(&self) -> &'static str {
        match self.generation.finish() {
            Finish::Stop => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ToolCall => "tool_use",
        }
    }

    fn message(&self, content: &[Value], stop_reason: Option<&str>, usage: Usage) -> Value {
        let mut message = json!({
            "id": self.generation.id("msg_"),
            "type": "message",
            "role": "assistant",
            "model": self.generation.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": null,
        });
        if let (true, Some(fields)) = (self.generation.has_usage(), message.as_object_mut()) {
            fields.insert("usage".to_owned(), usage_json(usage));
        }
        message
    }

    /// A block with this text in it; an empty one is how a stream begins it.
    fn block(&self, kind: Kind, text: &str) -> Value {
        match kind {
            Kind::Reasoning => json!({"type": "thinking", "thinking": text, "signature": ""}),
            Kind::Text => json!({"type": "text", "text": text}),
            Kind::Arguments => json!({
                "type": "tool_use",
                "id": self.generation.id("toolu_"),
                "name": "look_up",
                // An object, here; what the bound has cut short is none.
                "input": serde_json::from_str(text).unwrap_or_else(|_| json!({})),
            }),
        }
    }

    fn message_delta(&self, stop_reason: Option<&str>, usage: Option<Usage>) -> String {
        let mut event = json!({
            "type": "message_delta",
            "delta": {"stop_reason": stop_reason, "stop_sequence": null},
        });
        if let (Some(usage), Some(fields)) = (usage, event.as_object_mut()) {
            fields.insert("usage".to_owned(), json!({"output_tokens": usage.output}));
        }
        event.to_string()
    }
}

/// The parts of the input are apart: `input_tokens` leaves out those of the cache.
fn usage_json(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached - usage.written,
        "cache_creation_input_tokens": usage.written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.written - usage.written_1h,
            "ephemeral_1h_input_tokens": usage.written_1h,
        },
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
    })
}

fn delta(index: usize, kind: Kind) -> (Value, &'static str) {
    let (delta, key) = match kind {
        Kind::Reasoning => (json!({"type": "thinking_delta", "thinking": ""}), "thinking"),
        Kind::Text => (json!({"type": "text_delta", "text": ""}), "text"),
        Kind::Arguments => {
            (json!({"type": "input_json_delta", "partial_json": ""}), "partial_json")
        }
    };
    (json!({"type": "content_block_delta", "index": index, "delta": delta}), key)
}

impl Message {
    fn json(&self) -> Value {
        let blocks: Vec<_> = KINDS
            .into_iter()
            .filter_map(|kind| Some(self.block(kind, &self.generation.text(kind)?)))
            .collect();
        self.message(&blocks, Some(self.stop_reason()), self.generation.usage())
    }
}

impl Answer for Message {
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
        let message = self.message(&[], None, generation.usage_after(0));
        let start = json!({"type": "message_start", "message": message});
        out.event(Some("message_start"), &start.to_string())?;
        out.event(Some("ping"), r#"{"type": "ping"}"#)?;

        let mut sent = 0;
        let mut data = String::new();
        let kinds = KINDS.into_iter().filter(|kind| generation.text(*kind).is_some());
        for (index, kind) in kinds.enumerate() {
            let block = self.block(kind, "");
            let start =
                json!({"type": "content_block_start", "index": index, "content_block": block});
            out.event(Some("content_block_start"), &start.to_string())?;
            let (event, key) = delta(index, kind);
            let template = Template::new(&event, key);
            for token in generation.tokens().filter(|token| token.kind == kind) {
                template.fill(token.text, &mut data);
                out.delta(Some("content_block_delta"), &data)?;
                sent += 1;
                if generation.has_usage_on_every_event() {
                    let usage = Some(generation.usage_after(sent));
                    out.event(Some("message_delta"), &self.message_delta(None, usage))?;
                }
            }
            let stop = json!({"type": "content_block_stop", "index": index});
            out.event(Some("content_block_stop"), &stop.to_string())?;
        }
        out.deltas_end()?;

        let usage = generation.has_usage().then(|| generation.usage());
        let end = self.message_delta(Some(self.stop_reason()), usage);
        if generation.has_usage_before_the_end() {
            out.event(Some("message_delta"), &end)?;
        }
        out.event(Some("message_delta"), &end)?;
        out.event(Some("message_stop"), r#"{"type":"message_stop"}"#)
    }
}

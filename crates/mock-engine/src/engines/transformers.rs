//! `transformers serve` 5.19, as recorded: no end mark, usage beside the last choice, and responses
//! that are streamed unless told not to.

use super::answer::Made;
use super::answer::Script;
use super::asked::{Asked, Names, CHAT, COMPLETION, RESPONSE};
use super::call::{Call, Endpoint};
use super::error::Failure;
use crate::generation::Usage;
use crate::ordered::{object, Json, Object};
use crate::stream::Format;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    ("GET", "/health", health),
    ("GET", "/v1/models", models),
    ("POST", "/v1/chat/completions", chat),
    ("POST", "/v1/completions", completion),
    ("POST", "/v1/responses", response),
    ("POST", "/reset", health),
];

fn health(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "status": "ok" }))
}

fn models(_: &Call<'_>) -> Result<Made, Failure> {
    let model = object! { "id": "mock", "owned_by": "mock", "object": "model", "created": 0_u64 };
    Ok(Made::fixed(&object! { "object": "list", "data": [model] }))
}

fn model(asked: &Asked) -> String {
    format!("{}@main", asked.model())
}

fn usage(usage: Usage) -> Json {
    object! {
        "completion_tokens": usage.output, "prompt_tokens": usage.input,
        "total_tokens": usage.input.saturating_add(usage.output),
    }
}

/// Reasoning is not told apart from text.
fn text(asked: &Asked) -> String {
    asked.all_text()
}

fn chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, Names { n: &[], ..CHAT })?;
    let (input, output) = (asked.usage().input, asked.usage().output);
    let finish = if asked.is_cut() { "length" } else { "stop" };
    if !asked.stream {
        let message = object! { "content": text(&asked), "role": "assistant" };
        let choice = object! { "finish_reason": finish, "index": 0_u64, "message": message };
        return Ok(Made::whole(
            input,
            output,
            object! {
                "id": asked.id(""), "choices": [choice], "created": asked.created(),
                "model": model(&asked), "object": "chat.completion", "usage": usage(asked.usage()),
            },
        ));
    }
    let mut script = Script::new(Format::Sse);
    let chunk = |delta: Json, finish: Option<&str>| {
        let mut choice = Object::default();
        choice.put("delta", &delta).put("index", &0_u64).put_some("finish_reason", finish);
        let mut json = Object::default();
        json.put("id", &asked.id(""))
            .put("choices", &[choice.json()])
            .put("created", &asked.created())
            .put("model", &model(&asked))
            .put("object", &"chat.completion.chunk")
            .put("system_fingerprint", &"");
        json.put_some("usage", finish.map(|_| usage(asked.usage())));
        json.json()
    };
    script.event(None, &chunk(object! { "role": "assistant" }, None));
    for word in asked.words() {
        script.delta(None, &chunk(object! { "content": word.text }, None));
    }
    script.event(None, &chunk(object! {}, Some(finish)));
    Ok(script.made(input, output))
}

fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, Names { n: &[], ..COMPLETION })?;
    let finish = if asked.is_cut() { "length" } else { "stop" };
    let (input, output) = (asked.usage().input, asked.usage().output);
    let body = |text: &str, finish: Option<&str>, of: Option<Json>| {
        let choice = object! { "finish_reason": finish, "index": 0_u64, "text": text };
        let mut json = Object::default();
        json.put("id", &asked.id(""))
            .put("choices", &[choice])
            .put("created", &asked.created())
            .put("model", &model(&asked))
            .put("object", &"text_completion");
        json.put_some("usage", of).json()
    };
    if !asked.stream {
        let json = body(&text(&asked), Some(finish), Some(usage(asked.usage())));
        return Ok(Made::whole(input, output, json));
    }
    let mut script = Script::new(Format::Sse);
    for word in asked.words() {
        script.delta(None, &body(&word.text, None, None));
    }
    script.event(None, &body("", Some(finish), Some(usage(asked.usage()))));
    Ok(script.made(input, output))
}

fn response(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, Names { streams: true, ..RESPONSE })?;
    let (input, output) = (asked.usage().input, asked.usage().output);
    if asked.stream {
        Ok(stream(&asked))
    } else {
        Ok(Made::whole(input, output, response_json(&asked, "completed")))
    }
}

fn response_json(asked: &Asked, status: &str) -> Json {
    let is_done = status == "completed";
    let output: Vec<_> = is_done.then(|| item(asked)).into_iter().collect();
    let usage = is_done.then(|| {
        let of = asked.usage();
        let input = object! { "cache_write_tokens": 0_u64, "cached_tokens": of.cached };
        let output = object! { "reasoning_tokens": 0_u64 };
        object! {
            "input_tokens": of.input, "input_tokens_details": input, "output_tokens": of.output,
            "output_tokens_details": output,
            "total_tokens": of.input.saturating_add(of.output),
        }
    });
    let mut json = Object::default();
    json.put("id", &asked.id("resp_"))
        .put("created_at", &asked.generation.created.as_secs_f64())
        .put("model", &model(asked))
        .put("object", &"response")
        .put("output", &output)
        .put("parallel_tool_calls", &false)
        .put("tool_choice", &"auto")
        .put("tools", &Vec::<Json>::new())
        .put("status", &status);
    json.put_some("usage", usage).json()
}

fn part(text: &str) -> Json {
    object! { "annotations": Vec::<Json>::new(), "text": text, "type": "output_text" }
}

fn item(asked: &Asked) -> Json {
    object! {
        "id": asked.id("msg_"), "content": [part(&text(asked))], "role": "assistant",
        "status": "completed", "type": "message", "annotations": Vec::<Json>::new(),
    }
}

/// Events, which count themselves, and have their names in the data alone.
struct Events {
    script: Script,
    number: u64,
}

impl Events {
    fn json(&mut self, mut data: Object, text: Option<&str>, name: &str) -> Json {
        data.put("sequence_number", &self.number).put_some("text", text).put("type", &name);
        self.number += 1;
        data.json()
    }

    fn event(&mut self, data: Object, name: &str) {
        let json = self.json(data, None, name);
        self.script.event(None, &json);
    }
}

fn stream(asked: &Asked) -> Made {
    let mut events = Events { script: Script::new(Format::Sse), number: 0 };
    let id = asked.id("msg_");
    let response = |status: &str| {
        let mut data = Object::default();
        data.put("response", &response_json(asked, status));
        data
    };
    let with_item = |item: Json| {
        let mut data = Object::default();
        data.put("item", &item).put("output_index", &0_u64);
        data
    };
    let with_part = |part: Json| {
        let mut data = Object::default();
        data.put("content_index", &0_u64)
            .put("item_id", &id)
            .put("output_index", &0_u64)
            .put("part", &part);
        data
    };

    events.event(response("queued"), "response.created");
    events.event(response("in_progress"), "response.in_progress");
    let begun = object! {
        "id": id, "content": Vec::<Json>::new(), "role": "assistant", "status": "in_progress",
        "type": "message",
    };
    events.event(with_item(begun), "response.output_item.added");
    events.event(with_part(part("")), "response.content_part.added");
    for word in asked.words() {
        let mut data = Object::default();
        data.put("content_index", &0_u64)
            .put("delta", &word.text)
            .put("item_id", &id)
            .put("logprobs", &Vec::<Json>::new())
            .put("output_index", &0_u64);
        let json = events.json(data, None, "response.output_text.delta");
        events.script.delta(None, &json);
    }
    let all = text(asked);
    let mut done = Object::default();
    done.put("content_index", &0_u64)
        .put("item_id", &id)
        .put("logprobs", &Vec::<Json>::new())
        .put("output_index", &0_u64);
    let done = events.json(done, Some(&all), "response.output_text.done");
    events.script.event(None, &done);
    events.event(with_part(part(&all)), "response.content_part.done");
    events.event(with_item(item(asked)), "response.output_item.done");
    events.event(response("completed"), "response.completed");
    events.script.made(asked.usage().input, asked.usage().output)
}

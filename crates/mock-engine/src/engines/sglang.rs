//! SGLang, as its sources say (`entrypoints/openai`): ordinary chunks are written by hand, those of
//! tool calls and usage by pydantic, which writes every member.

use super::answer::Made;
use super::answer::Script;
use super::asked::{Asked, CHAT, COMPLETION};
use super::call::{Call, Endpoint};
use super::error::Failure;
use super::routing::empty;
use crate::controls::UsageMode;
use crate::generation::{Kind, Usage};
use crate::ordered::{object, Json, Object, NULL};
use crate::stream::Format;

pub(super) const ENDPOINTS: &[Endpoint] = &[
    ("GET", "/health", empty),
    ("GET", "/v1/models", models),
    ("POST", "/v1/chat/completions", chat),
    ("POST", "/v1/completions", completion),
    ("POST", "/generate", generate),
    ("PUT", "/generate", generate),
    ("POST", "/v1/messages", super::vllm::message),
    ("POST", "/v1/responses", super::vllm::response),
    ("GET", "/v1/responses/{id}", super::vllm::stored_response),
    ("POST", "/v1/responses/{id}/cancel", super::vllm::stored_response),
    ("POST", "/v1/embeddings", super::vllm::embeddings),
    ("POST", "/v1/rerank", super::vllm::rerank),
    ("POST", "/v1/score", super::vllm::score),
    ("POST", "/flush_cache", empty),
];

fn models(_: &Call<'_>) -> Result<Made, Failure> {
    let model = object! {
        "id": "mock", "object": "model", "created": 0_u64, "owned_by": "sglang", "root": "mock",
        "parent": NULL, "max_model_len": 2048_u64,
    };
    Ok(Made::fixed(&object! { "object": "list", "data": [model] }))
}

/// Cached tokens are told with `--enable-cache-report` only.
fn usage(usage: Usage) -> Json {
    let cached = (usage.cached > 0).then(|| object! { "cached_tokens": usage.cached });
    object! {
        "prompt_tokens": usage.input,
        "total_tokens": usage.input.saturating_add(usage.output),
        "completion_tokens": usage.output, "prompt_tokens_details": cached,
        "reasoning_tokens": usage.reasoning,
    }
}

fn has_usage(call: &Call<'_>) -> bool {
    call.controls.usage != UsageMode::Absent
}

fn matched(asked: &Asked) -> Option<u64> {
    (!asked.is_cut()).then_some(2)
}

fn tool_call(asked: &Asked, arguments: Option<&str>, opens: bool, index: Option<u64>) -> Json {
    let function = object! { "name": opens.then(|| asked.tool()), "arguments": arguments };
    object! {
        "id": opens.then(|| asked.id("call_")), "index": index, "type": "function",
        "function": function,
    }
}

fn chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, CHAT)?;
    if asked.stream {
        return Ok(stream(call, &asked));
    }
    let arguments = asked.text(Kind::Arguments);
    let calls = arguments.map(|text| [tool_call(&asked, Some(&text), true, Some(0))]);
    let choices: Vec<_> = (0..asked.choices())
        .map(|index| {
            let message = object! {
                "role": "assistant", "content": asked.text(Kind::Text).unwrap_or_default(),
                "reasoning_content": asked.text(Kind::Reasoning), "tool_calls": calls,
            };
            object! {
                "index": index, "message": message, "logprobs": NULL,
                "finish_reason": asked.finish_reason(), "matched_stop": matched(&asked),
            }
        })
        .collect();
    let mut json = Object::default();
    json.put("id", &asked.id(""))
        .put("object", &"chat.completion")
        .put("created", &asked.created())
        .put("model", &asked.model())
        .put("choices", &choices);
    if has_usage(call) {
        json.put("usage", &usage(asked.usage()));
    }
    json.put("metadata", &object! { "weight_version": "default" });
    Ok(Made::whole(asked.usage().input, asked.usage().output, json.json()))
}

/// A chunk; `usage` is no member of most of them.
fn chunk(asked: &Asked, object: &str, choices: &[Json], usage: Option<Json>) -> Json {
    let mut json = Object::default();
    json.put("id", &asked.id(""))
        .put("object", &object)
        .put("created", &asked.created())
        .put("model", &asked.model())
        .put("choices", &choices.to_vec());
    json.put_some("usage", usage).json()
}

fn stream(call: &Call<'_>, asked: &Asked) -> Made {
    const CHUNK: &str = "chat.completion.chunk";
    let mut script = Script::new(Format::Sse);
    let so_far = |output| {
        (asked.include_usage && asked.continuous_usage).then(|| usage(asked.usage_of(0, output)))
    };
    let choice = |index: u64, delta: Json, finish: Option<&str>| {
        [object! {
            "index": index, "delta": delta, "logprobs": NULL, "finish_reason": finish,
            "matched_stop": finish.and_then(|_| matched(asked)),
        }]
    };
    for index in 0..asked.choices() {
        let opening = object! { "reasoning_content": NULL, "role": "assistant", "content": "" };
        script.event(None, &chunk(asked, CHUNK, &choice(index, opening, None), so_far(0)));
    }
    let (mut position, mut opens) = (0, true);
    for word in asked.words() {
        position += 1;
        for index in 0..asked.choices() {
            let of = so_far(position);
            let json = match word.kind {
                Kind::Reasoning => {
                    let delta = object! { "reasoning_content": word.text };
                    chunk(asked, CHUNK, &choice(index, delta, None), of)
                }
                Kind::Text => {
                    let delta = object! { "reasoning_content": NULL, "content": word.text };
                    chunk(asked, CHUNK, &choice(index, delta, None), of)
                }
                Kind::Arguments => {
                    let call = tool_call(asked, Some(&word.text), opens, Some(0));
                    let delta = object! {
                        "role": NULL, "content": NULL, "reasoning_content": NULL,
                        "tool_calls": [call],
                    };
                    let of = of.or_else(|| Some(Json::written("null")));
                    chunk(asked, CHUNK, &choice(index, delta, None), of)
                }
            };
            script.delta(None, &json);
        }
        opens &= word.kind != Kind::Arguments;
    }
    for index in 0..asked.choices() {
        let delta = object! { "reasoning_content": NULL };
        let end = choice(index, delta, Some(asked.finish_reason()));
        script.event(None, &chunk(asked, CHUNK, &end, None));
    }
    if asked.include_usage && has_usage(call) {
        script.event(None, &chunk(asked, CHUNK, &[], Some(usage(asked.usage()))));
    }
    script.done();
    script.made(asked.usage().input, asked.usage().output)
}

fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    const OBJECT: &str = "text_completion";
    let asked = Asked::read(call, COMPLETION)?;
    let finish = if asked.is_cut() { "length" } else { "stop" };
    let choice = |index: u64, text: &str, finish: Option<&str>| {
        object! {
            "index": index, "text": text, "logprobs": NULL, "finish_reason": finish,
            "matched_stop": finish.and_then(|_| matched(&asked)),
        }
    };
    let (input, output) = (asked.usage().input, asked.usage().output);
    if !asked.stream {
        let text = asked.all_text();
        let choices: Vec<_> =
            (0..asked.choices()).map(|index| choice(index, &text, Some(finish))).collect();
        let mut json = Object::default();
        json.put("id", &asked.id(""))
            .put("object", &OBJECT)
            .put("created", &asked.created())
            .put("model", &asked.model())
            .put("choices", &choices);
        if has_usage(call) {
            json.put("usage", &usage(asked.usage()));
        }
        json.put("metadata", &object! { "weight_version": "default" });
        return Ok(Made::whole(input, output, json.json()));
    }
    let mut script = Script::new(Format::Sse);
    let words = asked.words();
    for (position, word) in (1_u64..).zip(&words) {
        let is_end = position == asked.tokens_of_one();
        for index in 0..asked.choices() {
            let choices = [choice(index, &word.text, is_end.then_some(finish))];
            // Pydantic's: the member is there, whatever was asked for.
            let of = (asked.include_usage && asked.continuous_usage)
                .then(|| usage(asked.usage_of(index, position)))
                .or_else(|| Some(Json::written("null")));
            script.delta(None, &chunk(&asked, OBJECT, &choices, of));
        }
    }
    if asked.include_usage && has_usage(call) {
        script.event(None, &chunk(&asked, OBJECT, &[], Some(usage(asked.usage()))));
    }
    script.done();
    Ok(script.made(input, output))
}

/// The own API: text so far in each event, not what is new.
fn generate(call: &Call<'_>) -> Result<Made, Failure> {
    let names = super::asked::Names { input: &["text"], bounds: &[], ..CHAT };
    let mut asked = Asked::read(call, names)?;
    let parameter = asked.fields.get_in("sampling_params", "max_new_tokens");
    asked.generation.shorten_to(parameter.and_then(serde_json::Value::as_u64).unwrap_or(128));
    let state = |text: &str, output: u64, is_end: bool| {
        let reason = if asked.is_cut() { "length" } else { "stop" };
        let meta = object! {
            "id": asked.id(""), "finish_reason": is_end.then(|| object! { "type": reason }),
            "prompt_tokens": asked.usage().input, "weight_version": "default",
            "completion_tokens": output, "cached_tokens": asked.usage().cached,
        };
        object! { "text": text, "output_ids": Vec::<Json>::new(), "meta_info": meta }
    };
    let (input, output) = (asked.usage().input, asked.usage().output);
    if !asked.stream {
        return Ok(Made::whole(input, output, state(&asked.all_text(), output, true)));
    }
    let mut script = Script::new(Format::Sse);
    let (mut text, mut position) = (String::new(), 0);
    for word in asked.words() {
        position += 1;
        text.push_str(&word.text);
        script.delta(None, &state(&text, position, position == output));
    }
    script.done();
    Ok(script.made(input, output))
}

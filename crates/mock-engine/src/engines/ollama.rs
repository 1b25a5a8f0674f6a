//! Ollama, as its sources say (`server/routes.go`, `middleware`): its own API, and those that it
//! takes over.

use super::answer::Made;
use super::answer::Script;
use super::asked::{Asked, Names, CHAT, COMPLETION};
use super::call::{Call, Endpoint};
use super::error::Failure;
use super::routing::empty;
use crate::generation::{Kind, Usage};
use crate::ordered::{object, Json, Object};
use crate::stream::Format;

const FINGERPRINT: &str = "fp_ollama";
const CREATED: &str = "2026-01-01T00:00:00.000000001Z";

pub(super) const ENDPOINTS: &[Endpoint] = &[
    ("GET", "/", running),
    ("GET", "/api/version", version),
    ("GET", "/api/tags", tags),
    ("GET", "/v1/models", models),
    ("POST", "/api/chat", native_chat),
    ("POST", "/api/generate", native_generate),
    ("POST", "/api/embed", super::ollama::embed),
    ("POST", "/v1/chat/completions", chat),
    ("POST", "/v1/completions", completion),
    ("POST", "/v1/embeddings", super::vllm::embeddings),
    ("POST", "/v1/messages", super::vllm::message),
    ("POST", "/v1/responses", super::vllm::response),
    ("POST", "/api/pull", empty),
    ("DELETE", "/api/delete", empty),
];

fn running(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::text(200, "text/plain; charset=utf-8", "Ollama is running"))
}

fn version(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "version": "0.0.0" }))
}

fn tags(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "models": [object! { "name": "mock", "model": "mock" }] }))
}

fn models(_: &Call<'_>) -> Result<Made, Failure> {
    let model =
        object! { "id": "mock", "object": "model", "created": 0_u64, "owned_by": "library" };
    Ok(Made::fixed(&object! { "object": "list", "data": [model] }))
}

fn usage(usage: Usage) -> Json {
    let evaluated = usage.input.saturating_sub(usage.cached);
    object! {
        "prompt_tokens": evaluated, "completion_tokens": usage.output,
        "total_tokens": evaluated.saturating_add(usage.output),
    }
}

/// Members that are left out when they are zero, as the cached input may make them.
fn put_metrics(json: &mut Object, usage: Usage) {
    let evaluated = usage.input.saturating_sub(usage.cached);
    json.put("total_duration", &1_000_000_u64).put("load_duration", &1_000_u64);
    json.put_some("prompt_eval_count", (evaluated > 0).then_some(evaluated));
    json.put("prompt_eval_duration", &1_000_u64);
    json.put_some("eval_count", (usage.output > 0).then_some(usage.output));
    json.put("eval_duration", &900_000_u64);
}

fn reason(asked: &Asked) -> &'static str {
    if asked.is_cut() {
        "length"
    } else {
        "stop"
    }
}

fn call_of(asked: &Asked, as_text: bool) -> Option<Json> {
    let arguments = asked.text(Kind::Arguments)?;
    let is_json = serde_json::from_str::<serde_json::Value>(&arguments).is_ok();
    let arguments = if is_json { arguments } else { "{}".to_owned() };
    Some(if as_text {
        let function = object! { "name": asked.tool(), "arguments": arguments };
        object! {
            "id": asked.id("call_"), "index": 0_u64, "type": "function", "function": function,
        }
    } else {
        let arguments = Json::written(&arguments);
        let function = object! { "index": 0_u64, "name": asked.tool(), "arguments": arguments };
        object! { "id": asked.id("call_"), "function": function }
    })
}

/// The bound of the own API is among the `options`; -1 and -2 stand for none.
fn read_native(call: &Call<'_>, names: Names) -> Result<Asked, Failure> {
    let mut asked = Asked::read(call, Names { bounds: &[], n: &[], streams: true, ..names })?;
    let bound = asked.fields.get_in("options", "num_predict").and_then(serde_json::Value::as_u64);
    if let Some(bound) = bound {
        asked.generation.shorten_to(bound);
    }
    Ok(asked)
}

fn native_chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = read_native(call, CHAT)?;
    let line = |message: Json| {
        let mut json = Object::default();
        json.put("model", &asked.model()).put("created_at", &CREATED).put("message", &message);
        json
    };
    let end = |json: &mut Object| {
        json.put("done", &true).put("done_reason", &reason(&asked));
        put_metrics(json, asked.usage());
        json.json()
    };
    let (input, output) = (asked.usage().input, asked.usage().output);
    if !asked.stream {
        let mut message = Object::default();
        message
            .put("role", &"assistant")
            .put("content", &asked.text(Kind::Text).unwrap_or_default())
            .put_some("thinking", asked.text(Kind::Reasoning))
            .put_some("tool_calls", call_of(&asked, false).map(|call| [call]));
        return Ok(Made::whole(input, output, end(&mut line(message.json()))));
    }
    let mut script = Script::new(Format::Ndjson);
    for word in asked.words() {
        let message = match word.kind {
            Kind::Text => object! { "role": "assistant", "content": word.text },
            Kind::Reasoning => {
                object! { "role": "assistant", "content": "", "thinking": word.text }
            }
            // A call is sent whole.
            Kind::Arguments => continue,
        };
        script.delta(None, &line(message).put("done", &false).json());
    }
    if let Some(call) = call_of(&asked, false) {
        let message = object! { "role": "assistant", "content": "", "tool_calls": [call] };
        script.delta(None, &line(message).put("done", &false).json());
    }
    script.event(None, &end(&mut line(object! { "role": "assistant", "content": "" })));
    Ok(script.made(input, output))
}

fn native_generate(call: &Call<'_>) -> Result<Made, Failure> {
    let names = Names { input: &["system", "suffix", "prompt"], ..COMPLETION };
    let asked = read_native(call, names)?;
    let line = |response: &str, thinking: Option<&str>| {
        let mut json = Object::default();
        json.put("model", &asked.model())
            .put("created_at", &CREATED)
            .put("response", &response)
            .put_some("thinking", thinking);
        json
    };
    let end = |json: &mut Object| {
        json.put("done", &true).put("done_reason", &reason(&asked)).put("context", &[1_u64, 2, 3]);
        put_metrics(json, asked.usage());
        json.json()
    };
    let (input, output) = (asked.usage().input, asked.usage().output);
    if !asked.stream {
        let thinking = asked.text(Kind::Reasoning);
        let text = asked.text(Kind::Text).unwrap_or_default();
        return Ok(Made::whole(input, output, end(&mut line(&text, thinking.as_deref()))));
    }
    let mut script = Script::new(Format::Ndjson);
    for word in asked.words() {
        let mut json = match word.kind {
            Kind::Reasoning => line("", Some(&word.text)),
            Kind::Text | Kind::Arguments => line(&word.text, None),
        };
        script.delta(None, &json.put("done", &false).json());
    }
    script.event(None, &end(&mut line("", None)));
    Ok(script.made(input, output))
}

fn embed(call: &Call<'_>) -> Result<Made, Failure> {
    let fields = call.fields()?;
    let input = fields.tokens_of(&["input"]);
    let vector: Vec<f64> = crate::api::vector(0, 8).map(f64::from).collect();
    let model = fields.model()?;
    let json = object! {
        "model": model, "embeddings": [vector], "total_duration": 1_000_000_u64,
        "load_duration": 1_000_u64, "prompt_eval_count": input,
    };
    Ok(Made::whole(input, 0, json))
}

fn openai(asked: &Asked, id: &str, object: &str, choices: &[Json]) -> Object {
    let mut json = Object::default();
    json.put("id", &asked.id(id))
        .put("object", &object)
        .put("created", &asked.created())
        .put("model", &asked.model())
        .put("system_fingerprint", &FINGERPRINT)
        .put("choices", &choices.to_vec());
    json
}

fn chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, Names { n: &[], ..CHAT })?;
    let (input, output) = (asked.usage().input, asked.usage().output);
    let finish = asked.finish_reason();
    if !asked.stream {
        let mut message = Object::default();
        message
            .put("role", &"assistant")
            .put("content", &asked.text(Kind::Text).unwrap_or_default())
            .put_some("reasoning", asked.text(Kind::Reasoning))
            .put_some("tool_calls", call_of(&asked, true).map(|call| [call]));
        let choice = object! { "index": 0_u64, "message": message.json(), "finish_reason": finish };
        let json = openai(&asked, "chatcmpl-", "chat.completion", &[choice])
            .put("usage", &usage(asked.usage()))
            .json();
        return Ok(Made::whole(input, output, json));
    }
    const CHUNK: &str = "chat.completion.chunk";
    let mut script = Script::new(Format::BareSse);
    let choice = |delta: Json, finish: Option<&str>| {
        [object! { "index": 0_u64, "delta": delta, "finish_reason": finish }]
    };
    let mut first = true;
    let mut opening = || std::mem::take(&mut first).then_some("assistant");
    for word in asked.words() {
        let mut delta = Object::default();
        match word.kind {
            Kind::Text => delta.put_some("role", opening()).put("content", &word.text),
            Kind::Reasoning => {
                delta.put_some("role", opening()).put("content", &"").put("reasoning", &word.text)
            }
            Kind::Arguments => continue,
        };
        let choices = choice(delta.json(), None);
        script.delta(None, &openai(&asked, "chatcmpl-", CHUNK, &choices).json());
    }
    if let Some(call) = call_of(&asked, true) {
        let mut delta = Object::default();
        delta.put_some("role", opening()).put("content", &"").put("tool_calls", &[call]);
        let choices = choice(delta.json(), None);
        script.delta(None, &openai(&asked, "chatcmpl-", CHUNK, &choices).json());
    }
    let choices = choice(object! {}, Some(finish));
    script.event(None, &openai(&asked, "chatcmpl-", CHUNK, &choices).json());
    if asked.include_usage {
        let mut last = openai(&asked, "chatcmpl-", CHUNK, &[]);
        script.event(None, &last.put("usage", &usage(asked.usage())).json());
    }
    script.done();
    Ok(script.made(input, output))
}

/// With `include_usage`, each chunk has one: zeros, but for the last.
fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    const OBJECT: &str = "text_completion";
    let asked = Asked::read(call, Names { n: &[], ..COMPLETION })?;
    let (input, output) = (asked.usage().input, asked.usage().output);
    let choice = |text: &str, finish: Option<&str>| {
        [object! { "text": text, "index": 0_u64, "finish_reason": finish }]
    };
    if !asked.stream {
        let choices = choice(&asked.all_text(), Some(reason(&asked)));
        let json =
            openai(&asked, "cmpl-", OBJECT, &choices).put("usage", &usage(asked.usage())).json();
        return Ok(Made::whole(input, output, json));
    }
    let mut script = Script::new(Format::BareSse);
    let chunk = |choices: &[Json], of: Option<Json>| {
        let mut json = Object::default();
        json.put("id", &asked.id("cmpl-"))
            .put("object", &OBJECT)
            .put("created", &asked.created())
            .put("choices", &choices.to_vec())
            .put("model", &asked.model())
            .put("system_fingerprint", &FINGERPRINT);
        json.put_some("usage", of).json()
    };
    let zero = Usage { input: 0, cached: 0, written: 0, written_1h: 0, output: 0, reasoning: 0 };
    let zeros = || asked.include_usage.then(|| usage(zero));
    for word in asked.words() {
        script.delta(None, &chunk(&choice(&word.text, None), zeros()));
    }
    script.event(None, &chunk(&choice("", Some(reason(&asked))), zeros()));
    if asked.include_usage {
        script.event(None, &chunk(&[], Some(usage(asked.usage()))));
    }
    script.done();
    Ok(script.made(input, output))
}

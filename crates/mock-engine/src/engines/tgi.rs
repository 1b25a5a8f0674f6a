//! Text Generation Inference, as its sources say (`router/src`): the chat's API beside the native
//! one, whose answers are those of `api::tgi`.

use super::answer::Made;
use super::answer::Script;
use super::asked::{Asked, Names, CHAT, COMPLETION};
use super::call::{Call, Endpoint};
use super::error::Failure;
use super::routing::empty;
use crate::generation::{Kind, Usage};
use crate::ordered::{object, Json, Object, NULL};
use crate::stream::Format;

const FINGERPRINT: &str = "3.3.7-mock";

pub(super) const ENDPOINTS: &[Endpoint] = &[
    ("GET", "/", empty),
    ("GET", "/health", empty),
    ("GET", "/ping", empty),
    ("GET", "/info", info),
    ("GET", "/v1/models", models),
    ("POST", "/v1/chat/completions", chat),
    ("POST", "/v1/completions", completion),
    ("POST", "/invocations", invocations),
    ("POST", "/", native_either),
    ("POST", "/generate", native_whole),
    ("POST", "/generate_stream", native_streamed),
    ("POST", "/tokenize", tokenize),
];

fn info(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "model_id": "mock", "max_input_tokens": 2048_u64 }))
}

fn models(_: &Call<'_>) -> Result<Made, Failure> {
    let model = object! { "id": "mock", "object": "model", "created": 0_u64, "owned_by": "mock" };
    Ok(Made::fixed(&object! { "object": "list", "data": [model] }))
}

fn tokenize(call: &Call<'_>) -> Result<Made, Failure> {
    let tokens: Vec<_> = (0..call.fields()?.tokens_of(&["inputs"]))
        .map(|id| object! { "id": id, "text": "word", "start": 0_u64, "stop": 4_u64 })
        .collect();
    let mut text = String::new();
    crate::ordered::ToJson::put(&tokens, &mut text);
    Ok(Made::fixed(&Json::written(&text)))
}

/// SageMaker's: by the members of the body.
fn invocations(call: &Call<'_>) -> Result<Made, Failure> {
    let fields = call.fields()?;
    if fields.get("messages").is_some() {
        chat(call)
    } else if fields.get("prompt").is_some() {
        completion(call)
    } else {
        native_either(call)
    }
}

fn usage(usage: Usage) -> Json {
    object! {
        "prompt_tokens": usage.input, "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
    }
}

/// Whole or streamed; all have the same members but for the choices.
fn body(asked: &Asked, object: &str, id: &str, choices: &[Json], usage: Option<Json>) -> Object {
    let mut json = Object::default();
    json.put("object", &object)
        .put("id", &id)
        .put("created", &asked.created())
        .put("model", &asked.model())
        .put("system_fingerprint", &FINGERPRINT)
        .put("choices", &choices.to_vec())
        .put("usage", &usage);
    json
}

fn chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, Names { n: &[], ..CHAT })?;
    if asked.stream {
        return Ok(stream(&asked));
    }
    let message = match asked.text(Kind::Arguments) {
        Some(arguments) => {
            let function = object! {
                "description": NULL, "name": asked.tool(), "arguments": arguments,
            };
            let call = object! { "id": "0", "type": "function", "function": function };
            object! { "role": "assistant", "tool_calls": [call] }
        }
        None => object! { "role": "assistant", "content": asked.all_text() },
    };
    let choice = object! {
        "index": 0_u64, "message": message, "logprobs": NULL,
        "finish_reason": asked.finish_reason(),
    };
    let json = body(&asked, "chat.completion", "", &[choice], Some(usage(asked.usage()))).json();
    Ok(Made::whole(asked.usage().input, asked.usage().output, json))
}

/// Every chunk has a usage: null, asked for or not.
fn stream(asked: &Asked) -> Made {
    const CHUNK: &str = "chat.completion.chunk";
    let mut script = Script::new(Format::BareSse);
    let words = asked.words();
    let mut opens = true;
    for (number, word) in words.iter().enumerate() {
        let is_end = number + 1 == words.len();
        let delta = match word.kind {
            Kind::Arguments => {
                let name = std::mem::take(&mut opens).then(|| asked.tool());
                let function = object! { "name": name, "arguments": word.text };
                let call = object! {
                    "index": 0_u64, "id": "", "type": "function", "function": function,
                };
                object! { "role": "assistant", "tool_calls": [call] }
            }
            Kind::Text | Kind::Reasoning => {
                object! { "role": "assistant", "content": word.text }
            }
        };
        let choice = object! {
            "index": 0_u64, "delta": delta, "logprobs": NULL,
            "finish_reason": is_end.then(|| asked.finish_reason()),
        };
        script.delta(None, &body(asked, CHUNK, "", &[choice], None).json());
    }
    if asked.include_usage {
        script.event(None, &body(asked, CHUNK, "", &[], Some(usage(asked.usage()))).json());
    }
    script.done();
    script.made(asked.usage().input, asked.usage().output)
}

fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    const OBJECT: &str = "text_completion";
    let asked = Asked::read(call, Names { n: &[], ..COMPLETION })?;
    let finish = if asked.is_cut() { "length" } else { "stop" };
    let choice = |index: u64, text: &str, finish: &str| {
        object! { "index": index, "text": text, "logprobs": NULL, "finish_reason": finish }
    };
    let (input, output) = (asked.usage().input, asked.usage().output);
    if !asked.stream {
        let text = asked.all_text();
        let choices: Vec<_> = (0..asked.choices()).map(|i| choice(i, &text, finish)).collect();
        let json = body(&asked, OBJECT, "", &choices, Some(usage(asked.usage()))).json();
        return Ok(Made::whole(input, output, json));
    }
    let mut script = Script::new(Format::BareSse);
    let chunk = |choices: &[Json]| {
        let mut json = Object::default();
        json.put("object", &OBJECT)
            .put("id", &"")
            .put("created", &asked.created())
            .put("choices", &choices.to_vec())
            .put("model", &asked.model())
            .put("system_fingerprint", &FINGERPRINT);
        json.json()
    };
    // The last of each has the usage of its prompt, asked for or not.
    for (position, word) in (1..).zip(asked.words()) {
        for index in 0..asked.choices() {
            if position == asked.tokens_of_one() {
                let of = usage(asked.usage_of(index, position));
                let choices = [choice(index, &word.text, finish)];
                script.delta(None, &body(&asked, OBJECT, "", &choices, Some(of)).json());
            } else {
                script.delta(None, &chunk(&[choice(index, &word.text, "")]));
            }
        }
    }
    script.done();
    Ok(script.made(input, output))
}

fn native_whole(call: &Call<'_>) -> Result<Made, Failure> {
    native(call, false, false)
}

fn native_streamed(call: &Call<'_>) -> Result<Made, Failure> {
    native(call, true, false)
}

/// `/`: as the request says, and a whole answer is in a list.
fn native_either(call: &Call<'_>) -> Result<Made, Failure> {
    let streams = call.fields()?.flag("stream", false)?;
    native(call, streams, !streams)
}

fn native(call: &Call<'_>, streams: bool, listed: bool) -> Result<Made, Failure> {
    let names = Names { input: &["inputs"], bounds: &[], ..CHAT };
    let mut asked = Asked::read(call, names)?;
    let bound = asked.fields.get_in("parameters", "max_new_tokens");
    if let Some(bound) = bound.and_then(serde_json::Value::as_u64) {
        asked.generation.shorten_to(bound);
    }
    let details = asked.fields.get_in("parameters", "details") == Some(&true.into());
    let reason = if asked.is_cut() { "length" } else { "eos_token" };
    let (input, output) = (asked.usage().input, asked.usage().output);
    let token = |number: u64, text: &str| {
        object! { "id": number, "text": text, "logprob": -0.5, "special": false }
    };
    if !streams {
        let mut json = Object::default();
        json.put("generated_text", &asked.all_text());
        if details {
            let tokens: Vec<_> =
                (0..output).zip(asked.words()).map(|(id, word)| token(id, &word.text)).collect();
            json.put(
                "details",
                &object! {
                    "finish_reason": reason, "generated_tokens": output, "seed": NULL,
                    "prefill": Vec::<Json>::new(), "tokens": tokens,
                },
            );
        }
        let json = json.json();
        let json = if listed { Json::written(&format!("[{json}]")) } else { json };
        return Ok(Made::whole(input, output, json));
    }
    let mut script = Script::new(Format::TightSse);
    let mut number = 0;
    for word in asked.words() {
        number += 1;
        let is_end = number == output;
        let end = is_end.then(|| {
            object! {
                "finish_reason": reason, "generated_tokens": output, "seed": NULL,
                "input_length": input,
            }
        });
        script.delta(
            None,
            &object! {
                "index": number, "token": token(number, &word.text),
                "generated_text": is_end.then(|| asked.all_text()), "details": end,
            },
        );
    }
    Ok(script.made(input, output))
}

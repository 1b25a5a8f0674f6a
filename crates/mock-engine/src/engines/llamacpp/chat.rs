//! `/v1/chat/completions`: usage is of the first choice alone, or of each choice in its own chunk.

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, Names, Word, CHAT};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::{timings, usage, FINGERPRINT};
use crate::generation::Kind;
use crate::ordered::{object, Json, Object, NULL};
use crate::stream::Format;

const NAMES: Names = Names { n: &["n_cmpl", "n"], ..CHAT };

pub(super) fn chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, NAMES)?;
    if asked.stream {
        return Ok(stream(call, &asked));
    }
    let choices: Vec<_> = (0..asked.choices())
        .map(|index| {
            object! {
                "finish_reason": asked.finish_reason(), "index": index, "message": message(&asked),
            }
        })
        .collect();
    let of_first = asked.usage_of(0, asked.tokens_of_one());
    let json = object! {
        "choices": choices, "created": asked.created(), "model": super::members::model(call, &asked.fields),
        "system_fingerprint": FINGERPRINT, "object": "chat.completion", "usage": usage(of_first),
        "id": asked.id("chatcmpl-"), "timings": timings(of_first),
    };
    Ok(Made::whole(asked.usage().input, asked.usage().output, json))
}

fn message(asked: &Asked) -> Json {
    let mut message = Object::default();
    message
        .put("role", &"assistant")
        .put("content", &asked.text(Kind::Text).unwrap_or_default())
        .put_some("reasoning_content", asked.text(Kind::Reasoning));
    if let Some(arguments) = asked.text(Kind::Arguments) {
        let function = object! { "name": asked.tool(), "arguments": arguments };
        let call = object! { "type": "function", "function": function, "id": asked.id("") };
        message.put("tool_calls", &[call]);
    }
    message.json()
}

fn delta(word: &Word) -> Json {
    match word.kind {
        Kind::Reasoning => object! { "reasoning_content": word.text },
        Kind::Text => object! { "content": word.text },
        Kind::Arguments => {
            let function = object! { "arguments": word.text };
            object! { "tool_calls": [object! { "index": 0_u64, "function": function }] }
        }
    }
}

fn stream(call: &Call<'_>, asked: &Asked) -> Made {
    let mut script = Script::new(Format::BareSse);
    let model = super::members::model(call, &asked.fields);
    let chunk = |choices: &[Json]| {
        let mut json = Object::default();
        json.put("choices", &choices.to_vec())
            .put("created", &asked.created())
            .put("id", &asked.id("chatcmpl-"))
            .put("model", &model)
            .put("system_fingerprint", &FINGERPRINT)
            .put("object", &"chat.completion.chunk");
        json
    };
    let choice = |index: u64, delta: &Json, finish: Option<&str>| {
        [object! { "finish_reason": finish, "index": index, "delta": delta }]
    };
    for index in 0..asked.choices() {
        let opening = object! { "role": "assistant", "content": NULL };
        script.event(None, &chunk(&choice(index, &opening, None)).json());
    }
    let mut calls = false;
    for word in asked.words() {
        let opens = word.kind == Kind::Arguments && !calls;
        calls |= opens;
        for index in 0..asked.choices() {
            if opens {
                let function = object! { "name": asked.tool(), "arguments": "" };
                let call = object! {
                    "index": 0_u64, "id": asked.id(""), "type": "function", "function": function,
                };
                let opening = object! { "tool_calls": [call] };
                script.event(None, &chunk(&choice(index, &opening, None)).json());
            }
            script.delta(None, &chunk(&choice(index, &delta(&word), None)).json());
        }
    }
    let of_one = asked.usage_of(0, asked.tokens_of_one());
    for index in 0..asked.choices() {
        let mut end = chunk(&choice(index, &object! {}, Some(asked.finish_reason())));
        if asked.include_usage {
            script.event(None, &end.json());
            let mut last = chunk(&[]);
            last.put("usage", &usage(of_one)).put("timings", &timings(of_one));
            script.event(None, &last.json());
        } else {
            script.event(None, &end.put("timings", &timings(of_one)).json());
        }
    }
    script.done();
    script.made(asked.usage().input, asked.usage().output)
}

//! `/v1/chat/completions`, and several chats in one request.

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, Word, CHAT};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::{
    bare_usage, envelope, put_transfers, reasoning, usage, whole_usage, FINGERPRINT,
};
use crate::controls::UsageMode;
use crate::generation::Kind;
use crate::ordered::{object, Json, Object, NULL};
use crate::stream::Format;

pub(super) fn chat(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, CHAT)?;
    if asked.stream {
        return Ok(stream(call, &asked));
    }
    let choices: Vec<_> = (0..asked.choices()).map(|index| choice(&asked, index)).collect();
    let mut json = envelope(
        &asked.id("chatcmpl-"),
        "chat.completion",
        asked.created(),
        asked.model(),
        &choices,
    );
    put_end(&mut json, call, &whole_usage(asked.usage(), Some(0)));
    Ok(Made::whole(asked.usage().input, asked.usage().output, json.json()))
}

/// `messages` is a list of chats, each of which is answered as a choice.
pub(super) fn batch(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, CHAT)?;
    let chats = asked.fields.list("messages")?.len();
    let chats = u64::try_from(chats).unwrap_or(1);
    let choices: Vec<_> = (0..chats).map(|index| choice(&asked, index)).collect();
    let mut of = asked.usage();
    of.output = of.output.saturating_mul(chats);
    let mut json = envelope(
        &asked.id("chatcmpl-"),
        "chat.completion",
        asked.created(),
        asked.model(),
        &choices,
    );
    put_end(&mut json, call, &bare_usage(of));
    Ok(Made::whole(of.input, of.output, json.json()))
}

fn put_end(json: &mut Object, call: &Call<'_>, usage: &Json) {
    json.put("service_tier", &NULL).put("system_fingerprint", &FINGERPRINT);
    if call.controls.usage != UsageMode::Absent {
        json.put("usage", usage);
    }
    json.put("prompt_logprobs", &NULL).put("prompt_token_ids", &NULL).put("prompt_text", &NULL);
    put_transfers(json);
}

fn choice(asked: &Asked, index: u64) -> Json {
    let mut message = Object::default();
    message
        .put("role", &"assistant")
        .put("content", &asked.text(Kind::Text))
        .put("refusal", &NULL)
        .put("annotations", &NULL)
        .put("audio", &NULL)
        .put("function_call", &NULL);
    if let Some(arguments) = asked.text(Kind::Arguments) {
        let function = object! { "name": asked.tool(), "arguments": arguments };
        let call = object! {
            "id": asked.id("chatcmpl-tool-"), "type": "function", "function": function,
        };
        message.put("tool_calls", &[call]);
    }
    message.put("reasoning", &asked.text(Kind::Reasoning));
    object! {
        "index": index, "message": message.json(), "logprobs": logprobs(asked),
        "finish_reason": asked.finish_reason(), "stop_reason": NULL, "token_ids": NULL,
        "routed_experts": NULL,
    }
}

/// Of each token, with as many others as asked for.
fn logprobs(asked: &Asked) -> Option<Json> {
    asked.fields.get("logprobs").filter(|flag| *flag == &serde_json::Value::from(true))?;
    let others = asked.fields.get("top_logprobs").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let content: Vec<_> = asked.words().iter().map(|word| logprob(&word.text, others)).collect();
    Some(object! { "content": content })
}

fn logprob(text: &str, others: u64) -> Json {
    let bytes: Vec<u64> = text.bytes().map(u64::from).collect();
    let one = |json: &mut Object| {
        json.put("token", &text).put("logprob", &-0.5).put("bytes", &bytes);
    };
    let top: Vec<_> = (0..others)
        .map(|_| {
            let mut json = Object::default();
            one(&mut json);
            json.json()
        })
        .collect();
    let mut json = Object::default();
    one(&mut json);
    json.put("top_logprobs", &top).json()
}

/// Chunks, one for each token of each choice in turn.
struct Chunks<'a> {
    asked: &'a Asked,
    script: Script,
}

/// What a chunk has beside its choices.
#[derive(Default)]
struct Rest {
    usage: Option<Json>,
    fingerprint: bool,
    /// The first chunk of a choice has members of the prompt.
    first: bool,
}

impl Chunks<'_> {
    fn chunk(&self, choices: &[Json], rest: Rest) -> Json {
        let asked = self.asked;
        let mut json = envelope(
            &asked.id("chatcmpl-"),
            "chat.completion.chunk",
            asked.created(),
            asked.model(),
            &choices.to_vec(),
        );
        json.put_some("usage", rest.usage);
        if rest.fingerprint {
            json.put("system_fingerprint", &FINGERPRINT);
        }
        if rest.first {
            json.put("prompt_token_ids", &NULL).put("prompt_text", &NULL);
        }
        json.json()
    }

    /// What one choice has taken so far: each chunk tells of its own choice alone.
    fn so_far(&self, output: u64) -> Option<Json> {
        let of = self.asked.usage_of(0, output);
        let details = object! { "reasoning_tokens": of.reasoning };
        let details = (self.asked.usage().reasoning > 0).then_some(details);
        (self.asked.include_usage && self.asked.continuous_usage).then(|| {
            usage(of, |json| {
                json.put("completion_tokens_details", &details);
            })
        })
    }

    fn choice(&self, index: u64, delta: &Json, finish: Option<&str>, ids: bool) -> Json {
        let mut json = Object::default();
        json.put("index", &index)
            .put("delta", delta)
            .put("logprobs", &NULL)
            .put("finish_reason", &finish);
        if finish.is_some() {
            json.put("stop_reason", &NULL);
        }
        if ids {
            json.put("token_ids", &NULL);
        }
        json.json()
    }

    fn word(&mut self, index: u64, position: u64, delta: &Json, finish: Option<&str>) {
        let rest = Rest {
            usage: self.so_far(position),
            fingerprint: finish.is_some() && !self.asked.include_usage,
            first: false,
        };
        let choice = self.choice(index, delta, finish, true);
        let chunk = self.chunk(&[choice], rest);
        self.script.delta(None, &chunk);
    }
}

fn delta(word: &Word) -> Json {
    match word.kind {
        Kind::Reasoning => object! { "reasoning": word.text },
        Kind::Text => object! { "content": word.text },
        Kind::Arguments => {
            let function = object! { "arguments": word.text };
            object! { "tool_calls": [object! { "index": 0_u64, "function": function }] }
        }
    }
}

fn stream(call: &Call<'_>, asked: &Asked) -> Made {
    let mut chunks = Chunks { asked, script: Script::new(Format::Sse) };
    for index in 0..asked.choices() {
        let opening = object! { "role": "assistant", "content": "" };
        let choice = chunks.choice(index, &opening, None, false);
        let rest = Rest { usage: chunks.so_far(0), fingerprint: false, first: true };
        let chunk = chunks.chunk(&[choice], rest);
        chunks.script.event(None, &chunk);
    }
    let words = asked.words();
    let mut calls = false;
    let mut position = 0;
    for (number, word) in words.iter().enumerate() {
        if word.kind == Kind::Arguments && !calls {
            calls = true;
            for index in 0..asked.choices() {
                let function = object! { "name": asked.tool(), "arguments": "" };
                let call = object! {
                    "id": asked.id("chatcmpl-tool-"), "type": "function", "index": 0_u64,
                    "function": function,
                };
                let opening = object! { "tool_calls": [call] };
                let choice = chunks.choice(index, &opening, None, true);
                let rest = Rest { usage: chunks.so_far(position), ..Rest::default() };
                let chunk = chunks.chunk(&[choice], rest);
                chunks.script.event(None, &chunk);
            }
        }
        position += 1;
        let is_end = asked.is_cut() && number + 1 == words.len();
        for index in 0..asked.choices() {
            chunks.word(index, position, &delta(word), is_end.then_some("length"));
        }
    }
    if !asked.is_cut() {
        for index in 0..asked.choices() {
            let choice =
                chunks.choice(index, &object! { "content": "" }, Some(asked.finish_reason()), true);
            let rest = Rest {
                usage: chunks.so_far(position),
                fingerprint: !asked.include_usage,
                first: false,
            };
            let chunk = chunks.chunk(&[choice], rest);
            chunks.script.event(None, &chunk);
        }
    }
    if asked.include_usage && call.controls.usage != UsageMode::Absent {
        let of = asked.usage();
        let cached = object! { "cached_tokens": of.cached, "created_cache_tokens": 0_u64 };
        let of = usage(of, |json| {
            json.put("prompt_tokens_details", &cached)
                .put_some("completion_tokens_details", reasoning(of));
        });
        let rest = Rest { usage: Some(of), fingerprint: true, first: false };
        let chunk = chunks.chunk(&[], rest);
        chunks.script.event(None, &chunk);
    }
    chunks.script.done();
    chunks.script.made(asked.usage().input, asked.usage().output)
}

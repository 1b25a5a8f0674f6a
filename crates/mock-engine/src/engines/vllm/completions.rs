//! `/v1/completions`

use serde_json::Value;

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, COMPLETION};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::{envelope, put_transfers, reasoning, usage, whole_usage, FINGERPRINT};
use crate::controls::UsageMode;
use crate::ordered::{object, Json, NULL};
use crate::stream::Format;

pub(super) fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    let mut asked = Asked::read(call, COMPLETION)?;
    if asked.fields.get("max_tokens") == Some(&Value::from(0)) {
        // With `echo`, for the logprobs of the prompt: it makes one all the same.
        asked.generation.shorten_to(1);
    }
    if asked.stream {
        return Ok(stream(call, &asked));
    }
    let choices: Vec<_> = (0..asked.choices())
        .map(|index| {
            object! {
                "index": index, "text": asked.all_text(), "logprobs": NULL,
                "finish_reason": finish(&asked), "stop_reason": NULL, "token_ids": NULL,
                "prompt_logprobs": NULL, "prompt_token_ids": NULL, "routed_experts": NULL,
            }
        })
        .collect();
    let mut json =
        envelope(&asked.id("cmpl-"), "text_completion", asked.created(), asked.model(), &choices);
    json.put("service_tier", &NULL).put("system_fingerprint", &FINGERPRINT);
    if call.controls.usage != UsageMode::Absent {
        json.put("usage", &whole_usage(asked.usage(), None));
    }
    put_transfers(&mut json);
    Ok(Made::whole(asked.usage().input, asked.usage().output, json.json()))
}

/// A completion has no tool calls.
fn finish(asked: &Asked) -> &'static str {
    if asked.is_cut() {
        "length"
    } else {
        "stop"
    }
}

fn stream(call: &Call<'_>, asked: &Asked) -> Made {
    let mut script = Script::new(Format::Sse);
    let words = asked.words();
    let chunk = |choices: &[Json], usage: Option<Json>, fingerprint: bool| {
        let mut json = envelope(
            &asked.id("cmpl-"),
            "text_completion",
            asked.created(),
            asked.model(),
            &choices.to_vec(),
        );
        json.put_some("usage", usage);
        if fingerprint {
            json.put("system_fingerprint", &FINGERPRINT);
        }
        json.json()
    };
    for (position, word) in (1_u64..).zip(&words) {
        let is_end = position == asked.tokens_of_one();
        for index in 0..asked.choices() {
            let choice = object! {
                "index": index, "text": word.text, "logprobs": NULL,
                "finish_reason": is_end.then(|| finish(asked)), "stop_reason": NULL,
                "prompt_token_ids": NULL, "token_ids": NULL,
            };
            let so_far = (asked.include_usage && asked.continuous_usage)
                .then(|| usage(asked.usage_of(index, position), |_| ()));
            let fingerprint = is_end && !asked.include_usage;
            script.delta(None, &chunk(&[choice], so_far, fingerprint));
        }
    }
    if asked.include_usage && call.controls.usage != UsageMode::Absent {
        let of = asked.usage();
        // Details are of one prompt, and not told of several.
        let cached = (asked.prompts == 1).then(|| object! { "cached_tokens": of.cached });
        let of = usage(of, |json| {
            json.put_some("prompt_tokens_details", cached)
                .put_some("completion_tokens_details", reasoning(of));
        });
        script.event(None, &chunk(&[], Some(of), true));
    }
    script.done();
    script.made(asked.usage().input, asked.usage().output)
}

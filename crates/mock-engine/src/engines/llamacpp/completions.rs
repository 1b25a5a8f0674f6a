//! `/v1/completions`: usage comes beside the last of each choice, asked for or not.

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, Names, COMPLETION};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::{timings, usage, FINGERPRINT};
use crate::ordered::{object, Json, Object, NULL};
use crate::stream::Format;

const NAMES: Names = Names {
    input: &["prompt"],
    bounds: &["max_tokens", "n_predict"],
    n: &["n_cmpl", "n"],
    ..COMPLETION
};

pub(super) fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, NAMES)?;
    let finish = if asked.is_cut() { "length" } else { "stop" };
    let choice = |index: u64, text: &str, finish: Option<&str>| {
        object! { "text": text, "index": index, "logprobs": NULL, "finish_reason": finish }
    };
    let body = |choices: &Vec<Json>| {
        let mut json = Object::default();
        json.put("choices", choices)
            .put("created", &asked.created())
            .put("model", &super::members::model(call, &asked.fields))
            .put("system_fingerprint", &FINGERPRINT)
            .put("object", &"text_completion");
        json
    };
    let end = |json: &mut Object, index: u64| {
        let of = asked.usage_of(index, asked.tokens_of_one());
        json.put("usage", &usage(of))
            .put("id", &asked.id("chatcmpl-"))
            .put("timings", &timings(of))
            .json()
    };
    if !asked.stream {
        let text = asked.all_text();
        let choices = (0..asked.choices()).map(|i| choice(i, &text, Some(finish))).collect();
        // Of the first alone.
        let json = end(&mut body(&choices), 0);
        return Ok(Made::whole(asked.usage().input, asked.usage().output, json));
    }
    let mut script = Script::new(Format::BareSse);
    if asked.prompts > 1 {
        script.event(None, &Json::written("null"));
    }
    for word in asked.words() {
        for index in 0..asked.choices() {
            let mut json = body(&vec![choice(index, &word.text, None)]);
            script.delta(None, &json.put("id", &asked.id("chatcmpl-")).json());
        }
    }
    for index in 0..asked.choices() {
        let choices = vec![choice(index, "", Some(finish))];
        script.event(None, &end(&mut body(&choices), index));
    }
    script.done();
    Ok(script.made(asked.usage().input, asked.usage().output))
}

//! `/completion` and `/completions`: an own form, without usage and without an end mark.

use super::super::answer::Made;
use super::super::answer::Script;
use super::super::asked::{Asked, Names};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::timings;
use crate::ordered::{object, Json, Object};
use crate::stream::Format;

const NAMES: Names = Names {
    input: &["prompt"],
    bounds: &["n_predict", "max_tokens"],
    n: &["n_cmpl", "n"],
    streams: false,
};

/// What an answer says about how it was made; its members don't depend on the request.
const SETTINGS: &str = concat!(
    r#"{"seed":4294967295,"temperature":0.5,"dynatemp_range":0.0,"dynatemp_exponent":1.0,"#,
    r#""top_k":40,"top_p":0.5,"min_p":0.5,"top_n_sigma":-1.0,"xtc_probability":0.0,"#,
    r#""xtc_threshold":0.5,"typical_p":1.0,"repeat_last_n":64,"repeat_penalty":1.0,"#,
    r#""presence_penalty":0.0,"frequency_penalty":0.0,"dry_multiplier":0.0,"dry_base":1.75,"#,
    r#""dry_allowed_length":2,"dry_penalty_last_n":64,"dry_sequence_breakers":["\n",":","\"","*"],"#,
    r#""mirostat":0,"mirostat_tau":5.0,"mirostat_eta":0.5,"adaptive_target":-1.0,"#,
    r#""adaptive_decay":0.5,"stop":[],"max_tokens":8,"n_predict":8,"n_keep":0,"n_discard":0,"#,
    r#""ignore_eos":false,"stream":false,"logit_bias":[],"n_probs":0,"min_keep":0,"grammar":"","#,
    r#""grammar_lazy":false,"grammar_triggers":[],"preserved_tokens":[],"#,
    r#""chat_format":"Content-only","reasoning_format":"deepseek","reasoning_in_content":false,"#,
    r#""generation_prompt":"","samplers":["top_k","temperature"],"speculative.types":"none","#,
    r#""timings_per_token":false,"post_sampling_probs":false,"backend_sampling":false,"lora":[]}"#,
);

pub(super) fn completion(call: &Call<'_>) -> Result<Made, Failure> {
    let asked = Asked::read(call, NAMES)?;
    let (input, output) = (asked.usage().input, asked.usage().output);
    if asked.stream {
        let mut script = Script::new(Format::BareSse);
        let mut made = 0_u64;
        for word in asked.words() {
            made += 1;
            for index in 0..asked.choices() {
                let part = object! {
                    "index": index, "content": word.text, "tokens": [made], "stop": false,
                    "id_slot": -1, "tokens_predicted": made, "tokens_evaluated": asked.usage_of(index, made).input,
                };
                script.delta(None, &part);
            }
        }
        for index in 0..asked.choices() {
            script.event(None, &end(call, &asked, index, ""));
        }
        return Ok(script.made(input, output));
    }
    let text = asked.all_text();
    let one = |index| end(call, &asked, index, &text);
    let json = if asked.choices() == 1 {
        one(0)
    } else {
        let all: Vec<Json> = (0..asked.choices()).map(one).collect();
        let mut list = String::new();
        crate::ordered::ToJson::put(&all, &mut list);
        Json::written(&list)
    };
    Ok(Made::whole(input, output, json))
}

/// The last of a choice, or all of it.
fn end(call: &Call<'_>, asked: &Asked, index: u64, content: &str) -> Json {
    let of_one = asked.usage_of(index, asked.tokens_of_one());
    let prompt = asked.fields.get("prompt").and_then(serde_json::Value::as_str);
    let mut json = Object::default();
    json.put("index", &index)
        .put("content", &content)
        .put("tokens", &Vec::<Json>::new())
        .put("id_slot", &0_u64)
        .put("stop", &true)
        .put("model", &super::members::model(call, &asked.fields))
        .put("tokens_predicted", &of_one.output)
        .put("tokens_evaluated", &of_one.input)
        .put("generation_settings", &Json::written(SETTINGS))
        .put("prompt", &format!("<bos>{}", prompt.unwrap_or_default()))
        .put("has_new_line", &false)
        .put("truncated", &false)
        .put("stop_type", &if asked.is_cut() { "limit" } else { "eos" })
        .put("stopping_word", &"")
        .put("tokens_cached", &(of_one.input.saturating_add(of_one.output)))
        .put("timings", &timings(of_one));
    json.json()
}

//! Tokens as such: counting, undoing, and generating from them; and the models.

use serde_json::Value;

use super::super::answer::Made;
use super::super::asked::{Asked, Names, CHAT};
use super::super::call::Call;
use super::super::error::Failure;
use super::members::whole_usage;
use crate::ordered::{object, Json, Object, NULL};

pub(super) fn models(call: &Call<'_>) -> Result<Made, Failure> {
    let name = call.controls.models.as_deref().unwrap_or("mock");
    let may = |json: &mut Object, name: &str, allowed: bool| {
        json.put(name, &allowed);
    };
    let mut permission = Object::default();
    permission
        .put("id", &"modelperm-mock")
        .put("object", &"model_permission")
        .put("created", &0_u64);
    for (name, allowed) in [
        ("allow_create_engine", false),
        ("allow_sampling", true),
        ("allow_logprobs", true),
        ("allow_search_indices", false),
        ("allow_view", true),
        ("allow_fine_tuning", false),
    ] {
        may(&mut permission, name, allowed);
    }
    permission.put("organization", &"*").put("group", &NULL).put("is_blocking", &false);
    let model = object! {
        "id": name, "object": "model", "created": 0_u64, "owned_by": "vllm", "root": name,
        "parent": NULL, "max_model_len": 2048_u64, "permission": [permission.json()],
    };
    Ok(Made::fixed(&object! { "object": "list", "data": [model] }))
}

pub(super) fn tokenize(call: &Call<'_>) -> Result<Made, Failure> {
    let fields = call.fields()?;
    let count = fields.tokens_of(&["prompt", "messages"]);
    let tokens: Vec<u64> = (0..count).collect();
    Ok(Made::fixed(&object! {
        "count": count, "max_model_len": 2048_u64, "tokens": tokens, "token_strs": NULL,
    }))
}

pub(super) fn detokenize(call: &Call<'_>) -> Result<Made, Failure> {
    call.fields()?.list("tokens")?;
    Ok(Made::fixed(&object! { "prompt": "The gate " }))
}

/// Tokens in, tokens out: the bound is in `sampling_params`.
pub(super) fn generate(call: &Call<'_>) -> Result<Made, Failure> {
    const NAMES: Names = Names { input: &["token_ids"], bounds: &[], ..CHAT };
    let mut asked = Asked::read(call, NAMES)?;
    let bound = asked.fields.get_in("sampling_params", "max_tokens").and_then(Value::as_u64);
    asked.generation.shorten_to(bound.unwrap_or(16));
    let count = asked.tokens_of_one();
    let ids: Vec<u64> = (0..count).collect();
    let versions = [object! { "version": "default", "start": 0_u64, "end": count }];
    let choice = object! {
        "index": 0_u64, "finish_reason": asked.finish_reason(), "stop_reason": NULL,
        "token_ids": ids, "routed_experts": NULL, "sampling_mask": NULL,
        "weight_versions": versions, "logprobs": NULL,
    };
    let mut json = Object::default();
    json.put("request_id", &asked.id("generate-tokens-"))
        .put("model", &asked.model())
        .put("created", &asked.created())
        .put("usage", &whole_usage(asked.usage(), None));
    for name in [
        "prompt_logprobs",
        "prompt_token_id_logprobs",
        "prompt_token_ids",
        "mm_placeholders",
        "metrics",
        "kv_transfer_params",
        "ec_transfer_params",
    ] {
        json.put(name, &NULL);
    }
    json.put("output_mode", &"tokens").put("choices", &Vec::<Json>::from([choice]));
    Ok(Made::whole(asked.usage().input, asked.usage().output, json.json()))
}

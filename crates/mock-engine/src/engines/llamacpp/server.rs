//! What is not generated, and vectors.

use serde_json::Value;

use super::super::answer::Made;
use super::super::asked::{Asked, CHAT, RESPONSE};
use super::super::call::Call;
use super::super::error::Failure;
use crate::api::vector;
use crate::ordered::{object, Json, ToJson};

/// Components of a vector.
const DIMENSIONS: u64 = 8;

pub(super) fn health(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "status": "ok" }))
}

pub(super) fn success(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! { "success": true }))
}

pub(super) fn no_adapters(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&Json::written("[]")))
}

pub(super) fn no_slot_files(_: &Call<'_>) -> Result<Made, Failure> {
    Err(Failure::NotServed(
        "This server does not support slots action. Start it with `--slot-save-path`",
    ))
}

pub(super) fn no_infill(_: &Call<'_>) -> Result<Made, Failure> {
    Err(Failure::NotServed("Infill is not supported by this model"))
}

/// The engine's own counters, as operators would read them.
pub(super) fn metrics(call: &Call<'_>) -> Result<Made, Failure> {
    let (input, output) = call.record.made();
    let text =
        format!("llamacpp:prompt_tokens_total {input}\nllamacpp:tokens_predicted_total {output}\n");
    Ok(Made::text(200, "text/plain; version=0.0.4", &text))
}

pub(super) fn props(_: &Call<'_>) -> Result<Made, Failure> {
    Ok(Made::fixed(&object! {
        "total_slots": 4_u64, "model_path": "/models/mock.gguf", "chat_template": "{{ messages }}",
    }))
}

pub(super) fn slots(_: &Call<'_>) -> Result<Made, Failure> {
    let slot = object! {
        "id": 0_u64, "n_ctx": 2048_u64, "speculative": false, "is_processing": false,
    };
    let mut list = String::new();
    [slot].put(&mut list);
    Ok(Made::fixed(&Json::written(&list)))
}

pub(super) fn models(call: &Call<'_>) -> Result<Made, Failure> {
    let name = call.controls.models.as_deref().unwrap_or("mock");
    let details = object! {
        "parent_model": "", "format": "gguf", "family": "", "families": [""],
        "parameter_size": "", "quantization_level": "",
    };
    let model = object! {
        "name": name, "model": name, "modified_at": "", "size": "", "digest": "",
        "type": "model", "description": "", "tags": [""], "capabilities": ["completion"],
        "parameters": "", "details": details,
    };
    let modalities = object! { "input_modalities": ["text"], "output_modalities": ["text"] };
    let meta = object! {
        "vocab_type": 1_u64, "n_vocab": 1000_u64, "n_ctx": 2048_u64, "n_ctx_train": 32768_u64,
        "n_embd": 640_u64, "n_params": 1000_u64, "size": 1000_u64, "ftype": "Q4_K - Medium",
    };
    let data = object! {
        "id": name, "aliases": [name], "tags": Vec::<Json>::new(), "object": "model",
        "architecture": modalities, "created": 0_u64, "owned_by": "llamacpp", "meta": meta,
    };
    Ok(Made::fixed(&object! { "models": [model], "object": "list", "data": [data] }))
}

pub(super) fn count_chat(call: &Call<'_>) -> Result<Made, Failure> {
    count(&Asked::read(call, CHAT)?)
}

pub(super) fn count_response(call: &Call<'_>) -> Result<Made, Failure> {
    count(&Asked::read(call, RESPONSE)?)
}

fn count(asked: &Asked) -> Result<Made, Failure> {
    let input = asked.usage().input;
    Ok(Made::fixed(&object! { "input_tokens": input, "object": "response.input_tokens" }))
}

pub(super) fn tokenize(call: &Call<'_>) -> Result<Made, Failure> {
    let tokens: Vec<u64> = (0..call.fields()?.tokens_of(&["content"])).collect();
    Ok(Made::fixed(&object! { "tokens": tokens }))
}

pub(super) fn detokenize(call: &Call<'_>) -> Result<Made, Failure> {
    call.fields()?.list("tokens")?;
    Ok(Made::fixed(&object! { "content": "The gate " }))
}

pub(super) fn apply_template(call: &Call<'_>) -> Result<Made, Failure> {
    Asked::read(call, CHAT)?;
    Ok(Made::fixed(&object! { "prompt": "<|im_start|>user\n" }))
}

/// Unless started with `--embeddings`.
fn serves_vectors(call: &Call<'_>) -> Result<(), Failure> {
    if call.controls.pooling {
        return Ok(());
    }
    Err(Failure::NotServed("This server does not support embeddings. Start it with `--embeddings`"))
}

fn vectors(call: &Call<'_>, name: &str) -> Result<(u64, Vec<Vec<f64>>), Failure> {
    serves_vectors(call)?;
    let fields = call.fields()?;
    let inputs = match fields.get(name) {
        Some(Value::Array(list)) if !list.iter().any(Value::is_number) => list.len(),
        Some(_) => 1,
        None => return Err(Failure::Missing("input")),
    };
    let one = |input| vector(input, DIMENSIONS).map(f64::from).collect();
    let inputs = u64::try_from(inputs).unwrap_or(1);
    Ok((fields.tokens_of(&[name]), (0..inputs).map(one).collect()))
}

pub(super) fn embeddings(call: &Call<'_>) -> Result<Made, Failure> {
    let fields = call.fields()?;
    // The text of `content` is embedded as well as that of `input`.
    let name = if fields.get("input").is_some() { "input" } else { "content" };
    let (input, vectors) = vectors(call, name)?;
    let data: Vec<_> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| {
            object! { "embedding": vector, "index": index, "object": "embedding" }
        })
        .collect();
    let json = object! {
        "model": super::members::model(call, &fields), "object": "list",
        "usage": object! { "prompt_tokens": input, "total_tokens": input }, "data": data,
    };
    Ok(Made::whole(input, 0, json))
}

/// The own form: a list, without usage.
pub(super) fn embedding(call: &Call<'_>) -> Result<Made, Failure> {
    let fields = call.fields()?;
    let name = if fields.get("input").is_some() { "input" } else { "content" };
    let (input, vectors) = vectors(call, name)?;
    let list: Vec<_> = vectors
        .iter()
        .enumerate()
        .map(|(index, vector)| object! { "index": index, "embedding": [vector] })
        .collect();
    let mut text = String::new();
    list.put(&mut text);
    Ok(Made::whole(input, 0, Json::written(&text)))
}

pub(super) fn rerank(call: &Call<'_>) -> Result<Made, Failure> {
    serves_vectors(call)?;
    let fields = call.fields()?;
    let results: Vec<_> = (0..fields.list("documents")?.len())
        .map(|index| object! { "index": index, "relevance_score": 0.5 })
        .collect();
    let input = fields.tokens_of(&["query", "documents"]);
    let json = object! {
        "model": super::members::model(call, &fields), "object": "list",
        "usage": object! { "prompt_tokens": input, "total_tokens": input }, "results": results,
    };
    Ok(Made::whole(input, 0, json))
}

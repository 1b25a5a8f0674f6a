//! Models that give vectors or scores (`--runner pooling`): they take input tokens and make none.

use serde_json::Value;

use super::super::answer::Made;
use super::super::call::Call;
use super::super::error::Failure;
use super::members::{bare_usage, envelope};
use crate::api::{base64, vector};
use crate::fields::Fields;
use crate::generation::{Ask, Generation, Usage};
use crate::ordered::{object, Json, NULL};

/// Components of a vector.
const DIMENSIONS: u64 = 8;

/// A request, as far as pooling asks for the same.
struct Pooled {
    fields: Fields,
    generation: Generation,
    usage: Usage,
}

impl Pooled {
    fn read(call: &Call<'_>, texts: &[&'static str]) -> Result<Self, Failure> {
        let fields = call.fields()?;
        let main = texts.last().copied().unwrap_or_default();
        if fields.get(main).is_none() && fields.get("messages").is_none() {
            return Err(Failure::Missing(main));
        }
        let model = fields.get("model").and_then(Value::as_str).unwrap_or_default().to_owned();
        if call.controls.models.as_ref().is_some_and(|models| *models != model) {
            return Err(Failure::UnknownModel(model));
        }
        let names: Vec<_> = texts.iter().copied().chain(["messages"]).collect();
        let input_tokens = fields.tokens_of(&names);
        let ask = Ask { model, input_tokens, max_tokens: Some(0), choices: 1 };
        let generation = Generation::new(ask, call.controls);
        Ok(Self { usage: generation.usage(), fields, generation })
    }

    fn count(&self, name: &str) -> u64 {
        match self.fields.get(name) {
            Some(Value::Array(list)) if !list.iter().any(Value::is_number) => {
                u64::try_from(list.len()).unwrap_or(1)
            }
            _ => 1,
        }
    }

    fn list(&self, prefix: &str, data: Vec<Json>) -> Json {
        let generation = &self.generation;
        let created = generation.created.as_secs();
        envelope(&generation.id(prefix), "list", created, &generation.model, &data)
            .put("usage", &bare_usage(self.usage))
            .json()
    }

    fn made(&self, json: Json) -> Made {
        Made::whole(self.usage.input, self.usage.output, json)
    }
}

fn floats(input: u64) -> Json {
    let vector: Vec<f64> = vector(input, DIMENSIONS).map(f64::from).collect();
    Json::written(&Value::from(vector).to_string())
}

pub(crate) fn embeddings(call: &Call<'_>) -> Result<Made, Failure> {
    let pooled = Pooled::read(call, &["input"])?;
    let as_text = pooled.fields.get("encoding_format") == Some(&Value::from("base64"));
    let data = (0..pooled.count("input"))
        .map(|index| {
            let embedding = if as_text {
                let bytes: Vec<u8> = vector(index, DIMENSIONS).flat_map(f32::to_le_bytes).collect();
                Json::written(&Value::from(base64(&bytes)).to_string())
            } else {
                floats(index)
            };
            object! { "index": index, "object": "embedding", "embedding": embedding }
        })
        .collect();
    Ok(pooled.made(pooled.list("embd-", data)))
}

/// Cohere's.
pub(super) fn embed(call: &Call<'_>) -> Result<Made, Failure> {
    let pooled = Pooled::read(call, &["texts"])?;
    let vectors: Vec<_> = (0..pooled.count("texts")).map(floats).collect();
    let texts: Vec<_> = match pooled.fields.get("texts") {
        Some(Value::Array(texts)) => texts.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let version = object! { "version": "2" };
    let units = object! {
        "input_tokens": pooled.usage.input, "image_tokens": 0_u64,
    };
    let meta = object! { "api_version": version, "billed_units": units };
    let json = object! {
        "id": pooled.generation.id("embd-"), "embeddings": object! { "float": vectors },
        "texts": texts, "meta": meta, "response_type": "embeddings_by_type",
    };
    Ok(pooled.made(json))
}

pub(super) fn pooling(call: &Call<'_>) -> Result<Made, Failure> {
    let pooled = Pooled::read(call, &["input"])?;
    let data = (0..pooled.count("input"))
        .map(|index| object! { "index": index, "object": "pooling", "data": floats(index) })
        .collect();
    Ok(pooled.made(pooled.list("pooling-", data)))
}

pub(super) fn classify(call: &Call<'_>) -> Result<Made, Failure> {
    let pooled = Pooled::read(call, &["input"])?;
    let data = (0..pooled.count("input"))
        .map(|index| {
            object! { "index": index, "label": "LABEL_0", "probs": [0.5, 0.5], "num_classes": 2_u64 }
        })
        .collect();
    Ok(pooled.made(pooled.list("classify-", data)))
}

fn score_of(index: u64) -> Json {
    object! { "index": index, "object": "score", "score": 0.5 }
}

pub(crate) fn score(call: &Call<'_>) -> Result<Made, Failure> {
    let pooled = Pooled::read(call, &["queries", "documents", "text_1", "text_2"])?;
    let pairs = pooled.count("text_2").max(pooled.count("documents"));
    Ok(pooled.made(pooled.list("score-", (0..pairs).map(score_of).collect())))
}

pub(crate) fn rerank(call: &Call<'_>) -> Result<Made, Failure> {
    let pooled = Pooled::read(call, &["query", "documents"])?;
    let results: Vec<_> = pooled
        .fields
        .list("documents")?
        .iter()
        .enumerate()
        .map(|(index, document)| {
            let document = object! {
                "text": document.as_str().unwrap_or_default(), "multi_modal": NULL,
            };
            object! { "index": index, "document": document, "relevance_score": 0.5 }
        })
        .collect();
    let input = pooled.usage.input;
    let json = object! {
        "id": pooled.generation.id("score-"), "model": pooled.generation.model,
        "usage": object! { "prompt_tokens": input, "total_tokens": input },
        "results": results,
    };
    Ok(pooled.made(json))
}

/// It generates one token for each item.
pub(super) fn generative_scoring(call: &Call<'_>) -> Result<Made, Failure> {
    let mut pooled = Pooled::read(call, &["query", "items"])?;
    let items = pooled.count("items");
    pooled.usage.output = items;
    let data = (0..items).map(score_of).collect();
    Ok(pooled.made(pooled.list("generative-scoring-", data)))
}

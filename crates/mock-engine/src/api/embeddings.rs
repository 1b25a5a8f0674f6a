//! Embeddings: OpenAI's `/v1/embeddings` and Ollama's `/api/embed`.

use serde_json::{json, Value};

use super::answer::Answer;
use crate::controls::{Controls, UsageMode};
use crate::error::ApiError;
use crate::fields::Fields;
use crate::generation::{Ask, Generation, Usage};
use crate::peer::Ended;
use crate::stream::{Format, Stream};

/// Components of a vector, unless the request says otherwise, and at most.
const DIMENSIONS: u64 = 8;
const MAX_DIMENSIONS: u64 = 4096;

/// What both have in common.
#[derive(Debug)]
struct Vectors {
    model: String,
    usage: Usage,
    has_usage: bool,
    inputs: u64,
    dimensions: u64,
}

impl Vectors {
    fn read(fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        let inputs = match fields.get("input") {
            Some(Value::String(_)) => 1,
            Some(Value::Array(list)) if !list.is_empty() => {
                if list.iter().any(Value::is_number) {
                    1
                } else {
                    list.iter().fold(0, |count, _| count + 1)
                }
            }
            _ => {
                return Err(ApiError::bad_request(
                    Some("input"),
                    "'input' must be a text or a list.",
                ))
            }
        };
        let dimensions = fields.positive("dimensions")?.unwrap_or(DIMENSIONS);
        if dimensions > MAX_DIMENSIONS {
            return Err(ApiError::bad_request(
                Some("dimensions"),
                "'dimensions' must be 4096 at most.",
            ));
        }
        let ask = Ask {
            model: fields.model()?,
            input_tokens: fields.tokens_of(&["input"]),
            max_tokens: Some(0),
            choices: 1,
        };
        let generation = Generation::new(ask, controls);
        Ok(Self {
            usage: generation.usage(),
            model: generation.model,
            has_usage: controls.usage != UsageMode::Absent,
            inputs,
            dimensions,
        })
    }

    fn vector(&self, input: u64) -> impl Iterator<Item = f32> {
        vector(input, self.dimensions)
    }
}

/// The vector of one input: anything, but always the same.
pub(crate) fn vector(input: u64, dimensions: u64) -> impl Iterator<Item = f32> {
    (0..dimensions).map(move |dimension| {
        let step = u8::try_from((input + dimension) % 7).unwrap_or_default();
        f32::from(step) / 8.0
    })
}

#[derive(Debug)]
pub(super) struct Embeddings {
    vectors: Vectors,
    base64: bool,
}

impl Embeddings {
    pub(super) fn read(fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        let base64 = match fields.get("encoding_format").map(Value::as_str) {
            None | Some(Some("float")) => false,
            Some(Some("base64")) => true,
            Some(_) => {
                return Err(ApiError::bad_request(
                    Some("encoding_format"),
                    "'encoding_format' must be float or base64.",
                ))
            }
        };
        Ok(Self { vectors: Vectors::read(fields, controls)?, base64 })
    }
}

impl Embeddings {
    fn json(&self) -> Value {
        let vectors = &self.vectors;
        let data: Vec<_> = (0..vectors.inputs)
            .map(|input| {
                let vector = vectors.vector(input);
                let embedding = if self.base64 {
                    json!(base64(&vector.flat_map(f32::to_le_bytes).collect::<Vec<_>>()))
                } else {
                    vector.collect()
                };
                json!({"object": "embedding", "index": input, "embedding": embedding})
            })
            .collect();
        let mut answer = json!({"object": "list", "data": data, "model": vectors.model});
        if let (true, Some(fields)) = (vectors.has_usage, answer.as_object_mut()) {
            let tokens = vectors.usage.input;
            fields.insert(
                "usage".to_owned(),
                json!({"prompt_tokens": tokens, "total_tokens": tokens}),
            );
        }
        answer
    }
}

impl Answer for Embeddings {
    fn format(&self) -> Option<Format> {
        None
    }

    fn tokens(&self) -> u64 {
        0
    }

    fn input(&self) -> u64 {
        self.vectors.usage.input
    }

    fn whole(&self) -> String {
        self.json().to_string()
    }

    fn stream(&self, _: &mut Stream<'_>) -> Result<(), Ended> {
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct OllamaEmbed(Vectors);

impl OllamaEmbed {
    pub(super) fn read(fields: &Fields, controls: &Controls) -> Result<Self, ApiError> {
        Vectors::read(fields, controls).map(Self)
    }
}

impl OllamaEmbed {
    fn json(&self) -> Value {
        let embeddings: Vec<Vec<f32>> =
            (0..self.0.inputs).map(|input| self.0.vector(input).collect()).collect();
        let mut answer = json!({
            "model": self.0.model,
            "embeddings": embeddings,
            "total_duration": 1_000_000,
            "load_duration": 1_000,
        });
        let evaluated = self.0.usage.input - self.0.usage.cached;
        if let (true, Some(fields)) = (self.0.has_usage && evaluated > 0, answer.as_object_mut()) {
            fields.insert("prompt_eval_count".to_owned(), json!(evaluated));
        }
        answer
    }
}

impl Answer for OllamaEmbed {
    fn format(&self) -> Option<Format> {
        None
    }

    fn tokens(&self) -> u64 {
        0
    }

    fn input(&self) -> u64 {
        self.0.usage.input
    }

    fn whole(&self) -> String {
        self.json().to_string()
    }

    fn stream(&self, _: &mut Stream<'_>) -> Result<(), Ended> {
        Ok(())
    }
}

/// RFC 4648, section 4, for whole numbers of 32-bit floats.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or_default())
        });
        for digit in 0..4 {
            let known = digit <= group.len();
            let index = bits >> (18 - 6 * digit) & 63;
            let letter = ALPHABET.get(index).copied().filter(|_| known);
            text.push(char::from(letter.unwrap_or(b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}

//! What a classifier is asked about texts.

use serde_json::{json, Map, Value};

use super::{Classifier, Format, Side};

/// The most tokens that Llama Guard may answer with: `unsafe`, and the numbers of some categories.
const MAX_TOKENS: u32 = 32;

/// The body of a question about these texts, of which there are as many as [`Format::batch`] allows: JSON.
#[must_use]
pub fn question(classifier: &Classifier, side: Side, texts: &[&str]) -> Vec<u8> {
    // A list is for several: not every server takes one.
    let about = match texts {
        [text] => Value::from(*text),
        texts => Value::from(texts.to_vec()),
    };
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if let Some(model) = &classifier.model {
        put("model", Value::from(&**model));
    }
    match classifier.format {
        Format::Moderation | Format::Classify => {
            put("input", about);
        }
        Format::LlamaGuard => {
            // It judges what is said last, and a model answers somebody.
            put(
                "messages",
                match side {
                    Side::Request => json!([{"role": "user", "content": about}]),
                    Side::Answer => json!([
                        {"role": "user", "content": ""},
                        {"role": "assistant", "content": about},
                    ]),
                },
            );
            put("temperature", json!(0));
            put("max_tokens", json!(MAX_TOKENS));
        }
        Format::Presidio => {
            put("text", about);
            put("language", Value::from(&*classifier.language));
            if let Some(threshold) = classifier.threshold {
                put("score_threshold", json!(f64::from(threshold) / 100.0));
            }
            if !classifier.entities.is_empty() {
                let entities = classifier.entities.iter().map(|entity| Value::from(&**entity));
                put("entities", entities.collect());
            }
        }
    }
    Value::Object(body).to_string().into_bytes()
}

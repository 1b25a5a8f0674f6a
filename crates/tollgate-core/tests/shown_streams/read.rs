//! What a client makes of an answer: it puts the pieces of each text together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// The texts of an answer, and what else its documents have.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Read {
    /// By the way to them, pieces put together.
    pub(crate) texts: BTreeMap<String, String>,
    /// Each value once.
    others: BTreeMap<String, BTreeSet<String>>,
}

/// The documents of an answer.
pub(crate) fn documents(answer: &str) -> Vec<Value> {
    let read = |data: &str| serde_json::from_str(data).unwrap_or_else(|_| panic!("{data}"));
    if answer.starts_with(['{', '[']) && serde_json::from_str::<Value>(answer).is_ok() {
        return vec![read(answer)];
    }
    let lines = answer.lines().filter(|line| line.starts_with('{') || line.starts_with("data:"));
    let data = lines.map(|line| line.trim_start_matches("data:").trim());
    data.filter(|data| *data != "[DONE]").map(read).collect()
}

/// Whether a member comes in pieces.
fn is_text(name: &str) -> bool {
    ["content", "text", "delta", "reasoning", "thinking", "arguments", "refusal", "response"]
        .contains(&name)
}

impl Read {
    pub(crate) fn of(answer: &str) -> Self {
        let mut read = Self::default();
        for mut document in documents(answer) {
            let kind = document["type"].as_str().unwrap_or_default().to_owned();
            // Where there are more events, these go on.
            if let Some(document) = document.as_object_mut() {
                document.remove("sequence_number");
            }
            let place = ["output_index", "content_index", "item_id"]
                .map(|name| document[name].to_string())
                .join("/");
            let index = document["index"].to_string();
            read.value(&format!("{kind} {place} {index}"), "", &document);
        }
        read
    }

    fn value(&mut self, way: &str, name: &str, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    self.value(&format!("{way}.{name}"), name, value);
                }
            }
            Value::Array(elements) => {
                for (at, value) in elements.iter().enumerate() {
                    let at = value.get("index").map_or(at.to_string(), Value::to_string);
                    self.value(&format!("{way}[{at}]"), name, value);
                }
            }
            Value::String(text) if is_text(name) => {
                self.texts.entry(way.to_owned()).or_default().push_str(text);
            }
            other => {
                self.others.entry(way.to_owned()).or_default().insert(other.to_string());
            }
        }
    }

    /// The same, with each text as `change` makes it.
    pub(crate) fn map(mut self, change: impl Fn(&str) -> String) -> Self {
        self.texts.values_mut().for_each(|text| *text = change(text));
        self
    }
}

/// Numbers that are the same in each run.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end.max(1)
    }

    /// Parts of some bytes, cut anywhere.
    pub(crate) fn cut<'a>(&mut self, bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut rest = bytes;
        let mut parts = Vec::new();
        let longest = [1, 20, 200, 2000][self.below(4)];
        while !rest.is_empty() {
            let (part, after) = rest.split_at((1 + self.below(longest)).min(rest.len()));
            parts.push(part);
            rest = after;
        }
        parts
    }
}

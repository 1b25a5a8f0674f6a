//! The fields of a request's JSON body.

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::json::without_halves;

/// A JSON object. Of a duplicate key the last one counts, as in most parsers; null is absent.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let parsed = serde_json::from_slice(body);
        match parsed.or_else(|_| serde_json::from_slice(&without_halves(body))) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(ApiError::bad_request(None, "The body is not a JSON object.")),
            Err(e) => Err(ApiError::bad_request(None, format!("The body is not valid JSON: {e}."))),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Of the object `outer`, if it is there.
    pub(crate) fn get_in(&self, outer: &str, name: &str) -> Option<&Value> {
        self.get(outer)?.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn model(&self) -> Result<String, ApiError> {
        match self.get("model") {
            Some(Value::String(model)) if !model.is_empty() => Ok(model.clone()),
            _ => Err(ApiError::bad_request(Some("model"), "'model' must be a string.")),
        }
    }

    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool, ApiError> {
        flag(self.get(name), name, default)
    }

    pub(crate) fn positive(&self, name: &'static str) -> Result<Option<u64>, ApiError> {
        positive(self.get(name), name)
    }

    /// A list that is not empty.
    pub(crate) fn list(&self, name: &'static str) -> Result<&Vec<Value>, ApiError> {
        match self.get(name) {
            Some(Value::Array(list)) if !list.is_empty() => Ok(list),
            _ => Err(ApiError::bad_request(Some(name), format!("'{name}' must be a list."))),
        }
    }

    /// The tokens of the text in these fields together; at least 1.
    pub(crate) fn tokens_of(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.get(name)).map(tokens).sum::<u64>().max(1)
    }
}

pub(crate) fn flag(
    value: Option<&Value>,
    param: &'static str,
    default: bool,
) -> Result<bool, ApiError> {
    match value {
        None => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => {
            Err(ApiError::bad_request(Some(param), format!("'{param}' must be true or false.")))
        }
    }
}

pub(crate) fn positive(
    value: Option<&Value>,
    param: &'static str,
) -> Result<Option<u64>, ApiError> {
    let Some(value) = value else { return Ok(None) };
    match value.as_u64() {
        Some(number) if number > 0 => Ok(Some(number)),
        _ => Err(ApiError::bad_request(
            Some(param),
            format!("'{param}' must be a whole number above 0."),
        )),
    }
}

/// One for each word of a text, and for each token id. Of an object (a message, a part of one) its
/// texts count; roles, types, images and the like cost nothing.
pub(crate) fn tokens(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().fold(0, |count, _| count + 1),
        Value::Number(_) => 1,
        Value::Array(values) => values.iter().map(tokens).sum(),
        Value::Object(fields) => ["content", "text", "output", "input", "arguments"]
            .iter()
            .filter_map(|name| fields.get(*name))
            .map(tokens)
            .sum(),
        Value::Bool(_) | Value::Null => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_input_is_counted_in_words() {
        for (value, count) in [
            (json!(" one  two\nthree "), 3),
            (json!(["a b", "c"]), 3),
            (json!([11, 12, 13]), 3),
            (json!([[11, 12], [13]]), 3),
            (
                json!([{"role": "user", "content": "a b"}, {"role": "assistant", "content": null}]),
                2,
            ),
            (json!([{"content": [{"type": "text", "text": "a b"}, {"type": "image_url"}]}]), 2),
            (json!([{"type": "function_call_output", "call_id": "x y", "output": "a"}]), 1),
        ] {
            assert_eq!(tokens(&value), count, "{value}");
        }
        let fields = Fields::parse(br#"{"a": "x", "b": "y z", "c": ""}"#).unwrap();
        assert_eq!(fields.tokens_of(&["a", "b", "d"]), 3);
        assert_eq!(fields.tokens_of(&["c"]), 1);
    }

    #[test]
    fn null_is_absent() {
        let fields = Fields::parse(br#"{"a": null, "b": {"c": null, "d": 1}}"#).unwrap();
        assert_eq!(fields.flag("a", true), Ok(true));
        assert_eq!(fields.positive("a"), Ok(None));
        assert_eq!(fields.get_in("b", "c"), None);
        assert_eq!(fields.get_in("b", "d"), Some(&json!(1)));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "{", "[]", "{} x"] {
            assert_eq!(Fields::parse(body.as_bytes()).unwrap_err().status, 400, "{body}");
        }
    }
}

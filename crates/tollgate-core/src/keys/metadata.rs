//! `metadata` of an entry: what it may be, and how it lies in a block.

use std::fmt::Write as _;

use serde_json::Value;

use super::error::Problem;
use super::field::Field;
use crate::about::{is_metadata_key, MetadataValue, MAX_METADATA, MAX_METADATA_LEN};
use crate::principal::is_valid_name;

/// `metadata`, as it lies in a block: the members one by one, names and values with tabs between them. A value
/// that is a string has a quote before it. Neither has control characters.
pub(super) fn as_metadata(field: &Field<'_>) -> Result<String, Problem> {
    let members = field.as_object().ok_or(Problem::WrongType("an object"))?;
    if members.is_empty() || members.len() > MAX_METADATA {
        return Err(Problem::InvalidMetadata);
    }
    let mut kept = String::new();
    // The braces.
    let mut len = 2;
    for (position, (name, value)) in members.iter().enumerate() {
        let is_twice = members.iter().take(position).any(|(earlier, _)| earlier == name);
        if is_twice || !is_metadata_key(name) {
            return Err(Problem::InvalidMetadata);
        }
        let (mark, text) = match value {
            Value::String(text) if is_valid_name(text) => ("\"", text.clone()),
            Value::Number(number) => ("", number.to_string()),
            Value::Bool(flag) => ("", flag.to_string()),
            _ => return Err(Problem::InvalidMetadata),
        };
        // Quotes, a colon and a comma.
        len += name.len() + value.to_string().len() + 4;
        let tab = if position > 0 { "\t" } else { "" };
        // Writing to a string can't fail.
        let _ = write!(kept, "{tab}{name}\t{mark}{text}");
    }
    match len <= MAX_METADATA_LEN {
        true => Ok(kept),
        false => Err(Problem::InvalidMetadata),
    }
}

/// The members of a text that [`as_metadata`] made.
pub(super) fn metadata_of(text: &str) -> Box<[(Box<str>, MetadataValue)]> {
    let mut parts = text.split('\t');
    std::iter::from_fn(|| {
        let (name, value) = (parts.next()?, parts.next()?);
        let value = match value.strip_prefix('"') {
            Some(text) => MetadataValue::Text(text.into()),
            None => MetadataValue::Literal(value.into()),
        };
        Some((name.into(), value))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn metadata_comes_back(
            members in prop::collection::btree_map("[a-z.]{1,8}", "[^\\pC\\pZ]{1,16}", 1..10), number: i64,
        ) {
            let mut all: Vec<(String, Value)> =
                members.iter().map(|(name, text)| (name.clone(), Value::from(text.as_str()))).collect();
            all.push(("number-".to_owned(), number.into()));
            let kept = as_metadata(&Field::Object(all)).unwrap();
            let mut read = metadata_of(&kept).into_vec();
            let last = read.pop().unwrap();
            prop_assert_eq!(last.1, MetadataValue::Literal(number.to_string().into()));
            let read: Vec<(String, MetadataValue)> =
                read.into_iter().map(|(name, value)| (name.into(), value)).collect();
            let expected: Vec<(String, MetadataValue)> = members
                .into_iter()
                .map(|(name, text)| (name, MetadataValue::Text(text.into())))
                .collect();
            prop_assert_eq!(read, expected);
        }
    }
}

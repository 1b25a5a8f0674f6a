//! Exports as JSON.

use serde_json::{Map, Value};

use super::Place;
use crate::exit::Failure;

pub(super) type Members = Map<String, Value>;

pub(super) fn parse(text: &str) -> Result<Value, Failure> {
    // The parser's message has a place, and no value.
    serde_json::from_str(text)
        .map_err(|error| Failure::failed(format!("the export is not one JSON value: {error}")))
}

/// The objects of an array, each with its place.
pub(super) fn objects(value: Option<&Value>) -> impl Iterator<Item = (Place, &Members)> {
    let elements = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    (1..)
        .map(Place::Entry)
        .zip(elements)
        .filter_map(|(place, element)| Some((place, element.as_object()?)))
}

/// A member that is a text, and not an empty one.
pub(super) fn text<'m>(members: &'m Members, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// The first of these members that is one.
pub(super) fn first<'m>(members: &'m Members, names: &[&str]) -> Option<&'m str> {
    names.iter().find_map(|name| text(members, name))
}

//! Exports as JSON.

use serde_json::{Map, Value};

use super::source::{Source, SourcePlace};
use crate::exit::Failure;

pub(super) type Members = Map<String, Value>;

pub(super) fn parse(text: &str) -> Result<Value, Failure> {
    // The parser's message has a place, and no value.
    serde_json::from_str(text)
        .map_err(|error| Failure::failed(format!("the export is not one JSON value: {error}")))
}

/// The objects of an array, each with its place; `None` in place of anything else.
pub(super) fn elements(
    value: Option<&Value>,
) -> impl Iterator<Item = (SourcePlace, Option<&Members>)> {
    let elements = value.and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    (1..).map(SourcePlace::Entry).zip(elements).map(|(place, element)| (place, element.as_object()))
}

/// The same, of which what is no object becomes a fault, with this to say; as does what is no array.
pub(super) fn objects<'v>(
    source: &mut Source,
    value: Option<&'v Value>,
    otherwise: &str,
) -> Vec<(SourcePlace, &'v Members)> {
    if value.is_some_and(|value| !value.is_array() && !value.is_null()) {
        source.fault(SourcePlace::Whole, "a list of keys or their owners that is no array");
    }
    let mut objects = Vec::new();
    for (place, members) in elements(value) {
        match members {
            Some(members) => objects.push((place, members)),
            None => source.fault(place, otherwise),
        }
    }
    objects
}

/// A member that is a text, and not an empty one.
pub(super) fn text<'m>(members: &'m Members, name: &str) -> Option<&'m str> {
    members.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// The first of these members that is one.
pub(super) fn first<'m>(members: &'m Members, names: &[&str]) -> Option<&'m str> {
    names.iter().find_map(|name| text(members, name))
}

/// Whether something is switched off there, by whatever member says so.
pub(super) fn is_off(members: &Members) -> Result<bool, &'static str> {
    const GONE: [&str; 4] = ["deleted_at", "revoked_at", "disabled_at", "blocked_at"];
    if GONE.iter().any(|name| members.get(*name).is_some_and(|value| !value.is_null())) {
        return Err("a key that was deleted or revoked there: take the entry out");
    }
    const NEITHER: &str =
        "a member that says whether it is in force, and is neither true nor false";
    const OFF: [&str; 5] = ["blocked", "disabled", "revoked", "is_disabled", "deleted"];
    const ON: [&str; 4] = ["enabled", "active", "is_active", "is_enabled"];
    let mut is_off = false;
    for (names, off) in [(&OFF[..], true), (&ON[..], false)] {
        for value in names.iter().filter_map(|name| members.get(*name)).filter(|v| !v.is_null()) {
            is_off |= value.as_bool().ok_or(NEITHER)? == off;
        }
    }
    let state = first(members, &["status", "state"]).map(str::to_ascii_lowercase);
    match state.as_deref() {
        None | Some("active" | "enabled" | "approved" | "ok" | "valid") => Ok(is_off),
        Some(_) => Err("a \"status\" or \"state\" that isn't \"active\": is it in force?"),
    }
}

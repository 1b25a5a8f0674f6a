use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::body::Name;
use super::input::{Measure, Walk};
use super::names::Names;
use crate::llm::request::place::Place;
use crate::llm::request::stream_options::{IncludeUsage, StreamOptions, KNOWN};
use crate::llm::request::RequestError;

/// Reads the value `raw` of `stream_options`, which is a part of `body`.
///
/// # Errors
/// Anything but null or an object; a key twice or misspelt, or no boolean, in it. The reason is
/// kept in `measure`, too, if the parser stopped for it.
pub(super) fn read<'de>(
    raw: &'de RawValue,
    body: &'de str,
    measure: &mut Measure,
) -> Result<StreamOptions, RequestError> {
    let at = offset_in(body, raw.get());
    match raw.get().as_bytes().first() {
        Some(b'n') => return Ok(StreamOptions::Null { at }),
        Some(b'{') => {}
        _ => return Err(RequestError::BadValue("stream_options")),
    }
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    let read = Options { body, measure: &mut *measure, open: at + 1 };
    read.deserialize(&mut deserializer)
        .map_err(|_| measure.refusal.unwrap_or(RequestError::NotJson))
}

/// Where `part` begins in `body`, of which it is a part.
fn offset_in(body: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(body.as_ptr().addr())
}

/// Reads the object that is the value of `stream_options`.
struct Options<'r, 'de> {
    body: &'de str,
    measure: &'r mut Measure,
    open: usize,
}

impl<'de> DeserializeSeed<'de> for Options<'_, 'de> {
    type Value = StreamOptions;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Options<'_, 'de> {
    type Value = StreamOptions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let Self { body, measure, open } = self;
        measure.enter()?;
        let mut names = Names::new(&KNOWN);
        let (mut empty, mut include_usage, mut has_continuous) =
            (true, IncludeUsage::Absent, false);
        while let Some(name) =
            members.next_key_seed(Name { names: &mut names, measure: &mut *measure })?
        {
            empty = false;
            let Some(name) = name else {
                members.next_value_seed(Walk { measure: &mut *measure, place: Place::Skip })?;
                continue;
            };
            let value: &RawValue = members.next_value()?;
            let flag = match value.get() {
                "true" => IncludeUsage::True,
                "false" => IncludeUsage::False { at: offset_in(body, value.get()) },
                "null" => IncludeUsage::Null { at: offset_in(body, value.get()) },
                _ => return Err(measure.refuse(RequestError::BadValue(name))),
            };
            if name == "include_usage" {
                include_usage = flag;
            } else {
                has_continuous = true;
            }
        }
        measure.leave();
        Ok(StreamOptions::Given { open, empty, include_usage, has_continuous })
    }
}

//! `stream_options`: what it says about usage, and how to make it say that usage is wanted.

use std::fmt;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::body::Name;
use super::input::{Measure, Place, Walk};
use super::names::{Known, Names};
use super::RequestError;
use crate::llm::meter::Hides;

/// What a body says in `stream_options`. Positions are offsets in the body, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StreamOptions {
    /// Nothing; `open` is where the body's first member begins.
    Absent { open: usize },
    /// `null`, which stands at `at`.
    Null { at: usize },
    /// An object.
    Given {
        /// Where its first member begins.
        open: usize,
        /// Whether it has none.
        empty: bool,
        include_usage: IncludeUsage,
        /// Whether `continuous_usage_stats` is there, with whatever value.
        has_continuous: bool,
    },
}

/// `stream_options.include_usage`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IncludeUsage {
    Absent,
    /// `null`, which stands at `at`.
    Null {
        at: usize,
    },
    True,
    /// `false`, which stands at `at`.
    False {
        at: usize,
    },
}

/// A change of the body, after which it asks for usage; everything else stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageEdit {
    /// The bytes to replace: none, a `null` or a `false`.
    pub range: Range<usize>,
    /// These bytes.
    pub replaced: &'static str,
    /// What to put in their place.
    pub text: &'static str,
    /// What comes of it in the answer, and is to be kept from the client, who has not asked for it.
    pub hides: Hides,
}

impl StreamOptions {
    /// Reads the value `raw` of `stream_options`, which is a part of `body`.
    ///
    /// # Errors
    /// Anything but null or an object; a key twice or misspelt, or no boolean, in it. The reason is
    /// kept in `measure`, too, if the parser stopped for it.
    pub(super) fn read<'de>(
        raw: &'de RawValue,
        body: &'de str,
        measure: &mut Measure,
    ) -> Result<Self, RequestError> {
        let at = offset_in(body, raw.get());
        match raw.get().as_bytes().first() {
            Some(b'n') => return Ok(Self::Null { at }),
            Some(b'{') => {}
            _ => return Err(RequestError::BadValue("stream_options")),
        }
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let read = Options { body, measure: &mut *measure, open: at + 1 };
        read.deserialize(&mut deserializer)
            .map_err(|_| measure.refusal.unwrap_or(RequestError::NotJson))
    }

    pub(super) fn include_usage(&self) -> Option<bool> {
        match self {
            Self::Given { include_usage: IncludeUsage::True, .. } => Some(true),
            Self::Given { include_usage: IncludeUsage::False { .. }, .. } => Some(false),
            Self::Given { .. } | Self::Null { .. } | Self::Absent { .. } => None,
        }
    }

    /// What is missing so that the stream says its usage, and with `continuous` says it in every
    /// chunk; `even_if_declined`, where the client says `false`.
    pub(super) fn usage_edit(&self, continuous: bool, even_if_declined: bool) -> Option<UsageEdit> {
        let hides = Hides { usage: true, running_usage: continuous };
        let insert = |at, text| UsageEdit { range: at..at, replaced: "", text, hides };
        let replace = |at: usize, old: &'static str, text| UsageEdit {
            range: at..at.saturating_add(old.len()),
            replaced: old,
            text,
            hides,
        };
        let replace_null = |at, text| replace(at, "null", text);
        Some(match *self {
            // The comma is right: the body has a member `stream`, else there were no edit.
            Self::Absent { open } if continuous => insert(
                open,
                r#""stream_options":{"include_usage":true,"continuous_usage_stats":true},"#,
            ),
            Self::Absent { open } => insert(open, r#""stream_options":{"include_usage":true},"#),
            Self::Null { at } if continuous => {
                replace_null(at, r#"{"include_usage":true,"continuous_usage_stats":true}"#)
            }
            Self::Null { at } => replace_null(at, r#"{"include_usage":true}"#),
            Self::Given { open, empty, include_usage, has_continuous } => {
                match (include_usage, continuous && !has_continuous) {
                    (IncludeUsage::Absent, true) if empty => {
                        insert(open, r#""include_usage":true,"continuous_usage_stats":true"#)
                    }
                    (IncludeUsage::Absent, true) => {
                        insert(open, r#""include_usage":true,"continuous_usage_stats":true,"#)
                    }
                    (IncludeUsage::Absent, false) if empty => {
                        insert(open, r#""include_usage":true"#)
                    }
                    (IncludeUsage::Absent, false) => insert(open, r#""include_usage":true,"#),
                    (IncludeUsage::Null { at }, true) => {
                        replace_null(at, r#"true,"continuous_usage_stats":true"#)
                    }
                    (IncludeUsage::Null { at }, false) => replace_null(at, "true"),
                    (IncludeUsage::False { at }, true) if even_if_declined => {
                        replace(at, "false", r#"true,"continuous_usage_stats":true"#)
                    }
                    (IncludeUsage::False { at }, false) if even_if_declined => {
                        replace(at, "false", "true")
                    }
                    (IncludeUsage::True, true) => UsageEdit {
                        range: open..open,
                        replaced: "",
                        text: r#""continuous_usage_stats":true,"#,
                        hides: Hides { usage: false, ..hides },
                    },
                    (IncludeUsage::True, false) | (IncludeUsage::False { .. }, _) => return None,
                }
            }
        })
    }
}

/// Where `part` begins in `body`, of which it is a part.
fn offset_in(body: &str, part: &str) -> usize {
    part.as_ptr().addr().saturating_sub(body.as_ptr().addr())
}

const KNOWN: Known = Known { policy: &["include_usage", "continuous_usage_stats"], measured: &[] };

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

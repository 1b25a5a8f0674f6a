//! `stream_options`: what it says about usage, and how to make it say that usage is wanted.

use std::ops::Range;

use super::names::Known;
use super::RequestError;
use crate::json::Scalar;
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum IncludeUsage {
    #[default]
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

/// The names that matter in `stream_options`.
pub(super) const KNOWN: Known =
    Known { policy: &["include_usage", "continuous_usage_stats"], measured: &[] };

/// `stream_options` while they are read. A refusal waits for their end: what is no JSON is refused as such.
#[derive(Debug, Default)]
pub(super) struct Options {
    open: usize,
    has_members: bool,
    include_usage: IncludeUsage,
    has_continuous: bool,
    refusal: Option<RequestError>,
}

impl Options {
    /// An object whose first member begins at `open`.
    pub(super) fn new(open: usize) -> Self {
        Self { open, ..Self::default() }
    }

    pub(super) fn has_member(&mut self) {
        self.has_members = true;
    }

    /// Of several reasons to refuse them, the first one counts.
    pub(super) fn refuse(&mut self, error: RequestError) {
        self.refusal.get_or_insert(error);
    }

    pub(super) fn refusal(&self) -> Option<RequestError> {
        self.refusal
    }

    /// The value of the member `name` is `scalar`, which stands at `at`.
    pub(super) fn flag(&mut self, name: &'static str, scalar: Scalar, at: usize) {
        let flag = match scalar {
            Scalar::Bool(true) => IncludeUsage::True,
            Scalar::Bool(false) => IncludeUsage::False { at },
            Scalar::Null => IncludeUsage::Null { at },
            _ => return self.refuse(RequestError::BadValue(name)),
        };
        if name == "include_usage" {
            self.include_usage = flag;
        } else {
            self.has_continuous = true;
        }
    }

    /// What they say.
    pub(super) fn end(self) -> Result<StreamOptions, RequestError> {
        let Self { open, has_members, include_usage, has_continuous, refusal } = self;
        match refusal {
            Some(refusal) => Err(refusal),
            None => Ok(StreamOptions::Given {
                open,
                empty: !has_members,
                include_usage,
                has_continuous,
            }),
        }
    }
}

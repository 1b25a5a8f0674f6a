//! What was found, how bad it is, and what mends it.

use serde::Serialize;

use crate::conf::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// It costs time, money or answers.
    Warning,
    /// It lets strangers in, tells secrets, or nothing works.
    Error,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The name of the check that found it.
    pub check: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What was found: a sentence.
    pub what: String,
    /// Why that matters: a sentence or two.
    pub why: &'static str,
    /// Where.
    pub place: Option<Place>,
    /// What mends it: lines of a configuration, or of a shell.
    pub mend: Vec<String>,
}

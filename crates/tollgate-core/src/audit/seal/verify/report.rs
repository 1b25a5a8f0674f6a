//! What a verifier tells.

use std::fmt;

/// A line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file, in the order in which they were read, from 0.
    pub file: usize,
    /// The line in it, from 1.
    pub line: u64,
}

/// What was done to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A line is not as it was written.
    Changed,
    /// Lines are missing.
    Removed,
    /// A line is there that was not written so, or a second time.
    Added,
    /// A line is not where it was written.
    Reordered,
    /// The end of a chain is missing, or of the log.
    CutOff,
    /// It says that it is older than it can be.
    Backdated,
    /// A seal, an opening or a manifest is not as it was written.
    BadSeal,
}

impl Kind {
    /// A word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Reordered => "reordered",
            Self::CutOff => "cut_off",
            Self::Backdated => "backdated",
            Self::BadSeal => "bad_seal",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something was done to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where; `None`: in no file that is there.
    pub place: Option<Place>,
    /// In words.
    pub text: String,
}

/// Something is not in the log, or not sealed, and the machine itself has said why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where.
    pub place: Option<Place>,
    /// In words.
    pub text: String,
    /// Whether lines were lost.
    pub is_loss: bool,
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What was done to the log, the first of it. Empty: nothing.
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub count: u64,
    /// What the reader should know all the same.
    pub notes: Vec<Note>,
    /// Lines of requests that are sealed.
    pub lines: u64,
    /// Seals.
    pub seals: u64,
    /// Chains.
    pub chains: usize,
    /// Manifests.
    pub manifests: usize,
    /// When the first and the last seal were made, in RFC 3339.
    pub span: Option<(String, String)>,
    /// Whether the log is there from its beginning on.
    pub is_whole: bool,
}

pub(super) fn finding(kind: Kind, place: Option<Place>, text: impl Into<String>) -> Finding {
    Finding { kind, place, text: text.into() }
}

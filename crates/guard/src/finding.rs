//! What was found in a text.

use std::ops::Range;

use crate::detector::Family;

/// What is done where something is found. A later one outranks those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// It is counted, and nothing else.
    Log,
    /// A label takes its place: `[EMAIL]`.
    Mask,
    /// A placeholder takes its place, for which the client gets its own value back: `<EMAIL_1>`.
    Tokenize,
    /// The request is refused, or the answer cut off.
    Block,
}

impl Action {
    /// Its name in configuration, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Mask => "mask",
            Self::Tokenize => "tokenize",
            Self::Block => "block",
        }
    }
}

/// What is looked for, as findings and counts name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What it belongs to.
    pub family: Family,
    /// Its name within that: `email`, `codename`.
    pub name: Box<str>,
    /// What takes the place of what is masked: `EMAIL`.
    pub label: Box<str>,
    /// What is done.
    pub action: Action,
}

/// The number of a rule in the guard that found it.
pub type RuleIndex = u16;

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// By which rule.
    pub rule: RuleIndex,
    /// Where in the text, in bytes. Of what was found in a decoded part, all of that part.
    pub range: Range<usize>,
    /// How sure it is, from 1 to 100.
    pub score: u8,
}

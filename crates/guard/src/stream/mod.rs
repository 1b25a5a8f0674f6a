//! A text that comes in pieces.

use std::sync::Arc;

use crate::finding::RuleIndex;
use crate::vault::Vault;

/// What is looked for in texts that come in pieces.
#[derive(Debug, Default)]
pub struct StreamGuard {}

/// One text that comes in pieces: what the model writes into one member of one choice.
#[derive(Debug)]
pub struct Channel {
    guard: Arc<StreamGuard>,
}

/// What a piece of a text has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Nothing of this answer may be shown from here on.
    Block(RuleIndex),
}

/// How a text is written where it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// As it is.
    Plain,
    /// It is JSON itself, as arguments of tools are: what is put into it is escaped.
    Json,
}

impl Channel {
    /// A text of which nothing has come.
    #[must_use]
    pub fn new(guard: Arc<StreamGuard>, _quoting: Quoting) -> Self {
        Self { guard }
    }

    /// More of the text has come. What may be shown now is added to `out`; the rest, which may still become a
    /// match, stays here.
    pub fn push(
        &mut self,
        piece: &str,
        _vault: Option<&Vault>,
        out: &mut String,
        _found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        out.push_str(piece);
        let _ = &self.guard;
        Verdict::Pass
    }

    /// The text has ended: what is still here, is shown or not.
    pub fn finish(
        &mut self,
        _vault: Option<&Vault>,
        _out: &mut String,
        _found: &mut Vec<(RuleIndex, u8)>,
    ) -> Verdict {
        Verdict::Pass
    }

    /// Whether something is held back.
    #[must_use]
    pub fn is_holding(&self) -> bool {
        false
    }
}

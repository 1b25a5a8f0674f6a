//! A text that comes in pieces.
//!
//! Whatever may still become a match stays here, and nothing else: the longest end of the text that a match could
//! begin with. How a text is cut changes nothing in what is shown, or found.
//!
//! * [`prefixes`]: the form of all beginnings of what a pattern fits;
//! * [`watch`]: a detector, ready to look into a text that isn't complete;
//! * [`automata`]: all detectors, in two automata: one tells what is held back, the other whether there is a match;
//! * [`seen`]: the text as detectors read it, and the bytes in which it came;
//! * [`shown`]: what goes on: bytes that came, and labels in the place of others;
//! * [`channel`]: one text.

mod automata;
mod channel;
mod prefixes;
mod seen;
mod shown;
mod watch;

pub use automata::{Error, Sought, StreamGuard};
pub use channel::Channel;

use crate::finding::RuleIndex;

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

#[cfg(test)]
mod tests;

//! A text that comes in pieces.
//!
//! Whatever may still become a match stays here, and nothing else: the longest end of the text that a match could
//! begin with. How a text is cut changes nothing in what is shown, or found.
//!
//! * `prefixes`: the form of all beginnings of what a pattern fits;
//! * `beginnings`: where in a text a match may have begun of which the rest is missing;
//! * `overlong`: matches that go on for longer than is held back;
//! * `guard`: what is looked for;
//! * `reading`: one way to read the text, and what was found by it;
//! * `seen`: the text as it is read, and the bytes in which it came;
//! * `shown`, `escapes`: what goes on: bytes that came, and labels or values in the place of others;
//! * `leak`: parts of the system prompt;
//! * `channel`: one text.

mod beginnings;
mod channel;
mod escapes;
mod guard;
mod leak;
mod overlong;
mod prefixes;
mod reading;
mod seen;
mod shown;

pub use channel::Channel;
pub use guard::StreamGuard;
pub use leak::{Leak, LeakRule};

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

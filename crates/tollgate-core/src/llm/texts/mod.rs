//! The texts of a request that a model is shown, and who says them: for guards, which look into them.
//!
//! It is for bodies that have been read and found good: JSON to the letter. Any string is a text, unless it is known
//! that no model is shown it: so a member that a next version of an engine adds is looked into as well.
//!
//! * `walk`: the strings of a body, one after the other; `spot`: what they are;
//! * `written`: from a text to how it is written, and back.

mod spot;
mod walk;
mod written;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use super::request::edits::Edits;
use super::Endpoint;

/// Who says a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Whoever runs the application: instructions, tools.
    System,
    /// Its user.
    User,
    /// The model, earlier.
    Assistant,
    /// What was fetched: by a tool, from a document.
    Tool,
    /// It isn't said, or more than once. Counts as each of them.
    Any,
}

impl Role {
    /// All that can be named in a configuration.
    pub const NAMED: [Self; 4] = [Self::System, Self::User, Self::Assistant, Self::Tool];

    /// Its name in configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Any => "any",
        }
    }
}

/// Where a text stands, as a client is told: `messages[2]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The member of the body.
    pub member: &'static str,
    /// Which of its elements, if it is an array.
    pub element: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.member)?;
        match self.element {
            Some(element) => write!(f, "[{element}]"),
            None => Ok(()),
        }
    }
}

/// One text of a body.
pub struct Text<'b> {
    /// Who says it.
    pub role: Role,
    /// Where it stands.
    pub place: Place,
    /// Whether it is part of what one message says, which the engine puts together with the other parts.
    pub is_content: bool,
    /// The text, its escapes resolved. Half of a surrogate pair is U+FFFD.
    pub text: Cow<'b, str>,
    /// Where it is written, without its quotes.
    range: Range<usize>,
}

/// Not the text.
impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Text")
            .field("role", &self.role)
            .field("place", &self.place)
            .field("len", &self.text.len())
            .finish_non_exhaustive()
    }
}

/// The texts of a body.
#[derive(Debug)]
pub struct Texts<'b> {
    body: &'b [u8],
    /// In the order in which they stand there.
    pub texts: Vec<Text<'b>>,
    /// The member with what a model is shown and nobody can look into here: ids of tokens, embeddings.
    pub unseen: Option<&'static str>,
}

impl<'b> Texts<'b> {
    /// The texts of a body in the form of `endpoint`. `None`: it is no JSON object, or not in UTF-8.
    #[must_use]
    pub fn of(body: &'b [u8], endpoint: Endpoint) -> Option<Self> {
        walk::texts(body, endpoint)
    }

    /// What changes of the body where `changes` take the place of ranges of a text: in order, and none touching
    /// another.
    pub fn edit<'c>(
        &self,
        text: &Text<'b>,
        changes: impl Iterator<Item = (Range<usize>, &'c str)>,
        edits: &mut Edits,
    ) {
        let written = self.body.get(text.range.clone()).unwrap_or_default();
        let mut at = written::Position::default();
        for (range, replacement) in changes {
            let start = at.advance(written, range.start);
            let end = at.advance(written, range.end);
            let range = text.range.start + start..text.range.start + end;
            edits.add(range, written::escaped(replacement));
        }
    }
}

#[cfg(test)]
mod tests;

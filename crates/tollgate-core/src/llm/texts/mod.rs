//! The texts of a request that a model is shown, and who says them: for guards, which look into them.
//!
//! It is for bodies that have been read and found good: JSON to the letter. Any string is a text, unless it is known
//! that no model is shown it: so a member that a next version of an engine adds is looked into as well.
//!
//! * `walk`: the strings of a body, one after the other; `spot`: what they are;
//! * `written`: from a text to how it is written, and back; `inner`: changes of texts that are JSON themselves.

mod inner;
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
#[derive(Clone)]
pub struct Text {
    /// Who says it.
    pub role: Role,
    /// Where it stands.
    pub place: Place,
    /// Whether it is part of what one message says, which the engine puts together with the other parts.
    pub is_content: bool,
    /// Where it is written, without its quotes.
    range: Range<usize>,
    /// It, if it is written with escapes.
    decoded: Option<Box<str>>,
    notation: Notation,
}

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    /// As a string.
    String,
    /// As a string of JSON: what a tool was called with.
    Json,
    /// As a number.
    Number,
}

/// Not the text.
impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { role, place, is_content, range, .. } = self;
        let len = range.len();
        f.debug_struct("Text")
            .field("role", role)
            .field("place", place)
            .field("is_content", is_content)
            .field("written_len", &len)
            .finish_non_exhaustive()
    }
}

/// Says what of a text can be changed, from its beginning to its end.
pub struct Changer<'t> {
    said: &'t str,
    is_number: bool,
    /// Of a text that is JSON itself.
    inner: Option<inner::Cursor<'t>>,
}

/// Not the text.
impl fmt::Debug for Changer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changer").field("is_number", &self.is_number).finish_non_exhaustive()
    }
}

impl Changer<'_> {
    /// What can be changed where `found` is to be, which is behind all that was asked for before. What is JSON stays so:
    /// of several strings, each is changed by itself; of an escape or a number, all or nothing.
    pub fn parts(&mut self, found: Range<usize>) -> Vec<Changeable> {
        let said = self.said;
        let changeable = |range: Range<usize>, is_quoted| Changeable {
            value: said.get(range.clone()).unwrap_or_default().to_owned(),
            before: said.get(..range.start).and_then(|before| before.chars().next_back()),
            range,
            is_quoted,
        };
        let Some(inner) = &mut self.inner else {
            let range = if self.is_number { 0..said.len() } else { found };
            return vec![changeable(range, self.is_number)];
        };
        let in_json = |part: inner::Part| {
            let found = changeable(part.range, !part.is_in_string);
            let value = written::text(&found.value).map(Cow::into_owned);
            Changeable { value: value.unwrap_or_default(), ..found }
        };
        inner.parts(&found).into_iter().map(in_json).collect()
    }
}

/// A part of a text that something else can take the place of.
#[derive(Clone, PartialEq, Eq)]
pub struct Changeable {
    /// Where it stands.
    pub range: Range<usize>,
    /// What it says, escapes of JSON in JSON resolved.
    pub value: String,
    /// The character before it.
    pub before: Option<char>,
    /// Whether what takes its place needs quotes.
    pub is_quoted: bool,
}

/// Not the value.
impl fmt::Debug for Changeable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { range, is_quoted, .. } = self;
        f.debug_struct("Changeable")
            .field("range", range)
            .field("is_quoted", is_quoted)
            .finish_non_exhaustive()
    }
}

/// A body, and its texts.
pub struct Texts {
    body: String,
    /// In the order in which they stand there.
    texts: Vec<Text>,
    /// The member with what a model is shown and nobody can look into here: ids of tokens, embeddings.
    pub unseen: Option<&'static str>,
}

/// Not the body.
impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Texts")
            .field("texts", &self.texts)
            .field("unseen", &self.unseen)
            .finish_non_exhaustive()
    }
}

impl Texts {
    /// The texts of a body in the form of `endpoint`. `None`: it is no JSON object, or not in UTF-8.
    #[must_use]
    pub fn of(body: Vec<u8>, endpoint: Endpoint) -> Option<Self> {
        let body = String::from_utf8(body).ok()?;
        let (texts, unseen) = walk::texts(&body, endpoint)?;
        Some(Self { body, texts, unseen })
    }

    /// The texts, in the order in which they stand.
    pub fn iter(&self) -> std::slice::Iter<'_, Text> {
        self.texts.iter()
    }

    /// The text of this index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&Text> {
        self.texts.get(index)
    }

    /// What a text says, its escapes resolved. Half of a surrogate pair is U+FFFD.
    #[must_use]
    pub fn said<'t>(&'t self, text: &'t Text) -> &'t str {
        let plain = || self.body.get(text.range.clone());
        text.decoded.as_deref().or_else(plain).unwrap_or_default()
    }

    /// What of a text can be changed.
    #[must_use]
    pub fn changer<'t>(&'t self, text: &'t Text) -> Changer<'t> {
        let said = self.said(text);
        let is_json = text.notation == Notation::Json;
        let inner = if is_json { inner::Cursor::new(said) } else { None };
        Changer { said, is_number: text.notation == Notation::Number, inner }
    }

    /// What changes of the body where `changes` take the place of ranges of a text: in order, and none touching
    /// another.
    pub fn edit<'c>(
        &self,
        text: &Text,
        changes: impl Iterator<Item = (Range<usize>, &'c str)>,
        edits: &mut Edits,
    ) {
        let written = self.body.as_bytes().get(text.range.clone()).unwrap_or_default();
        let mut at = written::Position::default();
        for (range, replacement) in changes {
            let start = at.advance(written, range.start);
            let end = at.advance(written, range.end);
            let range = text.range.start + start..text.range.start + end;
            // A number is written without quotes, and so are those of what takes its place.
            let written = match text.notation {
                Notation::Number => replacement.as_bytes().to_vec(),
                Notation::String | Notation::Json => written::escaped(replacement),
            };
            edits.add(range, written);
        }
    }
}

impl<'t> IntoIterator for &'t Texts {
    type Item = &'t Text;
    type IntoIter = std::slice::Iter<'t, Text>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;

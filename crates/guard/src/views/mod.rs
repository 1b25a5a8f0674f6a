//! Copies of a text in which it is easier to find what is looked for: normalised, decoded.
//!
//! A copy has only those parts of the text that are written otherwise than they are read, with what stands around
//! them; between two parts is a line feed. So plain text costs no copy, and is not looked at twice.

use std::fmt;
use std::ops::Range;

mod fold;
mod map;
mod normalised;

#[cfg(test)]
mod tests;

use map::{Copy, Map, LONGEST_TEXT};
use normalised::{boundary_before, Normaliser};

/// A copy of parts of a text, or of what is encoded in them.
pub struct View {
    /// The copy.
    pub text: String,
    /// Whether it was decoded from parts of the text, rather than normalised.
    pub is_decoded: bool,
    /// Whether it is but a guess at words: digits in it may stand for letters, and letters may have been joined. No
    /// numbers or credentials are looked for in it.
    pub is_words: bool,
    map: Map,
}

impl fmt::Debug for View {
    /// Without the text, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("length", &self.text.len())
            .field("is_decoded", &self.is_decoded)
            .field("is_words", &self.is_words)
            .finish_non_exhaustive()
    }
}

impl View {
    fn normalised(copy: Copy) -> Self {
        Self { text: copy.text, is_decoded: false, is_words: false, map: copy.map }
    }

    /// The part of the text that this range of the copy stands for.
    #[must_use]
    pub fn source(&self, range: Range<usize>) -> Range<usize> {
        self.map.source(range, self.text.len())
    }
}

/// The copies of a text in which it differs from itself. Of plain text, none. All of them together are at most 12 times
/// as long as the text, and from where they come takes at most 12 bytes for each of their characters.
///
/// Of a text of more than 1 GiB, the first GiB is looked at.
#[must_use]
pub fn views(text: &str) -> Vec<View> {
    let text = text.get(..boundary_before(text, LONGEST_TEXT.min(text.len()))).unwrap_or_default();
    let mut views = Vec::new();
    views.extend(Normaliser::read(text).map(View::normalised));
    views
}

/// A short text as it is read, as in a normalised copy: for words that are looked for there.
#[must_use]
pub fn folded(text: &str) -> String {
    normalised::folded(text)
}

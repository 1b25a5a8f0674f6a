//! Copies of a text in which it is easier to find what is looked for: normalised, decoded.

use std::ops::Range;

/// A copy of a text, or of what is encoded in a part of it.
#[derive(Debug)]
pub struct View {
    /// The copy.
    pub text: String,
    /// Whether it was decoded from a part of the text, rather than normalised.
    pub is_decoded: bool,
}

impl View {
    /// The part of the text that this range of the copy stands for.
    #[must_use]
    pub fn source(&self, range: Range<usize>) -> Range<usize> {
        range
    }
}

/// The copies of a text that differ from it. Of plain text, none.
#[must_use]
pub fn views(_text: &str) -> Vec<View> {
    Vec::new()
}

//! Where decoded texts are gathered.

use std::ops::Range;

use super::super::map::Copy;
use super::super::normalised::folded;

/// Texts that were decoded from parts of a text.
pub(super) struct Found<'t> {
    /// The text.
    whole: &'t str,
    copy: Copy,
}

impl<'t> Found<'t> {
    /// None so far.
    pub(super) fn new(whole: &'t str) -> Self {
        Self { whole, copy: Copy::default() }
    }

    /// Adds a text that stands for this part of the whole. Returns true: so that a caller can say so.
    pub(super) fn text(&mut self, decoded: &str, source: Range<usize>) -> bool {
        debug_assert!(self.whole.get(source.clone()).is_some());
        self.copy.gap(source.start);
        self.copy.put(&folded(decoded), source);
        true
    }

    /// Adds a text of which each byte stands for one of the whole, from this place on.
    pub(super) fn byte_for_byte(&mut self, decoded: &str, source: usize) {
        self.copy.gap(source);
        self.copy.copied(decoded, source);
    }

    /// The texts, a line feed between each two. `None` if there are none.
    pub(super) fn finish(self) -> Option<Copy> {
        (!self.copy.text.is_empty()).then_some(self.copy)
    }
}

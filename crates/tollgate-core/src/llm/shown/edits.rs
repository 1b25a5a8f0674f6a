//! What of a document is written anew.

use std::ops::Range;

/// Parts of an event, and what takes their places.
#[derive(Debug, Default)]
pub(super) struct Edits {
    edits: Vec<(Range<usize>, Range<usize>)>,
    written: Vec<u8>,
}

impl Edits {
    pub(super) fn clear(&mut self) {
        self.edits.clear();
        self.written.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// What `write` writes takes the place of this part.
    pub(super) fn add(&mut self, part: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.written.len();
        write(&mut self.written);
        self.edits.push((part, start..self.written.len()));
    }

    /// Puts them in the order of their places.
    pub(super) fn sort(&mut self) {
        self.edits.sort_unstable_by_key(|(part, _)| part.start);
    }

    /// What stands in the event up to its end, in order: parts of it, and what was written.
    pub(super) fn for_each(&self, len: usize, mut each: impl FnMut(Stretch<'_>)) {
        let mut start = 0;
        for (part, written) in &self.edits {
            if start < part.start {
                each(Stretch::Same(start..part.start));
            }
            each(Stretch::New(self.written.get(written.clone()).unwrap_or_default()));
            start = part.end;
        }
        if start < len {
            each(Stretch::Same(start..len));
        }
    }

    /// The event as it is then.
    pub(super) fn apply(&self, event: &[u8]) -> Vec<u8> {
        let mut all = Vec::with_capacity(event.len());
        self.for_each(event.len(), |stretch| match stretch {
            Stretch::Same(range) => {
                all.extend_from_slice(event.get(range).unwrap_or_default());
            }
            Stretch::New(bytes) => all.extend_from_slice(bytes),
        });
        all
    }
}

/// A stretch of an event.
#[derive(Debug)]
pub(super) enum Stretch<'a> {
    Same(Range<usize>),
    New(&'a [u8]),
}

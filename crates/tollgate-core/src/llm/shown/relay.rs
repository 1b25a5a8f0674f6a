//! What of the bytes at hand goes on to the client.

use std::ops::Range;

use super::edits::{Edits, Stretch};
use crate::llm::meter::Part;

/// Passes on what comes, but for what is left out and put in.
pub(super) struct Relay<'a, P> {
    pub(super) bytes: &'a [u8],
    /// Where in the buffer they are; `None`: they aren't.
    base: Option<usize>,
    /// Of these, where those begin that have not been passed on.
    start: usize,
    /// Whether they only pass by: all of them are passed on, and nothing else.
    is_watching: bool,
    pass: &'a mut P,
}

impl<'a, P: FnMut(Part<'_>)> Relay<'a, P> {
    pub(super) fn new(
        part: &'a Part<'a>,
        buffer: &'a [u8],
        is_watching: bool,
        pass: &'a mut P,
    ) -> Self {
        let (bytes, base) = match part {
            Part::Held(bytes) => (*bytes, None),
            Part::Range(range) => {
                (buffer.get(range.clone()).unwrap_or_default(), Some(range.start))
            }
        };
        Self { bytes, base, start: 0, is_watching, pass }
    }

    /// Reads bytes again that were left out.
    pub(super) fn again<T>(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Relay<'_, &mut dyn FnMut(Part<'_>)>) -> T,
    ) -> T {
        let is_watching = self.is_watching;
        let mut pass = |part: Part<'_>| {
            // What only passes by has passed.
            if !is_watching {
                (self.pass)(part);
            }
        };
        let mut pass: &mut dyn FnMut(Part<'_>) = &mut pass;
        let relay = &mut Relay { bytes, base: None, start: 0, is_watching, pass: &mut pass };
        read(relay)
    }

    fn range(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        match self.base {
            Some(base) => (self.pass)(Part::Range(base + range.start..base + range.end)),
            None => (self.pass)(Part::Held(self.bytes.get(range).unwrap_or_default())),
        }
    }

    /// Passes on what there is up to `end`.
    pub(super) fn up_to(&mut self, end: usize) {
        if self.start < end {
            self.range(self.start..end);
        }
        self.start = self.start.max(end);
    }

    /// Passes on what there is up to `start`, and goes on as if nothing else had been there.
    pub(super) fn begin_at(&mut self, start: usize) {
        self.up_to(start);
        self.bytes = self.bytes.get(start..).unwrap_or_default();
        self.base = self.base.map(|base| base + start);
        self.start = self.start.saturating_sub(start);
    }

    /// What there is up to `end`, and wasn't passed on, isn't.
    pub(super) fn leave_out(&mut self, end: usize) {
        match self.is_watching {
            true => self.up_to(end),
            false => self.start = self.start.max(end),
        }
    }

    /// Passes on other bytes.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        if !self.is_watching && !bytes.is_empty() {
            (self.pass)(Part::Held(bytes));
        }
    }

    /// Passes on an event that begins at `start`, with what is written anew in it.
    pub(super) fn edited(&mut self, start: usize, len: usize, edits: &Edits) {
        self.up_to(start);
        if self.is_watching {
            return;
        }
        edits.for_each(len, |stretch| match stretch {
            Stretch::Same(range) => self.range(start + range.start..start + range.end),
            Stretch::New([]) => {}
            Stretch::New(bytes) => (self.pass)(Part::Held(bytes)),
        });
        self.start = start + len;
    }

    /// The same of an event that isn't in these bytes.
    pub(super) fn put_edited(&mut self, event: &[u8], edits: &Edits) {
        if self.is_watching {
            return;
        }
        match edits.is_empty() {
            true => self.put(event),
            false => self.put(&edits.apply(event)),
        }
    }
}

//! Keeping back the one event that the client did not ask for.

use std::ops::Range;

/// How much of an event is kept back until it is known whether it is to be hidden, in bytes. The
/// usage-only events of engines have less than 1 KiB.
pub(super) const MAX_HELD: usize = 16 * 1024;

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes of earlier buffers that had been kept back.
    Held(&'a [u8]),
    /// A range of the buffer that is being read.
    Range(Range<usize>),
}

/// What of an event stream has been passed on and what not. The bytes of the event at hand, if it is
/// undecided, are `held`, and those of the buffer from `event` on.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    held: Vec<u8>,
    /// Of the buffer at hand: where the bytes begin that have not been passed on.
    start: usize,
    /// Of the buffer at hand: where the event begins that is undecided.
    event: Option<usize>,
    /// Whether the last event was hidden, so that the rest of its end is, too.
    hid_last: bool,
}

impl Hold {
    /// Another buffer comes.
    pub(super) fn begin_buffer(&mut self) {
        self.start = 0;
        if self.event.is_some() {
            self.event = Some(0);
        }
    }

    /// An event begins, and is undecided.
    pub(super) fn begin_event(&mut self, at: usize) {
        self.event = Some(at);
        self.hid_last = false;
    }

    /// The event at hand goes to the client.
    pub(super) fn show(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        self.event = None;
        self.hid_last = false;
        self.pass_held(pass);
    }

    /// The event at hand, up to `end`, doesn't.
    pub(super) fn hide(&mut self, end: usize, pass: &mut impl FnMut(Part<'_>)) {
        if let Some(event) = self.event.take() {
            self.pass_up_to(event, pass);
            self.held.clear();
            self.start = end;
            self.hid_last = true;
        }
    }

    /// The line feed up to `end` belongs to the end of the last event.
    pub(super) fn late_line_feed(&mut self, end: usize) {
        if std::mem::take(&mut self.hid_last) {
            self.start = end;
        }
    }

    /// The buffer ends: what is decided of it, is passed on, and the rest kept.
    pub(super) fn end_buffer(&mut self, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        if let Some(undecided) = self.event.and_then(|event| buffer.get(event..)) {
            if self.held.len() + undecided.len() <= MAX_HELD {
                let end = buffer.len() - undecided.len();
                self.pass_up_to(end, pass);
                self.held.extend_from_slice(undecided);
                return;
            }
            self.show(pass);
        }
        self.pass_up_to(buffer.len(), pass);
    }

    fn pass_held(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        if !self.held.is_empty() {
            pass(Part::Held(&self.held));
            // Hardly any stream needs it twice.
            self.held = Vec::new();
        }
    }

    fn pass_up_to(&mut self, end: usize, pass: &mut impl FnMut(Part<'_>)) {
        if self.start < end {
            pass(Part::Range(self.start..end));
        }
        self.start = end;
    }
}

//! The lines that wait to be written.
//!
//! A full disk writes a part of what it is given. What then stands in the file is a torn line, and
//! the next thing that is written there must be the rest of it, or two lines become one broken one.
//! So a batch gives up its lines only when they are written to the end; when it can not take more,
//! it drops new lines, whole ones, and counts them.
//!
//! Lines may be sealed: by a line of another kind, which is none that is lost.

use std::collections::VecDeque;

/// Whole lines, in order, up to a capacity.
///
/// The caller writes [`Batch::as_bytes`] in one go and reports how far that got with
/// [`Batch::written`]; until then nothing is lost.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    /// Whole lines; the first `written` bytes, less than one line, are in the file already.
    lines: Vec<u8>,
    written: usize,
    capacity: usize,
    /// How many lines wait, but for the log's own.
    count: u64,
    dropped: u64,
    /// The lines that nobody counts.
    own: VecDeque<Own>,
    /// Whether there are lines that nothing seals.
    has_open: bool,
}

/// A line of the log's own.
#[derive(Clone, Copy, Debug)]
struct Own {
    /// Where it ends.
    end: usize,
    /// Whether it seals the lines before it.
    is_seal: bool,
}

/// What is whole in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// Lines, but for the log's own.
    pub(crate) lines: u64,
    /// Lines that seal others.
    pub(crate) seals: usize,
}

impl Batch {
    /// A batch that calls for a write when it holds `capacity` bytes; with 0, after each line.
    #[must_use]
    pub(crate) fn new(capacity: usize) -> Self {
        let (lines, own) = (Vec::with_capacity(capacity), VecDeque::new());
        Self { lines, written: 0, capacity, count: 0, dropped: 0, own, has_open: false }
    }

    /// Adds the line that `write_line` appends to what it is given, with its line feed, and says
    /// whether the batch is full, so that it should be written now.
    ///
    /// A batch that was full before, since it could not be written, drops the line: `write_line`
    /// is not called. It thus holds the capacity and less than one line more.
    pub(crate) fn push(&mut self, write_line: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.is_full() {
            self.dropped = self.dropped.saturating_add(1);
            return true;
        }
        let line = WholeLine::begin(&mut self.lines);
        write_line(line.lines);
        line.end();
        self.count = self.count.saturating_add(1);
        self.has_open = true;
        self.lines.len() >= self.capacity
    }

    /// The same for a line of the log's own, which is none that is counted.
    pub(crate) fn push_own(&mut self, write_line: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.is_full() {
            return true;
        }
        self.add_own(write_line, false);
        self.lines.len() >= self.capacity
    }

    /// Adds the line that `write_line` appends, which seals those since the last one. There is always room.
    pub(crate) fn seal(&mut self, write_line: impl FnOnce(&mut Vec<u8>)) {
        self.add_own(write_line, true);
    }

    fn add_own(&mut self, write_line: impl FnOnce(&mut Vec<u8>), is_seal: bool) {
        let line = WholeLine::begin(&mut self.lines);
        write_line(line.lines);
        line.end();
        self.own.push_back(Own { end: self.lines.len(), is_seal });
        self.has_open = !is_seal;
    }

    /// Whether there are lines that nothing seals.
    #[must_use]
    pub(crate) fn has_open(&self) -> bool {
        self.has_open
    }

    /// What is to be written next.
    #[must_use]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.lines.get(self.written..).unwrap_or_default()
    }

    /// The part of [`Batch::as_bytes`] that is to be written in one go where that should be no more than
    /// `max` bytes: whole lines, or the first one (the rest of it, if it is torn) where that is longer.
    #[must_use]
    pub(crate) fn piece(&self, max: usize) -> &[u8] {
        let bytes = self.as_bytes();
        let is_end = |byte: &u8| *byte == b'\n';
        let fitting = bytes.get(..max).unwrap_or(bytes).iter().rposition(is_end);
        let end = fitting.or_else(|| bytes.iter().position(is_end));
        end.and_then(|end| bytes.get(..=end)).unwrap_or(bytes)
    }

    /// Whether nothing is to be written.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Takes note that the first `len` bytes of [`Batch::as_bytes`] are in the file: 0 after an
    /// error, fewer than all after a short write. The rest stays. What is whole in the file by that.
    pub(crate) fn written(&mut self, len: usize) -> Written {
        let written = self.written.saturating_add(len).min(self.lines.len());
        let head = self.lines.get(..written).unwrap_or_default();
        // A line that is written in part stays whole, for the sake of `reopened`.
        let done = head.iter().rposition(|&b| b == b'\n').map_or(0, |line_feed| line_feed + 1);
        let own = self.own.iter().take_while(|own| own.end <= done).count();
        let lines = match done == self.lines.len() {
            true => self.count,
            false => count_lines(head).saturating_sub(own as u64),
        };
        self.count = self.count.saturating_sub(lines);
        self.lines.drain(..done);
        self.written = written - done;
        let seals = self.own.drain(..own).filter(|own| own.is_seal).count();
        self.own.iter_mut().for_each(|own| own.end = own.end.saturating_sub(done));
        Written { lines, seals }
    }

    /// Whether a part of the first line is written.
    #[must_use]
    pub(crate) fn is_torn(&self) -> bool {
        self.written > 0
    }

    /// Whether all of the first line is written but its line feed.
    #[must_use]
    pub(crate) fn lacks_line_feed(&self) -> bool {
        self.written > 0 && self.as_bytes().first() == Some(&b'\n')
    }

    /// The length of the first line.
    #[must_use]
    pub(crate) fn first_line(&self) -> usize {
        self.lines.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1)
    }

    /// Takes note that what comes next goes to another file (the log was rotated), or behind what others have
    /// written: a line of which a part is in the old file, or before that, is written from its start.
    pub(crate) fn reopened(&mut self) {
        self.written = 0;
    }

    /// Whether the next line would be dropped.
    #[must_use]
    pub(crate) fn is_full(&self) -> bool {
        !self.is_empty() && self.lines.len() >= self.capacity
    }

    /// Gives up all lines that wait: they will never be written, nor the rest of one that was written in
    /// part. How many that are, with those that were dropped since the last call of
    /// [`Batch::take_dropped`].
    pub(crate) fn abandon(&mut self) -> u64 {
        let waiting = std::mem::take(&mut self.count);
        self.lines.clear();
        self.own.clear();
        (self.written, self.has_open) = (0, false);
        self.take_dropped().saturating_add(waiting)
    }

    /// How many lines were dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A line that is being written: whole in the end, or, should writing it panic, not there at all.
struct WholeLine<'a> {
    lines: &'a mut Vec<u8>,
    begin: usize,
}

impl<'a> WholeLine<'a> {
    fn begin(lines: &'a mut Vec<u8>) -> Self {
        Self { begin: lines.len(), lines }
    }

    fn end(mut self) {
        debug_assert!(self.lines.last().is_none_or(|&b| b == b'\n'), "a line ends in a line feed");
        self.begin = self.lines.len();
    }
}

impl Drop for WholeLine<'_> {
    fn drop(&mut self) {
        self.lines.truncate(self.begin);
    }
}

#[cfg(test)]
mod tests;

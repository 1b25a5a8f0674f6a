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
    dropped: u64,
    /// Where the lines end that seal others.
    seals: VecDeque<usize>,
    /// Whether there are lines behind the last of them.
    has_open: bool,
}

impl Batch {
    /// A batch that calls for a write when it holds `capacity` bytes; with 0, after each line.
    #[must_use]
    pub(crate) fn new(capacity: usize) -> Self {
        let (lines, seals) = (Vec::with_capacity(capacity), VecDeque::new());
        Self { lines, written: 0, capacity, dropped: 0, seals, has_open: false }
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
        self.has_open = true;
        self.lines.len() >= self.capacity
    }

    /// Adds the line that `write_line` appends, which seals those since the last one. There is always room.
    pub(crate) fn seal(&mut self, write_line: impl FnOnce(&mut Vec<u8>)) {
        let line = WholeLine::begin(&mut self.lines);
        write_line(line.lines);
        line.end();
        self.seals.push_back(self.lines.len());
        self.has_open = false;
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
    /// error, fewer than all after a short write. The rest stays. How many lines that seal others are
    /// among them.
    pub(crate) fn written(&mut self, len: usize) -> usize {
        let written = self.written.saturating_add(len).min(self.lines.len());
        let head = self.lines.get(..written).unwrap_or_default();
        // A line that is written in part stays whole, for the sake of `reopened`.
        let done = head.iter().rposition(|&b| b == b'\n').map_or(0, |line_feed| line_feed + 1);
        self.lines.drain(..done);
        self.written = written - done;
        let sealed = self.seals.iter().take_while(|end| **end <= done).count();
        self.seals.drain(..sealed);
        self.seals.iter_mut().for_each(|end| *end = end.saturating_sub(done));
        sealed
    }

    /// Whether a part of the first line is written.
    #[must_use]
    pub(crate) fn is_torn(&self) -> bool {
        self.written > 0
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
        let waiting = self.lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        let lost = waiting.saturating_sub(self.seals.len() as u64);
        self.lines.clear();
        self.seals.clear();
        (self.written, self.has_open) = (0, false);
        self.take_dropped().saturating_add(lost)
    }

    /// How many lines were dropped since the last call.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn push(batch: &mut Batch, line: &str) -> bool {
        batch.push(|out| out.extend_from_slice(line.as_bytes()))
    }

    #[test]
    fn a_line_that_panics_half_way_is_not_there() {
        let mut batch = Batch::new(64);
        push(&mut batch, "{\"n\":1}\n");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            batch.push(|out| {
                out.extend_from_slice(b"{\"n\":");
                panic!("half way");
            })
        }));
        assert!(panicked.is_err());
        push(&mut batch, "{\"n\":3}\n");
        assert_eq!(batch.as_bytes(), b"{\"n\":1}\n{\"n\":3}\n");
    }

    #[test]
    fn a_batch_is_full_at_its_capacity() {
        let mut batch = Batch::new(8);
        assert!(!push(&mut batch, "abc\n"));
        assert!(push(&mut batch, "def\n"));
        batch.written(8);
        assert!(batch.is_empty());
        assert!(!push(&mut batch, "abc\n"));
    }

    #[test]
    fn without_a_buffer_each_line_is_written() {
        let mut batch = Batch::new(0);
        for _ in 0..3 {
            assert!(push(&mut batch, "abc\n"));
            assert_eq!(batch.as_bytes(), b"abc\n");
            batch.written(4);
        }
        assert_eq!(batch.take_dropped(), 0);
    }

    #[test]
    fn a_full_batch_drops_whole_new_lines_and_counts_them() {
        let mut batch = Batch::new(4);
        push(&mut batch, "abcdef\n");
        for _ in 0..3 {
            assert!(push(&mut batch, "dropped\n"));
            batch.written(0);
        }
        assert_eq!(batch.as_bytes(), b"abcdef\n");
        assert_eq!(batch.take_dropped(), 3);
        assert_eq!(batch.take_dropped(), 0);
    }

    #[test]
    fn after_a_short_write_comes_the_rest_of_the_torn_line() {
        let mut batch = Batch::new(64);
        push(&mut batch, "abc\n");
        push(&mut batch, "def\n");
        batch.written(5);
        push(&mut batch, "ghi\n");
        assert_eq!(batch.as_bytes(), b"ef\nghi\n");
        batch.written(1);
        assert_eq!(batch.as_bytes(), b"f\nghi\n");
        batch.written(6);
        assert!(batch.is_empty());
    }

    #[test]
    fn a_new_file_begins_with_a_whole_line() {
        let mut batch = Batch::new(64);
        push(&mut batch, "abc\n");
        push(&mut batch, "def\n");
        batch.written(6);
        batch.reopened();
        assert_eq!(batch.as_bytes(), b"def\n");
    }

    #[test]
    fn what_is_given_up_is_counted_with_what_was_dropped() {
        let mut batch = Batch::new(8);
        assert_eq!(batch.abandon(), 0);
        push(&mut batch, "abc\n");
        push(&mut batch, "def\n");
        assert!(batch.is_full());
        push(&mut batch, "dropped\n");
        // All but the line feed of the first one: it is lost as well.
        batch.written(3);
        assert_eq!(batch.abandon(), 3);
        assert!(batch.is_empty() && batch.as_bytes().is_empty() && !batch.is_full());
        push(&mut batch, "ghi\n");
        assert_eq!(batch.as_bytes(), b"ghi\n");
        batch.written(4);
        assert_eq!(batch.abandon(), 0);
    }

    #[test]
    fn seals_are_counted_as_they_are_written_and_are_no_lines_that_are_lost() {
        let seal = |batch: &mut Batch| batch.seal(|out| out.extend_from_slice(b"seal\n"));
        let mut batch = Batch::new(8);
        push(&mut batch, "abc\n");
        assert!(batch.has_open());
        seal(&mut batch);
        assert!(!batch.has_open() && batch.is_full());
        // A seal has room where a line has none.
        seal(&mut batch);
        assert_eq!(batch.as_bytes(), b"abc\nseal\nseal\n");
        assert_eq!(batch.written(8), 0);
        assert!(batch.is_torn());
        assert_eq!(batch.written(1), 1);
        assert!(!batch.is_torn());
        push(&mut batch, "def\n");
        seal(&mut batch);
        assert_eq!(batch.written(2), 0);
        batch.reopened();
        assert_eq!(batch.as_bytes(), b"seal\ndef\nseal\n");
        assert_eq!(batch.clone().written(14), 2);
        assert_eq!(batch.abandon(), 1);
        assert_eq!((batch.written(1), batch.has_open()), (0, false));
    }

    #[test]
    fn a_piece_is_whole_lines() {
        let mut batch = Batch::new(64);
        assert_eq!(batch.piece(8), b"");
        for line in ["abc\n", "def\n", "longer\n"] {
            push(&mut batch, line);
        }
        assert_eq!(batch.piece(64), b"abc\ndef\nlonger\n");
        assert_eq!(batch.piece(15), b"abc\ndef\nlonger\n");
        assert_eq!(batch.piece(14), b"abc\ndef\n");
        assert_eq!(batch.piece(8), b"abc\ndef\n");
        assert_eq!(batch.piece(7), b"abc\n");
        assert_eq!(batch.piece(2), b"abc\n");
        batch.written(9);
        assert_eq!(batch.piece(2), b"onger\n");
    }

    #[test]
    fn more_than_there_was_is_all_there_was() {
        let mut batch = Batch::new(64);
        push(&mut batch, "abc\n");
        batch.written(usize::MAX);
        assert!(batch.is_empty() && batch.as_bytes().is_empty());
        batch.written(1);
        push(&mut batch, "def\n");
        assert_eq!(batch.as_bytes(), b"def\n");
    }

    #[derive(Clone, Debug)]
    enum Event {
        /// A line of so many bytes before its line feed.
        Push(usize),
        /// A write of which so many bytes got through.
        Write(usize),
        /// The log was rotated.
        Reopen,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (0_usize..40).prop_map(Event::Push),
            3 => (0_usize..80).prop_map(Event::Write),
            1 => Just(Event::Write(0)),
            1 => Just(Event::Reopen),
        ]
    }

    proptest! {
        /// Each line is numbered, so that a torn, repeated, reordered or joined one shows.
        #[test]
        fn every_file_is_whole_lines_in_order_except_possibly_its_last(
            capacity in 0_usize..100, events in prop::collection::vec(event(), 0..80),
        ) {
            let mut batch = Batch::new(capacity);
            let mut accepted = Vec::new();
            let mut dropped = 0;
            let mut files = vec![Vec::new()];
            let write = |batch: &mut Batch, files: &mut Vec<Vec<u8>>, len: usize| {
                let bytes = batch.as_bytes();
                let len = len.min(bytes.len());
                files.last_mut().unwrap().extend_from_slice(&bytes[..len]);
                batch.written(len);
            };
            for (number, event) in events.into_iter().enumerate() {
                match event {
                    Event::Push(len) => {
                        let line = format!("{number}:{}\n", "x".repeat(len));
                        let mut taken = false;
                        let full = batch.push(|out| {
                            taken = true;
                            out.extend_from_slice(line.as_bytes());
                        });
                        prop_assert!(taken || full);
                        if taken { accepted.push(line) } else { dropped += 1 }
                        prop_assert_eq!(full, batch.lines.len() >= capacity);
                        prop_assert!(batch.lines.len() < capacity + 64);
                    }
                    Event::Write(len) => write(&mut batch, &mut files, len),
                    Event::Reopen => {
                        batch.reopened();
                        files.push(Vec::new());
                    }
                }
            }
            write(&mut batch, &mut files, usize::MAX);
            prop_assert!(batch.is_empty());
            prop_assert_eq!(batch.take_dropped(), dropped);

            // Whole lines of all files together: exactly the accepted ones, in order. A torn line
            // stands only at the end of a file that was rotated away, and again in the next.
            let mut whole = Vec::new();
            for (at, file) in files.iter().enumerate() {
                let file = String::from_utf8(file.clone()).unwrap();
                for line in file.split_inclusive('\n') {
                    if line.ends_with('\n') {
                        whole.push(line.to_owned());
                    } else {
                        prop_assert!(file.ends_with(line) && at + 1 < files.len());
                        prop_assert!(accepted[whole.len()].starts_with(line));
                    }
                }
            }
            prop_assert_eq!(whole, accepted);
        }

        #[test]
        fn at_every_moment_one_file_is_a_prefix_of_the_accepted_lines(
            writes in prop::collection::vec((0_usize..30, 0_usize..60), 0..60),
        ) {
            let mut batch = Batch::new(50);
            let (mut accepted, mut file) = (Vec::new(), Vec::new());
            for (number, (line, len)) in writes.into_iter().enumerate() {
                batch.push(|out| {
                    let line = format!("{number}:{}\n", "x".repeat(line));
                    accepted.extend_from_slice(line.as_bytes());
                    out.extend_from_slice(line.as_bytes());
                });
                let len = len.min(batch.as_bytes().len());
                file.extend_from_slice(&batch.as_bytes()[..len]);
                batch.written(len);
                prop_assert!(accepted.starts_with(&file));
                prop_assert_eq!([file.as_slice(), batch.as_bytes()].concat(), accepted.clone());
            }
        }
    }
}

//! From where in a text each part of a copy comes.

use std::ops::Range;

/// The length of a part that was copied as it is: its bytes stand for the same number of bytes.
const COPIED: u32 = u32::MAX;

/// Where a part of the copy begins, and what it stands for.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// In the copy.
    at: u32,
    /// In the text.
    source: u32,
    /// How many bytes of the text all of the part stands for; or [`COPIED`].
    len: u32,
}

/// From where the parts of a copy come. At most 12 bytes for each character of the copy that was not copied as it is.
#[derive(Clone, Default)]
pub(super) struct Map {
    marks: Vec<Mark>,
}

/// A copy that is being made.
#[derive(Clone, Default)]
pub(super) struct Copy {
    /// What is there so far.
    pub(super) text: String,
    /// From where it comes.
    pub(super) map: Map,
}

/// Texts longer than this are not looked at any further: 1 GiB.
pub(super) const LONGEST_TEXT: usize = 1 << 30;

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(COPIED - 1)
}

impl Copy {
    /// Adds a piece of the text as it is. `source` is where it stands there.
    pub(super) fn copied(&mut self, piece: &str, source: usize) {
        if piece.is_empty() {
            return;
        }
        let (at, source) = (narrow(self.text.len()), narrow(source));
        // What follows what was copied before needs no mark of its own.
        let follows = self.map.marks.last().is_some_and(|last| {
            last.len == COPIED && last.source.wrapping_add(at.wrapping_sub(last.at)) == source
        });
        if !follows {
            self.map.marks.push(Mark { at, source, len: COPIED });
        }
        self.text.push_str(piece);
    }

    /// Adds something that stands for this part of the text as a whole.
    pub(super) fn put(&mut self, piece: &str, source: Range<usize>) {
        if piece.is_empty() {
            return;
        }
        let len = narrow(source.len()).min(COPIED - 1);
        self.map.marks.push(Mark {
            at: narrow(self.text.len()),
            source: narrow(source.start),
            len,
        });
        self.text.push_str(piece);
    }

    /// Adds one ASCII character that stands for this part of the text.
    pub(super) fn put_ascii(&mut self, byte: u8, source: Range<usize>) {
        let len = narrow(source.len()).min(COPIED - 1);
        self.map.marks.push(Mark {
            at: narrow(self.text.len()),
            source: narrow(source.start),
            len,
        });
        self.text.push(char::from(byte));
    }

    /// Ends a part, so that nothing is found across it and the next one.
    pub(super) fn gap(&mut self, source: usize) {
        if !self.text.is_empty() {
            self.put("\n", source..source);
        }
    }
}

impl Map {
    /// The text that it was copied from is a copy itself, of `outer_length` bytes, which come from where `outer` says.
    /// `length` is that of the copy.
    pub(super) fn compose(&mut self, length: usize, outer: &Self, outer_length: usize) {
        let inner = std::mem::take(&mut self.marks);
        let ends = inner.iter().skip(1).map(|mark| mark.at).chain([narrow(length)]);
        for (mark, end) in inner.iter().zip(ends) {
            let source = mark.source as usize;
            if mark.len != COPIED {
                let range = outer.source(source..source + mark.len as usize, outer_length);
                let (source, len) = (narrow(range.start), narrow(range.len()).min(COPIED - 1));
                self.marks.push(Mark { at: mark.at, source, len });
                continue;
            }
            // What was copied stays so, byte for byte, as far as it was copied before.
            let to = mark.source.saturating_add(end - mark.at);
            let from = outer.marks.partition_point(|other| other.at <= mark.source);
            for other in outer.marks.iter().skip(from.saturating_sub(1)) {
                if other.at >= to {
                    break;
                }
                let start = other.at.max(mark.source);
                let inside = if other.len == COPIED { start - other.at } else { 0 };
                self.marks.push(Mark {
                    at: mark.at + (start - mark.source),
                    source: other.source.saturating_add(inside),
                    len: other.len,
                });
            }
        }
    }

    fn mark(&self, at: usize) -> Option<Mark> {
        let at = narrow(at);
        let index = self.marks.partition_point(|mark| mark.at <= at);
        self.marks.get(index.checked_sub(1)?).copied()
    }

    fn start(&self, at: usize) -> usize {
        let Some(mark) = self.mark(at) else { return 0 };
        let inside = if mark.len == COPIED { narrow(at).saturating_sub(mark.at) } else { 0 };
        mark.source as usize + inside as usize
    }

    fn end(&self, last: usize) -> usize {
        let Some(mark) = self.mark(last) else { return 0 };
        let inside =
            if mark.len == COPIED { narrow(last).saturating_sub(mark.at) + 1 } else { mark.len };
        mark.source as usize + inside as usize
    }

    /// The part of the text that this range of the copy stands for.
    /// The copy is `length` bytes long.
    pub(super) fn source(&self, range: Range<usize>, length: usize) -> Range<usize> {
        let first = range.start.min(length);
        let start = match length.checked_sub(1) {
            Some(last) if first > last => self.end(last),
            _ => self.start(first),
        };
        match range.end.min(length).checked_sub(1) {
            // What comes of one part may stand before what was added earlier, so look at each mark between.
            Some(last) if last >= first => {
                let (mut low, mut high) = (start, self.end(last));
                let from = self.marks.partition_point(|mark| mark.at as usize <= first);
                for mark in self.marks.iter().skip(from) {
                    if mark.at as usize > last {
                        break;
                    }
                    if mark.len != 0 {
                        low = low.min(mark.source as usize);
                        high = high.max(mark.source as usize);
                    }
                }
                low..high.max(low)
            }
            _ => start..start,
        }
    }
}

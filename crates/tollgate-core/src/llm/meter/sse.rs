//! Server-sent events (WHATWG HTML, section 9.2.6) as they come.

use std::ops::Range;

use memchr::memchr2;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DATA: &[u8] = b"data:";

/// What a stretch of a buffer is. What is none of these (comments, names of fields, other fields,
/// the ends of lines) says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Here begins an event: a line that is not blank, and not a comment. A line of the first event that begins with a
    /// blank, or with a part of a byte order mark, says nothing and belongs to none.
    Event { at: usize },
    /// A line of data begins within an event that had data: a line feed between them belongs to
    /// the data.
    LineFeed,
    /// Data, or a part of it.
    Data(Range<usize>),
    /// A blank line, up to `end`: whatever event there was has ended.
    Blank { end: usize },
    /// The line feed, up to `end`, of a blank line whose carriage return was in the last buffer.
    LateLineFeed { end: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Nothing came of the line yet.
    Start,
    /// The first bytes of a byte order mark, as many.
    Mark(usize),
    /// The first bytes of `data:`, as many.
    Name(usize),
    /// After `data:`, where one space is not part of the data.
    Space,
    Data,
    /// A comment, or a field that doesn't matter.
    Other,
}

/// The reader of one stream.
#[derive(Clone, Debug)]
pub(crate) struct Sse {
    line: Line,
    /// Nothing came of the stream yet.
    is_new: bool,
    /// The last buffer ended in a carriage return, to which a line feed may belong; of a blank line
    /// or another.
    after_cr: Option<Ended>,
    in_event: bool,
    has_data: bool,
    /// An event has begun, this one or another.
    has_begun: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Blank,
    Line,
}

impl Sse {
    pub(crate) fn new() -> Self {
        Self {
            line: Line::Start,
            is_new: true,
            after_cr: None,
            in_event: false,
            has_data: false,
            has_begun: false,
        }
    }

    /// Whether the line at hand has begun.
    pub(crate) fn is_in_line(&self) -> bool {
        self.line != Line::Start
    }

    /// Whether an event may begin with the next byte, and nothing of it has come.
    pub(crate) fn is_between_events(&self) -> bool {
        self.line == Line::Start && !self.in_event && self.after_cr.is_none()
    }

    /// The next piece of `bytes` at or after `at`, which is moved to where to look on.
    pub(crate) fn next_piece(&mut self, bytes: &[u8], at: &mut usize) -> Option<Piece> {
        // Each step takes a byte, ends the line, or turns to a kind of line that does.
        while let Some(&byte) = bytes.get(*at) {
            match self.line {
                Line::Start => {
                    if let Some(piece) = self.begin_line(bytes, at, byte) {
                        return Some(piece);
                    }
                }
                Line::Mark(len) => {
                    if BYTE_ORDER_MARK.get(len) == Some(&byte) {
                        *at += 1;
                        let is_whole = len + 1 == BYTE_ORDER_MARK.len();
                        self.line = if is_whole { Line::Start } else { Line::Mark(len + 1) };
                    } else {
                        self.line = Line::Other;
                    }
                }
                Line::Name(0) if bytes.get(*at..).is_some_and(|line| line.starts_with(DATA)) => {
                    *at += DATA.len();
                    self.line = Line::Space;
                }
                Line::Name(len) => {
                    if DATA.get(len) == Some(&byte) {
                        *at += 1;
                        let is_whole = len + 1 == DATA.len();
                        self.line = if is_whole { Line::Space } else { Line::Name(len + 1) };
                    } else if len + 1 == DATA.len() && is_line_end(byte) {
                        // A name without a colon has an empty value.
                        self.line = Line::Space;
                    } else {
                        self.line = Line::Other;
                    }
                }
                Line::Space => {
                    if byte == b' ' {
                        *at += 1;
                    }
                    self.line = Line::Data;
                    if std::mem::replace(&mut self.has_data, true) {
                        return Some(Piece::LineFeed);
                    }
                }
                Line::Data | Line::Other if is_line_end(byte) => {
                    self.end_line(bytes, at, byte, Ended::Line);
                }
                Line::Data => {
                    let start = std::mem::replace(at, find_line_end(bytes, *at));
                    return Some(Piece::Data(start..*at));
                }
                Line::Other => *at = find_line_end(bytes, *at),
            }
        }
        None
    }

    fn begin_line(&mut self, bytes: &[u8], at: &mut usize, byte: u8) -> Option<Piece> {
        let is_new = std::mem::replace(&mut self.is_new, false);
        match self.after_cr.take() {
            Some(ended) if byte == b'\n' => {
                *at += 1;
                return (ended == Ended::Blank).then_some(Piece::LateLineFeed { end: *at });
            }
            _ => {}
        }
        match byte {
            b'\r' | b'\n' => {
                self.end_line(bytes, at, byte, Ended::Blank);
                self.in_event = false;
                self.has_data = false;
                return Some(Piece::Blank { end: *at });
            }
            b':' => {
                self.line = Line::Other;
                return None;
            }
            b'd' => self.line = Line::Name(0),
            b'\xef' if is_new => {
                self.line = Line::Mark(0);
                return None;
            }
            _ => self.line = Line::Other,
        }
        if !self.has_begun && is_lead(byte) {
            return None;
        }
        self.begin_event(*at)
    }

    fn begin_event(&mut self, at: usize) -> Option<Piece> {
        self.has_begun = true;
        let is_new = !std::mem::replace(&mut self.in_event, true);
        is_new.then_some(Piece::Event { at })
    }

    /// Takes the line's end: CR, LF, or CRLF.
    fn end_line(&mut self, bytes: &[u8], at: &mut usize, byte: u8, ended: Ended) {
        *at += 1;
        self.line = Line::Start;
        if byte == b'\r' {
            match bytes.get(*at) {
                Some(b'\n') => *at += 1,
                Some(_) => {}
                None => self.after_cr = Some(ended),
            }
        }
    }
}

/// Whether a byte may come before those that tell the format of an answer: it is a blank, or of a byte order mark.
pub(crate) fn is_lead(byte: u8) -> bool {
    byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(&byte)
}

fn is_line_end(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// Where the line ends that `start` is in; the end of the buffer where it goes on.
fn find_line_end(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    memchr2(b'\r', b'\n', rest).map_or(bytes.len(), |len| start + len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn between_events_is_where_nothing_of_one_has_come() {
        let is_between = |bytes: &[u8]| {
            let mut sse = Sse::new();
            let mut at = 0;
            while sse.next_piece(bytes, &mut at).is_some() {}
            sse.is_between_events()
        };
        for bytes in ["", "data: x\n\n", "\n", "data: x\r\n\r\n"] {
            assert!(is_between(bytes.as_bytes()), "{bytes:?}");
        }
        for bytes in ["d", "data: x", "data: x\n", "data: x\n\nd", "data: x\n\n\r"] {
            assert!(!is_between(bytes.as_bytes()), "{bytes:?}");
        }
    }

    /// The data of each event, as the standard says it is; the last event without a blank line too.
    fn events<'a>(buffers: impl IntoIterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let (mut sse, mut events, mut data) = (Sse::new(), Vec::new(), None::<Vec<u8>>);
        for buffer in buffers {
            let mut at = 0;
            while let Some(piece) = sse.next_piece(buffer, &mut at) {
                match piece {
                    Piece::Data(range) => {
                        data.get_or_insert_default().extend_from_slice(&buffer[range]);
                    }
                    Piece::LineFeed => data.get_or_insert_default().push(b'\n'),
                    Piece::Blank { .. } => events.extend(data.take()),
                    Piece::Event { .. } | Piece::LateLineFeed { .. } => {}
                }
            }
            assert_eq!(at, buffer.len());
        }
        events.extend(data);
        events
    }

    fn texts(stream: &str) -> Vec<String> {
        let whole = events([stream.as_bytes()]);
        let single = events(stream.as_bytes().chunks(1));
        assert_eq!(whole, single, "{stream:?}");
        whole.into_iter().map(|data| String::from_utf8(data).unwrap()).collect()
    }

    #[test]
    fn examples_of_the_standard_are_read_as_it_says() {
        assert_eq!(texts("data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
        assert_eq!(
            texts(": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"),
            ["first event", "second event", " third event"]
        );
        assert_eq!(texts("data:test\n\ndata: test\n\n"), ["test", "test"]);
        // Its empty events are data of nothing and of one line feed; no data came of either name.
        assert_eq!(texts("data\n\ndata\ndata\n\ndata:"), ["\n"]);
    }

    #[test]
    fn lines_end_in_any_of_three_ways() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = "event: x\ndata: a\ndata: b\n\n:\ndata: c\n\n".replace('\n', end);
            assert_eq!(texts(&stream), ["a\nb", "c"], "{end:?}");
        }
        assert_eq!(texts("data: a\r\rdata: b\r\n\ndata: c\n\r\ndata: d\n\n"), ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_byte_order_mark_at_the_start_is_no_part_of_the_first_line() {
        assert_eq!(texts("\u{feff}data: a\n\n"), ["a"]);
        assert_eq!(texts("\u{feff}\u{feff}data: a\n\n"), [""; 0]);
        assert_eq!(texts("data: a\n\n\u{feff}data: b\n\n"), ["a"]);
        assert_eq!(events([&b"\xef\xbbdata: a\n\ndata: b\n\n"[..]]), [b"b"]);
    }

    #[test]
    fn other_names_are_no_data() {
        assert_eq!(
            texts("dat: a\ndata : b\nDATA: c\ndatum: d\nxdata: e\n data: f\ndataa: g\n\n"),
            [""; 0]
        );
        assert_eq!(texts("id: data: a\n: data: b\nretry: 3\ndata: data: c\n\n"), ["data: c"]);
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(stream in "([:dat \r\n]|data: ?|\u{feff}){0,24}", cut: u8) {
            let stream = stream.as_bytes();
            let whole = events([stream]);
            prop_assert_eq!(&events(stream.chunks(1)), &whole);
            let (a, b) = stream.split_at(usize::from(cut) % (stream.len() + 1));
            prop_assert_eq!(&events([a, b]), &whole);
        }
    }
}

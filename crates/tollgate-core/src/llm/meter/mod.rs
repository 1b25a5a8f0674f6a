//! Reading an answer while it passes: what it took, and whether it came to its end.
//!
//! A [`Meter`] reads the buffers of one answer, cut anywhere, and tells after each what of it goes on
//! to the client: all of it, at once, but for one kind of event that a client may not have asked for.
//! Its memory is bounded, and its time is linear in what it reads, whatever that is.
//!
//! * `json_events`: a scanner of JSON that comes in pieces; `json_text`: its strings and scalars; `count`:
//!   its numbers; `find`: its quotes and brackets;
//! * `sse`: the events of a stream; `familiar`: what they have in common;
//! * `places`: where in an answer the things stand that count;
//! * `tally`: what they say, put together;
//! * `hold`: the event that is kept back;
//! * `reading`: the result, and what to charge.

mod count;
mod familiar;
mod find;
mod hold;
mod json_events;
mod json_text;
mod places;
mod reading;
mod sse;
mod tally;

use memchr::memchr;

pub use hold::Part;
pub use reading::{settle, Reading, Said};

use super::Endpoint;
use familiar::Familiar;
use hold::Hold;
use json_events::Scanner;
use places::Place;
use sse::{Piece, Sse};
use tally::Tally;

/// How the documents of an answer are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One JSON document.
    Json,
    /// Server-sent events, each with a JSON document.
    Sse,
    /// A JSON document on each line.
    Ndjson,
}

impl Format {
    /// The format that a `Content-Type` promises. Parameters and case don't matter.
    #[must_use]
    pub fn of_content_type(value: &[u8]) -> Option<Self> {
        let media_type = value.split(|b| *b == b';').next()?.trim_ascii();
        let (_, suffix) = media_type.split_at(media_type.len().saturating_sub(b"+json".len()));
        let is = |name: &[u8]| media_type.eq_ignore_ascii_case(name);
        if is(b"text/event-stream") {
            Some(Self::Sse)
        } else if is(b"application/json") || suffix.eq_ignore_ascii_case(b"+json") {
            Some(Self::Json)
        } else if is(b"application/x-ndjson")
            || is(b"application/ndjson")
            || is(b"application/jsonl")
        {
            Some(Self::Ndjson)
        } else {
            None
        }
    }
}

/// Reads one answer.
#[derive(Clone, Debug)]
pub struct Meter {
    framing: Framing,
    documents: Documents,
    has_finished: bool,
}

#[derive(Clone, Debug)]
enum Framing {
    Json,
    Ndjson,
    Sse(Events),
}

impl Meter {
    /// A meter of an answer of `endpoint`. With `hide_usage_chunk`, events of a Chat or Completions
    /// stream are kept from the client that have usage and an empty array of choices.
    #[must_use]
    pub fn new(endpoint: Endpoint, format: Format, hide_usage_chunk: bool) -> Self {
        let root = Place::root(endpoint, format);
        let framing = match format {
            Format::Json => Framing::Json,
            Format::Ndjson => Framing::Ndjson,
            Format::Sse => Framing::Sse(Events::new(hide_usage_chunk && root == Place::ChatEvent)),
        };
        let documents = Documents {
            scanner: Scanner::new(root),
            tally: Tally::new(root),
            familiar: Familiar::default(),
        };
        Self { framing, documents, has_finished: false }
    }

    /// Reads one buffer. `pass` is called for what the client gets, in order: all of the buffer, but
    /// for an event that is hidden, and the bytes of one that can still turn out to be, which a later
    /// call passes on or hides. Comments between events are never kept back.
    ///
    /// At most 16 KiB are kept: an event that is longer before it is decided, is not hidden.
    pub fn read(&mut self, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        match &mut self.framing {
            Framing::Sse(events) => return events.read(buffer, &mut self.documents, pass),
            Framing::Ndjson => self.documents.read_lines(buffer),
            Framing::Json => self.documents.read_whole(buffer),
        }
        pass_all(buffer, pass);
    }

    /// The answer has ended, or was cut off: what is still kept back is passed on, and what came of
    /// the last event or line counts. Must be called before [`Self::reading`] is charged; a second
    /// call does nothing.
    pub fn finish(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        if std::mem::replace(&mut self.has_finished, true) {
            return;
        }
        match &mut self.framing {
            Framing::Sse(events) => events.finish(&mut self.documents, pass),
            Framing::Ndjson => self.documents.finish(),
            Framing::Json if self.documents.scanner.is_done() => {}
            Framing::Json => self.documents.finish(),
        }
    }

    /// What was read so far. Usage counts when its event, line or document has ended; text does as
    /// soon as its string has.
    #[must_use]
    pub fn reading(&self) -> Reading {
        self.documents.tally.reading()
    }
}

fn pass_all(buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
    if !buffer.is_empty() {
        pass(Part::Range(0..buffer.len()));
    }
}

/// The JSON documents of an answer, one after the other.
#[derive(Clone, Debug)]
struct Documents {
    scanner: Scanner<Place>,
    tally: Tally,
    familiar: Familiar,
}

impl Documents {
    /// Reads on in one of many documents.
    fn read(&mut self, bytes: &[u8]) {
        if self.scanner.is_new() {
            self.familiar.read(bytes, &mut self.scanner, &mut self.tally);
        } else {
            self.scanner.read(bytes, &mut self.tally);
        }
    }

    /// Reads on in the one document of an answer.
    fn read_whole(&mut self, bytes: &[u8]) {
        if !self.scanner.is_done() {
            self.scanner.read(bytes, &mut self.tally);
            if self.scanner.is_done() {
                self.tally.end_document();
            }
        }
    }

    /// Reads on in an answer with a document on each line.
    fn read_lines(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((line, after)) =
            memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end))
        {
            self.read(line);
            self.end();
            rest = after.get(1..).unwrap_or_default();
        }
        self.read(rest);
    }

    /// The event or line has ended, and must be whole. Returns whether it has nothing but usage.
    fn end(&mut self) -> bool {
        let mut is_usage_only = false;
        if self.scanner.is_done() {
            is_usage_only = self.tally.is_usage_only();
            self.tally.end_event();
        } else {
            self.tally.drop_event();
        }
        self.scanner.restart();
        is_usage_only
    }

    /// The answer has ended, maybe in the middle of an event, a line or its document.
    fn finish(&mut self) {
        if !self.scanner.is_done() && !self.scanner.is_broken() {
            self.scanner.cut(&mut self.tally);
            self.tally.cut_event();
        } else {
            self.end();
        }
    }
}

/// The events of a stream.
#[derive(Clone, Debug)]
struct Events {
    sse: Sse,
    data: Data,
    /// Where events are hidden.
    hold: Option<Hold>,
}

/// What the data of the event at hand is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// Blanks, or none.
    Blank,
    /// A JSON object.
    Object,
    /// The first bytes of `[DONE]`, as many.
    DoneMark(usize),
    Other,
}

/// The data of the event that ends a stream of OpenAI's API.
const DONE_MARK: &[u8] = b"[DONE]";

impl Events {
    fn new(hide_usage_chunk: bool) -> Self {
        let hold = hide_usage_chunk.then(Hold::default);
        Self { sse: Sse::new(), data: Data::Blank, hold }
    }

    fn read(&mut self, buffer: &[u8], documents: &mut Documents, pass: &mut impl FnMut(Part<'_>)) {
        if let Some(hold) = &mut self.hold {
            hold.begin_buffer();
        }
        let mut at = 0;
        while let Some(piece) = self.sse.next_piece(buffer, &mut at) {
            match &piece {
                Piece::LineFeed => self.data.read(b"\n", documents),
                Piece::Data(range) => {
                    self.data.read(buffer.get(range.clone()).unwrap_or_default(), documents);
                }
                _ => {}
            }
            let is_whole_usage = matches!(piece, Piece::Blank { .. }) && self.data.end(documents);
            let Some(hold) = &mut self.hold else { continue };
            match piece {
                Piece::Event { at } => hold.begin_event(at),
                Piece::Blank { end } if is_whole_usage => hold.hide(end, pass),
                Piece::LateLineFeed { end } => hold.late_line_feed(end),
                Piece::Data(_) | Piece::LineFeed if self.data.may_be_usage_only(documents) => {}
                _ => hold.show(pass),
            }
        }
        match &mut self.hold {
            Some(hold) => hold.end_buffer(buffer, pass),
            None => pass_all(buffer, pass),
        }
    }

    fn finish(&mut self, documents: &mut Documents, pass: &mut impl FnMut(Part<'_>)) {
        // An event without a blank line behind it is discarded by clients that follow the standard,
        // but not by all; it counts, and it is hidden, as if it had one.
        let is_usage_only = match self.data {
            Data::Object if !documents.scanner.is_done() => {
                documents.finish();
                false
            }
            _ => self.data.end(documents),
        };
        if let Some(hold) = &mut self.hold {
            hold.begin_buffer();
            if is_usage_only {
                hold.hide(0, pass);
            } else {
                hold.show(pass);
            }
        }
    }
}

impl Data {
    fn read(&mut self, bytes: &[u8], documents: &mut Documents) {
        let mut bytes = bytes;
        if *self == Self::Blank {
            bytes = bytes.trim_ascii_start();
            *self = match bytes.first() {
                None => Self::Blank,
                Some(b'{') => Self::Object,
                Some(b'[') => Self::DoneMark(0),
                Some(_) => Self::Other,
            };
        }
        match self {
            Self::Object => documents.read(bytes),
            Self::DoneMark(len) => *self = Self::after_done_mark(*len, bytes),
            Self::Blank | Self::Other => {}
        }
    }

    fn after_done_mark(len: usize, bytes: &[u8]) -> Self {
        let mut expected = DONE_MARK.iter().skip(len);
        let is_mark = bytes.iter().all(|byte| match expected.next() {
            Some(expected) => byte == expected,
            None => byte.is_ascii_whitespace(),
        });
        if is_mark {
            Self::DoneMark(DONE_MARK.len() - expected.len())
        } else {
            Self::Other
        }
    }

    /// Whether the event at hand may still turn out to have nothing but usage.
    fn may_be_usage_only(self, documents: &Documents) -> bool {
        match self {
            Self::Blank => true,
            Self::Object => documents.tally.may_be_usage_only() && !documents.scanner.is_broken(),
            Self::DoneMark(_) | Self::Other => false,
        }
    }

    /// The event has ended. Returns whether it has nothing but usage.
    fn end(&mut self, documents: &mut Documents) -> bool {
        match std::mem::replace(self, Self::Blank) {
            Self::Object => return documents.end(),
            Self::DoneMark(len) if len == DONE_MARK.len() => documents.tally.done(),
            Self::DoneMark(_) | Self::Blank | Self::Other => {}
        }
        false
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;

//! The events of a stream: their data is read, and what the client didn't ask for is kept from it.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::documents::Documents;
use super::familiar::Familiar;
use super::hides::{Changes, Hides};
use super::hold::{Hold, Part};
use super::places::Place;
use super::sse::{Piece, Sse};
use super::tally::Chunk;
use super::Asked;

/// The reader of a stream.
#[derive(Clone, Debug)]
pub(super) struct Events {
    sse: Sse,
    data: Data,
    /// Where something is hidden.
    relay: Option<Relay>,
}

/// Where in a buffer an event begins that may be remembered.
#[derive(Clone, Copy, Debug, Default)]
struct Begun {
    event: Option<usize>,
    /// Its data, if notes are taken of it.
    data: Option<usize>,
}

/// What is hidden of a stream, and what is held back for that.
#[derive(Clone, Debug)]
struct Relay {
    hides: Hides,
    changes: Changes,
    hold: Hold,
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
    Null,
    Other,
}

/// The data of the event that ends a stream of OpenAI's API.
const DONE_MARK: &[u8] = b"[DONE]";

/// The key of the member that we ask for.
static USAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"usage\""));

impl Events {
    /// The reader of a stream of which `sse` has read what came before.
    pub(super) fn new(asked: Asked, sse: Sse) -> Self {
        let hides = asked.hides;
        let is_hiding = hides.any() && Place::root(asked.endpoint) == Place::OpenAi;
        let relay = is_hiding.then(|| {
            let changes = Changes::of(asked.engine, hides);
            Relay { hides, changes, hold: Hold::new(changes.of_each && asked.choices > 1) }
        });
        Self { sse, data: Data::Blank, relay }
    }

    pub(super) fn read(
        &mut self,
        buffer: &[u8],
        documents: &mut Documents,
        pass: &mut impl FnMut(Part<'_>),
    ) {
        if let Some(relay) = &mut self.relay {
            relay.hold.begin_buffer();
        }
        let mut begun = Begun::default();
        let mut at = 0;
        loop {
            if self.sse.is_between_events() {
                let rest = buffer.get(at..).unwrap_or_default();
                if let Some(len) = documents.familiar.read(rest, &mut documents.tally) {
                    let event = documents.familiar.event();
                    let chunk = self.relay.is_some().then(|| documents.tally.chunk(event));
                    documents.tally.end_known_event(event);
                    if let (Some(relay), Some(chunk)) = (&mut self.relay, chunk) {
                        relay.hold.begin_event(at);
                        let familiar = Some(documents.familiar.as_mut());
                        relay.end(buffer, at + len, chunk, familiar, pass);
                    }
                    at += len;
                    continue;
                }
            }
            let Some(piece) = self.sse.next_piece(buffer, &mut at) else { break };
            match &piece {
                Piece::Event { at } => begun.event = Some(*at),
                Piece::LineFeed => {
                    begun.event = None;
                    self.data.read(b"\n", documents);
                }
                Piece::Data(range) => self.read_data(buffer, range.clone(), &mut begun, documents),
                Piece::Blank { end } => begun.learn(buffer, *end, documents),
                Piece::LateLineFeed { .. } => {}
            }
            let Some(relay) = &mut self.relay else {
                if matches!(piece, Piece::Blank { .. }) {
                    self.data.end(documents);
                }
                continue;
            };
            match piece {
                Piece::Event { at } => relay.hold.begin_event(at),
                Piece::Blank { end } => match self.data.end(documents) {
                    Some(chunk) => relay.end(buffer, end, chunk, None, pass),
                    None => relay.hold.show(pass),
                },
                Piece::LateLineFeed { end } => relay.hold.late_line_feed(end),
                Piece::Data(_) | Piece::LineFeed if self.data.may_be_chunk(documents) => {}
                Piece::Data(_) | Piece::LineFeed => relay.hold.show(pass),
            }
        }
        match &mut self.relay {
            Some(relay) => relay.hold.end_buffer(buffer, pass),
            None => super::pass_all(buffer, pass),
        }
    }

    /// Reads data, and takes notes of what may be all of an event's.
    fn read_data(
        &mut self,
        buffer: &[u8],
        range: Range<usize>,
        begun: &mut Begun,
        documents: &mut Documents,
    ) {
        let bytes = buffer.get(range.clone()).unwrap_or_default();
        let may_learn = begun.event.is_some() && documents.familiar.is_learning();
        if self.data == Data::Blank && bytes.first() == Some(&b'{') && may_learn {
            begun.data = Some(range.start);
            self.data = Data::Object;
            documents.read_noting(bytes);
        } else {
            begun.event = None;
            self.data.read(bytes, documents);
        }
    }

    pub(super) fn finish(&mut self, documents: &mut Documents, pass: &mut impl FnMut(Part<'_>)) {
        // An event without a blank line behind it is discarded by clients that follow the standard,
        // but not by all; it counts, and it is hidden, as if it had one.
        let chunk = match self.data {
            Data::Object if !documents.scanner.is_done() => {
                documents.finish();
                None
            }
            _ => self.data.end(documents),
        };
        if let Some(relay) = &mut self.relay {
            relay.hold.begin_buffer();
            match chunk {
                Some(chunk) => relay.end(&[], 0, chunk, None, pass),
                None => relay.hold.show(pass),
            }
            relay.hold.pass_finish(pass);
        }
    }
}

impl Begun {
    /// The event ends at `end`: it is remembered, if all of it is in the buffer.
    fn learn(&mut self, buffer: &[u8], end: usize, documents: &mut Documents) {
        let (Some(begun), Some(data)) = (self.event.take(), self.data.take()) else { return };
        let event = buffer.get(begun..end).unwrap_or_default();
        if event.ends_with(b"\n") {
            documents.learn(event, data - begun);
        }
    }
}

impl Relay {
    /// The event at hand ends at `end` of the buffer, and may be `familiar`.
    fn end(
        &mut self,
        buffer: &[u8],
        end: usize,
        chunk: Chunk,
        familiar: Option<&mut Familiar>,
        pass: &mut impl FnMut(Part<'_>),
    ) {
        if chunk.is_usage_only && self.hides.usage {
            return self.hold.hide(buffer, end, self.changes.moved, pass);
        }
        let is_stripped = !chunk.is_usage_only && self.changes.include(chunk.usage);
        if chunk.is_finish && !self.changes.moved.is_empty() {
            self.hold.keep(buffer, end, is_stripped.then_some(&USAGE), pass);
        } else if let (true, Some(cut)) =
            (is_stripped, familiar.as_ref().and_then(|familiar| familiar.cut()))
        {
            self.hold.cut(end, cut, pass);
        } else if is_stripped {
            self.hold.strip(buffer, end, &USAGE, familiar, pass);
        } else if chunk.has_choice {
            self.hold.show_choice(pass);
        } else {
            self.hold.show(pass);
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
                Some(b'n') => Self::Null,
                Some(_) => Self::Other,
            };
        }
        match self {
            Self::Object => documents.read(bytes),
            Self::DoneMark(len) => *self = Self::after_done_mark(*len, bytes),
            Self::Blank | Self::Null | Self::Other => {}
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

    /// Whether the event at hand may still turn out to be one that is hidden or changed.
    fn may_be_chunk(self, documents: &Documents) -> bool {
        match self {
            Self::Blank => true,
            Self::Object => !documents.scanner.is_broken(),
            Self::DoneMark(_) | Self::Null | Self::Other => false,
        }
    }

    /// The event has ended. Returns what it is, if its data is an object.
    fn end(&mut self, documents: &mut Documents) -> Option<Chunk> {
        match std::mem::replace(self, Self::Blank) {
            Self::Object => {
                let chunk = documents
                    .scanner
                    .is_done()
                    .then(|| documents.tally.chunk(&documents.tally.event()));
                documents.end();
                return chunk;
            }
            Self::DoneMark(len) if len == DONE_MARK.len() => documents.tally.done(),
            // Of several answers, llama.cpp sends null before the first.
            Self::DoneMark(_) | Self::Blank | Self::Null => {}
            Self::Other => documents.tally.note_strange(),
        }
        None
    }
}

//! Another name for the model in an answer: the alias that its client asked for, in the place of the name that
//! the engine was asked for.
//!
//! It reads what the meter passes on, cut anywhere, and puts the alias where the value of such a member
//! begins. So nothing is held back, and all else stays as it is, byte for byte.

use std::ops::Range;

use memchr::memchr3;

use super::hold::Part;
use super::places::Place;
use super::sse::{Piece, Sse};
use super::Format;
use crate::json::quote_or_bracket;
use crate::llm::Endpoint;

/// The name of the member.
const MODEL: &[u8] = b"model";

/// Shows an alias in the place of the model's name.
#[derive(Clone, Debug)]
pub(super) struct ShownModel {
    /// The alias, as JSON writes it.
    name: Box<[u8]>,
    frame: Frame,
    document: Document,
}

/// How the documents are put together.
#[derive(Clone, Debug)]
enum Frame {
    /// Nothing but blanks has come.
    Unknown,
    /// One after the other.
    Json,
    /// One on each line.
    Lines,
    Events(Sse),
}

/// How far the document at hand has come.
#[derive(Clone, Debug)]
struct Document {
    /// The member whose object has the name as well.
    nested: Option<&'static [u8]>,
    /// The elements of an array are such objects.
    of_elements: bool,
    /// How many objects and arrays are open.
    depth: usize,
    /// Whether each of the outer two is an object that may have the name among its members.
    may_have: [bool; 2],
    /// What is open on the first level is an array.
    is_array: bool,
    /// Of the object at hand, if it may have the name.
    member: Member,
    string: Option<Text>,
    /// The last byte was a backslash in a string.
    is_escaped: bool,
    /// The key at hand, or the last one: of one that is longer, as much.
    key: [u8; MAX_KEY],
    key_len: usize,
}

/// Longer than any key of interest.
const MAX_KEY: usize = 9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Key,
    Value,
}

/// What a string is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Key,
    /// The name, in the place of which the alias was passed on.
    Name,
    Other,
}

/// What is to be passed on of some bytes.
enum Out {
    Range(Range<usize>),
    Name,
}

impl ShownModel {
    pub(super) fn new(alias: &str, endpoint: Endpoint) -> Self {
        let name = serde_json::Value::from(alias).to_string().into_bytes().into();
        Self { name, frame: Frame::Unknown, document: Document::new(endpoint) }
    }

    /// The answer begins. If it is a stream, `sse` has read what came before.
    pub(super) fn begin(&mut self, format: Format, sse: Sse) {
        self.frame = match format {
            Format::Json => Frame::Json,
            Format::Ndjson => Frame::Lines,
            Format::Sse => Frame::Events(sse),
        };
    }

    /// Passes on what is to be passed on of `buffer`, with the alias.
    pub(super) fn pass(&mut self, part: Part<'_>, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        let Self { name, frame, document } = self;
        let mut emit = |out| match (out, &part) {
            (Out::Name, _) => pass(Part::Held(name)),
            (Out::Range(range), Part::Held(bytes)) => {
                pass(Part::Held(bytes.get(range).unwrap_or_default()));
            }
            (Out::Range(range), Part::Range(within)) => {
                pass(Part::Range(within.start + range.start..within.start + range.end));
            }
        };
        let bytes = match &part {
            Part::Held(bytes) => bytes,
            Part::Range(range) => buffer.get(range.clone()).unwrap_or_default(),
        };
        let mut start = 0;
        match frame {
            Frame::Unknown => {}
            Frame::Json => document.read(bytes, 0..bytes.len(), &mut start, &mut emit),
            Frame::Lines => {
                let mut at = 0;
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    document.read(bytes, at..at + line.len(), &mut start, &mut emit);
                    at += line.len();
                    if line.ends_with(b"\n") {
                        document.restart();
                    }
                }
            }
            Frame::Events(sse) => {
                let mut at = 0;
                while let Some(piece) = sse.next_piece(bytes, &mut at) {
                    match piece {
                        Piece::Data(range) => document.read(bytes, range, &mut start, &mut emit),
                        Piece::Blank { .. } => document.restart(),
                        // A string never goes on behind it.
                        Piece::LineFeed => document.string = None,
                        Piece::Event { .. } | Piece::LateLineFeed { .. } => {}
                    }
                }
            }
        }
        if start < bytes.len() {
            emit(Out::Range(start..bytes.len()));
        }
    }
}

impl Document {
    fn new(endpoint: Endpoint) -> Self {
        let root = Place::root(endpoint);
        let nested: Option<&'static [u8]> = match root {
            Place::Responses => Some(b"response"),
            Place::Messages => Some(b"message"),
            _ => None,
        };
        Self {
            nested,
            of_elements: matches!(root, Place::Llama | Place::Sglang | Place::Tgi),
            depth: 0,
            may_have: [false; 2],
            is_array: false,
            member: Member::Key,
            string: None,
            is_escaped: false,
            key: [0; MAX_KEY],
            key_len: 0,
        }
    }

    /// Another document begins.
    fn restart(&mut self) {
        self.depth = 0;
        self.string = None;
        self.is_escaped = false;
    }

    /// Whether the innermost of what is open is an object that may have the name.
    fn is_of_interest(&self) -> bool {
        let level = self.depth.checked_sub(1);
        level.and_then(|level| self.may_have.get(level)).is_some_and(|may_have| *may_have)
    }

    /// Reads the bytes in `range`. What stands before `start` has been passed on, or is left out.
    fn read(
        &mut self,
        bytes: &[u8],
        range: Range<usize>,
        start: &mut usize,
        emit: &mut impl FnMut(Out),
    ) {
        let bytes = bytes.get(..range.end).unwrap_or(bytes);
        let mut at = range.start;
        while at < range.end {
            let rest = bytes.get(at..).unwrap_or_default();
            if let Some(text) = self.string {
                let len = self.read_string(text, rest);
                at += len;
                if text == Text::Name {
                    *start = at;
                }
                continue;
            }
            let found = match self.is_of_interest() {
                true => rest.iter().position(|byte| b"\"{}[],:".contains(byte)),
                false => quote_or_bracket(rest),
            };
            let Some(byte) = found.and_then(|found| rest.get(found)) else { return };
            at += found.unwrap_or_default() + 1;
            if self.read_mark(*byte) {
                // The opening quote is the name's, too.
                if *start < at - 1 {
                    emit(Out::Range(*start..at - 1));
                }
                emit(Out::Name);
                *start = at;
            }
        }
    }

    /// Reads on in a string, to its end or to that of the bytes. Returns how long that is.
    fn read_string(&mut self, text: Text, bytes: &[u8]) -> usize {
        let mut at = 0;
        if std::mem::take(&mut self.is_escaped) {
            at = 1;
        }
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let found = memchr3(b'"', b'\\', b'\n', rest);
            let len = found.unwrap_or(rest.len());
            if text == Text::Key {
                self.add_to_key(rest.get(..len).unwrap_or_default());
            }
            at += len;
            match found.and_then(|found| rest.get(found)) {
                None => return at,
                Some(b'\\') => {
                    if text == Text::Key {
                        // No engine writes such a key by which anything is decided here.
                        self.key_len = MAX_KEY;
                    }
                    at += 2;
                    if at > bytes.len() {
                        self.is_escaped = true;
                        return bytes.len();
                    }
                }
                // No string of JSON goes on behind a line feed: this is none.
                Some(b'\n') => {
                    self.restart();
                    return at;
                }
                Some(_) => {
                    self.string = None;
                    return at + 1;
                }
            }
        }
    }

    fn add_to_key(&mut self, bytes: &[u8]) {
        let room = self.key.get_mut(self.key_len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.key_len = self.key_len.saturating_add(bytes.len()).min(MAX_KEY);
    }

    fn key(&self) -> &[u8] {
        self.key.get(..self.key_len).unwrap_or_default()
    }

    /// Reads a byte that means something outside of strings. `true`: the value begins that is the name.
    fn read_mark(&mut self, byte: u8) -> bool {
        match byte {
            b'"' if self.is_of_interest() => {
                let text = match self.member {
                    Member::Key => Text::Key,
                    Member::Value if self.key() == MODEL => Text::Name,
                    Member::Value => Text::Other,
                };
                if text == Text::Key {
                    self.key_len = 0;
                }
                self.string = Some(text);
                return text == Text::Name;
            }
            b'"' => self.string = Some(Text::Other),
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                // Its key is that of the object that has just ended.
                self.key_len = MAX_KEY;
            }
            b',' => self.member = Member::Key,
            b':' => self.member = Member::Value,
            _ => {}
        }
        false
    }

    /// An object or an array begins.
    fn open(&mut self, is_object: bool) {
        let may_have = match self.depth {
            0 => is_object,
            1 if self.is_array => is_object && self.of_elements,
            1 => {
                let is_nested = self.nested.is_some_and(|nested| nested == self.key());
                is_object && is_nested && self.member == Member::Value
            }
            _ => false,
        };
        if self.depth == 0 {
            self.is_array = !is_object;
        }
        if let Some(level) = self.may_have.get_mut(self.depth) {
            *level = may_have;
        }
        self.depth = self.depth.saturating_add(1);
        self.member = Member::Key;
        // What comes may be of a document that was broken off: the key before is none of its own.
        self.key_len = 0;
    }
}

#[cfg(test)]
#[path = "shown_model_tests.rs"]
mod tests;

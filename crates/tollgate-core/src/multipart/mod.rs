//! Forms with files (`multipart/form-data`, RFC 7578), read in the slices that they come in.
//!
//! Servers differ in what they make of a form: of a preamble, of lines that end in LF, of two names in one part, of
//! a charset. So a form is refused that two of them could read in different ways: what clients and their libraries
//! send is read alike by all. The bytes of files are looked through for the delimiter alone, and not kept.
//!
//! * [`content_type`]: what the header of the request says; [`part_header`]: the header of a part.

pub mod content_type;
mod fault;
mod part_header;

pub use content_type::{Boundary, ContentType};
pub use fault::Fault;

use memchr::memmem::{self, Finder};
use part_header::{PartHeader, MAX_HEADER};

/// No honest form has more parts.
pub const MAX_PARTS: usize = 256;

/// How much of a text is kept: more than any name of a model, or id.
pub const MAX_KEPT: usize = 1024;

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name: letters, digits, and `_-.[]`.
    pub name: Box<str>,
    /// Whether it is a file, and no text.
    pub is_file: bool,
    /// What a text says, at most [`MAX_KEPT`] bytes of it; of a file nothing.
    pub text: Vec<u8>,
    /// Where its contents begin in the body, in bytes.
    pub at: usize,
    /// How long they are, in bytes.
    pub len: usize,
}

/// Reads a form.
#[derive(Debug)]
pub struct FormReader {
    /// Finds what is between parts: the boundary, and two hyphens before it.
    delimiter: Finder<'static>,
    /// What has come and isn't read yet.
    pending: Vec<u8>,
    /// How many bytes were read.
    at: usize,
    place: Place,
    parts: Vec<Part>,
    /// Why nothing is read any more.
    fault: Option<Fault>,
}

/// What comes next.
#[derive(Debug)]
enum Place {
    Start,
    /// What follows a delimiter.
    Line,
    Header,
    /// The contents of a part, which is to be so long if its header says so.
    Contents(Part, Option<usize>),
    /// Nothing but the end of a line.
    End,
}

impl FormReader {
    /// A reader of a form whose parts are separated by `boundary`.
    #[must_use]
    pub fn new(boundary: &Boundary) -> Self {
        Self {
            delimiter: Finder::new(&boundary.delimiter()).into_owned(),
            pending: Vec::new(),
            at: 0,
            place: Place::Start,
            parts: Vec::new(),
            fault: None,
        }
    }

    /// Reads the next bytes.
    pub fn read(&mut self, slice: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        self.pending.extend_from_slice(slice);
        loop {
            match self.step() {
                Ok(true) => {}
                Ok(false) => return,
                Err(fault) => {
                    self.pending = Vec::new();
                    self.fault = Some(fault);
                    return;
                }
            }
        }
    }

    /// The parts, in the order in which they came. The body has ended.
    ///
    /// # Errors
    /// Why it is no form that all servers read alike.
    pub fn finish(self) -> Result<Vec<Part>, Fault> {
        match (self.fault, self.place) {
            (Some(fault), _) => Err(fault),
            (None, Place::End) if matches!(*self.pending, [] | [b'\r', b'\n']) => Ok(self.parts),
            (None, Place::End) => Err(Fault::Rest),
            (None, _) => Err(Fault::Unfinished),
        }
    }

    /// Reads on by one place. `false`: more has to come.
    fn step(&mut self) -> Result<bool, Fault> {
        match std::mem::replace(&mut self.place, Place::End) {
            Place::Start => {
                let delimiter = self.delimiter.needle();
                let same = delimiter.iter().zip(&self.pending).take_while(|(a, b)| a == b).count();
                let len = delimiter.len();
                if same == len {
                    self.take(len, Place::Line);
                    return Ok(true);
                }
                if same < self.pending.len() {
                    return Err(Fault::Preamble);
                }
                self.place = Place::Start;
                Ok(false)
            }
            Place::Line => {
                match *self.pending {
                    [b'\r', b'\n', ..] => self.take(2, Place::Header),
                    [b'-', b'-', ..] => self.take(2, Place::End),
                    [] | [b'\r' | b'-'] => {
                        self.place = Place::Line;
                        return Ok(false);
                    }
                    _ => return Err(Fault::Delimiter),
                }
                Ok(true)
            }
            Place::Header => self.read_header(),
            Place::Contents(part, expected) => self.read_contents(part, expected),
            Place::End => match self.pending.len() > 2 {
                true => Err(Fault::Rest),
                false => Ok(false),
            },
        }
    }

    fn read_header(&mut self) -> Result<bool, Fault> {
        const END: &[u8] = b"\r\n\r\n";
        let Some(len) = memmem::find(&self.pending, END) else {
            self.place = Place::Header;
            return match self.pending.len() > MAX_HEADER {
                true => Err(Fault::LongHeader),
                false => Ok(false),
            };
        };
        let header = self.pending.get(..len).unwrap_or_default();
        if len > MAX_HEADER {
            return Err(Fault::LongHeader);
        }
        if self.delimiter.find(header).is_some() {
            return Err(Fault::Delimiter);
        }
        let PartHeader { name, is_file, len: expected } = PartHeader::parse(header)?;
        if self.parts.len() >= MAX_PARTS {
            return Err(Fault::TooManyParts);
        }
        let start = len + END.len();
        let part = Part { name, is_file, text: Vec::new(), at: self.at + start, len: 0 };
        self.take(start, Place::Contents(part, expected));
        Ok(true)
    }

    fn read_contents(&mut self, mut part: Part, expected: Option<usize>) -> Result<bool, Fault> {
        const LINE_END: &[u8] = b"\r\n";
        let delimiter = self.delimiter.needle().len();
        let Some(found) = self.delimiter.find(&self.pending) else {
            // What is left may be the beginning of the end.
            let passed = self.pending.len().saturating_sub(LINE_END.len() + delimiter - 1);
            part.add(self.pending.get(..passed).unwrap_or_default());
            self.take(passed, Place::Contents(part, expected));
            return Ok(false);
        };
        // Wherever else it stands, some servers see it.
        let before = self.pending.get(..found).unwrap_or_default();
        let rest = before.strip_suffix(LINE_END).ok_or(Fault::Delimiter)?;
        part.add(rest);
        if expected.is_some_and(|expected| expected != part.len) {
            return Err(Fault::Length);
        }
        self.parts.push(part);
        self.take(found + delimiter, Place::Line);
        Ok(true)
    }

    /// `len` bytes were read; `next` comes then.
    fn take(&mut self, len: usize, next: Place) {
        self.pending.drain(..len.min(self.pending.len()));
        self.at += len;
        self.place = next;
    }
}

impl Part {
    /// The name without what stands in brackets, and that: `video` and `id` of `video[id]`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.name.split(['[', ']', '.']).filter(|name| !name.is_empty())
    }

    fn add(&mut self, contents: &[u8]) {
        if !self.is_file {
            let room = MAX_KEPT.saturating_sub(self.text.len());
            self.text.extend_from_slice(contents.get(..room).unwrap_or(contents));
        }
        self.len += contents.len();
    }

    /// Whether all that it says is kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.text.len() == self.len
    }
}

#[cfg(test)]
mod tests;

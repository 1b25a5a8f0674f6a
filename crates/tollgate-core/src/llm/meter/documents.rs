//! The JSON documents of an answer, one after the other.

use memchr::memchr;

use super::familiar::{Familiar, Noting};
use super::places::Place;
use super::tally::Tally;
use super::Asked;
use crate::json::Scanner;

/// How many containers of interest may lie in each other; a deeper one is skipped.
const MAX_DEPTH: usize = 8;

/// The reader of an answer's documents.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) scanner: Scanner<Place, MAX_DEPTH>,
    pub(super) tally: Tally,
    pub(super) familiar: Box<Familiar>,
    /// Of an answer that began as one document.
    whole: Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whole {
    Begun,
    /// It has ended, and nothing but blanks came after it.
    Ended,
    /// More documents follow: it was the first line of a stream.
    GoesOn,
    /// Something else follows, which is not ours.
    Over,
}

impl Documents {
    pub(super) fn new(asked: Asked, is_streamed: bool) -> Self {
        Self {
            scanner: Scanner::new(Place::root(asked.endpoint)),
            tally: Tally::new(asked, is_streamed),
            familiar: Box::default(),
            whole: Whole::Begun,
        }
    }

    /// Reads on in one of many documents.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        // What is no JSON, is seen when it ends.
        let _ = self.scanner.read(bytes, &mut self.tally);
    }

    /// Reads a document from its start, and takes notes of it.
    pub(super) fn read_noting(&mut self, bytes: &[u8]) {
        let (notes, tally) = (self.familiar.begin_notes(), &mut self.tally);
        let _ = self.scanner.read(bytes, &mut Noting { notes, tally, slice: bytes });
    }

    /// The document that was read last, and is whole, is that of `event`, where it begins at `data`.
    pub(super) fn learn(&mut self, event: &[u8], data: usize) {
        if self.scanner.is_done() {
            self.familiar.learn(event, data, self.tally.event());
        }
    }

    /// Reads on in the one document of an answer; if more follow, these are the lines of a stream.
    pub(super) fn read_whole(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.whole == Whole::Begun {
            let len = self.scanner.read(bytes, &mut self.tally);
            if !self.scanner.is_done() {
                return;
            }
            rest = len.ok().and_then(|len| bytes.get(len..)).unwrap_or_default();
            self.tally.end_document();
            self.whole = Whole::Ended;
        }
        if self.whole == Whole::Ended {
            rest = rest.trim_ascii_start();
            match rest.first() {
                None => return,
                Some(b'{') => {
                    self.tally.go_on();
                    self.scanner.restart();
                    self.whole = Whole::GoesOn;
                }
                Some(_) => {
                    self.tally.note_rest();
                    self.whole = Whole::Over;
                }
            }
        }
        if self.whole == Whole::GoesOn {
            self.read_lines(rest);
        }
    }

    /// Reads on in an answer with a document on each line.
    pub(super) fn read_lines(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        loop {
            let is_start = self.scanner.is_new();
            let found = match is_start {
                true => self.familiar.read(rest, &mut self.tally),
                false => None,
            };
            if let Some(len) = found {
                self.tally.end_known_event(self.familiar.event());
                rest = rest.get(len..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr(b'\n', rest) else { break };
            let (line, after) = rest.split_at_checked(end + 1).unwrap_or((rest, &[]));
            let data = line.get(..end).unwrap_or(line);
            if is_start && data.first() == Some(&b'{') && self.familiar.is_learning() {
                self.read_noting(data);
                self.learn(line, 0);
            } else {
                self.read(data);
            }
            self.end();
            rest = after;
        }
        self.read(rest);
    }

    /// The event or line has ended, and must be whole.
    pub(super) fn end(&mut self) {
        if self.scanner.is_done() {
            self.tally.end_event();
        } else if !self.scanner.is_new() {
            self.tally.drop_event();
        }
        self.scanner.restart();
    }

    /// The answer has ended, maybe in the middle of an event, a line or its document.
    pub(super) fn finish(&mut self) {
        if matches!(self.whole, Whole::Ended | Whole::Over) {
            return;
        }
        if !self.scanner.is_done() && !self.scanner.is_broken() {
            self.scanner.cut(&mut self.tally);
            self.tally.cut_event();
        } else {
            self.end();
        }
    }
}

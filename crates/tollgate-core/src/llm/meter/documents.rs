//! The JSON documents of an answer, one after the other.

use memchr::memchr;

use super::familiar::Familiar;
use super::json_events::Scanner;
use super::places::Place;
use super::tally::Tally;
use super::Asked;

/// The reader of an answer's documents.
#[derive(Clone, Debug)]
pub(super) struct Documents {
    pub(super) scanner: Scanner<Place>,
    pub(super) tally: Tally,
    familiar: Familiar,
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
            familiar: Familiar::default(),
            whole: Whole::Begun,
        }
    }

    /// Reads on in one of many documents.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        if self.scanner.is_new() {
            self.familiar.read(bytes, &mut self.scanner, &mut self.tally);
        } else {
            self.scanner.read(bytes, &mut self.tally);
        }
    }

    /// Reads on in the one document of an answer; if more follow, these are the lines of a stream.
    pub(super) fn read_whole(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if self.whole == Whole::Begun {
            rest = self.scanner.read_document(bytes, &mut self.tally);
            if !self.scanner.is_done() {
                return;
            }
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
        while let Some((line, after)) =
            memchr(b'\n', rest).and_then(|end| rest.split_at_checked(end))
        {
            self.read(line);
            self.end();
            rest = after.get(1..).unwrap_or_default();
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

//! What a request asks of the engine, read in one pass over its JSON body (RFC 8259), which may come in
//! slices.
//!
//! Nothing of the body is kept but the name of the model and a few numbers. Servers differ in what
//! they make of a key that comes twice, of `MODEL`, and of `"stream": 1`; so such a body is refused
//! instead of guessing what the engine behind will read.

mod aliases;
mod body;
pub mod edits;
mod error;
mod feature_members;
pub mod form;
mod input;
mod llm_request;
pub mod members;
pub(crate) mod names;
mod place;
mod quantity;
pub mod rewrite;
mod scalar;
mod stream_options;
mod told;
pub mod uses;

#[cfg(test)]
mod tests;

pub use aliases::{AliasError, Aliases};
pub use error::RequestError;
pub use llm_request::{InputSize, LlmRequest, MAX_CHOICES, MAX_DEPTH, MAX_MODEL_LEN};
pub use quantity::Quantity;
pub use stream_options::UsageEdit;

use body::Body;
use told::At;

use super::{Endpoint, Engine};
use crate::json::{Fault, Scanner, Utf8};

/// Reads the body of a request to `endpoint` of `engine`, all of it in one slice. See [`BodyReader`].
///
/// # Errors
/// As [`BodyReader::finish`].
pub fn parse(body: &[u8], endpoint: Endpoint, engine: Engine) -> Result<LlmRequest, RequestError> {
    let mut reader = BodyReader::new(endpoint, engine);
    reader.read(body);
    reader.finish()
}

/// Reads the body of a request in the slices that it comes in, and copies none of them.
///
/// The engine matters for the bounds of the output: only those count that it heeds, as one that it
/// ignores does not bound anything.
///
/// Halves of surrogate pairs, which engines take, are text like any other, but in what is decided on; and
/// so is a byte order mark in front.
#[derive(Debug)]
pub struct BodyReader {
    scanner: Scanner<At, { MAX_DEPTH as usize }>,
    body: Body,
    /// How many bytes of a byte order mark have come; `None` once something else has.
    mark: Option<usize>,
    /// Nothing is read any more.
    over: Option<Over>,
}

/// Why nothing is read any more.
#[derive(Clone, Copy, Debug)]
enum Over {
    NotJson,
    /// Something is refused, if what follows is UTF-8 at least.
    Refused(Utf8),
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl BodyReader {
    /// A reader of a request to `endpoint` of `engine`.
    #[must_use]
    pub fn new(endpoint: Endpoint, engine: Engine) -> Self {
        Self {
            scanner: Scanner::new(At::Body),
            body: Body::new(endpoint, engine),
            mark: Some(0),
            over: None,
        }
    }

    /// Reads the next bytes of the body.
    pub fn read(&mut self, slice: &[u8]) {
        let slice = match self.mark {
            Some(len) => self.after_mark(slice, len),
            None => slice,
        };
        match &mut self.over {
            Some(Over::NotJson) => {}
            Some(Over::Refused(utf8)) => {
                if utf8.check(slice).is_err() {
                    self.over = Some(Over::NotJson);
                }
            }
            None => {
                let mut utf8 = self.scanner.utf8();
                self.over = match self.scanner.read(slice, &mut self.body) {
                    Ok(_) => None,
                    Err(Fault::Stopped) if utf8.check(slice).is_ok() => Some(Over::Refused(utf8)),
                    Err(_) => Some(Over::NotJson),
                };
            }
        }
    }

    /// What follows a byte order mark, of which `len` bytes have come.
    fn after_mark<'a>(&mut self, slice: &'a [u8], len: usize) -> &'a [u8] {
        let expected = BYTE_ORDER_MARK.get(len..).unwrap_or_default();
        let same = expected.iter().zip(slice).take_while(|(a, b)| a == b).count();
        let len = len + same;
        let rest = slice.get(same..).unwrap_or_default();
        if len == BYTE_ORDER_MARK.len() || !rest.is_empty() {
            self.mark = None;
            // Positions are those in the whole body.
            self.scanner.begin_at(len);
            if (1..BYTE_ORDER_MARK.len()).contains(&len) {
                self.over = Some(Over::NotJson);
            }
        } else {
            self.mark = Some(len);
        }
        rest
    }

    /// What the body says, which has ended.
    ///
    /// # Errors
    /// Whatever is no JSON object in UTF-8, is nested too deeply, or has, of the keys on which something
    /// is decided, one twice, in another case, or with a value that it cannot have.
    pub fn finish(mut self) -> Result<LlmRequest, RequestError> {
        if self.over.is_none() {
            match self.scanner.finish(&mut self.body) {
                Ok(()) => return Ok(self.body.finish()),
                Err(Fault::Syntax) => return Err(RequestError::NotJson),
                Err(Fault::Stopped) => {}
            }
        }
        match (self.over, self.body.refusal) {
            (Some(Over::Refused(utf8)), Some(refusal)) if utf8.end().is_ok() => Err(refusal),
            (None, Some(refusal)) => Err(refusal),
            _ => Err(RequestError::NotJson),
        }
    }
}

//! Answers, from a server that may send anything.

use std::io::Read;

use super::Value;
use crate::failure::{Failure, ServerError};

/// How deep lists may be in lists.
const MAX_DEPTH: usize = 8;
/// The longest line that isn't counted by bytes: an error, a number.
const MAX_LINE: usize = 1024;
/// What is read at once.
const CHUNK: usize = 16 * 1024;
/// What a list reserves before it has its elements.
const RESERVED: usize = 256;

const TOO_LARGE: Failure = Failure::Garbled("more than it could have been asked for");
const NO_RESP: Failure = Failure::Garbled("with what isn't the protocol of Redis");

/// How much an answer may have.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes, of all that is received for it.
    pub(crate) bytes: usize,
    /// Values, those in lists counted as well.
    pub(crate) values: usize,
}

impl Bounds {
    /// Of a short answer.
    pub(crate) const SHORT: Self = Self { bytes: 64 * 1024, values: 1024 };

    fn take_bytes(&mut self, count: usize) -> Result<(), Failure> {
        self.bytes = self.bytes.checked_sub(count).ok_or(TOO_LARGE)?;
        Ok(())
    }

    fn take_value(&mut self) -> Result<(), Failure> {
        self.values = self.values.checked_sub(1).ok_or(TOO_LARGE)?;
        Ok(())
    }
}

/// What was received, and not yet read.
#[derive(Default)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    at: usize,
}

impl Reader {
    /// Reads one answer. What a server pushes in between, and what it tells about answers, is skipped.
    ///
    /// # Errors
    /// The connection is of no use any more after any: nobody knows where the next answer begins.
    pub(crate) fn value(
        &mut self,
        stream: &mut impl Read,
        bounds: &mut Bounds,
    ) -> Result<Value, Failure> {
        let value = self.at_depth(stream, bounds, 0);
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        value
    }

    /// Whether there is something that nobody has asked for.
    pub(crate) fn has_rest(&self) -> bool {
        self.at != self.buffer.len()
    }

    fn at_depth(
        &mut self,
        stream: &mut impl Read,
        bounds: &mut Bounds,
        depth: usize,
    ) -> Result<Value, Failure> {
        if depth > MAX_DEPTH {
            return Err(TOO_LARGE);
        }
        loop {
            bounds.take_value()?;
            let line = self.line(stream, bounds)?;
            let Some((kind, rest)) = line.split_first() else { return Err(NO_RESP) };
            return Ok(match kind {
                b'+' | b',' | b'(' => Value::Bytes(rest.to_vec()),
                b'-' => Value::Error(ServerError::read(rest)),
                b':' => Value::Int(number(rest)?),
                b'_' => Value::Nil,
                b'#' if rest == b"t" => Value::Int(1),
                b'#' if rest == b"f" => Value::Int(0),
                b'$' | b'*' if rest == b"-1" => Value::Nil,
                b'$' => Value::Bytes(self.bulk(stream, length(rest)?, bounds)?),
                // "txt:" stands before the text.
                b'=' => {
                    Value::Bytes(self.bulk(stream, length(rest)?, bounds)?.split_off_or_empty(4))
                }
                b'!' => {
                    Value::Error(ServerError::read(&self.bulk(stream, length(rest)?, bounds)?))
                }
                b'*' | b'~' => Value::List(self.list(stream, length(rest)?, bounds, depth)?),
                b'%' => {
                    let count = length(rest)?.checked_mul(2).ok_or(TOO_LARGE)?;
                    Value::List(self.list(stream, count, bounds, depth)?)
                }
                b'>' => {
                    self.list(stream, length(rest)?, bounds, depth)?;
                    continue;
                }
                b'|' => {
                    let count = length(rest)?.checked_mul(2).ok_or(TOO_LARGE)?;
                    self.list(stream, count, bounds, depth)?;
                    continue;
                }
                _ => return Err(NO_RESP),
            });
        }
    }

    fn list(
        &mut self,
        stream: &mut impl Read,
        count: usize,
        bounds: &mut Bounds,
        depth: usize,
    ) -> Result<Vec<Value>, Failure> {
        if count > bounds.values {
            return Err(TOO_LARGE);
        }
        let mut list = Vec::with_capacity(count.min(RESERVED));
        for _ in 0..count {
            list.push(self.at_depth(stream, bounds, depth + 1)?);
        }
        Ok(list)
    }

    /// A line, without its end.
    fn line(&mut self, stream: &mut impl Read, bounds: &mut Bounds) -> Result<Vec<u8>, Failure> {
        let mut searched = 0;
        loop {
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let found = rest.get(searched..).unwrap_or_default().iter().position(|b| *b == b'\n');
            if let Some(end) = found.map(|at| at + searched) {
                let line =
                    rest.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(NO_RESP)?;
                if line.len() > MAX_LINE {
                    return Err(NO_RESP);
                }
                let line = line.to_vec();
                bounds.take_bytes(end + 1)?;
                self.at += end + 1;
                return Ok(line);
            }
            searched = rest.len();
            if searched > MAX_LINE {
                return Err(NO_RESP);
            }
            self.fill(stream)?;
        }
    }

    /// So many bytes, and the end of the line after them.
    fn bulk(
        &mut self,
        stream: &mut impl Read,
        length: usize,
        bounds: &mut Bounds,
    ) -> Result<Vec<u8>, Failure> {
        let whole = length.checked_add(2).ok_or(TOO_LARGE)?;
        // Before anything is received: a length alone costs no memory.
        bounds.take_bytes(whole)?;
        let mut bulk = Vec::with_capacity(whole.min(CHUNK));
        loop {
            let missing = whole - bulk.len();
            let rest = self.buffer.get(self.at..).unwrap_or_default();
            let taken = rest.get(..missing.min(rest.len())).unwrap_or_default();
            bulk.extend_from_slice(taken);
            self.at += taken.len();
            if bulk.len() == whole {
                break;
            }
            self.fill(stream)?;
        }
        if !bulk.ends_with(b"\r\n") {
            return Err(NO_RESP);
        }
        bulk.truncate(length);
        Ok(bulk)
    }

    /// Receives some more.
    fn fill(&mut self, stream: &mut impl Read) -> Result<(), Failure> {
        if self.at != 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK, 0);
        let received = loop {
            let space = self.buffer.get_mut(before..).unwrap_or_default();
            match stream.read(space) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                received => break received,
            }
        };
        self.buffer.truncate(before + *received.as_ref().unwrap_or(&0));
        match received? {
            0 => Err(Failure::Unreachable(std::io::ErrorKind::UnexpectedEof)),
            _ => Ok(()),
        }
    }
}

trait SplitOff {
    fn split_off_or_empty(self, at: usize) -> Self;
}

impl SplitOff for Vec<u8> {
    fn split_off_or_empty(mut self, at: usize) -> Self {
        if at > self.len() {
            return Self::new();
        }
        self.split_off(at)
    }
}

fn number(digits: &[u8]) -> Result<i64, Failure> {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(NO_RESP)
}

/// How many follow. A negative one is no RESP, nor is one that no memory has.
fn length(digits: &[u8]) -> Result<usize, Failure> {
    usize::try_from(number(digits)?).map_err(|_| NO_RESP)
}

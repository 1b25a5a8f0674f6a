//! Strings and keys.

use super::escapes::Escape;
use super::find::{self, simple, Run};
use super::scanner::{behind_blank, Scanner, State};
use super::text::JsonString;
use super::{Container, Fault, Reader};

/// What is before the closing quote, and what is after it, if the string is whole and has no escapes.
pub(crate) fn plain_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match split_at_special(bytes)? {
        (string, b'"', rest) => Some((string, rest)),
        _ => None,
    }
}

/// How many bytes a string takes from behind its opening quote up to the closing one, if that is in sight,
/// and how long its text is. `None` also where there are control characters, or escapes of another kind than
/// `\n`.
#[inline]
pub(crate) fn short_text(bytes: &[u8]) -> Option<(usize, u64)> {
    let Run { len, end, .. } = find::run(bytes, true);
    match end {
        Some(b'"') => Some((len, u64::try_from(len).ok()?)),
        Some(b'\\') => text_with_escapes(bytes, len),
        _ => None,
    }
}

fn text_with_escapes(bytes: &[u8], len: usize) -> Option<(usize, u64)> {
    let (mut at, mut escapes) = (len, 0);
    loop {
        simple(*bytes.get(at + 1)?)?;
        escapes += 1;
        at += 2;
        let run = find::run(bytes.get(at..)?, true);
        at += run.len;
        match run.end {
            Some(b'"') => return Some((at, u64::try_from(at - escapes).ok()?)),
            Some(b'\\') => {}
            _ => return None,
        }
    }
}

/// The bytes before the first `"` or `\`, that byte, and the bytes after it.
pub(crate) fn split_at_special(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let Run { len, end, .. } = find::run(bytes, false);
    let (run, rest) = bytes.split_at_checked(len)?;
    Some((run, end?, rest.get(1..)?))
}

/// What a part of a text is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Key,
    String,
}

impl<P: Copy, const DEPTH: usize> Scanner<P, DEPTH> {
    /// Reads a string behind its opening quote.
    #[inline]
    pub(super) fn begin_string<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let rest = bytes.get(at..).unwrap_or_default();
        let run = find::run(rest, R::STRICT);
        if run.end == Some(b'"') {
            let string = rest.get(..run.len).unwrap_or(rest);
            if R::STRICT && !run.is_ascii {
                self.check(string, run)?;
            }
            if let Some(place) = self.value {
                reader.string(place, JsonString::plain(string))?;
            }
            self.end_value();
            return Ok(at + run.len + 1);
        }
        self.text.clear();
        if !R::STRICT && self.value.is_none() {
            self.state = State::SkippingString;
            return Ok(at);
        }
        self.state = State::InString;
        self.read_string_on(bytes, at, run, reader)
    }

    pub(super) fn read_string<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let run = find::run(bytes.get(at..).unwrap_or_default(), R::STRICT);
        self.read_string_on(bytes, at, run, reader)
    }

    fn read_string_on<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        run: Run,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let (mut at, mut run) = (at, run);
        // Most often escapes are simple, and stand alone.
        if let Some(place) = self.value.filter(|place| R::STRICT && !reader.wants_head(*place)) {
            while run.is_ascii && self.escape == Escape::None && !self.utf8.has_begun() {
                let part = bytes.get(at..at + run.len).unwrap_or_default();
                match run.end {
                    Some(b'"') => {
                        reader.text(place, part);
                        self.end_string(reader)?;
                        return Ok(at + run.len + 1);
                    }
                    Some(b'\\') => {}
                    _ => break,
                }
                let Some(character) = Self::single_escape(bytes, at + run.len + 1) else { break };
                reader.text_and(place, part, character);
                at += run.len + 2;
                let room = reader.passes(place);
                if room > 0 {
                    let passed = find::pass(bytes.get(at..).unwrap_or_default(), room);
                    reader.pass(place, passed.text);
                    at += passed.len;
                }
                run = find::run(bytes.get(at..).unwrap_or_default(), R::STRICT);
            }
        }
        let (at, has_ended) = self.read_text(Of::String, bytes, at, run, reader)?;
        if has_ended {
            self.end_string(reader)?;
        }
        Ok(at)
    }

    pub(super) fn end_string<R: Reader<Place = P>>(&mut self, reader: &mut R) -> Result<(), Fault> {
        if let Some(place) = self.value {
            reader.string(place, self.text.string())?;
        }
        self.end_value();
        Ok(())
    }

    /// Reads a key behind its opening quote, and what is behind it up to its value.
    #[inline]
    pub(super) fn begin_key<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let rest = bytes.get(at..).unwrap_or_default();
        let run = find::run(rest, R::STRICT);
        if run.end == Some(b'"') && (!R::STRICT || run.is_ascii) {
            let key = JsonString::plain(rest.get(..run.len).unwrap_or(rest));
            self.end_key(key, reader)?;
            let at = at + run.len + 1;
            return match bytes.get(at) {
                Some(b':') => {
                    self.state = State::Value;
                    Ok(behind_blank(bytes, at + 1))
                }
                _ => Ok(at),
            };
        }
        self.text.clear();
        self.state = State::InKey;
        self.read_key_on(bytes, at, run, reader)
    }

    pub(super) fn read_key<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let run = find::run(bytes.get(at..).unwrap_or_default(), R::STRICT);
        self.read_key_on(bytes, at, run, reader)
    }

    fn read_key_on<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        run: Run,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let (at, has_ended) = self.read_text(Of::Key, bytes, at, run, reader)?;
        if has_ended {
            let text = self.text.clone();
            self.end_key(text.string(), reader)?;
        }
        Ok(at)
    }

    #[inline]
    fn end_key<R: Reader<Place = P>>(
        &mut self,
        key: JsonString<'_>,
        reader: &mut R,
    ) -> Result<(), Fault> {
        self.value = match self.container() {
            // Where it isn't strict, a long key is of no interest, whatever it is.
            Some((object, Container::Object)) if R::STRICT || key.short().is_some() => {
                reader.member(object, key)?
            }
            _ => None,
        };
        self.state = State::Colon;
        Ok(())
    }

    /// Reads on in a text of which `run` comes next, and tells where it stopped, and whether the text ended
    /// there.
    fn read_text<R: Reader<Place = P>>(
        &mut self,
        of: Of,
        bytes: &[u8],
        at: usize,
        run: Run,
        reader: &mut R,
    ) -> Result<(usize, bool), Fault> {
        let (mut at, mut run) = (at, run);
        loop {
            if self.escape == Escape::None {
                if run.len > 0 {
                    let part = bytes.get(at..at + run.len).unwrap_or_default();
                    if R::STRICT && (!run.is_ascii || self.utf8.has_begun()) {
                        self.check(part, run)?;
                        self.tell_checked(of, part, reader);
                    } else {
                        self.tell(of, part, reader);
                    }
                    at += run.len;
                }
                match run.end {
                    None => return Ok((at, false)),
                    Some(b'"') => {
                        self.utf8.end().map_err(|_| Fault::Syntax)?;
                        return Ok((at + 1, true));
                    }
                    Some(b'\\') => {
                        self.utf8.end().map_err(|_| Fault::Syntax)?;
                        at += 1;
                        // Most often it stands alone.
                        if let Some(character) = Self::single_escape(bytes, at) {
                            self.tell(of, &[character], reader);
                            at += 1;
                            run = find::run(bytes.get(at..).unwrap_or_default(), R::STRICT);
                            continue;
                        }
                        self.escape = Escape::Begun;
                    }
                    Some(_) => return Err(Fault::Syntax),
                }
            }
            at = self.read_escapes(of, bytes, at, reader)?;
            if self.escape != Escape::None {
                return Ok((at, false));
            }
            run = find::run(bytes.get(at..).unwrap_or_default(), R::STRICT);
        }
    }

    fn check(&mut self, part: &[u8], run: Run) -> Result<(), Fault> {
        self.utf8.check(part).map_err(|_| Fault::Syntax)?;
        match run.end {
            Some(_) => self.utf8.end().map_err(|_| Fault::Syntax),
            None => Ok(()),
        }
    }

    #[inline]
    fn tell<R: Reader<Place = P>>(&mut self, of: Of, part: &[u8], reader: &mut R) {
        self.text.push(part);
        self.tell_reader(of, part, reader);
    }

    /// As [`Self::tell`], of what may have halves of surrogate pairs.
    fn tell_checked<R: Reader<Place = P>>(&mut self, of: Of, part: &[u8], reader: &mut R) {
        match of {
            // Only a key is compared with names; and a short string, whose halves make no difference.
            Of::Key => self.text.push_whole(part),
            Of::String => self.text.push(part),
        }
        self.tell_reader(of, part, reader);
    }

    #[inline]
    pub(super) fn tell_reader<R: Reader<Place = P>>(
        &mut self,
        of: Of,
        part: &[u8],
        reader: &mut R,
    ) {
        match of {
            Of::Key => {
                if let Some((object, _)) = self.container() {
                    reader.key_text(object, part);
                }
            }
            Of::String => {
                if let Some(place) = self.value {
                    reader.text(place, part);
                }
            }
        }
    }

    pub(super) fn skip_string(&mut self, bytes: &[u8], at: usize) -> usize {
        if self.escape != Escape::None {
            // The digits of `\u` need no attention here: they are no quotes.
            self.escape = Escape::None;
            return at + 1;
        }
        let Run { len, end, .. } = find::run(bytes.get(at..).unwrap_or_default(), false);
        match end {
            None => return bytes.len(),
            Some(b'\\') => self.escape = Escape::Begun,
            Some(_) if self.skipped > 0 => self.state = State::Skipping,
            Some(_) => self.end_value(),
        }
        at + len + 1
    }
}

//! The states of a document that comes in slices.

use super::escapes::Escape;
use super::find::{blanks, is_blank};
use super::number::Number;
use super::text::Text;
use super::utf8::Utf8;
use super::{find, Container, Fault, Reader};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A value must come.
    Value,
    /// In an array that has just begun: a value must come, or the array's end.
    FirstValue,
    /// A key must come.
    Key,
    /// In an object that has just begun: a key must come, or the object's end.
    FirstKey,
    InKey,
    Colon,
    InString,
    InNumber,
    /// In a literal, of which so many bytes have come.
    InLiteral(Literal, u8),
    /// In a scalar of a document that is only read along.
    InScalar,
    /// A value has ended: a comma must come, or the container's end.
    AfterValue,
    /// In a container without a place.
    Skipping,
    /// In a string without a place, in a container of either kind.
    SkippingString,
    /// The document has ended.
    Done,
    /// It is not read on.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    True,
    False,
    Null,
}

/// The scanner of one document after the other, with places for containers of interest so deep in each
/// other; a deeper one is skipped.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<P, const DEPTH: usize> {
    pub(super) state: State,
    pub(super) escape: Escape,
    root: P,
    /// The open containers, of which the first `depth` count.
    places: [P; DEPTH],
    /// Which of them are objects, a bit each, the innermost one lowest.
    objects: u128,
    pub(super) depth: usize,
    /// How many containers deep a skipped value is.
    pub(super) skipped: u64,
    /// The place of the value that comes or is being read.
    pub(super) value: Option<P>,
    /// Where in the document that begins.
    pub(super) value_at: usize,
    /// Where in the document the slice at hand begins.
    pub(super) base: usize,
    /// The key, string or scalar that is being read.
    pub(super) text: Text,
    pub(super) number: Number,
    pub(super) utf8: Utf8,
    /// Whether it may pay to look for many numbers at once.
    pub(super) may_count: bool,
}

impl<P: Copy, const DEPTH: usize> Scanner<P, DEPTH> {
    /// A scanner of documents whose outermost value stands at `root`.
    pub(crate) fn new(root: P) -> Self {
        const { assert!(DEPTH <= 128) };
        Self {
            state: State::Value,
            escape: Escape::None,
            root,
            places: [root; DEPTH],
            objects: 0,
            depth: 0,
            skipped: 0,
            value: Some(root),
            value_at: 0,
            base: 0,
            text: Text::EMPTY,
            number: Number::NEW,
            utf8: Utf8::default(),
            may_count: true,
        }
    }

    /// Begins another document.
    pub(crate) fn restart(&mut self) {
        self.state = State::Value;
        self.escape = Escape::None;
        self.depth = 0;
        self.skipped = 0;
        self.value = Some(self.root);
        self.base = 0;
    }

    /// Whether the document is whole.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the document turned out to be none.
    pub(crate) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Whether nothing but blanks came of the document.
    pub(crate) fn is_new(&self) -> bool {
        self.state == State::Value && self.depth == 0
    }

    /// What comes next is so many bytes behind the start of the document.
    pub(crate) fn begin_at(&mut self, base: usize) {
        self.base = base;
    }

    /// What came of a character that isn't whole.
    pub(crate) fn utf8(&self) -> Utf8 {
        self.utf8
    }

    /// Reads a slice, and tells how many bytes of it belong to the document. After a fault it is not read
    /// on.
    pub(crate) fn read<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let read = self.read_slice(bytes, reader);
        self.base = self.base.wrapping_add(bytes.len());
        if read.is_err() {
            self.state = State::Broken;
        }
        read
    }

    fn read_slice<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let mut at = 0;
        // Each step takes a byte at least, but for the end of a scalar, which is in what follows it.
        while let Some(&byte) = bytes.get(at) {
            at = match self.state {
                State::Value | State::FirstValue => match byte {
                    b'"' => self.begin_string(bytes, at + 1, reader)?,
                    b'{' => self.begin_container(Container::Object, at, reader)?,
                    b'[' => self.begin_container(Container::Array, at, reader)?,
                    b']' if self.state == State::FirstValue => {
                        self.end_container(byte, at, reader)?
                    }
                    _ if is_blank(byte) => skip_blanks(bytes, at),
                    _ => self.begin_scalar(bytes, at, reader)?,
                },
                State::Key | State::FirstKey => match byte {
                    b'"' => self.begin_key(bytes, at + 1, reader)?,
                    b'}' if self.state == State::FirstKey => {
                        self.end_container(byte, at, reader)?
                    }
                    _ if is_blank(byte) => skip_blanks(bytes, at),
                    _ => return Err(Fault::Syntax),
                },
                State::Colon => match byte {
                    b':' => {
                        self.state = State::Value;
                        at + 1
                    }
                    _ if is_blank(byte) => skip_blanks(bytes, at),
                    _ => return Err(Fault::Syntax),
                },
                State::AfterValue => match byte {
                    b',' => self.next_in_container(bytes, at, reader)?,
                    b']' | b'}' => self.end_container(byte, at, reader)?,
                    _ if is_blank(byte) => skip_blanks(bytes, at),
                    _ => return Err(Fault::Syntax),
                },
                State::InKey => self.read_key(bytes, at, reader)?,
                State::InString => self.read_string(bytes, at, reader)?,
                State::InNumber => self.read_number(bytes, at, reader)?,
                State::InLiteral(literal, len) => {
                    self.read_literal(literal, len, byte, at, reader)?
                }
                State::InScalar => self.read_scalar(bytes, at, reader)?,
                State::Skipping => self.skip(bytes, at),
                State::SkippingString => self.skip_string(bytes, at),
                State::Done if R::STRICT && is_blank(byte) => skip_blanks(bytes, at),
                State::Done if R::STRICT => return Err(Fault::Syntax),
                State::Done => return Ok(at),
                State::Broken => return Err(Fault::Syntax),
            };
        }
        Ok(bytes.len())
    }

    /// The document has ended here. A number may have ended with it.
    pub(crate) fn finish<R: Reader<Place = P>>(&mut self, reader: &mut R) -> Result<(), Fault> {
        if self.state == State::InNumber && self.number.is_whole() {
            self.end_number(reader)?;
        }
        match self.state {
            State::Done => Ok(()),
            _ => Err(Fault::Syntax),
        }
    }

    /// The document broke off: what came of a string counts. A number could have had more digits.
    pub(crate) fn cut<R: Reader<Place = P>>(&mut self, reader: &mut R) {
        if self.state == State::InString {
            self.cut_pair();
            // There is nothing that it could be stopped from.
            let _ = self.end_string(reader);
        }
    }

    pub(super) fn container(&self) -> Option<(P, Container)> {
        let place = *self.places.get(self.depth.checked_sub(1)?)?;
        let is_object = self.objects & 1 != 0;
        Some((place, if is_object { Container::Object } else { Container::Array }))
    }

    #[inline]
    fn begin_container<R: Reader<Place = P>>(
        &mut self,
        container: Container,
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        let is_too_deep = self.depth >= DEPTH;
        let Some(place) = self.value.filter(|_| R::STRICT || !is_too_deep) else {
            self.skipped = 1;
            self.state = State::Skipping;
            return if R::STRICT { Err(Fault::Syntax) } else { Ok(at + 1) };
        };
        let place = reader.begin(place, container, self.base + at)?;
        // A strict reader has refused it.
        *self.places.get_mut(self.depth).ok_or(Fault::Syntax)? = place;
        self.depth += 1;
        self.objects = self.objects << 1 | u128::from(container == Container::Object);
        match container {
            Container::Object => self.state = State::FirstKey,
            Container::Array => {
                self.value = reader.element(place);
                self.state = State::FirstValue;
                self.may_count = true;
            }
        }
        Ok(at + 1)
    }

    #[inline]
    fn next_in_container<R: Reader<Place = P>>(
        &mut self,
        bytes: &[u8],
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        match self.container() {
            Some((_, Container::Object)) => self.state = State::Key,
            Some((place, Container::Array)) => {
                self.value = reader.element(place);
                self.state = State::Value;
            }
            None => return Err(Fault::Syntax),
        }
        Ok(behind_blank(bytes, at + 1))
    }

    #[inline]
    fn end_container<R: Reader<Place = P>>(
        &mut self,
        byte: u8,
        at: usize,
        reader: &mut R,
    ) -> Result<usize, Fault> {
        match (self.container(), byte) {
            (Some((place, Container::Object)), b'}') | (Some((place, Container::Array)), b']') => {
                self.depth -= 1;
                self.objects >>= 1;
                reader.end(place)?;
                self.end_value();
                Ok(at + 1)
            }
            _ => Err(Fault::Syntax),
        }
    }

    #[inline]
    pub(super) fn end_value(&mut self) {
        self.state = if self.depth == 0 { State::Done } else { State::AfterValue };
    }

    fn skip(&mut self, bytes: &[u8], at: usize) -> usize {
        let mut rest = bytes.get(at..).unwrap_or_default();
        while let Some(found) = find::quote_or_bracket(rest) {
            let Some((byte, after)) = rest.get(found..).and_then(<[u8]>::split_first) else {
                break;
            };
            rest = after;
            match byte {
                b'"' => match super::plain_string(rest) {
                    Some((_, after)) => rest = after,
                    None => {
                        self.state = State::SkippingString;
                        return bytes.len() - rest.len();
                    }
                },
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                _ => {
                    self.skipped = self.skipped.saturating_sub(1);
                    if self.skipped == 0 {
                        self.end_value();
                        return bytes.len() - rest.len();
                    }
                }
            }
        }
        bytes.len()
    }
}

/// `at`, or behind the blank that is there: most writers put one behind each comma and colon.
#[inline]
pub(super) fn behind_blank(bytes: &[u8], at: usize) -> usize {
    at + usize::from(bytes.get(at) == Some(&b' '))
}

#[inline]
fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + blanks(bytes.get(at..).unwrap_or_default())
}

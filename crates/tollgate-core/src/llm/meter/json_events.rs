//! JSON as it comes: an incremental scanner, which tells a [`Reader`] the few values that it cares
//! about, and runs over everything else.
//!
//! A document may come in any number of pieces, cut anywhere. The scanner's memory is fixed: the
//! places of at most [`MAX_DEPTH`] open containers, a counter for those that are skipped, and the
//! first [`HEAD_LEN`] bytes of the key, string or number at hand.
//!
//! It is made for reading along, not for checking: what it skips is only followed so far that
//! strings and brackets are told apart. `NaN` and `Infinity`, which Python writes, are values. Where the
//! grammar is broken at a place of interest, the rest of the document is ignored.

use super::find::find_quote_or_bracket;
use super::json_text::{plain_string, split_after_scalar, split_at_special, Text, HEAD_LEN};
pub(super) use super::json_text::{JsonString, Scalar};

/// How many containers of interest may lie in each other; a deeper one is skipped.
const MAX_DEPTH: usize = 8;

/// Who wants to know. A `Place` says where in the document a value stands; what has no place, is
/// skipped with all that is in it.
pub(super) trait Reader {
    /// Where a value stands.
    type Place: Copy;

    /// The place of the member `key` of the object at `object`. Escapes in the key are resolved.
    fn member(&self, object: Self::Place, key: &[u8]) -> Option<Self::Place>;

    /// The place of the elements of the array at `array`.
    fn element(&self, array: Self::Place) -> Option<Self::Place>;

    /// An object or an array begins at `place`.
    fn container(&mut self, place: Self::Place, container: Container);

    /// The object or array at `place` ends.
    fn end_container(&mut self, place: Self::Place);

    /// A string stands at `place`.
    fn string(&mut self, place: Self::Place, string: JsonString<'_>);

    /// Anything else stands at `place`.
    fn scalar(&mut self, place: Self::Place, scalar: Scalar);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    Object,
    Array,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
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
    InScalar,
    /// A value has ended: a comma must come, or the container's end.
    AfterValue,
    /// In a container without a place.
    Skipping,
    /// In a string without a place, in a container of either kind.
    SkippingString,
    /// The document has ended.
    Done,
    /// It is no JSON: nothing more is read.
    Broken,
}

/// How far an escape sequence has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// After the backslash.
    Begun,
    /// After `\u` and `digits` hexadecimal digits, which make up `unit`.
    Unicode {
        digits: u8,
        unit: u32,
    },
}

/// The scanner of one document after the other.
#[derive(Clone, Debug)]
pub(super) struct Scanner<P> {
    state: State,
    escape: Escape,
    root: P,
    /// The open containers, of which the first `depth` count.
    stack: [(P, Container); MAX_DEPTH],
    depth: usize,
    /// How many containers deep a skipped value is.
    skipped: u64,
    /// The place of the value that comes or is being read.
    value: Option<P>,
    /// The key, string or scalar that is being read.
    text: Text,
}

impl<P: Copy> Scanner<P> {
    /// A scanner of documents whose outermost value stands at `root`.
    pub(super) fn new(root: P) -> Self {
        Self {
            state: State::Value,
            escape: Escape::None,
            root,
            stack: [(root, Container::Object); MAX_DEPTH],
            depth: 0,
            skipped: 0,
            value: Some(root),
            text: Text::EMPTY,
        }
    }

    /// Begins another document.
    pub(super) fn restart(&mut self) {
        self.state = State::Value;
        self.escape = Escape::None;
        self.depth = 0;
        self.skipped = 0;
        self.value = Some(self.root);
    }

    /// Whether the document is whole.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the document turned out to be none.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Whether nothing but blanks came of the document.
    pub(super) fn is_new(&self) -> bool {
        self.state == State::Value && self.depth == 0
    }

    /// Reads on.
    pub(super) fn read(&mut self, bytes: &[u8], reader: &mut impl Reader<Place = P>) {
        self.read_until(bytes, reader, |_| false);
    }

    /// Reads on, and returns what follows the document.
    pub(super) fn read_document<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        self.read_until(bytes, reader, |_| false)
    }

    /// Reads on to the first value at a place where `is_end`, and returns what is left.
    pub(super) fn read_until<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
        is_end: impl Fn(P) -> bool,
    ) -> &'a [u8] {
        let mut rest = bytes;
        // Each step takes a byte at least, but for the end of a scalar, which is in what follows it.
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.state {
                State::InKey => self.read_key(rest, reader),
                State::InString => self.read_string(rest, reader),
                State::InScalar => self.read_scalar(rest, reader),
                State::Skipping => self.skip(rest),
                State::SkippingString => self.skip_string(rest),
                State::Done => return rest,
                State::Broken => return &[],
                _ if is_blank(byte) => after,
                State::Value | State::FirstValue if self.value.is_some_and(&is_end) => return rest,
                State::Value | State::FirstValue => self.begin_value(rest, reader),
                State::Key | State::FirstKey => self.begin_member(byte, after, reader, &is_end),
                State::Colon => self.read_colon(byte, after),
                State::AfterValue => self.read_after_value(byte, after, reader),
            };
        }
        rest
    }

    /// Reads the string that `bytes` begin with, if it is the value that must come, whole and without
    /// escapes, and returns what is left.
    pub(super) fn read_plain_string<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> Option<&'a [u8]> {
        let (State::Value | State::FirstValue, [b'"', string @ ..]) = (self.state, bytes) else {
            return None;
        };
        let rest = self.whole_string(string, reader)?;
        self.end_value();
        Some(rest)
    }

    /// The document broke off: what came of a string counts. A number could have had more digits.
    pub(super) fn cut(&mut self, reader: &mut impl Reader<Place = P>) {
        if self.state == State::InString {
            self.end_string(reader);
        }
    }

    fn container(&self) -> Option<(P, Container)> {
        self.stack.get(self.depth.checked_sub(1)?).copied()
    }

    fn begin_container(&mut self, container: Container, reader: &mut impl Reader<Place = P>) {
        let (Some(place), Some(top)) = (self.value, self.stack.get_mut(self.depth)) else {
            self.skipped = 1;
            self.state = State::Skipping;
            return;
        };
        *top = (place, container);
        self.depth += 1;
        reader.container(place, container);
        match container {
            Container::Object => self.state = State::FirstKey,
            Container::Array => {
                self.value = reader.element(place);
                self.state = State::FirstValue;
            }
        }
    }

    fn next_in_container(&mut self, reader: &impl Reader<Place = P>) {
        match self.container() {
            Some((_, Container::Object)) => self.state = State::Key,
            Some((place, Container::Array)) => {
                self.value = reader.element(place);
                self.state = State::Value;
            }
            None => self.state = State::Broken,
        }
    }

    fn end_container(&mut self, byte: u8, reader: &mut impl Reader<Place = P>) {
        match (self.container(), byte) {
            (Some((place, Container::Object)), b'}') | (Some((place, Container::Array)), b']') => {
                reader.end_container(place);
                self.depth = self.depth.saturating_sub(1);
                self.end_value();
            }
            _ => self.state = State::Broken,
        }
    }

    fn end_value(&mut self) {
        self.state = if self.depth == 0 { State::Done } else { State::AfterValue };
    }

    fn begin_value<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        let Some((&byte, rest)) = bytes.split_first() else { return bytes };
        match byte {
            b'"' => return self.begin_string(rest, reader),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I' => {
                return self.begin_scalar(bytes, reader);
            }
            b'{' => self.begin_container(Container::Object, reader),
            b'[' => self.begin_container(Container::Array, reader),
            b']' | b'}' if self.state == State::FirstValue => self.end_container(byte, reader),
            _ => self.state = State::Broken,
        }
        rest
    }

    fn read_after_value<'a>(
        &mut self,
        byte: u8,
        rest: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        match byte {
            b',' => self.next_in_container(reader),
            b']' | b'}' => self.end_container(byte, reader),
            _ => self.state = State::Broken,
        }
        rest
    }

    /// Reads a key, or the end of an object that has just begun.
    fn begin_member<'a>(
        &mut self,
        byte: u8,
        rest: &'a [u8],
        reader: &mut impl Reader<Place = P>,
        is_end: &impl Fn(P) -> bool,
    ) -> &'a [u8] {
        match byte {
            b'"' => return self.read_members(rest, reader, is_end),
            b']' | b'}' if self.state == State::FirstKey => self.end_container(byte, reader),
            _ => self.state = State::Broken,
        }
        rest
    }

    /// Reads on after the quote of a key: as many members as are whole, without blanks between them,
    /// and strings or scalars, up to a value where `is_end`. Nearly all that engines write is so, and
    /// it is read here without going through the states.
    fn read_members<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
        is_end: &impl Fn(P) -> bool,
    ) -> &'a [u8] {
        let object = self.container();
        let mut rest = bytes;
        loop {
            let Some((key, after)) = plain_string(rest) else {
                self.text.clear();
                self.state = State::InKey;
                return rest;
            };
            self.value = match object {
                Some((object, _)) if key.len() <= HEAD_LEN => reader.member(object, key),
                _ => None,
            };
            let [b':', value @ ..] = after else {
                self.state = State::Colon;
                return after;
            };
            let after_value = match value {
                _ if self.value.is_some_and(is_end) => None,
                [b'"', string @ ..] => self.whole_string(string, reader),
                [b'-' | b'0'..=b'9' | b't' | b'f' | b'n' | b'N' | b'I', ..] => {
                    self.whole_scalar(value, reader)
                }
                _ => None,
            };
            match after_value {
                Some([b',', b'"', next @ ..]) => rest = next,
                Some(after) => {
                    self.state = State::AfterValue;
                    return after;
                }
                None => {
                    self.state = State::Value;
                    return value;
                }
            }
        }
    }

    fn read_key<'a>(&mut self, bytes: &'a [u8], reader: &impl Reader<Place = P>) -> &'a [u8] {
        let (rest, ended) = self.read_text(bytes);
        if ended {
            let text = self.text.clone();
            self.end_key(text.string(), reader);
        }
        rest
    }

    fn end_key(&mut self, key: JsonString<'_>, reader: &impl Reader<Place = P>) {
        self.value = match (self.container(), key.whole()) {
            (Some((object, _)), Some(key)) => reader.member(object, key),
            _ => None,
        };
        self.state = State::Colon;
    }

    fn read_colon<'a>(&mut self, byte: u8, rest: &'a [u8]) -> &'a [u8] {
        self.state = if byte == b':' { State::Value } else { State::Broken };
        rest
    }

    fn begin_string<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        if let Some(rest) = self.whole_string(bytes, reader) {
            self.end_value();
            return rest;
        }
        self.text.clear();
        self.state = if self.value.is_some() { State::InString } else { State::SkippingString };
        bytes
    }

    /// Tells of the string whose first quote is before `bytes`, if it is whole and has no escapes, and
    /// returns what is after it.
    fn whole_string<'a>(
        &self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> Option<&'a [u8]> {
        let (string, rest) = plain_string(bytes)?;
        if let Some(place) = self.value {
            reader.string(place, JsonString::plain(string));
        }
        Some(rest)
    }

    fn read_string<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        let (rest, ended) = self.read_text(bytes);
        if ended {
            self.end_string(reader);
        }
        rest
    }

    fn end_string(&mut self, reader: &mut impl Reader<Place = P>) {
        if let Some(place) = self.value {
            reader.string(place, self.text.string());
        }
        self.end_value();
    }

    /// Takes a run of bytes of a string into `text`, or a byte of an escape; and whether the string
    /// ended with it.
    fn read_text<'a>(&mut self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        if self.escape == Escape::None {
            let Some((run, byte, rest)) = split_at_special(bytes) else {
                self.text.push(bytes);
                return (&[], false);
            };
            self.text.push(run);
            if byte == b'\\' {
                self.escape = Escape::Begun;
            }
            return (rest, byte == b'"');
        }
        let Some((&byte, rest)) = bytes.split_first() else { return (bytes, false) };
        self.escape = match self.escape {
            Escape::Begun if byte == b'u' => Escape::Unicode { digits: 0, unit: 0 },
            Escape::Unicode { digits, unit } => match char::from(byte).to_digit(16) {
                Some(digit) if digits < 3 => {
                    Escape::Unicode { digits: digits + 1, unit: unit << 4 | digit }
                }
                Some(digit) => {
                    self.text.push_utf16(unit << 4 | digit);
                    Escape::None
                }
                None => {
                    self.state = State::Broken;
                    Escape::None
                }
            },
            Escape::Begun | Escape::None => {
                match byte {
                    b'"' | b'\\' | b'/' => self.text.push(&[byte]),
                    b'b' => self.text.push(b"\x08"),
                    b'f' => self.text.push(b"\x0c"),
                    b'n' => self.text.push(b"\n"),
                    b'r' => self.text.push(b"\r"),
                    b't' => self.text.push(b"\t"),
                    _ => self.state = State::Broken,
                }
                Escape::None
            }
        };
        (rest, false)
    }

    fn begin_scalar<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        if let Some(rest) = self.whole_scalar(bytes, reader) {
            self.end_value();
            return rest;
        }
        self.text.clear();
        self.state = State::InScalar;
        bytes
    }

    /// Tells of the scalar at the start of `bytes`, if its end is there too, and returns what is after
    /// it.
    fn whole_scalar<'a>(
        &self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> Option<&'a [u8]> {
        let (scalar, rest) = split_after_scalar(bytes)?;
        if let Some(place) = self.value {
            reader.scalar(place, Scalar::of(JsonString::plain(scalar)));
        }
        Some(rest)
    }

    fn read_scalar<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        let Some((scalar, rest)) = split_after_scalar(bytes) else {
            self.text.push(bytes);
            return &[];
        };
        self.text.push(scalar);
        if let Some(place) = self.value {
            reader.scalar(place, Scalar::of(self.text.string()));
        }
        self.end_value();
        rest
    }

    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while let Some(at) = find_quote_or_bracket(rest) {
            let Some((byte, after)) = rest.get(at..).and_then(<[u8]>::split_first) else { break };
            rest = after;
            match byte {
                b'"' => match plain_string(rest) {
                    Some((_, after)) => rest = after,
                    None => {
                        self.state = State::SkippingString;
                        return rest;
                    }
                },
                b'{' | b'[' => self.skipped = self.skipped.saturating_add(1),
                _ => {
                    self.skipped = self.skipped.saturating_sub(1);
                    if self.skipped == 0 {
                        self.end_value();
                        return rest;
                    }
                }
            }
        }
        &[]
    }

    fn skip_string<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.escape != Escape::None {
            // The digits of `\u` need no attention here: they are no quotes.
            self.escape = Escape::None;
            return bytes.get(1..).unwrap_or_default();
        }
        let Some((_, byte, rest)) = split_at_special(bytes) else { return &[] };
        if byte == b'\\' {
            self.escape = Escape::Begun;
        } else if self.skipped > 0 {
            self.state = State::Skipping;
        } else {
            self.end_value();
        }
        rest
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
#[path = "json_events_tests.rs"]
mod tests;

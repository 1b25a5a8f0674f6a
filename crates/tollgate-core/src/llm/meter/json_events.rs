//! JSON as it comes: an incremental scanner, which tells a [`Reader`] the few values that it cares
//! about, and runs over everything else.
//!
//! A document may come in any number of pieces, cut anywhere. The scanner's memory is fixed: the
//! places of at most [`MAX_DEPTH`] open containers, a counter for those that are skipped, and the
//! first [`HEAD_LEN`] bytes of the key, string or number at hand.
//!
//! It is made for reading along, not for checking: what it skips is only followed so far that
//! strings and brackets are told apart. Where the grammar is broken at a place of interest, the rest
//! of the document is ignored.

use super::count::whole_number;
use super::find::{find_quote_or_backslash, find_quote_or_bracket};

/// How many containers of interest may lie in each other; a deeper one is skipped.
const MAX_DEPTH: usize = 8;

/// How much of a string a [`Reader`] gets to see, and the longest key that it is asked about, in
/// bytes. The longest name of interest is `response.function_call_arguments.delta`.
pub(super) const HEAD_LEN: usize = 48;

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

/// A string value, with its escapes resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct JsonString<'a> {
    /// Its first bytes, at most [`HEAD_LEN`].
    pub(super) head: &'a [u8],
    /// How long it is, in bytes of UTF-8.
    pub(super) len: u64,
}

impl<'a> JsonString<'a> {
    /// A string without escapes.
    fn plain(bytes: &'a [u8]) -> Self {
        Self { head: bytes.get(..HEAD_LEN).unwrap_or(bytes), len: len_of(bytes) }
    }

    /// The whole of it, if it is short.
    pub(super) fn whole(self) -> Option<&'a [u8]> {
        (len_of(self.head) == self.len).then_some(self.head)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    True,
    False,
    /// A whole number from 0 to 2^53.
    Number(u64),
    /// Any other number, or something that is no JSON at all.
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value must come, or (in an array that has just begun) its end.
    Value {
        or_end: bool,
    },
    /// A key must come, or (in an object that has just begun) its end.
    Key {
        or_end: bool,
    },
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
            state: State::Value { or_end: false },
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
        self.state = State::Value { or_end: false };
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

    /// Reads on.
    pub(super) fn read(&mut self, bytes: &[u8], reader: &mut impl Reader<Place = P>) {
        let mut rest = bytes;
        // Each step takes a byte at least, but for the end of a scalar, which is in what follows it.
        while !rest.is_empty() {
            rest = match self.state {
                State::InKey => self.read_key(rest, reader),
                State::InString => self.read_string(rest, reader),
                State::InScalar => self.read_scalar(rest, reader),
                State::Skipping => self.skip(rest),
                State::SkippingString => self.skip_string(rest),
                State::Broken => return,
                _ => self.read_structure(rest, reader),
            };
        }
    }

    /// The document broke off: what came of a string counts. A number could have had more digits.
    pub(super) fn cut(&mut self, reader: &mut impl Reader<Place = P>) {
        if self.state == State::InString {
            self.end_string(reader);
        }
    }

    fn read_structure<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        let Some((byte, rest)) = bytes.split_first() else { return bytes };
        match (self.state, byte) {
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (State::Value { .. }, b'"') => return self.begin_string(rest, reader),
            (State::Value { .. }, b'{') => self.begin_container(Container::Object, reader),
            (State::Value { .. }, b'[') => self.begin_container(Container::Array, reader),
            (State::Value { .. }, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.state = State::InScalar;
                self.text.clear();
                return bytes;
            }
            (State::Key { .. }, b'"') => return self.begin_key(rest, reader),
            (State::Value { or_end: true } | State::Key { or_end: true }, b']' | b'}')
            | (State::AfterValue, b']' | b'}') => self.end_container(*byte, reader),
            (State::Colon, b':') => self.state = State::Value { or_end: false },
            (State::AfterValue, b',') => self.next_in_container(reader),
            // Whatever follows the document is not ours.
            (State::Done, _) => return &[],
            _ => self.state = State::Broken,
        }
        rest
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
        self.expect_in(place, container, true, reader);
    }

    fn next_in_container(&mut self, reader: &impl Reader<Place = P>) {
        match self.container() {
            Some((place, container)) => self.expect_in(place, container, false, reader),
            None => self.state = State::Broken,
        }
    }

    fn expect_in(
        &mut self,
        place: P,
        container: Container,
        or_end: bool,
        reader: &impl Reader<Place = P>,
    ) {
        match container {
            Container::Object => self.state = State::Key { or_end },
            Container::Array => {
                self.value = reader.element(place);
                self.state = State::Value { or_end };
            }
        }
    }

    /// Takes the colon after a key, if it comes at once.
    fn begin_member<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let [b':', rest @ ..] = bytes else { return bytes };
        self.state = State::Value { or_end: false };
        rest
    }

    /// Takes the comma before another member, if it comes at once.
    fn next_member<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        match (bytes, self.container()) {
            ([b',', rest @ ..], Some((_, Container::Object))) => {
                self.state = State::Key { or_end: false };
                rest
            }
            _ => bytes,
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

    fn begin_key<'a>(&mut self, bytes: &'a [u8], reader: &impl Reader<Place = P>) -> &'a [u8] {
        // Nearly every key is whole, and without escapes: no need to copy it.
        if let Some((key, rest)) = plain_string(bytes) {
            self.end_key(JsonString::plain(key), reader);
            return self.begin_member(rest);
        }
        self.text.clear();
        self.state = State::InKey;
        bytes
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

    fn begin_string<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        if let Some((string, rest)) = plain_string(bytes) {
            if let Some(place) = self.value {
                reader.string(place, JsonString::plain(string));
            }
            self.end_value();
            return self.next_member(rest);
        }
        self.text.clear();
        self.state = if self.value.is_some() { State::InString } else { State::SkippingString };
        bytes
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

    fn read_scalar<'a>(
        &mut self,
        bytes: &'a [u8],
        reader: &mut impl Reader<Place = P>,
    ) -> &'a [u8] {
        let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        let end = bytes.iter().position(|b| !is_part(b));
        let (scalar, rest) = bytes.split_at_checked(end.unwrap_or(bytes.len())).unwrap_or_default();
        if let Some(place) = self.value {
            self.text.push(scalar);
            if end.is_some() {
                reader.scalar(place, Scalar::of(self.text.string()));
            }
        }
        if end.is_some() {
            self.end_value();
            return self.next_member(rest);
        }
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

impl Scalar {
    fn of(text: JsonString<'_>) -> Self {
        match text.whole() {
            Some(b"null") => Self::Null,
            Some(b"true") => Self::True,
            Some(b"false") => Self::False,
            Some(number) => whole_number(number).map_or(Self::Other, Self::Number),
            None => Self::Other,
        }
    }
}

/// The head of a text, and its length.
#[derive(Clone, Debug)]
struct Text {
    head: [u8; HEAD_LEN],
    len: u64,
}

impl Text {
    const EMPTY: Self = Self { head: [0; HEAD_LEN], len: 0 };

    fn clear(&mut self) {
        self.len = 0;
    }

    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = usize::try_from(self.len).ok().and_then(|len| self.head.get_mut(len..))
        {
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        self.len = self.len.saturating_add(len_of(bytes));
    }

    /// A `\uXXXX`. Half of a surrogate pair is half of the four bytes that the pair has in UTF-8; the
    /// bytes themselves do not matter, as no name of interest has any of them.
    fn push_utf16(&mut self, unit: u32) {
        match char::from_u32(unit) {
            Some(c) => self.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => self.push(&[0xff; 2]),
        }
    }

    fn string(&self) -> JsonString<'_> {
        let stored = usize::try_from(self.len).ok().and_then(|len| self.head.get(..len));
        JsonString { head: stored.unwrap_or(&self.head), len: self.len }
    }
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// What is before the closing quote, and what is after it, if the string is whole and has no escapes.
fn plain_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match split_at_special(bytes)? {
        (string, b'"', rest) => Some((string, rest)),
        _ => None,
    }
}

/// The bytes before the first `"` or `\`, that byte, and the bytes after it.
fn split_at_special(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (run, rest) = bytes.split_at_checked(find_quote_or_backslash(bytes)?)?;
    let (byte, rest) = rest.split_first()?;
    Some((run, *byte, rest))
}

#[cfg(test)]
#[path = "json_events_tests.rs"]
mod tests;

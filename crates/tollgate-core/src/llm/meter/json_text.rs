//! The strings and scalars of JSON.

use super::find::find_quote_or_backslash;
use crate::json::whole_number;

/// How much of a string its reader gets to see, and the longest key that it is asked about, in
/// bytes. The longest name of interest is `response.function_call_arguments.delta`.
pub(super) const HEAD_LEN: usize = 48;

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
    pub(super) fn plain(bytes: &'a [u8]) -> Self {
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

impl Scalar {
    pub(super) fn of(text: JsonString<'_>) -> Self {
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
pub(super) struct Text {
    head: [u8; HEAD_LEN],
    len: u64,
}

impl Text {
    pub(super) const EMPTY: Self = Self { head: [0; HEAD_LEN], len: 0 };

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = usize::try_from(self.len).ok().and_then(|len| self.head.get_mut(len..))
        {
            room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        self.len = self.len.saturating_add(len_of(bytes));
    }

    /// A `\uXXXX`. Half of a surrogate pair is half of the four bytes that the pair has in UTF-8; the
    /// bytes themselves do not matter, as no name of interest has any of them.
    pub(super) fn push_utf16(&mut self, unit: u32) {
        match char::from_u32(unit) {
            Some(c) => self.push(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => self.push(&[0xff; 2]),
        }
    }

    pub(super) fn string(&self) -> JsonString<'_> {
        let stored = usize::try_from(self.len).ok().and_then(|len| self.head.get(..len));
        JsonString { head: stored.unwrap_or(&self.head), len: self.len }
    }
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The bytes of a number or a literal, and what is after it, if its end is in sight.
pub(super) fn split_after_scalar(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    bytes.split_at_checked(bytes.iter().position(|byte| !is_part(byte))?)
}

/// What is before the closing quote, and what is after it, if the string is whole and has no escapes.
pub(super) fn plain_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match split_at_special(bytes)? {
        (string, b'"', rest) => Some((string, rest)),
        _ => None,
    }
}

/// The bytes before the first `"` or `\`, that byte, and the bytes after it.
pub(super) fn split_at_special(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (run, rest) = bytes.split_at_checked(find_quote_or_backslash(bytes)?)?;
    let (byte, rest) = rest.split_first()?;
    Some((run, *byte, rest))
}

//! One reader of JSON (RFC 8259), for the bodies of requests and for answers.
//!
//! It is told a document in any number of slices, cut anywhere, and copies none of them. Its memory is
//! fixed. It tells a [`Reader`] of each value that has a place, and decodes only what it is asked for.
//!
//! * `scanner`: the states of a document; `strings`, `escapes`, `scalars`: its values;
//! * `find`: where runs end; `lanes`: sixteen bytes at once;
//! * `text`: what is kept of a string; `utf8`, `number`: what is checked; `count`: numbers of tokens.

mod count;
mod escapes;
mod find;
mod lanes;
mod number;
mod scalars;
mod scanner;
mod strings;
mod text;
mod utf8;

pub(crate) use count::whole_number;
pub(crate) use find::quote_or_bracket;
pub(crate) use lanes::Lanes;
pub(crate) use scanner::Scanner;
pub(crate) use strings::{plain_string, short_text, split_at_special};
pub(crate) use text::JsonString;
pub(crate) use utf8::Utf8;

/// Who wants to know. A `Place` says where in the document a value stands.
pub(crate) trait Reader {
    /// Where a value stands.
    type Place: Copy;

    /// Whether the document must be what RFC 8259 says, in UTF-8 (but for halves of surrogate pairs), with
    /// numbers that a double holds. Then each value must have a place.
    ///
    /// Otherwise it is made for reading along: what has no place is only followed so far that strings and
    /// brackets are told apart, and `NaN` and `Infinity`, which Python writes, are values.
    const STRICT: bool;

    /// The place of the member `key` of the object at `object`. What has none is skipped with all that is in
    /// it.
    fn member(
        &mut self,
        object: Self::Place,
        key: JsonString<'_>,
    ) -> Result<Option<Self::Place>, Stop>;

    /// The place of the elements of the array at `array`.
    fn element(&mut self, array: Self::Place) -> Option<Self::Place>;

    /// An object or an array begins at `place`, with the byte `at` of the document. Returns the place that
    /// its members or elements are asked for with.
    fn begin(
        &mut self,
        place: Self::Place,
        container: Container,
        at: usize,
    ) -> Result<Self::Place, Stop>;

    /// The object or array at `place` ends.
    fn end(&mut self, place: Self::Place) -> Result<(), Stop>;

    /// A string stands at `place`.
    fn string(&mut self, place: Self::Place, string: JsonString<'_>) -> Result<(), Stop>;

    /// Anything else stands at `place`, from the byte `at` of the document on.
    fn scalar(&mut self, place: Self::Place, scalar: Scalar, at: usize) -> Result<(), Stop>;

    /// A part of a string at `place` that is not plain, its escapes resolved: the next one.
    fn text(&mut self, _place: Self::Place, _part: &[u8]) {}

    /// The same, of a part and one character more.
    #[inline]
    fn text_and(&mut self, place: Self::Place, part: &[u8], character: u8) {
        self.text(place, part);
        self.text(place, &[character]);
    }

    /// How many bytes of the text at hand, which stands at `place`, only count.
    #[inline]
    fn passes(&self, _place: Self::Place) -> usize {
        0
    }

    /// So many of them come.
    #[inline]
    fn pass(&mut self, _place: Self::Place, _bytes: usize) {}

    /// Whether of a string at `place` that is not plain the first bytes are wanted. Otherwise they may be
    /// left out.
    #[inline]
    fn wants_head(&self, _place: Self::Place) -> bool {
        true
    }

    /// A part of a key in the object at `object` that is not plain.
    fn key_text(&mut self, _object: Self::Place, _part: &[u8]) {}

    /// Whether of whole numbers at `place` only the number matters, and how long they are.
    fn only_counts(&self, _place: Self::Place) -> bool {
        false
    }

    /// So many whole numbers stand at `place`, which have so many digits in all.
    fn numbers(&mut self, _place: Self::Place, _count: u64, _digits: u64) {}
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Container {
    Object,
    Array,
}

/// A value that is no string, array or object.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    /// A whole number, not negative, that is written so; where the reader isn't strict, however it is
    /// written, up to 2^53.
    Unsigned(u64),
    /// A whole number, negative, that is written so.
    Negative(i64),
    Float(f64),
    /// A number that is larger than any double; where the reader isn't strict, any other number, or
    /// something that is no JSON at all.
    Other,
}

/// The reader has seen enough, and says itself why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop;

/// Why a document is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is no JSON.
    Syntax,
    /// The reader has stopped it.
    Stopped,
}

impl From<Stop> for Fault {
    fn from(_: Stop) -> Self {
        Self::Stopped
    }
}

#[cfg(test)]
mod tests;

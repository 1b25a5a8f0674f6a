//! Copies of a text in which it is easier to find what is looked for: normalised, decoded.
//!
//! A copy has only those parts of the text that are written otherwise than they are read, with what stands around
//! them; between two parts is a line feed. So plain text costs no copy, and is not looked at twice.

use std::fmt;
use std::ops::Range;

mod blocks;
mod decoded;
mod fold;
mod map;
mod normalised;
mod parts;
mod spelling;
mod words;

#[cfg(test)]
mod tests;

use blocks::Blocks;
pub(crate) use fold::is_ignorable;
use map::{Copy, Map, LONGEST_TEXT};
use parts::boundary_before;

/// A copy of parts of a text, or of what is encoded in them.
pub struct View {
    /// The copy.
    pub text: String,
    /// Whether it was decoded from parts of the text, rather than normalised.
    pub is_decoded: bool,
    /// Whether it is but a guess at words: digits in it may stand for letters, and letters may have been joined. No
    /// numbers or credentials are looked for in it.
    pub is_words: bool,
    map: Map,
}

impl fmt::Debug for View {
    /// Without the text, which must not get into a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("length", &self.text.len())
            .field("is_decoded", &self.is_decoded)
            .field("is_words", &self.is_words)
            .finish_non_exhaustive()
    }
}

impl View {
    fn new(copy: Copy) -> Self {
        Self { text: copy.text, is_decoded: false, is_words: false, map: copy.map }
    }

    /// The copy is one of a part of a copy.
    fn within(mut self, outer: &Self) -> Self {
        self.map.compose(self.text.len(), &outer.map, outer.text.len());
        self.is_decoded |= outer.is_decoded;
        self.is_words |= outer.is_words;
        self
    }

    /// The part of the text that this range of the copy stands for.
    #[must_use]
    pub fn source(&self, range: Range<usize>) -> Range<usize> {
        self.map.source(range, self.text.len())
    }
}

/// How often what was decoded is decoded again.
const DEPTH: usize = 3;

/// All copies together may be so many times as long as the text; and a short text may have more.
const LONGEST_COPIES: usize = 12;

/// What the copies of a short text may take together, in bytes.
const ALWAYS: usize = 4096;

/// The copies of a text in which it differs from itself. Of plain text, none.
///
/// All of them together are at most 12 times as long as the text (or 4 KiB), and the last one that was made before; from
/// where they come takes at most 12 bytes for each of their characters. Of a text of more than 1 GiB, the first GiB is looked
/// at.
#[must_use]
pub fn views(text: &str) -> Vec<View> {
    let text = text.get(..boundary_before(text, LONGEST_TEXT.min(text.len()))).unwrap_or_default();
    let mut views: Vec<View> = normalised::normalised(text).map(View::new).into_iter().collect();
    add_readings(text, &mut views);
    let room = (text.len() * LONGEST_COPIES).max(ALWAYS);
    // What was decoded may be encoded itself. The copies of one round are those behind the ones before.
    let mut from = 0;
    for _ in 0..DEPTH {
        let to = views.len();
        for index in from..to {
            let used: usize = views.iter().map(|view| view.text.len()).sum();
            let Some(outer) = views.get(index).filter(|view| !view.is_words && used < room) else {
                continue;
            };
            let mut inner = Vec::new();
            add_readings(&outer.text, &mut inner);
            let inner: Vec<View> = inner.into_iter().map(|view| view.within(outer)).collect();
            views.extend(inner);
        }
        from = to;
    }
    views
}

/// Adds the copies of what is encoded in a text, and of what may be words.
fn add_readings(text: &str, views: &mut Vec<View>) {
    let blocks = Blocks::of(text);
    for copy in decoded::decoded(text, &blocks) {
        views.push(View { is_decoded: true, ..View::new(copy) });
    }
    if let Some(copy) = spelling::read(text, &blocks) {
        views.push(View { is_words: true, ..View::new(copy) });
    }
}

/// A short text as it is read, as in a normalised copy: for words that are looked for there.
#[must_use]
pub fn folded(text: &str) -> String {
    normalised::folded(text)
}

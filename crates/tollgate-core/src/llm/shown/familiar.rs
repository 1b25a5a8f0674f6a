//! Events that resemble each other, which nearly all of a stream do: the same bytes around a few texts and
//! numbers. Where these stand is remembered, so that the next event need not be read to find them.

use std::ops::Range;

use smallvec::SmallVec;
use tollgate_guard::stream::Quoting;

use super::spots::{Of, Spots, TextId, Varying};
use super::tree::Span;
use crate::json::{plain_string, split_at_special};

/// How many events are remembered: the choices of a stream may come in turn.
const MAX_EVENTS: usize = 4;

/// How many gaps an event may have.
const MAX_GAPS: usize = 12;

/// How many bytes of an event are remembered.
const MAX_BYTES: usize = 2048;

/// When so many more events had to be read than were found familiar, it is not tried any more.
const MAX_STRANGE: u8 = 64;

/// The most digits of a number in a gap.
const MAX_DIGITS: usize = 19;

/// What is in a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gap {
    /// A piece of a text, between its quotes.
    Text(TextId, Quoting),
    Varying(Varying),
}

/// What of an event varies: where it stands, and what it is.
pub(super) type Gaps = Vec<(Range<usize>, Gap)>;

#[derive(Clone, Debug, Default)]
struct Known {
    /// Its bytes, without what was in the gaps.
    bytes: Vec<u8>,
    /// Where among these the gaps are.
    gaps: SmallVec<[(usize, Gap); MAX_GAPS]>,
    /// Where its data begins, and how far before the end of the event that ends.
    data: (usize, usize),
}

/// The events that are remembered, the last one first.
#[derive(Debug, Default)]
pub(super) struct Familiar {
    known: SmallVec<[Known; MAX_EVENTS]>,
    strange: u8,
}

/// An event that was found familiar.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) len: usize,
    pub(super) data: Range<usize>,
}

impl Familiar {
    /// Finds the event that `bytes` begin with, if it is all there and like one that is remembered. What is in
    /// its gaps is told in `gaps`.
    #[inline]
    pub(super) fn find(&mut self, bytes: &[u8], gaps: &mut Gaps) -> Option<Found> {
        for (index, known) in self.known.iter().enumerate() {
            gaps.clear();
            if let Some(found) = known.find(bytes, gaps) {
                if index > 0 {
                    if let Some(first) = self.known.get_mut(..=index) {
                        first.rotate_right(1);
                    }
                }
                self.strange = self.strange.saturating_sub(1);
                return Some(found);
            }
        }
        None
    }

    /// Remembers an event, which has nothing but pieces of texts that a client gets, and no text ends with it.
    pub(super) fn learn(&mut self, event: &[u8], data: &Range<usize>, spots: &Spots) {
        if self.strange >= MAX_STRANGE || event.len() > MAX_BYTES || !event.ends_with(b"\n") {
            return;
        }
        self.strange += 1;
        let mut gaps: SmallVec<[(Span, Gap); MAX_GAPS]> = SmallVec::new();
        for spot in &spots.texts {
            match spot.of {
                Of::Piece(id) => {
                    let inner = Span { start: spot.span.start + 1, end: spot.span.end - 1 };
                    gaps.push((inner, Gap::Text(id, spot.quoting)));
                }
                Of::SoFar(_) | Of::Echo => return,
                // The same text once more comes to the same.
                Of::Whole(_) | Of::Unquoted(_) => {}
            }
        }
        if gaps.is_empty() {
            return;
        }
        for (span, varying) in &spots.varying {
            let span = match varying {
                Varying::String => Span { start: span.start + 1, end: span.end - 1 },
                Varying::Number | Varying::Sequence => *span,
            };
            gaps.push((span, Gap::Varying(*varying)));
        }
        if gaps.len() > MAX_GAPS {
            return;
        }
        gaps.sort_unstable_by_key(|(span, _)| span.start);
        let mut known = match self.known.len() < MAX_EVENTS {
            true => Known::default(),
            false => self.known.pop().unwrap_or_default(),
        };
        known.bytes.clear();
        known.gaps.clear();
        let mut start = 0;
        for (span, gap) in gaps {
            let range = span.range();
            let (from, to) = (data.start + range.start, data.start + range.end);
            known.bytes.extend_from_slice(event.get(start..from).unwrap_or_default());
            known.gaps.push((known.bytes.len(), gap));
            start = to;
        }
        known.bytes.extend_from_slice(event.get(start..).unwrap_or_default());
        known.data = (data.start, event.len() - data.end);
        self.known.insert(0, known);
    }
}

impl Known {
    #[inline]
    fn find(&self, bytes: &[u8], gaps: &mut Gaps) -> Option<Found> {
        let (mut at, mut start) = (0, 0);
        for (position, gap) in &self.gaps {
            let stretch = self.bytes.get(start..*position)?;
            let rest = bytes.get(at..)?.strip_prefix(stretch)?;
            at += stretch.len();
            start = *position;
            let len = match gap {
                Gap::Text(..) => text_len(rest)?,
                Gap::Varying(Varying::String) => plain_string(rest)?.0.len(),
                Gap::Varying(_) => digits(rest)?,
            };
            gaps.push((at..at + len, *gap));
            at += len;
        }
        let last = self.bytes.get(start..)?;
        if !bytes.get(at..)?.starts_with(last) {
            return None;
        }
        let len = at + last.len();
        Some(Found { len, data: self.data.0..len - self.data.1 })
    }
}

/// How many bytes there are up to the quote that ends a string. There is no line feed in it.
fn text_len(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (run, special, _) = split_at_special(bytes.get(at..)?)?;
        if memchr::memchr2(b'\n', b'\r', run).is_some() {
            return None;
        }
        at += run.len();
        match special {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
}

fn digits(bytes: &[u8]) -> Option<usize> {
    let len = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    (1..=MAX_DIGITS).contains(&len).then_some(len)
}

//! Reading events that resemble each other, which nearly all of a stream do.
//!
//! An event or a line is what the one before was, but for a few strings and numbers: its text, mostly, and
//! its usage. So the last one is remembered, with gaps where these were. One that has the same bytes around
//! its gaps says the same, but for what is in the gaps. Any other is read, and remembered.

use super::event::Event;
use super::places::{Count, Place};
use super::tally::Tally;
use crate::json::{self, Container, JsonString, Reader, Scalar, Stop};

/// How many gaps an event may have: a line of Ollama's chat has two, and usage in a chunk has three.
const MAX_GAPS: usize = 6;

/// How many bytes of an event are remembered.
const MAX_BYTES: usize = 1024;

/// When so many more events had to be read than were found familiar, it is not tried any more: the choices
/// of a stream with several may come in turn.
const MAX_STRANGE: u8 = 32;

/// The most digits of a number in a gap.
const MAX_DIGITS: usize = 12;

/// What is remembered of the last event.
#[derive(Clone, Debug, Default)]
pub(super) struct Familiar {
    /// Its bytes, without what was in the gaps.
    bytes: Vec<u8>,
    gaps: Vec<Gap>,
    event: Event,
    /// Where the member is that is taken out of it, counted from its end.
    cut: Option<(usize, usize)>,
    strange: u8,
    notes: Notes,
}

/// What is in a gap of an event.
#[derive(Clone, Copy, Default)]
struct Value {
    at: usize,
    len: usize,
    /// What the number is, or how long the text.
    number: u64,
}

/// Where something varies.
#[derive(Clone, Copy, Debug)]
struct Gap {
    at: usize,
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Text(Place),
    Count(Count),
}

impl Familiar {
    /// How long the event is that `bytes` begin with, if it is like the last one. Its texts are told to the
    /// tally, and what else it says is in [`Self::event`].
    #[inline]
    pub(super) fn read(&mut self, bytes: &[u8], tally: &mut Tally) -> Option<usize> {
        if self.bytes.is_empty() {
            return None;
        }
        let len = self.find(bytes, Some(tally))?;
        self.strange = self.strange.saturating_sub(1);
        Some(len)
    }

    /// What the event that was found says.
    pub(super) fn event(&self) -> &Event {
        &self.event
    }

    fn find(&mut self, bytes: &[u8], tally: Option<&mut Tally>) -> Option<usize> {
        let (mut at, mut start) = (0, 0);
        let mut values = [Value::default(); MAX_GAPS];
        for (gap, value) in self.gaps.iter().zip(&mut values) {
            let stretch = self.bytes.get(start..gap.at)?;
            at += stretch.len();
            start = gap.at;
            let rest = bytes.get(at - stretch.len()..)?.strip_prefix(stretch)?;
            *value = match gap.of {
                Of::Text(_) => {
                    let (len, number) = json::short_text(rest)?;
                    Value { at, len, number }
                }
                Of::Count(_) => {
                    let len = digits(rest)?;
                    Value { at, len, number: json::whole_number(rest.get(..len)?)? }
                }
            };
            at += value.len;
        }
        let last = self.bytes.get(start..)?;
        if !bytes.get(at..)?.starts_with(last) {
            return None;
        }
        let len = at + last.len();
        let mut tally = tally;
        for (gap, Value { at, len, number }) in self.gaps.iter().zip(&values) {
            match (gap.of, &mut tally) {
                (Of::Text(place), Some(tally)) => {
                    let text = bytes.get(*at..*at + *len).unwrap_or_default();
                    tally.tell_text(place, JsonString::of_len(text, *number));
                }
                (Of::Text(_), None) => {}
                (Of::Count(count), _) => self.event.counts.set(count, Some(*number)),
            }
        }
        Some(len)
    }

    /// Whether it may pay to remember an event.
    pub(super) fn is_learning(&self) -> bool {
        self.strange < MAX_STRANGE
    }

    /// Notes of another event.
    pub(super) fn begin_notes(&mut self) -> &mut Notes {
        self.notes.begin();
        &mut self.notes
    }

    /// Remembers an event, of which notes were taken while its data was read, that begins at `data`.
    pub(super) fn learn(&mut self, bytes: &[u8], data: usize, event: Event) {
        self.strange += 1;
        let notes = &self.notes;
        // The last one may still be like the next one.
        if !notes.are_complete || bytes.len() > MAX_BYTES || event.outranked {
            return;
        }
        self.bytes.clear();
        self.gaps.clear();
        self.cut = None;
        let mut start = 0;
        for (at, len, of) in &notes.gaps {
            self.bytes.extend_from_slice(bytes.get(start..data + at).unwrap_or_default());
            self.gaps.push(Gap { at: self.bytes.len(), of: *of });
            start = data + at + len;
        }
        self.bytes.extend_from_slice(bytes.get(start..).unwrap_or_default());
        self.event = event;
        // What is in the gaps must be what makes up the event's numbers, and not have been taken back.
        if self.find(bytes, None).is_none() || self.event.counts != event.counts {
            self.bytes.clear();
        }
    }

    /// Where the member is that is taken out of the event, if that is known: how far its two ends are before
    /// the event's.
    pub(super) fn cut(&self) -> Option<(usize, usize)> {
        self.cut
    }

    /// Remembers where that member is, of an event that is as the last one, if it is behind all gaps.
    pub(super) fn note_cut(&mut self, len: usize, cut: &std::ops::Range<usize>) {
        let last = self.bytes.len() - self.gaps.last().map_or(0, |gap| gap.at);
        let (start, end) = (len.saturating_sub(cut.start), len.saturating_sub(cut.end));
        if start <= last {
            self.cut = Some((start, end));
        }
    }
}

/// How many digits there are, if that is a number that JSON allows and ends in sight.
fn digits(bytes: &[u8]) -> Option<usize> {
    let len = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    (1..=MAX_DIGITS).contains(&len).then_some(len)
}

/// What is noted of an event while it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    /// Where in the data they are, and how long.
    gaps: Vec<(usize, usize, Of)>,
    /// Whether there is a gap for all that may vary.
    are_complete: bool,
    usages: u8,
}

impl Notes {
    fn begin(&mut self) {
        self.gaps.clear();
        self.are_complete = true;
        self.usages = 0;
    }

    fn add(&mut self, at: usize, len: usize, of: Of) {
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push((at, len, of));
        } else {
            self.are_complete = false;
        }
    }
}

/// Takes notes of a document, all of which is in one slice, while it is told to the tally.
pub(super) struct Noting<'a> {
    pub(super) notes: &'a mut Notes,
    pub(super) tally: &'a mut Tally,
    pub(super) slice: &'a [u8],
}

impl Reader for Noting<'_> {
    type Place = Place;
    const STRICT: bool = false;

    fn member(&mut self, object: Place, key: JsonString<'_>) -> Result<Option<Place>, Stop> {
        self.tally.member(object, key)
    }

    fn element(&mut self, array: Place) -> Option<Place> {
        self.tally.element(array)
    }

    fn begin(&mut self, place: Place, container: Container, at: usize) -> Result<Place, Stop> {
        // Of several usages one counts.
        if matches!(place, Place::ChatUsage | Place::Usage | Place::VendorUsage | Place::Timings) {
            self.notes.usages = self.notes.usages.saturating_add(1);
        }
        self.tally.begin(place, container, at)
    }

    fn end(&mut self, place: Place) -> Result<(), Stop> {
        self.tally.end(place)
    }

    fn string(&mut self, place: Place, string: JsonString<'_>) -> Result<(), Stop> {
        if place.varies() {
            match string.plain {
                Some(plain) => {
                    let at = plain.as_ptr().addr().saturating_sub(self.slice.as_ptr().addr());
                    self.notes.add(at, plain.len(), Of::Text(place));
                }
                // One with escapes.
                None => self.notes.are_complete = false,
            }
        }
        self.tally.string(place, string)
    }

    fn scalar(&mut self, place: Place, scalar: Scalar, at: usize) -> Result<(), Stop> {
        if let Place::Count(count) = place {
            let is_simple = self.notes.usages == 1
                && !matches!(count, Count::UncachedInput)
                && matches!(scalar, Scalar::Unsigned(_));
            match self.slice.get(at..).and_then(digits).filter(|_| is_simple) {
                Some(len) => self.notes.add(at, len, Of::Count(count)),
                None => self.notes.are_complete = false,
            }
        }
        self.tally.scalar(place, scalar, at)
    }
}

#[cfg(test)]
#[path = "familiar_tests.rs"]
mod tests;

//! The reader of one document after the other: each of its texts goes through the guard, and what has changed is
//! written anew.

use std::borrow::Cow;
use std::ops::Range;

use super::edits::Edits;
use super::familiar::{Familiar, Found, Gap, Gaps};
use super::form::Form;
use super::made::Maker;
use super::quoted::{decoded, quote, resolved};
use super::spots::{End, Of, Spot, Spots, TextId, Varying};
use super::texts::{Event, Guarded, Halt, Texts};
use super::tree::Tree;
use tollgate_guard::stream::Quoting;

/// How many bytes of an event are remembered as they are.
const MAX_KEPT: usize = 4096;

/// Reads documents.
#[derive(Debug)]
pub(super) struct Editor {
    form: Form,
    pub(super) texts: Texts,
    familiar: Familiar,
    numbering: Numbering,
    tree: Tree,
    spots: Spots,
    maker: Maker,
    gaps: Gaps,
    out: String,
    /// What is written anew of the document that was read last.
    pub(super) edits: Edits,
    /// Events to be put before it.
    pub(super) made: Vec<u8>,
}

/// The numbers that events have, and how many more there are for the client.
#[derive(Clone, Copy, Debug, Default)]
struct Numbering {
    last: Option<u64>,
    added: u64,
}

/// An event: all its bytes, and which of them are its data.
#[derive(Clone, Debug)]
pub(super) struct Whole<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) data: Range<usize>,
}

impl Whole<'_> {
    fn kept(&self) -> Event {
        Event { bytes: self.bytes.to_vec(), data: self.data.clone() }
    }
}

impl Editor {
    pub(super) fn new(form: Form, guarded: Guarded) -> Self {
        Self {
            form,
            texts: Texts::new(guarded),
            familiar: Familiar::default(),
            numbering: Numbering::default(),
            tree: Tree::default(),
            spots: Spots::default(),
            maker: Maker::default(),
            gaps: Gaps::new(),
            out: String::new(),
            edits: Edits::default(),
            made: Vec::new(),
        }
    }

    pub(super) fn begin(&mut self) {
        self.edits.clear();
        self.made.clear();
    }

    /// Reads the event that `bytes` begin with, if it is like one before it. Returns its length.
    #[inline]
    pub(super) fn read_familiar(&mut self, bytes: &[u8]) -> Option<Result<usize, Halt>> {
        let mut gaps = std::mem::take(&mut self.gaps);
        let found = self.familiar.find(bytes, &mut gaps);
        let read = found.map(|found| {
            self.begin();
            self.read_gaps(bytes, &found, &gaps).map(|()| found.len)
        });
        self.gaps = gaps;
        read
    }

    fn read_gaps(&mut self, bytes: &[u8], found: &Found, gaps: &Gaps) -> Result<(), Halt> {
        let bytes = bytes.get(..found.len).unwrap_or(bytes);
        let event = Whole { bytes, data: found.data.clone() };
        if self.numbering.last.is_some() {
            let is_number = |(_, gap): &&(_, Gap)| *gap == Gap::Varying(Varying::Sequence);
            let digits =
                gaps.iter().find(is_number).and_then(|(range, _)| bytes.get(range.clone()));
            self.numbering.last =
                digits.and_then(crate::json::whole_number).or(self.numbering.last);
        }
        for (range, gap) in gaps {
            let inner = bytes.get(range.clone()).unwrap_or_default();
            match gap {
                Gap::Text(id, quoting) => {
                    let inner = std::str::from_utf8(inner).map_err(|_| Halt::Unreadable)?;
                    let text = match memchr::memchr(b'\\', inner.as_bytes()) {
                        None => Cow::Borrowed(inner),
                        Some(_) => Cow::Owned(resolved(inner)),
                    };
                    let part = range.start.saturating_sub(1)..range.end + 1;
                    self.read_piece(&event, part, &text, *id, *quoting, false)?;
                }
                Gap::Varying(Varying::Sequence) => self.renumber(range.clone(), inner),
                Gap::Varying(_) => {}
            }
        }
        Ok(())
    }

    /// Reads an event, or the line or document that an answer has.
    pub(super) fn read(&mut self, event: &Whole<'_>, is_stream: bool) -> Result<(), Halt> {
        self.begin();
        let data = event.bytes.get(event.data.clone()).unwrap_or_default();
        let json = std::str::from_utf8(data).map_err(|_| Halt::Unreadable)?;
        let len = self.tree.read(json).map_err(|_| Halt::Unreadable)?;
        if !data.get(len..).unwrap_or_default().trim_ascii().is_empty() {
            return Err(Halt::Unreadable);
        }
        let mut spots = std::mem::take(&mut self.spots);
        spots.find(&self.tree, json, self.form, is_stream);
        let read = self.read_spots(event, json, &spots);
        if read == Ok(true) && is_stream {
            self.familiar.learn(event.bytes, &event.data, &spots);
        }
        self.spots = spots;
        read.map(|_| ())
    }

    /// Returns whether nothing changed but pieces of texts that go on.
    fn read_spots(&mut self, event: &Whole<'_>, json: &str, spots: &Spots) -> Result<bool, Halt> {
        let at = |range: Range<usize>| event.data.start + range.start..event.data.start + range.end;
        let sequence = spots.varying.iter().find(|(_, varying)| *varying == Varying::Sequence);
        let mut has_only_pieces = spots.ends.is_empty();
        if let Some((span, _)) = sequence {
            let number = json.get(span.range()).and_then(|number| number.parse().ok());
            self.numbering.last = number.or(self.numbering.last);
        }
        for spot in &spots.texts {
            let written = json.get(spot.span.range()).unwrap_or_default();
            let text = match spot.of {
                Of::Unquoted(_) => Cow::Borrowed(written),
                _ => decoded(written),
            };
            let part = at(spot.span.range());
            match spot.of {
                Of::Piece(id) => {
                    let is_end = spots.ends.iter().any(|end| end.includes(&id));
                    self.read_piece(event, part, &text, id, spot.quoting, is_end)?;
                }
                _ if text.is_empty() => {}
                _ => has_only_pieces &= self.read_other(event, part, &text, spot, &spots.ends)?,
            }
        }
        if self.texts.may_change() {
            for (span, instead) in &spots.sealed {
                has_only_pieces = false;
                self.edits.add(at(span.range()), |out| out.extend_from_slice(instead));
            }
        }
        self.end(&spots.ends)?;
        if let Some((span, _)) = sequence {
            let range = span.range();
            self.renumber(at(range.clone()), json.get(range).unwrap_or_default().as_bytes());
        }
        self.edits.sort();
        Ok(has_only_pieces)
    }

    /// Reads what is no piece. Returns whether it stays as it is.
    fn read_other(
        &mut self,
        event: &Whole<'_>,
        part: Range<usize>,
        text: &str,
        spot: &Spot,
        ends: &[End],
    ) -> Result<bool, Halt> {
        self.out.clear();
        match spot.of {
            Of::Whole(telling) => self.texts.whole(text, spot.quoting, telling, &mut self.out)?,
            Of::Unquoted(telling) => {
                self.texts.whole(text, spot.quoting, telling, &mut self.out)?;
                let is_same = self.out == text || !self.texts.may_change();
                if !is_same {
                    self.edits.add(part, |written| written.extend_from_slice(self.out.as_bytes()));
                }
                return Ok(is_same);
            }
            Of::Echo => self.texts.echo(text, &mut self.out),
            Of::Piece(id) | Of::SoFar(id) => {
                let is_end = ends.iter().any(|end| end.includes(&id));
                let read = self.texts.so_far(&id, text, is_end, &mut self.out);
                let holding = self.or_what_is_before(read, event, id)?;
                self.keep(holding, event, id);
            }
        }
        Ok(self.write(part, text))
    }

    #[inline]
    fn read_piece(
        &mut self,
        event: &Whole<'_>,
        part: Range<usize>,
        text: &str,
        id: TextId,
        quoting: Quoting,
        is_end: bool,
    ) -> Result<(), Halt> {
        self.out.clear();
        let read = self.texts.piece(&id, quoting, text, is_end, &mut self.out);
        let holding = match read {
            Ok(holding) => holding,
            Err(_) => self.or_what_is_before(read, event, id)?,
        };
        self.keep(holding, event, id);
        self.write(part, text);
        Ok(())
    }

    /// Remembers the event with the last piece of a text, if a part of that is held back.
    #[inline]
    fn keep(&mut self, holding: Option<usize>, event: &Whole<'_>, id: TextId) {
        let Some(index) = holding.filter(|_| self.texts.may_change()) else { return };
        if event.bytes.len() <= MAX_KEPT {
            return self.texts.keep(index, event.bytes, event.data.clone());
        }
        // What it has besides the text isn't needed. If it can't be made, it isn't when the text ends.
        if let Some(small) = self.maker.make(&event.kept(), id.way, "", self.form, None) {
            self.texts.keep(index, &small.bytes, small.data);
        }
    }

    /// What was read of the text in `event`; or, if it goes no further, an event with what may still be
    /// shown.
    fn or_what_is_before(
        &mut self,
        read: Result<Option<usize>, Halt>,
        event: &Whole<'_>,
        id: TextId,
    ) -> Result<Option<usize>, Halt> {
        if read.is_err() && !self.out.is_empty() {
            self.make(&event.kept(), id);
        }
        read
    }

    /// What is shown takes the place of what came. Returns whether that is the same.
    #[inline]
    fn write(&mut self, part: Range<usize>, text: &str) -> bool {
        let is_same = self.out == text || !self.texts.may_change();
        if !is_same {
            let out = &self.out;
            self.edits.add(part, |written| quote(out, written));
        }
        is_same
    }

    /// Makes the event with what is shown of a text, in the place that it has in `event`.
    fn make(&mut self, event: &Event, id: TextId) -> bool {
        let number = self.numbering.last.map(|last| last.saturating_add(self.numbering.added));
        let Some(made) = self.maker.make(event, id.way, &self.out, self.form, number) else {
            return false;
        };
        self.numbering.added += 1;
        self.made.extend_from_slice(&made.bytes);
        true
    }

    /// Texts end: what was held back of them is in [`Self::made`].
    pub(super) fn end(&mut self, ends: &[End]) -> Result<(), Halt> {
        if ends.is_empty() {
            return Ok(());
        }
        loop {
            self.out.clear();
            let ended = self.texts.take_ended(ends, &mut self.out);
            let Some((id, event, result)) = ended else { return Ok(()) };
            let is_lost = !self.out.is_empty() && self.texts.may_change() && !self.make(&event, id);
            result?;
            if is_lost {
                return Err(Halt::Unreadable);
            }
        }
    }

    /// All texts end, behind the last document.
    pub(super) fn end_all(&mut self) -> Result<(), Halt> {
        self.begin();
        // The numbers go on behind that of the last event.
        self.numbering.last = self.numbering.last.map(|last| last.saturating_add(1));
        self.end(&[End::All])
    }

    /// The number of what comes next, if events have numbers.
    pub(super) fn next_number(&self) -> Option<u64> {
        self.numbering.last.map(|last| last.saturating_add(self.numbering.added))
    }

    #[inline]
    fn renumber(&mut self, part: Range<usize>, digits: &[u8]) {
        let number = crate::json::whole_number(digits);
        self.numbering.last = number.or(self.numbering.last);
        if let (Some(number), 1..) = (number, self.numbering.added) {
            if self.texts.may_change() {
                let number = number.saturating_add(self.numbering.added);
                self.edits.add(part, |out| out.extend_from_slice(number.to_string().as_bytes()));
            }
        }
    }
}

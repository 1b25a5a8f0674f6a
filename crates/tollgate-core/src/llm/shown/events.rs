//! The events of a stream.

use std::ops::Range;

use smallvec::SmallVec;

use super::editor::{Editor, Whole};
use super::lines::shown;
use super::relay::Relay;
use super::spots::End;
use super::texts::Halt;
use super::MAX_DOCUMENT;
use crate::llm::meter::sse::{Piece, Sse};
use crate::llm::meter::Part;

/// The data of the event that ends a stream of OpenAI's API.
const DONE: &[u8] = b"[DONE]";

/// What ends an event, and the line before it.
const BLANK: &[u8] = b"\n\n";

/// The reader of a stream.
#[derive(Debug)]
pub(super) struct Events {
    sse: Sse,
    /// What came of the event at hand in earlier buffers.
    held: Vec<u8>,
    /// The lines of its data, from the start of the event.
    lines: SmallVec<[Range<usize>; 2]>,
    is_in_event: bool,
}

impl Events {
    /// The reader of a stream of which `sse` has read what came before.
    pub(super) fn new(sse: Sse) -> Self {
        Self { sse, held: Vec::new(), lines: SmallVec::new(), is_in_event: false }
    }

    /// Whether the client has seen the first part of a line, of a comment or one that is none of an event's. What is
    /// put behind it would belong to that.
    pub(super) fn is_in_line(&self) -> bool {
        !self.is_in_event && self.sse.is_in_line()
    }

    pub(super) fn read<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let bytes = relay.bytes;
        // Where the event at hand begins, or what of it is in these bytes.
        let (mut start, mut at) = (0, 0);
        loop {
            if self.sse.is_between_events() {
                let rest = bytes.get(at..).unwrap_or_default();
                if let Some(read) = editor.read_familiar(rest) {
                    at = shown(editor, relay, at, read)?;
                    continue;
                }
            }
            let Some(piece) = self.sse.next_piece(bytes, &mut at) else { break };
            match piece {
                Piece::Event { at } => {
                    start = at;
                    self.is_in_event = true;
                    self.lines.clear();
                }
                Piece::Data(range) => self.add(range, start),
                Piece::LineFeed => {
                    let end = self.held.len() + at - start;
                    self.lines.push(end..end);
                }
                Piece::Blank { end } if self.is_in_event => {
                    self.is_in_event = false;
                    self.end(editor, relay, start, end)?;
                    start = end;
                }
                Piece::Blank { .. } | Piece::LateLineFeed { .. } => {}
            }
        }
        if self.is_in_event {
            let rest = bytes.get(start..).unwrap_or_default();
            relay.up_to(start);
            if self.held.len().saturating_add(rest.len()) > MAX_DOCUMENT {
                return Err(Halt::Unreadable);
            }
            self.held.extend_from_slice(rest);
            relay.leave_out(bytes.len());
        }
        relay.up_to(bytes.len());
        Ok(())
    }

    /// Data in `range` of the bytes at hand, in which the event, or the rest of it, begins at `start`.
    fn add(&mut self, range: Range<usize>, start: usize) {
        let held = self.held.len();
        let range = held + range.start - start..held + range.end - start;
        match self.lines.last_mut() {
            Some(last) if last.start == last.end => *last = range,
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.lines.push(range),
        }
    }

    /// The event ends at `end`.
    fn end<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
        start: usize,
        end: usize,
    ) -> Result<(), Halt> {
        let rest = relay.bytes.get(start..end).unwrap_or_default();
        relay.up_to(start);
        if self.held.len().saturating_add(rest.len()) > MAX_DOCUMENT {
            return Err(Halt::Unreadable);
        }
        let mut held = std::mem::take(&mut self.held);
        let is_held = !held.is_empty();
        if is_held {
            held.extend_from_slice(rest);
        }
        let bytes = if is_held { &held } else { rest };
        let (read, joined) = self.read_event(editor, bytes);
        relay.put(&editor.made);
        read?;
        match joined {
            Some(joined) => {
                relay.leave_out(end);
                relay.put_edited(&joined, &editor.edits);
            }
            None if is_held => {
                relay.leave_out(end);
                relay.put_edited(&held, &editor.edits);
            }
            None if editor.edits.is_empty() => {}
            None => relay.edited(start, end - start, &editor.edits),
        }
        Ok(())
    }

    /// Reads an event. Returns it with all its data on one line, if it has several and isn't to stay as it
    /// is.
    fn read_event(&self, editor: &mut Editor, bytes: &[u8]) -> (Result<(), Halt>, Option<Vec<u8>>) {
        match self.lines.as_slice() {
            [] => {
                editor.begin();
                (Ok(()), None)
            }
            [data] => (read_data(editor, &Whole { bytes, data: data.clone() }), None),
            lines => {
                let (joined, data) = join(bytes, lines);
                let read = read_data(editor, &Whole { bytes: &joined, data });
                (read, (!editor.edits.is_empty()).then_some(joined))
            }
        }
    }

    /// The stream has ended. An event without a blank line behind it counts for some clients; of one that isn't
    /// whole, nothing is shown.
    pub(super) fn finish<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let mut last = std::mem::take(&mut self.held);
        let len = last.len();
        if len > 0 {
            // Where another one is made like it, or follows.
            last.extend_from_slice(BLANK);
            let (read, joined) = self.read_event(editor, &last);
            relay.put(&editor.made);
            match read {
                Err(Halt::Unreadable) => last.clear(),
                read => {
                    read?;
                    last = editor.edits.apply(joined.as_ref().unwrap_or(&last));
                }
            }
        }
        let ended = editor.end_all();
        if editor.made.is_empty() {
            last.truncate(last.len().saturating_sub(BLANK.len()));
        }
        relay.put(&last);
        if self.is_in_line() && !editor.made.is_empty() {
            relay.put(b"\n");
        }
        relay.put(&editor.made);
        ended
    }
}

fn read_data(editor: &mut Editor, event: &Whole<'_>) -> Result<(), Halt> {
    let data = event.bytes.get(event.data.clone()).unwrap_or_default().trim_ascii();
    if data == DONE {
        editor.begin();
        return editor.end(&[End::All]);
    }
    if data.is_empty() {
        editor.begin();
        return Ok(());
    }
    editor.read(event, true)
}

/// The event with all its data on one line, as it is for clients but for line feeds. Between values these are
/// blanks.
fn join(bytes: &[u8], lines: &[Range<usize>]) -> (Vec<u8>, Range<usize>) {
    let mut joined = Vec::with_capacity(bytes.len());
    let (first, last) =
        (lines.first().map_or(0, |first| first.start), lines.last().map_or(0, |last| last.end));
    // Other fields stand before the data, or behind it; a line of them between two of data is left out.
    joined.extend_from_slice(bytes.get(..first).unwrap_or_default());
    let start = joined.len();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            joined.push(b' ');
        }
        joined.extend_from_slice(bytes.get(line.clone()).unwrap_or_default());
    }
    let data = start..joined.len();
    joined.extend_from_slice(bytes.get(last..).unwrap_or_default());
    (joined, data)
}

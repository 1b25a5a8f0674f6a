//! An answer with a document on each line, and one that is a document.

use memchr::memchr;

use super::editor::{Editor, Whole};
use super::relay::Relay;
use super::texts::Halt;
use super::tree::Tree;
use super::MAX_DOCUMENT;
use crate::llm::meter::Part;

/// The reader of such an answer.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// What came of the line at hand in earlier buffers.
    held: Vec<u8>,
}

impl Lines {
    pub(super) fn read<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let bytes = relay.bytes;
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if self.held.is_empty() {
                if let Some(read) = editor.read_familiar(rest) {
                    at = shown(editor, relay, at, read)?;
                    continue;
                }
            }
            let Some(end) = memchr(b'\n', rest) else {
                if self.held.len().saturating_add(rest.len()) > MAX_DOCUMENT {
                    return Err(Halt::Unreadable);
                }
                relay.up_to(at);
                self.held.extend_from_slice(rest);
                relay.leave_out(bytes.len());
                break;
            };
            let line = rest.get(..=end).unwrap_or(rest);
            if self.held.is_empty() {
                let read = read_line(editor, line).map(|()| line.len());
                at = shown(editor, relay, at, read)?;
            } else {
                self.held.extend_from_slice(line);
                at += line.len();
                relay.leave_out(at);
                self.end(editor, relay)?;
            }
        }
        relay.up_to(bytes.len());
        Ok(())
    }

    /// The line that is held has ended.
    fn end<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let held = std::mem::take(&mut self.held);
        let read = read_line(editor, &held);
        relay.put(&editor.made);
        read?;
        relay.put_edited(&held, &editor.edits);
        Ok(())
    }

    /// The answer has ended. Of a line that isn't whole, nothing is shown.
    pub(super) fn finish<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let mut last = std::mem::take(&mut self.held);
        if !last.is_empty() {
            // Where another one is made like it, or follows.
            last.push(b'\n');
            let read = read_line(editor, &last);
            relay.put(&editor.made);
            match read {
                Err(Halt::Unreadable) => last.clear(),
                read => {
                    read?;
                    last = editor.edits.apply(&last);
                }
            }
        }
        let ended = editor.end_all();
        if editor.made.is_empty() {
            last.pop();
        }
        relay.put(&last);
        relay.put(&editor.made);
        ended
    }
}

/// Passes on a document that was read, and begins at `at`. Returns where it ends.
pub(super) fn shown<P: FnMut(Part<'_>)>(
    editor: &Editor,
    relay: &mut Relay<'_, P>,
    at: usize,
    read: Result<usize, Halt>,
) -> Result<usize, Halt> {
    let is_same = read.is_ok() && editor.edits.is_empty() && editor.made.is_empty();
    if !is_same {
        relay.up_to(at);
        relay.put(&editor.made);
    }
    let len = read?;
    if !is_same {
        relay.edited(at, len, &editor.edits);
    }
    Ok(at + len)
}

fn read_line(editor: &mut Editor, line: &[u8]) -> Result<(), Halt> {
    let data = line.trim_ascii_end();
    if data.trim_ascii_start().is_empty() {
        editor.begin();
        return Ok(());
    }
    editor.read(&Whole { bytes: line, data: 0..data.len() }, true)
}

/// The reader of an answer that is a document. Nothing of it is shown before all of it has come.
#[derive(Debug, Default)]
pub(super) struct Document {
    held: Vec<u8>,
    /// Where the first line ended, if it was looked at.
    first_line: Option<usize>,
}

impl Document {
    /// Takes more of it. Returns all that came, if it turns out that a document is on each line.
    pub(super) fn read<P: FnMut(Part<'_>)>(
        &mut self,
        relay: &mut Relay<'_, P>,
    ) -> Result<Option<Vec<u8>>, Halt> {
        let bytes = relay.bytes;
        if self.held.len().saturating_add(bytes.len()) > MAX_DOCUMENT {
            return Err(Halt::Unreadable);
        }
        let searched = self.held.len();
        self.held.extend_from_slice(bytes);
        relay.leave_out(bytes.len());
        if self.first_line.is_none() {
            let end = self.held.get(searched..).and_then(|new| memchr(b'\n', new));
            if let Some(end) = end.map(|end| searched + end) {
                // A line feed in the middle of one is none of lines.
                self.first_line = Some(if self.is_whole(end) { end } else { usize::MAX });
            }
        }
        let is_lines = self
            .first_line
            .and_then(|end| self.held.get(end..))
            .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"));
        Ok(is_lines.then(|| std::mem::take(&mut self.held)))
    }

    fn is_whole(&self, end: usize) -> bool {
        let line = self.held.get(..end).and_then(|line| std::str::from_utf8(line).ok());
        line.is_some_and(|line| Tree::default().read(line) == Ok(line.trim_ascii_end().len()))
    }

    /// The answer has ended.
    pub(super) fn finish<P: FnMut(Part<'_>)>(
        &mut self,
        editor: &mut Editor,
        relay: &mut Relay<'_, P>,
    ) -> Result<(), Halt> {
        let held = std::mem::take(&mut self.held);
        if held.trim_ascii().is_empty() {
            return Ok(());
        }
        let read = editor.read(&Whole { bytes: &held, data: 0..held.len() }, false);
        read?;
        relay.put_edited(&held, &editor.edits);
        Ok(())
    }
}

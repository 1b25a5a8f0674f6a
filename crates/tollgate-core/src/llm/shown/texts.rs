//! The texts of one answer, each with a channel of its own through the guard.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use tollgate_guard::finding::RuleIndex;
use tollgate_guard::stream::{Leak, LeakRule, Quoting, StreamGuard, Verdict};
use tollgate_guard::vault::Vault;

use super::channel::Channel;
use super::spots::{End, Telling, TextId};
use crate::guards::classifier::gate::Said;

/// How many texts of an answer may have come in part: 128 choices with reasoning, text and tools.
const MAX_TEXTS: usize = 1024;

/// How much text is kept of answers that come again and again as a whole, in bytes.
const MAX_SO_FAR: usize = 16 << 20;

/// Why nothing more of an answer may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// By this rule.
    Rule(RuleIndex),
    /// It can't be read, so nobody knows what is in it.
    Unreadable,
    /// By whoever has judged what was heard of it.
    Judged,
}

/// What an answer is guarded by.
#[derive(Clone, Debug)]
pub struct Guarded {
    /// What is looked for.
    pub guard: Arc<StreamGuard>,
    /// Values of the request that the model didn't see, and for which the client gets its own back.
    pub vault: Option<Rc<Vault>>,
    /// The words of the system prompt, and what is done where they come back.
    pub leak: Option<(Arc<Leak>, LeakRule)>,
    /// Whether anything may be changed: a rule masks, tokenizes or blocks, or there is a vault. Otherwise the
    /// answer passes as it comes, and what is found is only counted.
    pub changes: bool,
}

/// The texts that have begun, and what was found in them.
#[derive(Debug)]
pub(super) struct Texts {
    guarded: Guarded,
    begun: Vec<Text>,
    counts: [Vec<(RuleIndex, u32)>; Telling::COUNT],
    found: Vec<(RuleIndex, u8)>,
    /// What the model has said since that was asked for, if anybody wants to know.
    pub(super) said: Option<Vec<(Said, String)>>,
}

/// A text that comes in pieces.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) id: TextId,
    channel: Channel,
    /// Of a text that comes again and again as a whole.
    so_far: Option<Box<SoFar>>,
    /// The last event with a piece of it, if a part of that was held back.
    last: Event,
}

/// A whole event, and where its data is.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) bytes: Vec<u8>,
    pub(super) data: Range<usize>,
}

#[derive(Debug, Default)]
struct SoFar {
    came: String,
    shown: String,
    /// It turned out to come in pieces.
    is_pieces: bool,
}

impl Texts {
    pub(super) fn new(guarded: Guarded) -> Self {
        Self {
            guarded,
            begun: Vec::new(),
            counts: Default::default(),
            found: Vec::new(),
            said: None,
        }
    }

    /// Whether anything may be changed.
    pub(super) fn may_change(&self) -> bool {
        self.guarded.changes
    }

    fn channel(&self, quoting: Quoting) -> Channel {
        let channel = Channel::new(Arc::clone(&self.guarded.guard), quoting);
        match &self.guarded.leak {
            Some((leak, rule)) => channel.with_leak(Arc::clone(leak), rule.clone()),
            None => channel,
        }
    }

    #[inline]
    fn hear(&mut self, of: Said, text: &str) {
        if let Some(said) = self.said.as_mut().filter(|_| !text.is_empty()) {
            match said.last_mut().filter(|(last, _)| *last == of && of != Said::Whole) {
                Some((_, before)) => before.push_str(text),
                None => said.push((of, text.to_owned())),
            }
        }
    }

    fn count(&mut self, telling: Telling) {
        let Some(counts) = self.counts.get_mut(telling.index()) else { return };
        for (rule, _) in self.found.drain(..) {
            match counts.iter_mut().find(|(counted, _)| *counted == rule) {
                Some((_, count)) => *count = count.saturating_add(1),
                None => counts.push((rule, 1)),
            }
        }
    }

    /// How often each rule found something. What is told several times counts once.
    pub(super) fn counts(&self) -> Vec<(RuleIndex, u32)> {
        let mut all: Vec<(RuleIndex, u32)> = Vec::new();
        for (rule, count) in self.counts.iter().flatten() {
            match all.iter_mut().find(|(counted, _)| counted == rule) {
                Some((_, most)) => *most = (*most).max(*count),
                None => all.push((*rule, *count)),
            }
        }
        all.sort_unstable();
        all
    }

    /// The number of a text, which is begun if it is new.
    fn index(&mut self, id: &TextId, quoting: Quoting) -> Result<usize, Halt> {
        let found = self.begun.iter().position(|text| text.id.way == id.way);
        if let Some(found) = found {
            return Ok(found);
        }
        if self.begun.len() >= MAX_TEXTS {
            return Err(Halt::Unreadable);
        }
        let channel = self.channel(quoting);
        self.begun.push(Text { id: *id, channel, so_far: None, last: Event::default() });
        Ok(self.begun.len() - 1)
    }

    /// More of a text has come, and what may be shown by now is added to `out`. Returns its number if it goes
    /// on and a part of it is held back.
    pub(super) fn piece(
        &mut self,
        id: &TextId,
        quoting: Quoting,
        piece: &str,
        is_end: bool,
        out: &mut String,
    ) -> Result<Option<usize>, Halt> {
        if piece.is_empty() && !self.begun.iter().any(|text| text.id.way == id.way) {
            return Ok(None);
        }
        self.hear(Said::Piece(id.way), piece);
        let index = self.index(id, quoting)?;
        let vault = self.guarded.vault.as_deref();
        let Some(text) = self.begun.get_mut(index) else { return Ok(None) };
        let mut verdict = text.channel.push(piece, vault, out, &mut self.found);
        let mut is_holding = false;
        if is_end && verdict == Verdict::Pass {
            verdict = text.channel.finish(vault, out, &mut self.found);
        } else {
            is_holding = text.channel.is_holding();
        }
        if is_end {
            self.begun.remove(index);
        }
        if !self.found.is_empty() {
            self.count(Telling::Pieces);
        }
        match verdict {
            Verdict::Pass => Ok(is_holding.then_some(index)),
            Verdict::Block(rule) => Err(Halt::Rule(rule)),
        }
    }

    /// All of a text up to now has come. All that may be shown of it by now, is added to `out`.
    pub(super) fn so_far(
        &mut self,
        id: &TextId,
        all: &str,
        is_end: bool,
        out: &mut String,
    ) -> Result<Option<usize>, Halt> {
        let others: usize = self.begun.iter().map(Text::kept).sum();
        if others.saturating_add(all.len()) > MAX_SO_FAR {
            return Err(Halt::Unreadable);
        }
        let index = self.index(id, Quoting::Plain)?;
        let so_far = self.begun.get_mut(index).and_then(|text| text.so_far.take());
        let mut so_far = so_far.unwrap_or_default();
        let mut restarted = None;
        if !so_far.is_pieces && !all.starts_with(&so_far.came) {
            if shares_most(&so_far.came, all) {
                // The engine has thought better of its last character.
                restarted = Some(self.channel(Quoting::Plain));
                so_far = Box::default();
            } else {
                so_far.is_pieces = true;
            }
        }
        let Some(text) = self.begun.get_mut(index) else { return Ok(None) };
        if let Some(restarted) = restarted {
            text.channel = restarted;
        }
        if so_far.is_pieces {
            text.so_far = Some(so_far);
            return self.piece(id, Quoting::Plain, all, is_end, out);
        }
        let new = all.get(so_far.came.len()..).unwrap_or_default();
        so_far.came.push_str(new);
        let mut shown = std::mem::take(&mut so_far.shown);
        text.so_far = Some(so_far);
        let piece = self.piece(id, Quoting::Plain, new, is_end, &mut shown);
        out.push_str(&shown);
        // It isn't there any more, if it has ended.
        let text = self.begun.get_mut(index).filter(|text| text.id.way == id.way);
        if let Some(so_far) = text.and_then(|text| text.so_far.as_mut()) {
            so_far.shown = shown;
        }
        piece
    }

    /// All of a text has come at once.
    pub(super) fn whole(
        &mut self,
        text: &str,
        quoting: Quoting,
        telling: Telling,
        out: &mut String,
    ) -> Result<(), Halt> {
        self.hear(Said::Whole, text);
        let channel = self.channel(quoting);
        let verdict = self.read_whole(channel, text, out);
        self.count(telling);
        match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Block(rule) => Err(Halt::Rule(rule)),
        }
    }

    /// A part of the request has come back. The client knows it, so nothing in it counts or blocks the answer:
    /// in the place of what does, nothing is shown.
    pub(super) fn echo(&mut self, text: &str, out: &mut String) {
        // Of course parts of the system prompt are in it.
        let channel = Channel::new(Arc::clone(&self.guarded.guard), Quoting::Plain);
        let verdict = self.read_whole(channel, text, out);
        self.found.clear();
        if verdict != Verdict::Pass {
            out.clear();
        }
    }

    fn read_whole(&mut self, mut channel: Channel, text: &str, out: &mut String) -> Verdict {
        let vault = self.guarded.vault.as_deref();
        match channel.push(text, vault, out, &mut self.found) {
            Verdict::Pass => channel.finish(vault, out, &mut self.found),
            block @ Verdict::Block(_) => block,
        }
    }

    /// A channel for an answer that is one text.
    pub(super) fn plain_channel(&self) -> Channel {
        self.channel(Quoting::Plain)
    }

    /// Reads more of it, and its end.
    pub(super) fn read_plain(
        &mut self,
        channel: &mut Channel,
        piece: &str,
        is_end: bool,
        out: &mut String,
    ) -> Result<(), Halt> {
        self.hear(Said::Piece(0), piece);
        let vault = self.guarded.vault.as_deref();
        let mut verdict = channel.push(piece, vault, out, &mut self.found);
        if is_end && verdict == Verdict::Pass {
            verdict = channel.finish(vault, out, &mut self.found);
        }
        self.count(Telling::Pieces);
        match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Block(rule) => Err(Halt::Rule(rule)),
        }
    }

    /// Remembers the event with the last piece of a text.
    pub(super) fn keep(&mut self, index: usize, bytes: &[u8], data: Range<usize>) {
        if let Some(text) = self.begun.get_mut(index) {
            text.last.bytes.clear();
            text.last.bytes.extend_from_slice(bytes);
            text.last.data = data;
        }
    }

    /// Takes a text that has ended, the oldest first. What was still held back of it is added to `out`.
    pub(super) fn take_ended(
        &mut self,
        ends: &[End],
        out: &mut String,
    ) -> Option<(TextId, Event, Result<(), Halt>)> {
        let is_ended = |text: &Text| ends.iter().any(|end| end.includes(&text.id));
        let index = self.begun.iter().position(is_ended)?;
        let mut text = self.begun.remove(index);
        let vault = self.guarded.vault.as_deref();
        let start = out.len();
        if let Some(so_far) = text.so_far.filter(|so_far| !so_far.is_pieces) {
            out.push_str(&so_far.shown);
        }
        let before = out.len();
        let verdict = text.channel.finish(vault, out, &mut self.found);
        if out.len() == before {
            out.truncate(start);
        }
        self.count(Telling::Pieces);
        let result = match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Block(rule) => Err(Halt::Rule(rule)),
        };
        Some((text.id, text.last, result))
    }
}

impl Text {
    fn kept(&self) -> usize {
        self.so_far
            .as_ref()
            .map_or(0, |so_far| so_far.came.len().saturating_add(so_far.shown.len()))
    }
}

/// Whether two texts begin alike for at least half of the first.
fn shares_most(first: &str, second: &str) -> bool {
    let same = first.bytes().zip(second.bytes()).take_while(|(a, b)| a == b).count();
    same >= 8 && same >= first.len() / 2
}

//! Keeping back what may have to be changed before the client gets it: the event at hand until it is
//! whole, as no client can use a part of it, and the last event of an answer until it is known what
//! follows.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memmem::Finder;

use super::familiar::Familiar;
use super::members::{kept, Cuts, Members};

/// How much is kept back of an event that isn't whole, in bytes. The events of engines are far smaller,
/// unless a client asks for much besides the text.
pub(super) const MAX_HELD: usize = 64 * 1024;

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Bytes that are not in the buffer at hand: they had been kept back, or were changed.
    Held(&'a [u8]),
    /// A range of the buffer that is being read.
    Range(Range<usize>),
}

/// What of an event stream has been passed on and what not.
#[derive(Clone, Debug, Default)]
pub(super) struct Hold {
    /// The event that ended an answer: whole, and first to be passed on.
    finish: Vec<u8>,
    /// Where that of each choice waits until the answer ends: those of the choices that ended before.
    finished: Option<Vec<Vec<u8>>>,
    /// What came of the event at hand in earlier buffers. The rest of it begins in the buffer at `event`.
    held: Vec<u8>,
    /// Of the buffer at hand: where the bytes begin that have not been passed on.
    start: usize,
    /// Of the buffer at hand: where the event begins that is undecided.
    event: Option<usize>,
    last: Last,
}

/// What became of the last event, and of the rest of its end if that is in another buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Shown,
    Hidden,
    Kept,
}

impl Hold {
    /// What has not begun. If `waits`, the last events of all choices wait for the end of the answer, and
    /// those of choices that go on pass them by.
    pub(super) fn new(waits: bool) -> Self {
        Self { finished: waits.then(Vec::new), ..Self::default() }
    }

    /// Another buffer comes.
    pub(super) fn begin_buffer(&mut self) {
        self.start = 0;
        if self.event.is_some() {
            self.event = Some(0);
        }
    }

    /// An event begins, and is undecided.
    pub(super) fn begin_event(&mut self, at: usize) {
        self.event = Some(at);
        self.last = Last::Shown;
    }

    /// The event at hand goes to the client; it is none of a choice.
    pub(super) fn show(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        match (&self.finished, self.event) {
            (None, _) => self.pass_finish(pass),
            (Some(_), Some(event)) => {
                // What other choices had, comes before it.
                self.pass_up_to(event, pass);
                self.pass_finish(pass);
            }
            // A comment.
            (Some(_), None) => {}
        }
        self.show_choice(pass);
    }

    /// The event at hand goes to the client; it is of a choice.
    pub(super) fn show_choice(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        self.event = None;
        self.last = Last::Shown;
        self.let_finish_pass(pass);
        if !self.held.is_empty() {
            pass(Part::Held(&self.held));
            // Hardly any stream needs it often.
            self.held = Vec::new();
        }
    }

    /// The event at hand, up to `end`, doesn't; but those of its members that are `moved` stay with the
    /// event before it, as if they had never left that.
    pub(super) fn hide(
        &mut self,
        buffer: &[u8],
        end: usize,
        moved: &[&[u8]],
        pass: &mut impl FnMut(Part<'_>),
    ) {
        // Nothing but the event is between the two, or what is of other choices: what else there was, has
        // passed the first one on.
        let mut finish = std::mem::take(&mut self.finish);
        let mut finished = self.finished.as_mut().map(std::mem::take).unwrap_or_default();
        if let Some(event) = self.take_event(buffer, end, pass) {
            if !finish.is_empty() {
                let members = Members::of(&event);
                for key in moved {
                    let Some(member) = members.find(&event, key) else { continue };
                    finished.iter_mut().chain([&mut finish]).for_each(|to| add(to, key, member));
                }
            }
            self.last = Last::Hidden;
        }
        finished.iter().for_each(|finish| pass(Part::Held(finish)));
        if !finish.is_empty() {
            pass(Part::Held(&finish));
        }
    }

    /// The event at hand, up to `end`, goes to the client without a part, whose ends are so far before its
    /// own. All of it is in the buffer.
    pub(super) fn cut(
        &mut self,
        end: usize,
        part: (usize, usize),
        pass: &mut impl FnMut(Part<'_>),
    ) {
        self.event = None;
        self.last = Last::Shown;
        self.pass_up_to(end.saturating_sub(part.0), pass);
        self.start = end.saturating_sub(part.1);
    }

    /// The event at hand, up to `end`, goes to the client without the member that `token` is the key of. If
    /// the event is `familiar`, so is where that stands.
    pub(super) fn strip(
        &mut self,
        buffer: &[u8],
        end: usize,
        token: &Finder<'_>,
        familiar: Option<&mut Familiar>,
        pass: &mut impl FnMut(Part<'_>),
    ) {
        match self.event {
            Some(at) if self.held.is_empty() => {
                // No need to copy it.
                self.event = None;
                let event = buffer.get(at..end).unwrap_or_default();
                let cuts = Cuts::of(event, token);
                if let (Some(familiar), [cut]) = (familiar, cuts.all()) {
                    familiar.note_cut(event.len(), cut);
                }
                self.let_finish_pass(pass);
                self.pass_up_to(at, pass);
                kept(event, cuts.all())
                    .for_each(|range| pass(Part::Range(at + range.start..at + range.end)));
                self.start = end;
            }
            _ => {
                self.let_finish_pass(pass);
                if let Some(event) = self.take_event(buffer, end, pass) {
                    pass(Part::Held(&without(&event, Some(token))));
                }
            }
        }
        self.last = Last::Shown;
    }

    /// The event at hand, up to `end`, ended an answer. It waits for the next one.
    pub(super) fn keep(
        &mut self,
        buffer: &[u8],
        end: usize,
        strip: Option<&Finder<'_>>,
        pass: &mut impl FnMut(Part<'_>),
    ) {
        self.let_finish_pass(pass);
        if let Some(event) = self.take_event(buffer, end, pass) {
            let finish = without(&event, strip);
            let before = std::mem::replace(&mut self.finish, finish);
            self.last = Last::Kept;
            let Some(finished) = self.finished.as_mut().filter(|_| !before.is_empty()) else {
                return;
            };
            finished.push(before);
            if self.finish.len() + finished.iter().map(Vec::len).sum::<usize>() > MAX_HELD {
                self.last = Last::Shown;
                self.pass_finish(pass);
            }
        }
    }

    /// What comes now is of no choice, so the last events have waited long enough.
    pub(super) fn pass_finish(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        if !self.finish.is_empty() {
            let finished = self.finished.as_mut().map(std::mem::take).unwrap_or_default();
            finished.iter().for_each(|finish| pass(Part::Held(finish)));
            pass(Part::Held(&std::mem::take(&mut self.finish)));
        }
    }

    /// What comes now is of another choice, or between events.
    fn let_finish_pass(&mut self, pass: &mut impl FnMut(Part<'_>)) {
        if self.finished.is_none() {
            self.pass_finish(pass);
        }
    }

    /// The line feed up to `end` belongs to the end of the last event.
    pub(super) fn late_line_feed(&mut self, end: usize) {
        match std::mem::take(&mut self.last) {
            Last::Hidden => self.start = end,
            Last::Kept if !self.finish.is_empty() => {
                self.finish.push(b'\n');
                self.start = end;
            }
            Last::Kept | Last::Shown => {}
        }
    }

    /// The buffer ends: what is decided of it, is passed on, and the rest kept.
    pub(super) fn end_buffer(&mut self, buffer: &[u8], pass: &mut impl FnMut(Part<'_>)) {
        if let Some(undecided) = self.event.and_then(|event| buffer.get(event..)) {
            if self.held.len() + undecided.len() <= MAX_HELD {
                self.pass_up_to(buffer.len() - undecided.len(), pass);
                self.held.extend_from_slice(undecided);
                return;
            }
            self.show(pass);
        }
        self.pass_up_to(buffer.len(), pass);
    }

    /// Takes the event at hand, up to `end`; what is before it, is passed on.
    fn take_event<'a>(
        &mut self,
        buffer: &'a [u8],
        end: usize,
        pass: &mut impl FnMut(Part<'_>),
    ) -> Option<Cow<'a, [u8]>> {
        let at = self.event.take()?;
        let mut held = std::mem::take(&mut self.held);
        self.pass_up_to(at, pass);
        self.start = end;
        let rest = buffer.get(at..end).unwrap_or_default();
        if held.is_empty() {
            return Some(Cow::Borrowed(rest));
        }
        held.extend_from_slice(rest);
        Some(Cow::Owned(held))
    }

    fn pass_up_to(&mut self, end: usize, pass: &mut impl FnMut(Part<'_>)) {
        if self.start < end {
            self.let_finish_pass(pass);
            pass(Part::Range(self.start..end));
        }
        self.start = end;
    }
}

fn without(event: &[u8], token: Option<&Finder<'_>>) -> Vec<u8> {
    let Some(token) = token else { return event.to_vec() };
    let cuts = Cuts::of(event, token);
    let parts = kept(event, cuts.all()).filter_map(|range| event.get(range));
    parts.flatten().copied().collect()
}

/// Adds the `member` with this key at the end of the object in `event`, unless it has one.
fn add(event: &mut Vec<u8>, key: &[u8], member: &[u8]) {
    let members = Members::of(event);
    let (Some(close), None) = (members.close(), members.find(event, key)) else { return };
    let end = event.split_off(close.min(event.len()));
    if !members.is_empty() {
        event.push(b',');
    }
    event.extend_from_slice(member);
    event.extend_from_slice(&end);
}

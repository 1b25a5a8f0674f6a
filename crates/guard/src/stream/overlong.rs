//! Matches that have more characters than one may have: what follows belongs to them for as long as the pattern fits.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::hybrid::LazyStateID;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;

use crate::detector::LONGEST;
use crate::matcher::pattern::relaxed;
use crate::stream::beginnings::automaton;
use crate::stream::prefixes::longest_match;

/// How matches of a pattern go on.
pub(super) struct Continuation(DFA);

/// A match that goes on. Places are counted in bytes from the beginning of the text.
#[derive(Clone)]
pub(super) struct Overlong {
    pub(super) pattern: usize,
    /// Where it begins, without what leads to it: in the first reading.
    pub(super) shown_from: usize,
    cache: Box<Cache>,
    state: LazyStateID,
    /// How far it has been read.
    read: usize,
    /// How far it goes, as is known by now.
    pub(super) end: usize,
}

impl Continuation {
    /// That of a pattern with matches of more than [`LONGEST`] characters. The error: it is too large.
    pub(super) fn of(pattern: &Hir) -> Result<Option<Self>, ()> {
        match longest_match(pattern) {
            Some(most) if most < LONGEST => Ok(None),
            _ => automaton(&[relaxed(pattern, None)], false).map(|dfa| Some(Self(dfa))).ok_or(()),
        }
    }

    /// Follows a match that begins in this text, which itself begins at `base`; and tells whether it goes on behind
    /// the end of the text.
    pub(super) fn follow(
        &self,
        pattern: usize,
        text: &str,
        base: usize,
        start: usize,
    ) -> Option<(Overlong, bool)> {
        let mut cache = Box::new(self.0.create_cache());
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let state = self.0.start_state_forward(&mut cache, &input).ok()?;
        let (read, end) = (base + start, base + start);
        let mut overlong = Overlong { pattern, shown_from: end, cache, state, read, end };
        let goes_on = self.advance(&mut overlong, text, base);
        Some((overlong, goes_on))
    }

    /// Goes on to the end of the text. Whether the match does so, too.
    pub(super) fn advance(&self, overlong: &mut Overlong, text: &str, base: usize) -> bool {
        let bytes = text.as_bytes().get(overlong.read - base..).unwrap_or_default();
        for byte in bytes {
            match self.0.next_state(&mut overlong.cache, overlong.state, *byte) {
                Ok(next) if !next.is_dead() && !next.is_quit() => overlong.state = next,
                _ => {
                    let mut end = overlong.certain() - base;
                    while !text.is_char_boundary(end) {
                        end -= 1;
                    }
                    overlong.end = overlong.end.max(base + end);
                    return false;
                }
            }
            overlong.read += 1;
        }
        overlong.end = overlong.end.max(overlong.certain());
        true
    }

    /// The text ends where it was read to.
    pub(super) fn end(&self, overlong: &mut Overlong) {
        let last = self.0.next_eoi_state(&mut overlong.cache, overlong.state);
        if last.is_ok_and(|last| last.is_match()) {
            overlong.end = overlong.read;
        }
    }
}

impl Overlong {
    /// How far it goes for certain. An automaton tells one byte later that a match has ended, and not whether it goes
    /// on.
    fn certain(&self) -> usize {
        if self.state.is_match() {
            self.read.saturating_sub(1)
        } else {
            self.read
        }
    }
}

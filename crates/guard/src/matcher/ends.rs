//! Where a match that begins at a place may end: one automaton of all patterns reads on from there.

use regex_automata::hybrid::{dfa as lazy, LazyStateID};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind, PatternID};
use regex_syntax::hir::Hir;

use super::pattern::{asks_for_words, relaxed};
use crate::detector::LONGEST;

/// The largest automaton of one pattern, in bytes, before its states are made.
const LARGEST_ONE: usize = 4 << 20;
/// The largest automaton of all patterns.
const LARGEST: usize = 64 << 20;
/// The states that are made while texts are read, in bytes. If there are more, it begins anew.
const CACHE: usize = 4 << 20;

/// The automaton. Its states are made when a text leads there.
pub(super) struct Ends {
    lazy: lazy::DFA,
    /// Of a pattern that asks where words of any script begin and end, which the automaton doesn't: the pattern itself.
    exact: Vec<Option<PikeVM>>,
}

/// What its states are kept in.
#[derive(Default)]
pub(super) struct Cache {
    lazy: Option<Box<lazy::Cache>>,
    exact: Vec<Option<pikevm::Cache>>,
    #[cfg(test)]
    read: usize,
}

#[cfg(test)]
impl Cache {
    /// How many bytes were read from the last start on.
    pub(super) fn read(&self) -> usize {
        self.read
    }
}

/// A place where a match of a pattern may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Of which pattern.
    pub(super) pattern: usize,
    /// In bytes.
    pub(super) at: usize,
}

/// Whether an automaton of this pattern is small enough.
pub(super) fn fits(pattern: &Hir) -> bool {
    thompson::Compiler::new()
        .configure(config().nfa_size_limit(Some(LARGEST_ONE)))
        .build_from_hir(pattern)
        .is_ok()
}

fn config() -> thompson::Config {
    thompson::Config::new().which_captures(WhichCaptures::None)
}

impl Ends {
    /// One for these patterns. `None`: they are too large together.
    pub(super) fn new(patterns: &[Hir]) -> Option<Self> {
        let loose: Vec<_> = patterns.iter().map(|pattern| relaxed(pattern, None)).collect();
        let nfa = thompson::Compiler::new()
            .configure(config().nfa_size_limit(Some(LARGEST)))
            .build_many_from_hir(&loose)
            .ok()?;
        let lazy = lazy::Builder::new()
            .configure(
                lazy::Config::new()
                    .match_kind(MatchKind::All)
                    .starts_for_each_pattern(true)
                    .cache_capacity(CACHE)
                    .skip_cache_capacity_check(true),
            )
            .build_from_nfa(nfa)
            .ok()?;
        let exact = |pattern: &Hir| {
            if !asks_for_words(pattern) {
                return Some(None);
            }
            let config = config().which_captures(WhichCaptures::Implicit);
            let nfa = thompson::Compiler::new().configure(config).build_from_hir(pattern).ok()?;
            let config = PikeVM::config().match_kind(MatchKind::All);
            PikeVM::builder().configure(config).build_from_nfa(nfa).ok().map(Some)
        };
        let exact = patterns.iter().map(exact).collect::<Option<_>>()?;
        Some(Self { lazy, exact })
    }

    /// Finds where matches that begin at `start` end, first ones first. Whether some may go on behind the longest.
    pub(super) fn find(
        &self,
        cache: &mut Cache,
        text: &str,
        start: usize,
        found: &mut Vec<End>,
    ) -> bool {
        let states = cache.lazy.get_or_insert_with(|| Box::new(self.lazy.create_cache()));
        let mut at = start;
        // If the automaton gives up, what it found holds. It doesn't: it may begin anew without limit.
        let is_cut = self.read(states, text, start, &mut at, found).unwrap_or(false);
        #[cfg(test)]
        {
            cache.read = at - start;
        }
        is_cut
    }

    fn read(
        &self,
        states: &mut lazy::Cache,
        text: &str,
        start: usize,
        at: &mut usize,
        found: &mut Vec<End>,
    ) -> Option<bool> {
        let bytes = text.as_bytes();
        let input = Input::new(bytes).span(start..bytes.len()).anchored(Anchored::Yes);
        let mut state = self.lazy.start_state_forward(states, &input).ok()?;
        let mut chars = 0;
        for &byte in bytes.get(start..)? {
            state = self.lazy.next_state(states, state, byte).ok()?;
            if state.is_tagged() {
                if state.is_dead() {
                    return Some(false);
                }
                self.add(states, state, *at, found);
            }
            chars += usize::from((byte & 0xc0) != 0x80);
            if chars > LONGEST {
                return Some(true);
            }
            *at += 1;
        }
        state = self.lazy.next_eoi_state(states, state).ok()?;
        self.add(states, state, *at, found);
        Some(false)
    }

    fn add(&self, states: &lazy::Cache, state: LazyStateID, at: usize, found: &mut Vec<End>) {
        if state.is_match() {
            let patterns = 0..self.lazy.match_len(states, state);
            found.extend(patterns.map(|index| {
                let pattern = self.lazy.match_pattern(states, state, index).as_usize();
                End { pattern, at }
            }));
        }
    }

    /// How far a match goes on that may do so behind the longest: until its pattern can't fit any more.
    pub(super) fn go_on(&self, cache: &mut Cache, text: &str, start: usize, end: End) -> usize {
        let states = cache.lazy.get_or_insert_with(|| Box::new(self.lazy.create_cache()));
        let mut last = self.until_dead(states, text, start, end.pattern).unwrap_or(end.at);
        while !text.is_char_boundary(last) {
            last -= 1;
        }
        let is_longer =
            text.get(start..last).is_some_and(|text| text.chars().nth(LONGEST).is_some());
        if is_longer {
            last.max(end.at)
        } else {
            end.at
        }
    }

    fn until_dead(
        &self,
        states: &mut lazy::Cache,
        text: &str,
        start: usize,
        pattern: usize,
    ) -> Option<usize> {
        let bytes = text.as_bytes();
        let pattern = Anchored::Pattern(PatternID::new(pattern).ok()?);
        let input = Input::new(bytes).span(start..bytes.len()).anchored(pattern);
        let mut state = self.lazy.start_state_forward(states, &input).ok()?;
        for (at, &byte) in bytes.iter().enumerate().skip(start) {
            let next = self.lazy.next_state(states, state, byte).ok()?;
            if next.is_dead() {
                // A state tells of the byte before it: of a match that ended there, nothing went on.
                return Some(if state.is_match() { at.saturating_sub(1) } else { at });
            }
            state = next;
        }
        let is_whole = self.lazy.next_eoi_state(states, state).is_ok_and(|last| last.is_match());
        Some(if state.is_match() && !is_whole { bytes.len() - 1 } else { bytes.len() })
    }

    /// Whether the text from `start` to the end fits the pattern, and not only as far as the automaton can tell.
    pub(super) fn holds(&self, cache: &mut Cache, text: &str, start: usize, end: End) -> bool {
        let Some(Some(exact)) = self.exact.get(end.pattern) else { return true };
        if cache.exact.len() <= end.pattern {
            cache.exact.resize_with(self.exact.len(), || None);
        }
        let Some(states) = cache.exact.get_mut(end.pattern) else { return true };
        let states = states.get_or_insert_with(|| exact.create_cache());
        let input = Input::new(text).span(start..end.at).anchored(Anchored::Yes);
        let mut slots = [None; 2];
        exact.search_slots(states, &input, &mut slots);
        matches!(slots, [_, Some(slot)] if slot.get() == end.at)
    }
}

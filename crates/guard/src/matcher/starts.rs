//! Where matches may begin: one automaton of all patterns reads a text backwards, each byte once.

use std::ops::Range;

use regex_automata::hybrid::{dfa as lazy, LazyStateID};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Hir;

use super::pattern::{beginning, relaxed};
use super::steps::{Step, Steps};

/// How far repetitions are counted: the further, the fewer starts are found that are none, and the more states there
/// are.
const COUNTED: u32 = 1;
/// The largest automaton, in bytes, before its states are made.
const LARGEST: usize = 32 << 20;
/// The states that are made while texts are read, in bytes. If there are more, it begins anew.
const CACHE: usize = 4 << 20;
/// How much more states a block of text may make, in bytes. One that makes more was written to do so: each state takes
/// as long as a thousand bytes of other text.
const NEW: usize = 256 * 1024;
/// After how many bytes that is looked at.
const STRETCH: usize = 512;
/// How many blocks are read without the automaton, at most, after one that made too many states.
const PAUSE: u32 = 64;

/// A place where a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// In bytes.
    pub(super) at: usize,
    /// Of which patterns: one bit for each, and one for all from [`LAST`] on.
    pub(super) patterns: u64,
}

/// The last bit of [`Start::patterns`].
pub(super) const LAST: usize = 63;

/// The bit of a pattern.
pub(super) fn bit(pattern: usize) -> u64 {
    1 << pattern.min(LAST)
}

/// The automaton. Its states are made when a text leads there: all of them would be too many, of which most are never
/// seen.
pub(super) struct Starts {
    lazy: lazy::DFA,
}

/// What its states are kept in.
#[derive(Default)]
pub(super) struct Cache {
    lazy: Option<Box<lazy::Cache>>,
    steps: Steps,
    /// So many blocks are read without it.
    pause: u32,
    /// How many those will be the next time.
    next_pause: u32,
}

#[cfg(test)]
impl Cache {
    /// Reads so many blocks without the automaton.
    pub(super) fn pause(&mut self, blocks: u32) {
        self.pause = blocks;
    }
}

impl Starts {
    /// One for these patterns. `None`: they are too large together.
    pub(super) fn new(patterns: &[Hir]) -> Option<Self> {
        let patterns: Vec<_> =
            patterns.iter().map(|pattern| beginning(&relaxed(pattern, Some(COUNTED)))).collect();
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .reverse(true)
                    .utf8(false)
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(LARGEST)),
            )
            .build_many_from_hir(&patterns)
            .ok()?;
        let config = lazy::Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE)
            .skip_cache_capacity_check(true);
        let lazy = lazy::Builder::new().configure(config).build_from_nfa(nfa).ok()?;
        Some(Self { lazy })
    }

    /// Finds where in `wanted` matches may begin, last first. What may belong to a match is read up to `end`.
    pub(super) fn find(
        &self,
        cache: &mut Cache,
        text: &[u8],
        wanted: Range<usize>,
        end: usize,
        found: &mut Vec<Start>,
    ) {
        let from = wanted.start;
        let mut at = end;
        if cache.pause > 0 {
            cache.pause -= 1;
        } else {
            let states = cache.lazy.get_or_insert_with(|| Box::new(self.lazy.create_cache()));
            let steps = &mut cache.steps;
            if self.read(states, steps, text, wanted.clone(), &mut at, found).is_some() {
                cache.next_pause /= 2;
                return;
            }
            cache.next_pause = (cache.next_pause * 2 + 1).min(PAUSE);
            cache.pause = cache.next_pause;
        }
        // What isn't read may begin anywhere.
        let rest = (from..at.saturating_add(1).min(wanted.end)).rev();
        found.extend(rest.map(|at| Start { at, patterns: u64::MAX }));
    }

    /// Reads the text backwards from `at`. `None`: only down to what `at` is then, since that made too many states.
    fn read(
        &self,
        states: &mut lazy::Cache,
        steps: &mut Steps,
        text: &[u8],
        wanted: Range<usize>,
        at: &mut usize,
        found: &mut Vec<Start>,
    ) -> Option<()> {
        let part = text.get(wanted.start..*at)?;
        let input = Input::new(text).span(wanted.start..*at).anchored(Anchored::No);
        let mut add = |patterns: u64, at: usize| {
            if patterns != 0 && at < wanted.end {
                found.push(Start { at, patterns });
            }
        };
        let before = (states.memory_usage(), states.clear_count());
        let start = self.lazy.start_state_reverse(states, &input).ok()?;
        let mut row = steps.row(start, states.clear_count(), || self.patterns(states, start));
        for stretch in part.rchunks(STRETCH) {
            let from = *at - stretch.len();
            let mut left = stretch;
            loop {
                // Mostly the next state is known, and says nothing: each step is but a look into a table.
                left = steps.follow(&mut row, left);
                let Some((&byte, others)) = left.split_last() else { break };
                *at = from + left.len();
                left = others;
                row = match steps.step(row, byte) {
                    Step::Known(next) => next,
                    Step::Unknown => {
                        let next = self.lazy.next_state(states, steps.state(row), byte).ok()?;
                        let patterns = || self.patterns(states, next);
                        steps.learn(row, byte, next, states.clear_count(), patterns)
                    }
                };
                add(steps.patterns(row), *at);
            }
            *at = from;
            if states.memory_usage().saturating_sub(before.0) > NEW
                || states.clear_count() != before.1
            {
                return None;
            }
        }
        // A state tells of the byte before it.
        let state = steps.state(row);
        let state = match wanted.start.checked_sub(1).and_then(|before| text.get(before)) {
            Some(&byte) => self.lazy.next_state(states, state, byte).ok()?,
            None => self.lazy.next_eoi_state(states, state).ok()?,
        };
        add(self.patterns(states, state), *at);
        Some(())
    }

    /// The patterns that a state says may begin.
    fn patterns(&self, states: &lazy::Cache, state: LazyStateID) -> u64 {
        if !state.is_match() {
            return 0;
        }
        (0..self.lazy.match_len(states, state)).fold(0, |all, index| {
            all | bit(self.lazy.match_pattern(states, state, index).as_usize())
        })
    }
}

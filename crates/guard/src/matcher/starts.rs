//! Where matches may begin: one automaton of all patterns reads a text backwards, each byte once.

use std::ops::Range;

use regex_automata::dfa::{dense, Automaton, StartKind};
use regex_automata::hybrid::{dfa as lazy, LazyStateID};
use regex_automata::nfa::thompson::{self, WhichCaptures, NFA};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Hir;

use super::pattern::relaxed;

/// The largest table of all states, in bytes. An automaton that is larger is built while texts are read.
const LARGEST: usize = 4 << 20;
/// What its making may take, in bytes.
const LARGEST_WORK: usize = 16 << 20;
/// How far repetitions are counted: the further, the fewer starts are found that are none, and the larger the
/// automaton. The first that fits is taken.
const COUNTS: [u32; 3] = [6, 3, 1];
/// The states of an automaton that is built while texts are read, in bytes. If there are more, it begins anew.
const CACHE: usize = 2 << 20;

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

/// The automaton.
pub(super) enum Starts {
    /// All of its states are made.
    Dense(Box<dense::DFA<Vec<u32>>>),
    /// States are made when a text leads there.
    Lazy(Box<lazy::DFA>),
}

/// What the states of a lazy one are kept in, as soon as it has read something.
pub(super) type Cache = Option<Box<lazy::Cache>>;

impl Starts {
    /// One for these patterns. `None`: they are too large together.
    pub(super) fn new(patterns: &[Hir]) -> Option<Self> {
        for most in COUNTS {
            let nfa = backwards(patterns, most)?;
            let dense = dense::Builder::new()
                .configure(
                    dense::Config::new()
                        .match_kind(MatchKind::All)
                        .start_kind(StartKind::Unanchored)
                        .accelerate(false)
                        .dfa_size_limit(Some(LARGEST))
                        .determinize_size_limit(Some(LARGEST_WORK)),
                )
                .build_from_nfa(&nfa);
            if let Ok(dense) = dense {
                return Some(Self::Dense(Box::new(dense)));
            }
        }
        Self::lazy(patterns)
    }

    /// One whose states are made when a text leads there.
    pub(super) fn lazy(patterns: &[Hir]) -> Option<Self> {
        let config = lazy::Config::new()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE)
            .skip_cache_capacity_check(true);
        let nfa = backwards(patterns, 1)?;
        let lazy = lazy::Builder::new().configure(config).build_from_nfa(nfa).ok()?;
        Some(Self::Lazy(Box::new(lazy)))
    }

    /// Whether all of its states are made.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Dense(_))
    }

    /// What it takes, in bytes, without caches.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.memory_usage(),
            Self::Lazy(lazy) => lazy.memory_usage(),
        }
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
        match self {
            Self::Dense(dense) => read(&mut Whole(dense), text, wanted, end, found),
            Self::Lazy(lazy) => {
                let cache = cache.get_or_insert_with(|| Box::new(lazy.create_cache()));
                read(&mut Growing(lazy, cache), text, wanted, end, found);
            }
        }
    }
}

/// Reads the text backwards from `end`.
fn read<S: Steps>(
    steps: &mut S,
    text: &[u8],
    wanted: Range<usize>,
    end: usize,
    found: &mut Vec<Start>,
) {
    let mut at = end;
    let mut add = |steps: &S, state: S::State, at: usize| {
        let patterns = steps.patterns(state);
        if patterns != 0 && at < wanted.end {
            found.push(Start { at, patterns });
        }
    };
    let mut run = || {
        let part = text.get(wanted.start..end)?;
        let input = Input::new(text).span(wanted.start..end).anchored(Anchored::No);
        let mut state = steps.start(&input)?;
        for &byte in part.iter().rev() {
            state = steps.next(state, byte)?;
            if steps.is_special(state) {
                add(steps, state, at);
            }
            at -= 1;
        }
        // A state tells of the byte before it.
        state = match wanted.start.checked_sub(1).and_then(|before| text.get(before)) {
            Some(&byte) => steps.next(state, byte)?,
            None => steps.end(state)?,
        };
        add(steps, state, at);
        Some(())
    };
    if run().is_none() {
        // An automaton that gives up is none of ours. It would hide what it didn't read.
        let rest = (wanted.start..at.min(wanted.end)).rev();
        found.extend(rest.map(|at| Start { at, patterns: u64::MAX }));
    }
}

/// All patterns as one, from their ends to their beginnings.
fn backwards(patterns: &[Hir], most: u32) -> Option<NFA> {
    let patterns: Vec<_> = patterns.iter().map(|pattern| relaxed(pattern, Some(most))).collect();
    thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .reverse(true)
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(LARGEST_WORK)),
        )
        .build_many_from_hir(&patterns)
        .ok()
}

/// An automaton, state by state.
trait Steps {
    /// A state.
    type State: Copy;
    /// The one behind a byte.
    fn next(&mut self, state: Self::State, byte: u8) -> Option<Self::State>;
    /// The one before the first byte.
    fn end(&mut self, state: Self::State) -> Option<Self::State>;
    /// The first one.
    fn start(&mut self, input: &Input<'_>) -> Option<Self::State>;
    /// Whether something is to be done in it.
    fn is_special(&self, state: Self::State) -> bool;
    /// The patterns that begin behind the byte that led to it.
    fn patterns(&self, state: Self::State) -> u64;
}

struct Whole<'a>(&'a dense::DFA<Vec<u32>>);

impl Steps for Whole<'_> {
    type State = regex_automata::util::primitives::StateID;

    #[inline(always)]
    fn next(&mut self, state: Self::State, byte: u8) -> Option<Self::State> {
        Some(self.0.next_state(state, byte))
    }

    fn end(&mut self, state: Self::State) -> Option<Self::State> {
        Some(self.0.next_eoi_state(state))
    }

    fn start(&mut self, input: &Input<'_>) -> Option<Self::State> {
        self.0.start_state_reverse(input).ok()
    }

    #[inline(always)]
    fn is_special(&self, state: Self::State) -> bool {
        self.0.is_special_state(state)
    }

    fn patterns(&self, state: Self::State) -> u64 {
        if !self.0.is_match_state(state) {
            return 0;
        }
        (0..self.0.match_len(state))
            .fold(0, |all, at| all | bit(self.0.match_pattern(state, at).as_usize()))
    }
}

struct Growing<'a>(&'a lazy::DFA, &'a mut lazy::Cache);

impl Steps for Growing<'_> {
    type State = LazyStateID;

    #[inline(always)]
    fn next(&mut self, state: Self::State, byte: u8) -> Option<Self::State> {
        self.0.next_state(self.1, state, byte).ok()
    }

    fn end(&mut self, state: Self::State) -> Option<Self::State> {
        self.0.next_eoi_state(self.1, state).ok()
    }

    fn start(&mut self, input: &Input<'_>) -> Option<Self::State> {
        self.0.start_state_reverse(self.1, input).ok()
    }

    #[inline(always)]
    fn is_special(&self, state: Self::State) -> bool {
        state.is_tagged()
    }

    fn patterns(&self, state: Self::State) -> u64 {
        if !state.is_match() {
            return 0;
        }
        (0..self.0.match_len(self.1, state))
            .fold(0, |all, at| all | bit(self.0.match_pattern(self.1, state, at).as_usize()))
    }
}

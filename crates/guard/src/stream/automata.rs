//! All detectors of a guard, in two automata.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use regex_automata::hybrid::dfa::{Cache, Config, DFA};
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::look::LookMatcher;
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, MatchKind, PatternID, PatternSet};
use regex_syntax::hir::Hir;
use regex_syntax::Parser;

use crate::detector::{Detector, LONGEST};
use crate::finding::{Action, RuleIndex};
use crate::stream::prefixes::{fold, prefixes, without_looks};
use crate::stream::watch::Watch;

/// One thing to look for.
#[derive(Clone, Debug)]
pub struct Sought {
    /// How it is found.
    pub detector: Detector,
    /// The rule that findings name.
    pub rule: RuleIndex,
    /// What is done. In what a model writes, [`Action::Tokenize`] is as [`Action::Mask`].
    pub action: Action,
    /// From which score on it is a finding.
    pub threshold: u8,
}

/// Why something can't be looked for in a text that comes in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The pattern is none.
    Syntax {
        /// The detector's name.
        name: String,
        /// Why.
        why: String,
    },
    /// The pattern fits nothing at all.
    Empty {
        /// The detector's name.
        name: String,
    },
    /// Nothing that it fits is short enough to be held back.
    TooLong {
        /// The detector's name.
        name: String,
        /// How many characters it has at least.
        least: usize,
    },
    /// The automaton would be too large.
    TooLarge {
        /// The detector's name.
        name: String,
    },
    /// The automaton for all patterns together would be too large.
    AllTooLarge,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { name, why } => write!(f, "pattern \"{name}\" can't be read: {why}"),
            Self::Empty { name } => write!(
                f,
                "pattern \"{name}\" matches where nothing is, ask for one character at least"
            ),
            Self::TooLong { name, least } => {
                write!(f, "pattern \"{name}\" matches {least} characters and more, at most {LONGEST} are looked at")
            }
            Self::TooLarge { name } => {
                write!(f, "pattern \"{name}\" is too large, repeat less in it")
            }
            Self::AllTooLarge => write!(f, "the patterns are too large together, leave some out"),
        }
    }
}

impl std::error::Error for Error {}

/// What is looked for in texts that come in pieces.
pub struct StreamGuard {
    watches: Vec<Watch>,
    automata: Option<Automata>,
    looks: LookMatcher,
}

struct Automata {
    /// Reads backwards from the end of what has come, and fits where a match may have begun.
    beginnings: DFA,
    /// Reads forwards, and tells whether there is a match. It asks nothing of the places between characters: so it
    /// may say yes where there is none, but not the other way round.
    matches: DFA,
    pool: Pool<Memory, Box<dyn Fn() -> Memory + Send + Sync + UnwindSafe + RefUnwindSafe>>,
}

/// What one thread needs to run them. Both grow to 2 MB at most.
struct Memory {
    beginnings: Cache,
    matches: Cache,
    /// Which patterns match.
    which: PatternSet,
}

impl Default for StreamGuard {
    fn default() -> Self {
        Self { watches: Vec::new(), automata: None, looks: LookMatcher::new() }
    }
}

impl fmt::Debug for StreamGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGuard").field("watches", &self.watches.len()).finish_non_exhaustive()
    }
}

impl StreamGuard {
    /// Looks for all of these. Where several find the same, the one with the strictest action says what is done, and of
    /// these the first.
    ///
    /// # Errors
    ///
    /// A pattern that can't be read, that matches nothing at all or only more than [`LONGEST`] characters, or that is
    /// too large.
    pub fn new(sought: Vec<Sought>) -> Result<Self, Error> {
        if sought.is_empty() {
            return Ok(Self::default());
        }
        let mut patterns = Vec::with_capacity(sought.len());
        let mut watches = Vec::with_capacity(sought.len());
        for sought in sought {
            let hir =
                Parser::new().parse(&sought.detector.pattern).map_err(|error| Error::Syntax {
                    name: sought.detector.name.clone().into_owned(),
                    why: error.to_string(),
                })?;
            let hir = fold(&hir);
            watches.push(Watch::new(sought, &hir)?);
            patterns.push(hir);
        }
        let automata = Automata::new(&patterns)?;
        Ok(Self { watches, automata: Some(automata), looks: LookMatcher::new() })
    }

    pub(super) fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// From where on this text may be a match, of which the rest is missing. No earlier than `from`, and no more than
    /// [`LONGEST`] characters.
    pub(super) fn held_from(&self, text: &str, from: usize) -> usize {
        let Some(automata) = self.automata.as_ref().filter(|_| from < text.len()) else {
            return text.len();
        };
        let may_begin = |pattern: PatternID, at: usize| {
            self.watches
                .get(pattern.as_usize())
                .is_none_or(|watch| watch.may_begin(&self.looks, text, at))
        };
        automata.held_from(text, from, may_begin).unwrap_or(from)
    }

    /// Calls with each detector of which something in this text looks like a match.
    pub(super) fn for_each_match(
        &self,
        text: &str,
        from: usize,
        mut call: impl FnMut(usize, &Watch),
    ) {
        let Some(automata) = &self.automata else {
            return;
        };
        let mut memory = automata.pool.get();
        let memory = &mut *memory;
        let input = Input::new(text).range(from..);
        if automata.has_none(&mut memory.matches, &input) {
            return;
        }
        memory.which.clear();
        let all = automata.matches.try_which_overlapping_matches(
            &mut memory.matches,
            &input,
            &mut memory.which,
        );
        for (index, watch) in self.watches.iter().enumerate() {
            if all.is_err()
                || PatternID::new(index).is_ok_and(|pattern| memory.which.contains(pattern))
            {
                call(index, watch);
            }
        }
    }
}

impl Automata {
    fn new(patterns: &[Hir]) -> Result<Self, Error> {
        let plain: Vec<Hir> = patterns.iter().map(without_looks).collect();
        let all_prefixes: Vec<Hir> = patterns.iter().map(prefixes).collect();
        let matches = forwards(&plain, true)?;
        let beginnings = automaton(&all_prefixes, true, MatchKind::All)?;
        let (count, first, second) = (patterns.len(), beginnings.clone(), matches.clone());
        let pool = Pool::new(Box::new(move || Memory {
            beginnings: first.create_cache(),
            matches: second.create_cache(),
            which: PatternSet::new(count),
        })
            as Box<dyn Fn() -> Memory + Send + Sync + UnwindSafe + RefUnwindSafe>);
        Ok(Self { beginnings, matches, pool })
    }

    /// `None`: the automaton can't tell.
    fn held_from(
        &self,
        text: &str,
        from: usize,
        may_begin: impl Fn(PatternID, usize) -> bool,
    ) -> Option<usize> {
        let mut memory = self.pool.get();
        let (dfa, cache) = (&self.beginnings, &mut memory.beginnings);
        let input = Input::new(text).range(from..).anchored(Anchored::Yes);
        let mut state = dfa.start_state_reverse(cache, &input).ok()?;
        let mut held = text.len();
        let mut characters = 0;
        let bytes = text.as_bytes().get(from..)?;
        // What the automaton says after a byte is about the place behind that byte.
        for (at, byte) in (from..text.len()).zip(bytes).rev() {
            state = dfa.next_state(cache, state, *byte).ok()?;
            if state.is_match() {
                let at = at + 1;
                let mut patterns = (0..dfa.match_len(cache, state))
                    .map(|index| dfa.match_pattern(cache, state, index));
                if at < text.len()
                    && text.is_char_boundary(at)
                    && patterns.any(|pattern| may_begin(pattern, at))
                {
                    held = at;
                }
            } else if state.is_dead() {
                return Some(held);
            } else if state.is_quit() {
                return None;
            }
            // A byte that begins a character, unless it goes on.
            characters += usize::from(byte & 0xc0 != 0x80);
            if characters > LONGEST {
                return Some(held);
            }
        }
        state = dfa.next_eoi_state(cache, state).ok()?;
        if state.is_match() {
            let mut patterns = (0..dfa.match_len(cache, state))
                .map(|index| dfa.match_pattern(cache, state, index));
            if patterns.any(|pattern| may_begin(pattern, from)) {
                held = from;
            }
        }
        Some(held)
    }

    /// Whether it is certain that there is no match.
    fn has_none(&self, cache: &mut Cache, input: &Input<'_>) -> bool {
        let Ok(mut state) = self.matches.start_state_forward(cache, input) else {
            return false;
        };
        for byte in input.haystack().get(input.get_range()).unwrap_or_default() {
            match self.matches.next_state(cache, state, *byte) {
                Ok(next) if !next.is_match() && !next.is_quit() => state = next,
                _ => return false,
            }
        }
        self.matches.next_eoi_state(cache, state).is_ok_and(|last| !last.is_match())
    }
}

/// An automaton that reads forwards: for all matches of all patterns, or for the one that a regex finds.
pub(super) fn forwards(patterns: &[Hir], all: bool) -> Result<DFA, Error> {
    automaton(patterns, false, if all { MatchKind::All } else { MatchKind::LeftmostFirst })
}

fn automaton(patterns: &[Hir], reverse: bool, kind: MatchKind) -> Result<DFA, Error> {
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().reverse(reverse).which_captures(WhichCaptures::None))
        .build_many_from_hir(patterns)
        .map_err(|_| Error::AllTooLarge)?;
    // Lists of terms make large automata, and a memory that is cleared too often costs time, but no more.
    let config = Config::new().match_kind(kind).skip_cache_capacity_check(true);
    regex_automata::hybrid::dfa::Builder::new()
        .configure(config)
        .build_from_nfa(nfa)
        .map_err(|_| Error::AllTooLarge)
}

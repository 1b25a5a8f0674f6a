//! Where in a text something may have begun of which the rest is missing.

use std::panic::{RefUnwindSafe, UnwindSafe};

use regex_automata::hybrid::dfa::{Builder, Cache, Config, DFA};
use regex_automata::hybrid::LazyStateID;
use regex_automata::nfa::thompson::{self, WhichCaptures};
use regex_automata::util::look::LookMatcher;
use regex_automata::util::pool::Pool;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::{Hir, Look, LookSet};

use crate::detector::LONGEST;
use crate::matcher::pattern::UNICODE_WORDS;
use crate::stream::prefixes::prefixes;

/// The largest automaton of all patterns, in bytes, before its states are made.
const LARGEST: usize = 64 << 20;
/// The states that are made while texts are read, in bytes. If there are more, it begins anew.
const CACHE: usize = 2 << 20;

type NewCache = Box<dyn Fn() -> Cache + Send + Sync + UnwindSafe + RefUnwindSafe>;

/// An automaton that reads a text backwards from its end, and fits where a match may have begun.
pub(super) struct Beginnings {
    dfa: DFA,
    /// What matches of each pattern ask of the place where they begin, and the automaton doesn't. Nothing, if none does.
    leading: Vec<LookSet>,
    looks: LookMatcher,
    /// Its first user, the one thread of a worker, takes what is in it without a lock.
    caches: Pool<Cache, NewCache>,
}

impl Beginnings {
    /// Those of matches of these patterns. `None`: they are too large together.
    pub(super) fn new(patterns: &[Hir]) -> Option<Self> {
        let all: Vec<Hir> = patterns.iter().map(prefixes).collect();
        let dfa = automaton(&all, true)?;
        let for_caches = dfa.clone();
        let of_words = |looks: LookSet| {
            UNICODE_WORDS
                .iter()
                .filter(|look| looks.contains(**look))
                .fold(LookSet::empty(), |all, look| all.insert(*look))
        };
        let leading: Vec<LookSet> = patterns
            .iter()
            .map(|pattern| of_words(pattern.properties().look_set_prefix()))
            .collect();
        let is_exact = leading.iter().all(|looks| looks.is_empty());
        Some(Self {
            dfa,
            leading: if is_exact { Vec::new() } else { leading },
            looks: LookMatcher::new(),
            caches: Pool::new(Box::new(move || for_caches.create_cache())),
        })
    }

    /// From where on this text may be a match, of which the rest is missing. No earlier than `from`, and no more than
    /// [`LONGEST`] characters.
    pub(super) fn held_from(&self, text: &str, from: usize) -> usize {
        if from >= text.len() {
            return text.len();
        }
        // An automaton that gives up is none of ours. It would show what it didn't read.
        self.read(text, from).unwrap_or(from)
    }

    fn read(&self, text: &str, from: usize) -> Option<usize> {
        let mut cache = self.caches.get();
        let cache = &mut *cache;
        let input = Input::new(text).range(from..).anchored(Anchored::Yes);
        let mut state = self.dfa.start_state_reverse(cache, &input).ok()?;
        let mut held = text.len();
        let mut characters = 0;
        let bytes = text.as_bytes().get(from..)?;
        // What a state says is about the place before the byte that led to the one before it.
        let mut at = text.len();
        for byte in bytes.iter().rev() {
            state = self.dfa.next_state(cache, state, *byte).ok()?;
            if state.is_tagged() {
                if state.is_dead() {
                    return Some(held);
                }
                if state.is_quit() {
                    return None;
                }
                if state.is_match() && at < held && self.may_begin(cache, state, text, at) {
                    held = at;
                }
            }
            at -= 1;
            characters += usize::from(byte & 0xc0 != 0x80);
            if characters > LONGEST {
                return Some(held);
            }
        }
        state = match from.checked_sub(1).and_then(|before| text.as_bytes().get(before)) {
            Some(before) => self.dfa.next_state(cache, state, *before).ok()?,
            None => self.dfa.next_eoi_state(cache, state).ok()?,
        };
        Some(if self.may_begin(cache, state, text, from) { from } else { held })
    }

    /// Whether a match of one of the patterns of this state may begin there.
    fn may_begin(&self, cache: &Cache, state: LazyStateID, text: &str, at: usize) -> bool {
        if self.leading.is_empty() {
            return state.is_match() && text.is_char_boundary(at);
        }
        let asks_for = |look| self.looks.matches(of_automata(look), text.as_bytes(), at);
        state.is_match()
            && text.is_char_boundary(at)
            && (0..self.dfa.match_len(cache, state)).any(|index| {
                let pattern = self.dfa.match_pattern(cache, state, index).as_usize();
                self.leading.get(pattern).is_none_or(|looks| looks.iter().all(asks_for))
            })
    }
}

/// One automaton of all patterns, which fits all that each of them does.
pub(super) fn automaton(patterns: &[Hir], reverse: bool) -> Option<DFA> {
    let config = thompson::Config::new()
        .reverse(reverse)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(LARGEST));
    let nfa = thompson::Compiler::new().configure(config).build_many_from_hir(patterns).ok()?;
    let config = Config::new()
        .match_kind(MatchKind::All)
        .cache_capacity(CACHE)
        .skip_cache_capacity_check(true);
    Builder::new().configure(config).build_from_nfa(nfa).ok()
}

/// The same as the other crate has it.
fn of_automata(look: Look) -> regex_automata::util::look::Look {
    use regex_automata::util::look::Look as Other;
    match look {
        Look::Start => Other::Start,
        Look::End => Other::End,
        Look::StartLF => Other::StartLF,
        Look::EndLF => Other::EndLF,
        Look::StartCRLF => Other::StartCRLF,
        Look::EndCRLF => Other::EndCRLF,
        Look::WordAscii => Other::WordAscii,
        Look::WordAsciiNegate => Other::WordAsciiNegate,
        Look::WordUnicode => Other::WordUnicode,
        Look::WordUnicodeNegate => Other::WordUnicodeNegate,
        Look::WordStartAscii => Other::WordStartAscii,
        Look::WordEndAscii => Other::WordEndAscii,
        Look::WordStartUnicode => Other::WordStartUnicode,
        Look::WordEndUnicode => Other::WordEndUnicode,
        Look::WordStartHalfAscii => Other::WordStartHalfAscii,
        Look::WordEndHalfAscii => Other::WordEndHalfAscii,
        Look::WordStartHalfUnicode => Other::WordStartHalfUnicode,
        Look::WordEndHalfUnicode => Other::WordEndHalfUnicode,
    }
}

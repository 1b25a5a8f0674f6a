//! A detector, ready to look into a text that isn't complete.

use std::ops::Range;

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::hybrid::LazyStateID;
use regex_automata::meta::Regex;
use regex_automata::util::look::LookMatcher;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::{Hir, Look, LookSet};

use crate::detector::{Candidate, LONGEST};
use crate::finding::Action;
use crate::stream::automata::{self, Sought};
use crate::stream::prefixes::{characters, without_looks};

/// A detector, and what is done about what it finds.
pub(super) struct Watch {
    pub(super) sought: Sought,
    /// `[EMAIL]`
    pub(super) label: Box<str>,
    regex: Regex,
    /// What a match asks of the place where it begins.
    leading: LookSet,
    /// Where a match may have more than [`LONGEST`] characters: how it goes on.
    more: Option<DFA>,
}

/// What a detector finds.
pub(super) struct Sighting {
    pub(super) range: Range<usize>,
    pub(super) score: u8,
}

/// A match that goes on behind its [`LONGEST`]th character, and is not shown for as long as it does.
pub(super) struct Overlong {
    pub(super) watch: usize,
    cache: Box<Cache>,
    state: LazyStateID,
    /// How far it has been read.
    read: usize,
    /// How far it goes, as is known by now.
    pub(super) end: usize,
}

impl Watch {
    /// A watch for what this pattern fits, which is that of the detector.
    pub(super) fn new(sought: Sought, hir: &Hir) -> Result<Self, automata::Error> {
        let name = || sought.detector.name.clone().into_owned();
        let (least, most) = characters(hir);
        if hir.properties().minimum_len() == Some(0) {
            return Err(automata::Error::Empty { name: name() });
        }
        if least > LONGEST {
            return Err(automata::Error::TooLong { name: name(), least });
        }
        let regex = Regex::builder()
            .build_from_hir(hir)
            .map_err(|_| automata::Error::TooLarge { name: name() })?;
        let more = match most {
            Some(most) if most <= LONGEST => None,
            _ => Some(automata::forwards(&[without_looks(hir)], false)?),
        };
        Ok(Self {
            label: format!("[{}]", sought.detector.label).into(),
            leading: hir.properties().look_set_prefix(),
            regex,
            more,
            sought,
        })
    }

    /// Whether a match may begin at this place, by what is before it.
    pub(super) fn may_begin(&self, looks: &LookMatcher, text: &str, at: usize) -> bool {
        self.leading.is_empty()
            || self
                .leading
                .iter()
                .all(|look| looks.matches(automaton_look(look), text.as_bytes(), at))
    }

    /// The first match that begins in this range of the text, and is one.
    pub(super) fn first(&self, text: &str, within: Range<usize>) -> Option<Sighting> {
        let mut from = within.start;
        loop {
            let range = self.candidate(text, from).filter(|range| range.start < within.end)?;
            from = next_character(text, range.start);
            let score =
                Candidate::new(text, range.clone()).and_then(|candidate| self.judge(&candidate));
            if let Some(score) = score.filter(|score| *score >= self.sought.threshold) {
                return Some(Sighting { range, score });
            }
        }
    }

    /// The first text from here on that fits the pattern.
    fn candidate(&self, text: &str, mut from: usize) -> Option<Range<usize>> {
        if self.more.is_none() {
            return self.regex.search(&Input::new(text).range(from..)).map(|found| found.range());
        }
        // No further than where a match ends that begins in the first half: or each start costs all of the text.
        while from < text.len() {
            let half = characters_behind(text, from, LONGEST);
            let window = characters_behind(text, half, LONGEST);
            let found = self.regex.search(&Input::new(text).range(from..window));
            let Some(found) = found.filter(|found| found.start() < half) else {
                from = half;
                continue;
            };
            let limit = characters_behind(text, found.start(), LONGEST);
            if found.end() <= limit {
                return Some(found.range());
            }
            let cut = Input::new(text).range(found.start()..limit).anchored(Anchored::Yes);
            match self.regex.search(&cut) {
                Some(cut) => return Some(cut.range()),
                None => from = next_character(text, found.start()),
            }
        }
        None
    }

    /// How sure it is that this is one. `None`: it isn't.
    fn judge(&self, candidate: &Candidate<'_>) -> Option<u8> {
        let detector = &self.sought.detector;
        let Some(check) = detector.check else {
            return Some(100);
        };
        check(
            candidate,
            !detector.context.is_empty() && has_word(candidate.before(), detector.context),
        )
    }

    /// Follows a match beyond its [`LONGEST`]th character, if it has so many; and tells whether it goes on behind what
    /// is here. Places are those of a text that begins at `base`.
    pub(super) fn follow(
        &self,
        watch: usize,
        text: &str,
        base: usize,
        found: &Range<usize>,
    ) -> Option<(Overlong, bool)> {
        let dfa = self.more.as_ref()?;
        if found.end < characters_behind(text, found.start, LONGEST)
            || self.sought.action == Action::Block
        {
            return None;
        }
        let mut cache = Box::new(dfa.create_cache());
        let input = Input::new(text).range(found.start..).anchored(Anchored::Yes);
        let state = dfa.start_state_forward(&mut cache, &input).ok()?;
        let mut overlong =
            Overlong { watch, cache, state, read: base + found.start, end: base + found.end };
        let goes_on = self.advance(&mut overlong, text, base);
        Some((overlong, goes_on))
    }

    /// Goes on to the end of what is here now. Whether the match does so, too.
    pub(super) fn advance(&self, overlong: &mut Overlong, text: &str, base: usize) -> bool {
        let (Some(dfa), Some(bytes)) = (&self.more, text.as_bytes().get(overlong.read - base..))
        else {
            return false;
        };
        for byte in bytes {
            let next = dfa.next_state(&mut overlong.cache, overlong.state, *byte);
            match next {
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
        let last =
            self.more.as_ref().map(|dfa| dfa.next_eoi_state(&mut overlong.cache, overlong.state));
        if last.is_some_and(|last| last.is_ok_and(|last| last.is_match())) {
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

/// Whether one of these words is there, in any case.
fn has_word(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    let is_part = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    words.iter().any(|word| {
        text.match_indices(word).any(|(at, _)| {
            let before = text.get(..at).and_then(|before| before.chars().next_back());
            let behind = text.get(at + word.len()..).and_then(|behind| behind.chars().next());
            !is_part(before) && !is_part(behind)
        })
    })
}

/// The place behind so many characters, or the end.
fn characters_behind(text: &str, from: usize, count: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    if rest.len() <= count {
        return text.len();
    }
    rest.char_indices().nth(count).map_or(text.len(), |(at, _)| from + at)
}

fn next_character(text: &str, at: usize) -> usize {
    characters_behind(text, at, 1)
}

/// The same for the other crate.
fn automaton_look(look: Look) -> regex_automata::util::look::Look {
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

//! The terms of a list: as words, in any case.

use std::fmt;
use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use crate::detector::LONGEST;
use crate::folding::folded;
use crate::words::{is_unspaced, is_word};

/// The most terms of a list.
pub const MOST: usize = 100_000;

/// Why a list can't be used. The line is that of the file, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There are more than [`MOST`] terms.
    TooMany,
    /// There is none.
    None,
    /// The term of this line has more characters than a match may have.
    TooLong(usize),
    /// That of this line has neither a letter nor a digit.
    NoWord(usize),
    /// All of them together are too large.
    Size,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "it has more than {MOST} terms"),
            Self::None => f.write_str("it has no terms"),
            Self::TooLong(line) => {
                write!(f, "the term in line {line} has {LONGEST} characters or more")
            }
            Self::NoWord(line) => {
                write!(f, "the term in line {line} has neither a letter nor a digit")
            }
            Self::Size => f.write_str("its terms are too many for one list"),
        }
    }
}

impl std::error::Error for Error {}

/// Reads a file of terms: one a line. Blank lines don't count, nor do those that begin with `#`.
///
/// # Errors
///
/// A line that can't be a term, or too many.
pub fn read(file: &str) -> Result<Vec<Box<str>>, Error> {
    let file = file.strip_prefix('\u{feff}').unwrap_or(file);
    let lines = file.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let mut terms = Vec::new();
    for (line, term) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        check(term, line)?;
        terms.push(term.into());
    }
    match terms.len() {
        0 => Err(Error::None),
        1..=MOST => Ok(terms),
        _ => Err(Error::TooMany),
    }
}

fn check(term: &str, line: usize) -> Result<(), Error> {
    if !term.chars().any(char::is_alphanumeric) {
        return Err(Error::NoWord(line));
    }
    // With a character before it and one behind, it is no longer than a match.
    if term.chars().count() >= LONGEST {
        return Err(Error::TooLong(line));
    }
    Ok(())
}

/// All terms of a list, as one automaton.
pub struct Terms {
    automaton: NFA,
    /// How many characters each has.
    lengths: Vec<u8>,
}

/// The terms of a list that have begun in a text of which the rest is missing.
#[derive(Clone, Debug, Default)]
pub struct Begun {
    /// Where each begins, how many characters were read by then, and what it has come to.
    states: Vec<(usize, usize, StateID)>,
    /// Where one may begin that is complete.
    ended: Vec<usize>,
    is_blank: bool,
    /// Characters read.
    count: usize,
}

impl Begun {
    /// Where the first of them begins that may go on.
    #[must_use]
    pub fn first(&self) -> Option<usize> {
        self.states.first().map(|(start, ..)| *start)
    }

    /// Whether there may be a whole term that begins before this place. They are forgotten.
    pub fn take_before(&mut self, place: usize) -> bool {
        let count = self.ended.len();
        self.ended.retain(|start| *start >= place);
        self.ended.len() < count
    }
}

/// One and the same list.
impl PartialEq for Terms {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Terms {}

impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terms").field("terms", &self.lengths.len()).finish_non_exhaustive()
    }
}

impl Terms {
    /// A list of these terms.
    ///
    /// # Errors
    ///
    /// A term that is none, with its number in the place of the line; or too many.
    pub fn new<T: AsRef<str>>(terms: &[T]) -> Result<Self, Error> {
        if terms.is_empty() {
            return Err(Error::None);
        }
        if terms.len() > MOST {
            return Err(Error::TooMany);
        }
        let mut folded = Vec::with_capacity(terms.len());
        for (at, term) in terms.iter().enumerate() {
            let term = term.as_ref().trim();
            check(term, at + 1)?;
            let mut last = None;
            let mut chars = String::with_capacity(term.len());
            for c in term.chars() {
                let c = fold(c);
                if c != ' ' || last != Some(' ') {
                    chars.push(c);
                }
                last = Some(c);
            }
            folded.push(chars);
        }
        let length = |term: &String| u8::try_from(term.chars().count()).ok();
        let lengths = folded.iter().map(length).collect::<Option<_>>().ok_or(Error::Size)?;
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(&folded)
            .map_err(|_| Error::Size)?;
        Ok(Self { automaton, lengths })
    }

    /// How many terms there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lengths.len()
    }

    /// What the list takes, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.automaton.memory_usage() + self.lengths.len()
    }

    /// Finds the terms that begin in this part of a text: at each place where some end, the longest one.
    pub fn find_in(&self, text: &str, part: Range<usize>, found: &mut Vec<Range<usize>>) {
        let Ok(first) = self.automaton.start_state(Anchored::No) else { return };
        let furthest = part.end.saturating_add(LONGEST * 4).min(text.len());
        let Some(read) = text.get(part.start..).filter(|_| part.start < part.end) else { return };
        let mut state = first;
        let mut is_blank = false;
        for (at, c) in read.char_indices() {
            let at = part.start + at;
            if at >= furthest {
                return;
            }
            let c = fold(c);
            // Several blanks are as one.
            if c == ' ' && is_blank {
                continue;
            }
            is_blank = c == ' ';
            state = self.step(Anchored::No, state, c);
            if self.automaton.is_match(state) {
                let end = at
                    + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
                found.extend(
                    self.longest(text, end, state).filter(|range| part.contains(&range.start)),
                );
            }
        }
    }

    /// Reads on in a text that comes in pieces, from this place of it on, of which `before` is the character before.
    pub fn read(&self, begun: &mut Begun, text: &str, place: usize, before: Option<char>) {
        let Ok(first) = self.automaton.start_state(Anchored::Yes) else { return };
        let mut before = before;
        for (at, original) in text.char_indices() {
            let is_cut = goes_on(before, Some(original));
            before = Some(original);
            begun.count += 1;
            let c = fold(original);
            // Several blanks are as one.
            if c == ' ' && std::mem::replace(&mut begun.is_blank, c == ' ') {
                continue;
            }
            begun.is_blank = c == ' ';
            if !is_cut && !begun.is_blank {
                begun.states.push((place + at, begun.count, first));
            }
            let (oldest, ended) = (begun.count.saturating_sub(LONGEST), &mut begun.ended);
            begun.states.retain_mut(|(start, count, state)| {
                *state = self.step(Anchored::Yes, *state, c);
                if self.automaton.is_match(*state) && ended.last() != Some(start) {
                    ended.push(*start);
                }
                !self.automaton.is_dead(*state) && *count > oldest
            });
        }
    }

    fn step(&self, anchored: Anchored, state: StateID, c: char) -> StateID {
        let mut bytes = [0; 4];
        c.encode_utf8(&mut bytes)
            .bytes()
            .fold(state, |state, byte| self.automaton.next_state(anchored, state, byte))
    }

    /// The longest term that ends here.
    fn longest(&self, text: &str, end: usize, state: StateID) -> Option<Range<usize>> {
        let (before, behind) = (text.get(..end)?, text.get(end..)?);
        if goes_on(before.chars().next_back(), behind.chars().next()) {
            return None;
        }
        let mut back = before.char_indices().rev().peekable();
        let mut passed = 0;
        let mut start = end;
        let mut longest = None;
        // The automaton names the longest one first, and they are looked for from the shortest on, so that
        // the way back is gone once.
        for index in (0..self.automaton.match_len(state)).rev() {
            let term = self.automaton.match_pattern(state, index).as_usize();
            let length = self.lengths.get(term).copied().unwrap_or_default();
            while passed < length {
                let (at, c) = back.next()?;
                if fold(c) == ' ' {
                    while back.peek().is_some_and(|&(_, c)| fold(c) == ' ') {
                        back.next();
                        if end - back.peek().map_or(0, |&(at, _)| at) > LONGEST * 4 {
                            return longest;
                        }
                    }
                }
                start = at;
                passed += 1;
            }
            let is_cut =
                goes_on(text.get(..start)?.chars().next_back(), text.get(start..)?.chars().next());
            let is_too_long =
                || text.get(start..end).is_none_or(|text| text.chars().count() > LONGEST);
            if !is_cut && !is_too_long() {
                longest = Some(start..end);
            }
        }
        longest
    }
}

/// Whether a word goes on from one character to the next.
fn goes_on(before: Option<char>, behind: Option<char>) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| is_word(c) && !is_unspaced(c));
    is_part(before) && is_part(behind)
}

/// A character as it is compared: without case, and each blank as the same.
fn fold(c: char) -> char {
    if c.is_ascii() {
        return if c.is_ascii_whitespace() { ' ' } else { c.to_ascii_lowercase() };
    }
    let c = folded(c);
    if c.is_ascii() || c.is_whitespace() {
        return if c.is_ascii_graphic() { c.to_ascii_lowercase() } else { ' ' };
    }
    // By way of its capital, so that forms of one letter become the same: the sigma at the end of a word.
    let capital = one(c.to_uppercase()).unwrap_or(c);
    one(capital.to_lowercase()).unwrap_or(c)
}

fn one(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'t>(terms: &[&str], text: &'t str) -> Vec<&'t str> {
        let mut found = Vec::new();
        Terms::new(terms).unwrap().find_in(text, 0..text.len(), &mut found);
        found.into_iter().map(|range| text.get(range).unwrap()).collect()
    }

    #[test]
    fn terms_are_words_in_any_case() {
        let terms = ["falcon", "Project  Falcon", "C++", "ÜBER", "σίγμας", "ß", "東京", ".net"];
        let none: [&str; 0] = [];
        assert_eq!(texts(&terms, "a FALCON."), ["FALCON"]);
        assert_eq!(texts(&terms, "falcons unfalcon falcon_x 1falcon"), none);
        assert_eq!(texts(&terms, "project\r\n\t falcon"), ["project\r\n\t falcon"]);
        assert_eq!(texts(&terms, "use c++, c++11 and objc++"), ["c++", "c++"]);
        assert_eq!(texts(&terms, "über Über ÜBER üb er überall"), ["über", "Über", "ÜBER"]);
        assert_eq!(texts(&terms, "ΣΊΓΜΑΣ σίγμας σίγμασ"), ["ΣΊΓΜΑΣ", "σίγμας", "σίγμασ"]);
        assert_eq!(texts(&terms, "ẞ ß ss"), ["ẞ", "ß"]);
        assert_eq!(texts(&terms, "我在東京都"), ["東京"]);
        assert_eq!(texts(&terms, "asp.NET .net"), [".NET", ".net"]);
        assert_eq!(texts(&terms, ""), none);
    }

    #[test]
    fn the_longest_term_that_is_a_word_is_found() {
        assert_eq!(texts(&["b c", "c", "xb c"], "b c"), ["b c"]);
        assert_eq!(texts(&["b c", "c", "xb c"], "axb c"), ["c"]);
        assert_eq!(texts(&["a b", "b c"], "a b c"), ["a b", "b c"]);
    }

    #[test]
    fn blanks_make_no_match_longer_than_it_may_be() {
        let text = format!("a{}b c", " ".repeat(1 << 20));
        assert_eq!(texts(&["a b", "b c", "a b c"], &text), ["b c"]);
        let text = format!("a{}b c", " ".repeat(200));
        assert_eq!(texts(&["a b", "a b c"], &text).len(), 2);
    }

    #[test]
    fn parts_of_a_text_find_what_all_of_it_does() {
        let terms = Terms::new(&["ab", "ab cd", "cd ef", "ü"]).unwrap();
        let text = "ab cd ef ü xab ab  cd abü".repeat(20);
        let mut all = Vec::new();
        terms.find_in(&text, 0..text.len(), &mut all);
        let mut parts = Vec::new();
        let places: Vec<_> =
            text.char_indices().map(|(at, _)| at).step_by(3).chain([text.len()]).collect();
        for pair in places.windows(2) {
            terms.find_in(&text, pair[0]..pair[1], &mut parts);
        }
        let key = |range: &Range<usize>| (range.start, range.end);
        all.sort_by_key(key);
        parts.sort_by_key(key);
        assert_eq!(all, parts);
        assert!(all.len() > 60);
    }

    #[test]
    fn a_file_is_read_by_lines() {
        assert_eq!(
            read("\u{feff}a\r\n\n# no\n  b c \n#\n"),
            Ok(vec![Box::from("a"), Box::from("b c")])
        );
        assert_eq!(read("# no\n"), Err(Error::None));
        assert_eq!(read("a\n--\n"), Err(Error::NoWord(2)));
        assert_eq!(read(&format!("a\n\n{}\n", "x".repeat(256))), Err(Error::TooLong(3)));
        assert!(read(&"ä".repeat(255)).is_ok());
        assert_eq!(read(&"a\n".repeat(MOST + 1)), Err(Error::TooMany));
        assert_eq!(
            Error::NoWord(2).to_string(),
            "the term in line 2 has neither a letter nor a digit"
        );
    }

    #[test]
    fn a_long_list_is_made_quickly_and_is_small() {
        let terms: Vec<_> = (0..MOST).map(|n| format!("Term {n} of the list")).collect();
        let terms = Terms::new(&terms).unwrap();
        let mut found = Vec::new();
        let text = "the TERM 99999 OF THE list, and term 100000 of the list";
        terms.find_in(text, 0..text.len(), &mut found);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0], 4..26);
        assert!(terms.memory() < 32 << 20, "{}", terms.memory());
    }
}

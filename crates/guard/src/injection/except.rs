//! Where a rule looks found, and isn't: what it names is somebody else's.

use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, MatchKind};

use super::compiled::compiled;
use crate::rules::{Error, File, Rule};
use crate::views::folded;

/// How far behind its beginning an exception may end, in bytes.
const LONGEST: usize = 320;

/// The exceptions of a rule.
#[derive(Debug)]
pub(super) struct Except {
    /// All patterns of the rule.
    patterns: Regex,
    /// Those of its exceptions.
    exceptions: Regex,
}

impl Except {
    /// Those of this rule, if it has some.
    pub(super) fn of(file: &File, rule: &Rule) -> Result<Option<Self>, Error> {
        if rule.except.is_empty() {
            return Ok(None);
        }
        let of = |patterns: &[String]| -> Result<Regex, Error> {
            let patterns: Vec<String> = patterns
                .iter()
                .map(|pattern| file.pattern(rule, pattern))
                .collect::<Result<_, _>>()?;
            compiled(&patterns, MatchKind::LeftmostFirst)
                .map_err(|why| rule.error(&format!("its \"except\": {why}")))
        };
        Ok(Some(Self { patterns: of(&rule.patterns)?, exceptions: of(&rule.except)? }))
    }

    /// Whether each place of this part in which the rule is found is an exception: one that begins where the rule does.
    /// A place that is none counts, whatever else the text has.
    pub(super) fn is_all(&self, text: &str, start: usize, end: usize) -> bool {
        // The rule is found somewhere here: if it can't be said where, it counts.
        let mut at = start;
        while at < end {
            let input = Input::new(text.as_bytes()).range(at..end);
            let Some(found) = self.patterns.find(input) else { return at > start };
            let Some(length) = self.length(text.get(found.start()..).unwrap_or_default()) else {
                return false;
            };
            at = found.start() + length.max(1);
        }
        true
    }

    /// How long the exception is with which this begins. It is looked for in what is read: the rule may be found in the text as
    /// it is, where the words of an exception have marks above their letters.
    fn length(&self, text: &str) -> Option<usize> {
        let mut to = text.len().min(LONGEST);
        while !text.is_char_boundary(to) {
            to -= 1;
        }
        let piece = text.get(..to)?;
        let read = folded(piece);
        let input = Input::new(read.as_bytes()).anchored(Anchored::Yes);
        let end = self.exceptions.find(input)?.end();
        let mut length = 0;
        let is_inside = |c: &char| {
            let is_inside = length < end;
            length += folded(c.encode_utf8(&mut [0; 4])).len();
            is_inside
        };
        Some(piece.chars().take_while(is_inside).map(char::len_utf8).sum())
    }

    pub(super) fn memory(&self) -> usize {
        self.patterns.memory_usage().saturating_add(self.exceptions.memory_usage())
    }
}

//! One kind of thing that is looked for.
//!
//! A match must not depend on how a text is cut into pieces. So a detector sees no more than what a stream can
//! keep at hand: at most [`BEFORE`] bytes before its candidate, and one character behind it.

use std::borrow::Cow;
use std::ops::Range;

use crate::words;

/// How much of the text before a candidate may be looked at, in bytes: for a word that makes it likelier, or
/// for a character that it can't follow.
pub const BEFORE: usize = 64;

/// The longest match, in characters. Of a pattern that fits more, a match ends there.
pub const LONGEST: usize = 256;

/// What a detector's findings are, as an operator writes it: `pii`, `secrets`, ...
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Personal data.
    Pii,
    /// Credentials.
    Secrets,
    /// An operator's own pattern.
    Pattern,
    /// A term of an operator's list.
    List,
    /// An attempt to give the model other orders.
    Injection,
    /// A part of the system prompt.
    Leak,
    /// What an external model says.
    Classifier,
}

impl Family {
    /// Its name in configuration, logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pii => "pii",
            Self::Secrets => "secrets",
            Self::Pattern => "pattern",
            Self::List => "list",
            Self::Injection => "injection",
            Self::Leak => "leak",
            Self::Classifier => "classifier",
        }
    }
}

/// What may be one, and where in the text it stands.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'t> {
    /// The text, of which [`Self::before`] and [`Self::behind`] show what may be looked at.
    text: &'t str,
    start: usize,
    end: usize,
}

impl<'t> Candidate<'t> {
    /// The candidate in this range of the text. `None` if that is none.
    #[must_use]
    pub fn new(text: &'t str, range: Range<usize>) -> Option<Self> {
        text.get(range.clone())?;
        Some(Self { text, start: range.start, end: range.end })
    }

    /// What fits the pattern.
    #[must_use]
    pub fn text(&self) -> &'t str {
        self.text.get(self.start..self.end).unwrap_or_default()
    }

    /// The text before it, at most [`BEFORE`] bytes of it.
    #[must_use]
    pub fn before(&self) -> &'t str {
        let mut at = self.start.saturating_sub(BEFORE);
        while !self.text.is_char_boundary(at) {
            at += 1;
        }
        self.text.get(at..self.start).unwrap_or_default()
    }

    /// Whether one of these words, which are in lower case, stands before it. A word begins where a word of the text
    /// begins, and where a capital does in `cardNumber`; one of up to three letters ends there as well, and others need
    /// not: `kreditkarte` is in `Kreditkartennummer`. Scripts without spaces have no such borders.
    #[must_use]
    pub fn mentions(&self, words: &[&str]) -> bool {
        let before = self.before();
        let mut last = ' ';
        for (at, c) in before.char_indices() {
            let begins = !is_letter(last) || (last.is_lowercase() && c.is_uppercase());
            last = c;
            if begins || !c.is_alphabetic() || is_unspaced(c) {
                let rest = before.get(at..).unwrap_or_default();
                if words.iter().any(|word| starts_with_word(rest, word)) {
                    return true;
                }
            }
        }
        false
    }

    /// The character behind it.
    #[must_use]
    pub fn behind(&self) -> Option<char> {
        self.text.get(self.end..)?.chars().next()
    }
}

/// Whether words of the script that this character belongs to are written with spaces between them.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{3040}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}')
}

fn is_letter(c: char) -> bool {
    c.is_alphabetic() && !is_unspaced(c)
}

/// Whether this text starts with the word, in any case.
fn starts_with_word(text: &str, word: &str) -> bool {
    let mut rest = text.chars();
    let mut length = 0;
    for wanted in word.chars() {
        let Some(c) = rest.next() else { return false };
        if c != wanted && !c.to_lowercase().eq(std::iter::once(wanted)) {
            return false;
        }
        length += 1;
    }
    length > 3 || !word.ends_with(is_letter) || !rest.next().is_some_and(is_letter)
}

/// One kind of thing that is looked for.
#[derive(Clone, Debug)]
pub struct Detector {
    /// What it belongs to.
    pub family: Family,
    /// Its name in configuration, logs and metrics: `email`.
    pub name: Cow<'static, str>,
    /// What stands in the place of what is masked, and numbered in that of what is tokenized: `EMAIL` in `[EMAIL]`
    /// and `<EMAIL_1>`.
    pub label: Cow<'static, str>,
    /// What a candidate looks like, in the syntax of the crate `regex`. It looks at no more than one character
    /// before and behind.
    pub pattern: Cow<'static, str>,
    /// Words that make it likelier, in lower case; found before the candidate.
    pub context: &'static [&'static str],
    /// Whether a candidate is one, and how sure that is, from 1 to 100. `None`: it isn't. Is asked with whether one of
    /// the words of `context` is there. An operator's pattern has nothing to check.
    pub check: Option<fn(&Candidate<'_>, bool) -> Option<u8>>,
}

impl Detector {
    /// How sure it is that the candidate is one, if at least as sure as `threshold`.
    #[must_use]
    pub fn judge(&self, candidate: &Candidate<'_>, threshold: u8) -> Option<u8> {
        let Some(check) = self.check else { return Some(100) };
        let enough = |score: &u8| *score >= threshold;
        let told = check(candidate, true);
        let untold = check(candidate, false);
        // The words are only looked for where they matter: most candidates fail their checksum.
        let score = if told.filter(enough) == untold.filter(enough)
            || words::has_any(candidate.before(), BEFORE, self.context)
        {
            told
        } else {
            untold
        };
        score.filter(enough)
    }
}

/// The score from which on a candidate is a finding, unless an operator sets another one.
pub const DEFAULT_THRESHOLD: u8 = 50;

#[cfg(test)]
mod tests {
    use super::Candidate;

    fn mentions(before: &str, words: &[&str]) -> bool {
        let text = format!("{before}1");
        Candidate::new(&text, before.len()..text.len())
            .is_some_and(|candidate| candidate.mentions(words))
    }

    #[test]
    fn words_are_found_where_words_begin() {
        for before in
            ["my Card is ", "card: ", "creditCard=", "user_card=", "CARDS ", "(card) ", "1card "]
        {
            assert!(mentions(before, &["card"]), "{before}");
        }
        for before in ["", "discard ", "car ", "c a r d ", "DISCARD "] {
            assert!(!mentions(before, &["card"]), "{before}");
        }
        assert!(mentions("Kreditkartennummer ", &["kreditkarte"]));
        assert!(mentions("ÉLECTRONIQUE ", &["électronique"]));
        assert!(mentions("我的信用卡号", &["信用卡"]));
        assert!(mentions("ТЕЛЕФОН: ", &["телефон"]));
    }

    #[test]
    fn short_words_are_whole_words() {
        assert!(mentions("ssn ", &["ssn"]));
        assert!(mentions("SSN#", &["ssn"]));
        assert!(!mentions("ipsum ", &["ip"]));
        assert!(!mentions("ship ", &["ip"]));
        assert!(mentions("电话", &["电话"]));
    }

    #[test]
    fn words_farther_away_are_not_seen() {
        let far = format!("card {}", "x ".repeat(40));
        assert!(!mentions(&far, &["card"]));
        let near = format!("card {}", "x ".repeat(20));
        assert!(mentions(&near, &["card"]));
    }
}

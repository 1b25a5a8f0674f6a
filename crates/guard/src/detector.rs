//! One kind of thing that is looked for.
//!
//! A match must not depend on how a text is cut into pieces. So a detector sees no more than what a stream can
//! keep at hand: at most [`BEFORE`] bytes before its candidate, and one character behind it.

use std::borrow::Cow;
use std::ops::Range;

use crate::words::{self, Words};

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
    /// What a model judges, which is no part of this crate.
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

    /// Whether one of these words stands before it.
    #[must_use]
    pub fn mentions(&self, words: &Words) -> bool {
        words::has_any(self.before(), BEFORE, words)
    }

    /// The character behind it.
    #[must_use]
    pub fn behind(&self) -> Option<char> {
        self.text.get(self.end..)?.chars().next()
    }
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
    /// Words that make it likelier, found before the candidate.
    pub context: Words,
    /// Whether a candidate is one, and how sure that is, from 1 to 100. `None`: it isn't. Is asked with whether one of
    /// the words of `context` is there; what isn't one with a word, isn't one without. An operator's pattern has
    /// nothing to check.
    pub check: Option<fn(&Candidate<'_>, bool) -> Option<u8>>,
    /// How many bytes of a match only lead to what is one, and stay: the name before a value.
    pub lead: Option<fn(&str) -> usize>,
}

impl Detector {
    /// How sure it is that the candidate is one, if at least as sure as `threshold`.
    #[must_use]
    pub fn judge(&self, candidate: &Candidate<'_>, threshold: u8) -> Option<u8> {
        let Some(check) = self.check else { return Some(100) };
        let enough = |score: &u8| *score >= threshold;
        // Most candidates fail their checksum, with whatever words.
        let told = check(candidate, true);
        if told.is_none() {
            debug_assert_eq!(check(candidate, false), None, "{}", self.name);
            return None;
        }
        let untold = check(candidate, false);
        // The words are only looked for where they matter.
        let score =
            if told.filter(enough) == untold.filter(enough) || candidate.mentions(&self.context) {
                told
            } else {
                untold
            };
        score.filter(enough)
    }

    /// The place of what the candidate is, without what leads to it.
    #[must_use]
    pub fn place(&self, candidate: &Candidate<'_>) -> Range<usize> {
        let text = candidate.text();
        let lead = self.lead.map_or(0, |lead| lead(text));
        let is_part = lead < text.len() && text.is_char_boundary(lead);
        candidate.start + if is_part { lead } else { 0 }..candidate.end
    }
}

/// The score from which on a candidate is a finding, unless an operator sets another one.
pub const DEFAULT_THRESHOLD: u8 = 50;

//! What is looked for in texts that come in pieces.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use regex_syntax::hir::Hir;

use crate::detector::Detector;
use crate::finding::{Action, Rule, RuleIndex};
use crate::folding::folded_pattern;
use crate::matcher::terms::Terms;
use crate::matcher::{pattern, Error, Matcher, Sought};
use crate::stream::beginnings::Beginnings;
use crate::stream::overlong::Continuation;

/// What is looked for in texts that come in pieces.
#[derive(Default)]
pub struct StreamGuard {
    rules: Arc<[StreamRule]>,
    pub(super) lists: Arc<[(Arc<Terms>, RuleIndex)]>,
    patterns: Option<Arc<Patterns>>,
}

/// A rule, as far as a stream needs it.
pub(super) struct StreamRule {
    pub(super) level: Level,
    /// `[EMAIL]`
    pub(super) label: Box<str>,
}

/// What an action does to what is shown. A later one outranks those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Log,
    Cover,
    Block,
}

impl Level {
    pub(super) fn of(action: Action) -> Self {
        match action {
            Action::Log => Self::Log,
            Action::Mask | Action::Tokenize => Self::Cover,
            Action::Block => Self::Block,
        }
    }
}

/// All that is looked for by patterns.
pub(super) struct Patterns {
    pub(super) matcher: Arc<Matcher>,
    pub(super) beginnings: Beginnings,
    /// How matches of each pattern go on that are as long as they may be.
    continuations: Vec<Option<Continuation>>,
}

impl Patterns {
    /// How a match of this pattern goes on, and its rule.
    pub(super) fn continuation(&self, pattern: usize) -> Option<(&Continuation, RuleIndex)> {
        let continuation = self.continuations.get(pattern)?.as_ref()?;
        Some((continuation, self.matcher.sought().get(pattern)?.rule))
    }
}

impl fmt::Debug for StreamGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamGuard").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

impl StreamGuard {
    /// Looks for what the matcher looks for, and for the terms of the lists. In what a model writes,
    /// [`Action::Tokenize`] is as [`Action::Mask`].
    ///
    /// # Errors
    ///
    /// The automata are too large.
    pub fn new(
        rules: &[Rule],
        matcher: &Arc<Matcher>,
        lists: Arc<[(Arc<Terms>, RuleIndex)]>,
    ) -> Result<Self, Error> {
        let rules = rules
            .iter()
            .map(|rule| StreamRule {
                level: Level::of(rule.action),
                label: format!("[{}]", rule.label).into(),
            })
            .collect();
        let patterns = if matcher.sought().is_empty() {
            None
        } else {
            Some(Arc::new(Patterns::new(&folded_matcher(matcher)?)?))
        };
        Ok(Self { rules, lists, patterns })
    }

    /// The same with other lists, in the same order. What was begun with the ones before goes on with these.
    #[must_use]
    pub fn with_lists(&self, lists: Arc<[(Arc<Terms>, RuleIndex)]>) -> Self {
        Self { rules: Arc::clone(&self.rules), lists, patterns: self.patterns.clone() }
    }

    pub(super) fn rule(&self, rule: RuleIndex) -> Option<&StreamRule> {
        self.rules.get(usize::from(rule))
    }

    pub(super) fn patterns(&self) -> Option<&Patterns> {
        self.patterns.as_deref()
    }
}

impl Patterns {
    fn new(matcher: &Arc<Matcher>) -> Result<Self, Error> {
        let parse = |(index, sought): (usize, &Sought)| {
            pattern::parse(&sought.detector.pattern).map_err(|error| Error::Pattern(index, error))
        };
        let patterns =
            matcher.sought().iter().enumerate().map(parse).collect::<Result<Vec<Hir>, _>>()?;
        let continue_it = |(index, pattern): (usize, &Hir)| {
            Continuation::of(pattern).map_err(|()| Error::Pattern(index, pattern::Error::Size))
        };
        // One that several detectors have is one beginning.
        let mut others = HashSet::new();
        let mut each =
            matcher.sought().iter().map(|sought| others.insert(&sought.detector.pattern));
        let mut distinct = patterns.clone();
        distinct.retain(|_| each.next().unwrap_or(true));
        Ok(Self {
            matcher: Arc::clone(matcher),
            beginnings: Beginnings::new(&distinct).ok_or(Error::Size)?,
            continuations: patterns
                .iter()
                .enumerate()
                .map(continue_it)
                .collect::<Result<_, _>>()?,
        })
    }
}

/// The matcher for a text in which characters are folded: mostly the same.
fn folded_matcher(matcher: &Arc<Matcher>) -> Result<Arc<Matcher>, Error> {
    let fold = |sought: &Sought| {
        let pattern = folded_pattern(&sought.detector.pattern).into();
        Sought { detector: Detector { pattern, ..sought.detector.clone() }, ..sought.clone() }
    };
    let folded: Vec<Sought> = matcher.sought().iter().map(fold).collect();
    let is_same = |(one, other): (&Sought, &Sought)| one.detector.pattern == other.detector.pattern;
    if folded.iter().zip(matcher.sought()).all(is_same) {
        return Ok(Arc::clone(matcher));
    }
    Matcher::new(folded).map(Arc::new)
}

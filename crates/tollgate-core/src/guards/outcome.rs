//! What comes of looking through a request.

use std::ops::Range;

use tollgate_guard::finding::{Action, Rule, RuleIndex};

use super::InputGuard;
use crate::llm::request::edits::Edits;
use crate::llm::texts::{Changeable, Place, Texts};

/// One thing that was found in one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) guard: usize,
    pub(super) rule: RuleIndex,
    pub(super) score: u8,
    pub(super) text: usize,
    pub(super) range: Range<usize>,
    /// It begins in a part of the message before this one.
    pub(super) is_rest: bool,
}

impl Hit {
    pub(super) fn new(
        guard: usize,
        rule: RuleIndex,
        score: u8,
        text: usize,
        range: Range<usize>,
    ) -> Self {
        Self { guard, rule, score, text, range, is_rest: false }
    }
}

/// How often something was found, by one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The guard, among those that looked.
    pub guard: usize,
    /// Its rule.
    pub rule: RuleIndex,
    /// How often.
    pub times: u32,
    /// How sure the surest of it is.
    pub score: u8,
}

/// What was found.
#[derive(Debug)]
pub struct Looked {
    texts: Texts,
    /// In the order of the texts.
    hits: Vec<Hit>,
    score: u8,
}

/// What a finding of a request asks for, most of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The guard, among those that looked.
    pub guard: usize,
    /// Its rule.
    pub rule: RuleIndex,
    /// Where it was found.
    pub place: Place,
}

impl Looked {
    pub(super) fn new(texts: Texts, mut hits: Vec<Hit>, score: u8) -> Self {
        hits.sort_by_key(|hit| (hit.text, hit.range.start, std::cmp::Reverse(hit.range.end)));
        Self { texts, hits, score }
    }

    /// The texts that were looked at.
    #[must_use]
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// How likely one of the texts wants to give the model other orders, 0 to 100, whatever the threshold; 0, where
    /// nobody asks.
    #[must_use]
    pub fn injection_score(&self) -> u8 {
        self.score
    }

    /// The same, when all else is done.
    #[must_use]
    pub fn into_texts(self) -> Texts {
        self.texts
    }

    /// How often what was found.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        let mut counts: Vec<Count> = Vec::new();
        for hit in self.hits.iter().filter(|hit| !hit.is_rest) {
            let same = |count: &&mut Count| (count.guard, count.rule) == (hit.guard, hit.rule);
            match counts.iter_mut().find(same) {
                Some(count) => {
                    count.times = count.times.saturating_add(1);
                    count.score = count.score.max(hit.score);
                }
                None => {
                    let Hit { guard, rule, score, .. } = *hit;
                    counts.push(Count { guard, rule, times: 1, score });
                }
            }
        }
        counts
    }

    /// The first finding for which the request is refused.
    #[must_use]
    pub fn blocked(&self, guards: &[InputGuard]) -> Option<Blocked> {
        let is_blocking =
            |hit: &&Hit| rule(guards, hit).is_some_and(|rule| rule.action == Action::Block);
        let hit = self.hits.iter().find(is_blocking)?;
        let place = self.texts.get(hit.text)?.place;
        Some(Blocked { guard: hit.guard, rule: hit.rule, place })
    }

    /// Whether a value gets a placeholder.
    #[must_use]
    pub fn tokenizes(&self, guards: &[InputGuard]) -> bool {
        self.acts(guards, Action::Tokenize)
    }

    fn acts(&self, guards: &[InputGuard], action: Action) -> bool {
        self.hits.iter().any(|hit| rule(guards, hit).is_some_and(|rule| rule.action == action))
    }

    /// What changes of the body. `placeholder` is asked for that of a part with this label; without one, the part is
    /// masked.
    #[must_use]
    pub fn edits(
        &self,
        guards: &[InputGuard],
        mut placeholder: impl FnMut(&str, &Changeable) -> Option<String>,
    ) -> Edits {
        let mut edits = Edits::default();
        for hits in self.hits.chunk_by(|one, other| one.text == other.text) {
            let text = hits.first().and_then(|hit| self.texts.get(hit.text));
            let Some(text) = text else { continue };
            let mut changes: Vec<(Range<usize>, String)> = Vec::new();
            let mut changer = self.texts.changer(text);
            for Cluster { rule, range, is_rest, .. } in clusters(guards, hits) {
                for part in changer.parts(range) {
                    // Two values may be in one number.
                    if changes.last().is_some_and(|(last, _)| part.range.start < last.end) {
                        continue;
                    }
                    let replacement = match is_rest {
                        true => String::new(),
                        false => {
                            let tokenized = (rule.action == Action::Tokenize)
                                .then(|| placeholder(&rule.label, &part))
                                .flatten();
                            tokenized.unwrap_or_else(|| format!("[{}]", rule.label))
                        }
                    };
                    let replacement = match part.is_quoted {
                        true => format!("\"{replacement}\""),
                        false => replacement,
                    };
                    changes.push((part.range, replacement));
                }
            }
            let changes = changes.iter().map(|(range, text)| (range.clone(), text.as_str()));
            self.texts.edit(text, changes, &mut edits);
        }
        edits
    }
}

/// Findings that touch each other.
struct Cluster<'g> {
    range: Range<usize>,
    /// The one whose word counts.
    rule: &'g Rule,
    len: usize,
    is_rest: bool,
}

/// Those of one text that change it: of such that touch, the strictest and then the longest says how.
fn clusters<'g>(guards: &'g [InputGuard], hits: &[Hit]) -> Vec<Cluster<'g>> {
    let mut clusters: Vec<Cluster<'g>> = Vec::new();
    for hit in hits {
        let Some(rule) = rule(guards, hit) else { continue };
        if !matches!(rule.action, Action::Mask | Action::Tokenize) || hit.range.is_empty() {
            continue;
        }
        let len = hit.range.len();
        match clusters.last_mut().filter(|last| hit.range.start < last.range.end) {
            Some(last) => {
                last.range.end = last.range.end.max(hit.range.end);
                last.is_rest &= hit.is_rest;
                // Half of two values is none that could be given back.
                let by_mask = last.rule.action.min(rule.action) == Action::Mask;
                if (rule.action < last.rule.action && by_mask)
                    || (rule.action == last.rule.action && len > last.len)
                {
                    (last.rule, last.len) = (rule, len);
                }
            }
            None => {
                clusters.push(Cluster {
                    range: hit.range.clone(),
                    rule,
                    len,
                    is_rest: hit.is_rest,
                });
            }
        }
    }
    clusters
}

fn rule<'g>(guards: &'g [InputGuard], hit: &Hit) -> Option<&'g Rule> {
    guards.get(hit.guard)?.guard.rules().get(usize::from(hit.rule))
}

//! Settings, ready to be used on whole texts.

mod overlaps;
mod selection;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use self::selection::Selection;
pub use crate::trust::Trust;

use crate::detector::Family;
use crate::finding::{Action, Finding, Rule, RuleIndex};
use crate::injection;
use crate::matcher::terms::Terms;
use crate::matcher::{Match, Matcher};
use crate::settings::Settings;
use crate::stream::StreamGuard;
use crate::views::{self, View};

/// What is looked for in texts. Its automata take some MB, which workers share; and their caches some more in each.
#[derive(Debug)]
pub struct Guard {
    id: u64,
    rules: Vec<Rule>,
    matcher: Arc<Matcher>,
    lists: Arc<[(Arc<Terms>, RuleIndex)]>,
    /// What gives texts a score, if they are to get one.
    injections: Option<Injections>,
    /// Made when it is first asked for: prompts need none.
    stream: OnceLock<Arc<StreamGuard>>,
}

/// What gives texts a score.
#[derive(Debug)]
struct Injections {
    rules: Arc<injection::Rules>,
    /// Those that ask for it, and from which score on they have found something.
    asking: Vec<(RuleIndex, u8)>,
}

/// Why settings can't be used: in words for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// In which copy of a text something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seen {
    /// In the text as it is.
    AsItIs,
    /// In the text as it is read: normalised.
    Normalised,
    /// In what is encoded in it.
    Decoded,
}

impl Seen {
    /// Its name, for an operator.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AsItIs => "as it is",
            Self::Normalised => "normalised",
            Self::Decoded => "decoded",
        }
    }
}

/// One thing that was found, before it is settled what becomes of those that overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What was found.
    pub finding: Finding,
    /// Where.
    pub seen: Seen,
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl Guard {
    /// A guard by these settings.
    ///
    /// # Errors
    ///
    /// An unknown kind, a pattern or a list that can't be used, a name that can't be shown.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let Selection { rules, sought, lists, injections } = Selection::of(settings)?;
        let names = selection::names(&sought);
        let matcher = Matcher::new(sought).map_err(|error| selection::said(&names, error))?;
        let matcher = Arc::new(matcher);
        let lists: Arc<[_]> = lists.into();
        let injections = match injections.is_empty() {
            true => None,
            false => {
                let shipped = injection::Rules::shipped().map_err(|error| Error(error.0))?;
                Some(Injections { rules: Arc::clone(shipped), asking: injections })
            }
        };
        Ok(Self { id: next_id(), rules, matcher, lists, injections, stream: OnceLock::new() })
    }

    /// The same with other rules and lists: each list takes the place of the one that the settings have there.
    #[must_use]
    pub fn with(&self, rules: Option<&Arc<injection::Rules>>, lists: &[Arc<Terms>]) -> Self {
        let injections = self.injections.as_ref().map(|before| Injections {
            rules: Arc::clone(rules.unwrap_or(&before.rules)),
            asking: before.asking.clone(),
        });
        let mut newer = lists.iter();
        let lists: Arc<[_]> = self
            .lists
            .iter()
            .map(|(before, rule)| (Arc::clone(newer.next().unwrap_or(before)), *rule))
            .collect();
        let stream = OnceLock::new();
        if let Some(before) = self.stream.get() {
            // It was empty.
            let _ = stream.set(Arc::new(before.with_lists(Arc::clone(&lists))));
        }
        let (rules, matcher) = (self.rules.clone(), Arc::clone(&self.matcher));
        Self { id: next_id(), rules, matcher, lists, injections, stream }
    }

    /// Tells it from all others of this process, also from the same with other rules or lists. What it finds depends on
    /// nothing but this and the text.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Which rules give texts a score, if they get one.
    #[must_use]
    pub fn injection_rules(&self) -> Option<&Arc<injection::Rules>> {
        self.injections.as_ref().map(|injections| &injections.rules)
    }

    /// What is looked for. A finding names one by its index.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Finds what a text holds, in the order of places. Where several overlap, the strictest one holds for all that
    /// they cover together; among equals the first, then the longest. What would only be logged is left out there.
    ///
    /// An injection is found in the text as a whole, and hides nothing that is found in a part of it: it is at the
    /// beginning, and empty. One that is to be masked takes all of the text with it.
    ///
    /// Returns how likely the text wants to give the model other orders, 0 to 100, also where that is not enough to be
    /// found; 0, where injections are not looked for.
    pub fn scan(&self, text: &str, trust: Trust, found: &mut Vec<Finding>) -> u8 {
        let (mut matches, mut whole) = (Vec::new(), Vec::new());
        let score = self.look(text, trust, |one, _| match self.is_of_whole(one.rule) {
            true => whole.push(Finding { rule: one.rule, range: 0..0, score: one.score }),
            false => matches.push(one),
        });
        found.append(&mut whole);
        overlaps::settle(&self.rules, matches, found);
        score
    }

    /// How likely a text wants to give a model other orders, whether that is enough to be found or not. `None` if
    /// nobody asks.
    #[must_use]
    pub fn injection(&self, text: &str, trust: Trust) -> Option<injection::Score> {
        let Injections { rules, .. } = self.injections.as_ref()?;
        Some(rules.score(text, &views::views(text), trust))
    }

    fn is_of_whole(&self, rule: RuleIndex) -> bool {
        self.rules.get(usize::from(rule)).is_some_and(|rule| {
            rule.family == Family::Injection && matches!(rule.action, Action::Log | Action::Block)
        })
    }

    /// All that is found in a text, and where: for an operator who asks why. What is but a part of something of the same
    /// family that is more certain is left out: three groups of a card's number may be another number by chance.
    #[must_use]
    pub fn describe(&self, text: &str, trust: Trust) -> Vec<Sight> {
        let mut all = Vec::new();
        self.look(text, trust, |Match { rule, range, score }, seen| {
            all.push(Sight { finding: Finding { rule, range, score }, seen });
        });
        all.sort_by_key(|Sight { finding, seen }| {
            (finding.range.start, Reverse(finding.range.end), finding.rule, finding.score, *seen)
        });
        // What is found in the text as it is, is mostly found in its copies, too.
        all.dedup_by(|one, other| one.finding == other.finding);
        let family = |one: &Finding| self.rules.get(usize::from(one.rule)).map(|rule| rule.family);
        let mut around: Option<Finding> = None;
        all.retain(|Sight { finding, .. }| {
            let is_part = around.as_ref().is_some_and(|outer| {
                finding.range.end <= outer.range.end
                    && finding.range != outer.range
                    && finding.score < outer.score
                    && family(finding) == family(outer)
            });
            if !is_part {
                around = Some(finding.clone());
            }
            !is_part
        });
        all.sort_by_key(|sight| (sight.finding.range.start, sight.finding.rule));
        all
    }

    /// Looks at the text, and at its copies; the score of the text.
    fn look(&self, text: &str, trust: Trust, mut add: impl FnMut(Match, Seen)) -> u8 {
        let (mut matches, mut terms) = (Vec::new(), Vec::new());
        self.matches(text, &mut matches, &mut terms);
        for one in matches.drain(..) {
            add(one, Seen::AsItIs);
        }
        let views = views::views(text);
        let mut score = 0;
        if let Some(Injections { rules, asking }) = &self.injections {
            score = rules.score(text, &views, trust).score;
            for (rule, threshold) in asking {
                if score >= *threshold {
                    add(Match { rule: *rule, range: 0..text.len(), score }, Seen::AsItIs);
                }
            }
        }
        for view in &views {
            let seen = if view.is_decoded { Seen::Decoded } else { Seen::Normalised };
            self.matches(&view.text, &mut matches, &mut terms);
            for one in matches.drain(..) {
                if self.may_be_in(view, one.rule) {
                    add(Match { range: view.source(one.range), ..one }, seen);
                }
            }
        }
        score
    }

    /// Whether what was found in a copy counts: in a guess at words, only what an operator calls by words.
    fn may_be_in(&self, view: &View, rule: RuleIndex) -> bool {
        let family = self.rules.get(usize::from(rule)).map(|rule| rule.family);
        !view.is_words || matches!(family, Some(Family::Pattern | Family::List))
    }

    fn matches(&self, text: &str, matches: &mut Vec<Match>, terms: &mut Vec<Range<usize>>) {
        self.matcher.find(text, matches);
        for (list, rule) in &*self.lists {
            list.find_in(text, 0..text.len(), terms);
            let rule = *rule;
            matches.extend(terms.drain(..).map(|range| Match { rule, range, score: 100 }));
        }
    }

    /// The same guard for texts that come in pieces. Injections are not looked for there.
    ///
    /// # Errors
    ///
    /// What such texts need beside is too large.
    pub fn stream(&self) -> Result<Arc<StreamGuard>, Error> {
        if let Some(made) = self.stream.get() {
            return Ok(Arc::clone(made));
        }
        let lists = Arc::clone(&self.lists);
        let made = StreamGuard::new(&self.rules, &self.matcher, lists)
            .map_err(|error| selection::said(&selection::names(self.matcher.sought()), error))?;
        Ok(Arc::clone(self.stream.get_or_init(|| Arc::new(made))))
    }
}

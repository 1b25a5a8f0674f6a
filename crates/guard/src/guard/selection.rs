//! From what an operator writes to what is looked for.

use std::borrow::Cow;
use std::sync::Arc;

use super::Error;
use crate::detector::{Detector, Family, DEFAULT_THRESHOLD};
use crate::finding::{Action, Rule, RuleIndex};
use crate::matcher::terms::Terms;
use crate::matcher::{self, Sought};
use crate::settings::{Settings, What};
use crate::words::Words;
use crate::{pii, secrets};

/// The longest name of a pattern or a list, in bytes.
const LONGEST_NAME: usize = 64;

/// What is looked for.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) rules: Vec<Rule>,
    pub(super) sought: Vec<Sought>,
    pub(super) lists: Vec<(Arc<Terms>, RuleIndex)>,
    pub(super) injections: Vec<(RuleIndex, u8)>,
}

impl Selection {
    /// What these settings ask for.
    pub(super) fn of(settings: &Settings) -> Result<Self, Error> {
        let mut selection = Self::default();
        for wish in &settings.wishes {
            let add = |selection: &mut Self, detector: Detector| {
                let rule = selection.rule(Rule {
                    family: detector.family,
                    name: detector.name.as_ref().into(),
                    label: detector.label.as_ref().into(),
                    action: wish.action,
                })?;
                let threshold = wish.threshold.unwrap_or(DEFAULT_THRESHOLD);
                selection.sought.push(Sought { detector, rule, threshold });
                Ok(())
            };
            match &wish.what {
                What::Pii(kinds) => {
                    for detector in kinds_of(Family::Pii, kinds, &pii::detectors(), pii::kind)? {
                        add(&mut selection, detector)?;
                    }
                }
                What::Secrets(kinds) => {
                    for detector in
                        kinds_of(Family::Secrets, kinds, &secrets::detectors(), secrets::kind)?
                    {
                        add(&mut selection, detector)?;
                    }
                }
                What::Injection => {
                    let rule =
                        selection.rule(named(Family::Injection, "injection", wish.action))?;
                    // A score is never less than nothing, and never nothing found.
                    let threshold = wish.threshold.unwrap_or(DEFAULT_THRESHOLD).max(1);
                    selection.injections.push((rule, threshold));
                }
                What::Pattern { name, pattern } => {
                    let rule =
                        named(Family::Pattern, check_name(Family::Pattern, name)?, wish.action);
                    add(
                        &mut selection,
                        Detector {
                            family: rule.family,
                            name: rule.name.into_string().into(),
                            label: rule.label.into_string().into(),
                            pattern: pattern.to_string().into(),
                            context: Words::NONE,
                            check: None,
                            lead: None,
                        },
                    )?;
                }
                What::List { name, terms } => {
                    let rule = named(Family::List, check_name(Family::List, name)?, wish.action);
                    let rule = selection.rule(rule)?;
                    selection.lists.push((Arc::clone(terms), rule));
                }
            }
        }
        Ok(selection)
    }

    fn rule(&mut self, rule: Rule) -> Result<RuleIndex, Error> {
        let index = RuleIndex::try_from(self.rules.len())
            .map_err(|_| Error("a guard looks for no more than 65536 things".to_owned()))?;
        self.rules.push(rule);
        Ok(index)
    }
}

/// What an operator calls what is looked for.
pub(super) fn names(sought: &[Sought]) -> Vec<(Family, Cow<'static, str>)> {
    sought.iter().map(|sought| (sought.detector.family, sought.detector.name.clone())).collect()
}

/// Why it can't be looked for, to an operator.
pub(super) fn said(names: &[(Family, Cow<'static, str>)], error: matcher::Error) -> Error {
    match error {
        matcher::Error::Pattern(index, why) => {
            let (family, name) = names
                .get(index)
                .map_or(("pattern", ""), |(family, name)| (family.name(), name.as_ref()));
            Error(format!("{family} \"{name}\": {why}"))
        }
        matcher::Error::Size => Error(
            "its patterns are too large together: use fewer, or smaller repetitions".to_owned(),
        ),
    }
}

/// The detectors of these kinds, each once; all of them, if no kind is named.
fn kinds_of(
    family: Family,
    kinds: &[Box<str>],
    all: &[Detector],
    kind: fn(&str) -> Option<Vec<Detector>>,
) -> Result<Vec<Detector>, Error> {
    if kinds.is_empty() {
        return Ok(all.to_vec());
    }
    let mut chosen: Vec<Detector> = Vec::new();
    for name in kinds {
        let detectors = kind(name).ok_or_else(|| {
            let mut names: Vec<_> = all.iter().map(|detector| detector.name.as_ref()).collect();
            names.sort_unstable();
            names.dedup();
            Error(format!(
                "there is no kind {:?} of {}; there are {}",
                shown(name),
                family.name(),
                names.join(", ")
            ))
        })?;
        for detector in detectors {
            if !chosen
                .iter()
                .any(|other| other.name == detector.name && other.pattern == detector.pattern)
            {
                chosen.push(detector);
            }
        }
    }
    Ok(chosen)
}

/// What was written, as far as it fits into a line of a log.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect()
}

fn named(family: Family, name: &str, action: Action) -> Rule {
    Rule {
        family,
        name: name.into(),
        label: name.to_ascii_uppercase().replace('-', "_").into(),
        action,
    }
}

/// A name that is the same in a log, a metric, a placeholder and a page.
fn check_name(family: Family, name: &str) -> Result<&str, Error> {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_one) {
        return Ok(name);
    }
    Err(Error(format!(
        "the name {:?} of a {} is none: use 1 to {LONGEST_NAME} letters, digits, \"_\" and \"-\"",
        shown(name),
        family.name()
    )))
}

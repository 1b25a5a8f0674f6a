//! What guards look for, where, and what they found.

use serde::Serialize;

use super::recent::Recent;
use crate::guards::RuleName;
use crate::metrics::Readings;
use tollgate_guard::finding::{Action, Rule};

/// How many rules are shown that found something.
const SHOWN: usize = 50;

/// A guard that somebody uses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Guard {
    /// Its name.
    pub guard: String,
    /// Who uses it: places in nginx.conf, and tiers.
    pub places: Vec<String>,
    /// What it looks for in requests, and in answers.
    pub input: Vec<Look>,
    /// The same in answers.
    pub output: Vec<Look>,
}

/// Rules of one kind, of which the same becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// `pii`, `pattern.codename`
    pub what: String,
    /// How many rules these are.
    pub rules: usize,
    /// What is done about what they find.
    pub action: &'static str,
    /// Which rules, where they have a version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// These rules, those of personal data and of secrets together. `version` is that of the rules for injections.
#[must_use]
pub fn looks(rules: &[Rule], version: Option<&str>) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    for rule in rules {
        let family = rule.family.name();
        let name = RuleName(rule).to_string();
        let is_of_many = matches!(family, "pii" | "secrets");
        let (what, action) =
            (if is_of_many { family.to_owned() } else { name }, rule.action.name());
        match looks.iter_mut().find(|look| look.what == what && look.action == action) {
            Some(look) => look.rules += 1,
            None => {
                let version = version.filter(|_| family == "injection").map(str::to_owned);
                looks.push(Look { what, rules: 1, action, version });
            }
        }
    }
    looks
}

/// What is looked for that has no rule of its own.
#[must_use]
pub fn look(what: &str, action: Action) -> Look {
    Look { what: what.to_owned(), rules: 1, action: action.name(), version: None }
}

/// How often a rule of a guard found something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    guard: String,
    rule: String,
    action: String,
    count: u64,
    /// In the last minutes.
    recent: u64,
}

/// What was found, what was found most in the last minutes first; and how much more there is.
pub(super) fn findings(readings: &Readings, recent: &Recent) -> (Vec<Finding>, usize) {
    let finding = |(labels, count): (&[String; 3], &u64)| {
        let [guard, rule, action] = labels.clone();
        let recent = count.saturating_sub(recent.found_before(labels));
        Finding { guard, rule, action, count: *count, recent }
    };
    let mut findings: Vec<Finding> = readings.guards.iter().map(finding).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse((finding.recent, finding.count)));
    let more = findings.len().saturating_sub(SHOWN);
    findings.truncate(SHOWN);
    (findings, more)
}

//! What guards found in one request and in its answer, as a line tells of it: names and numbers, and nothing of any
//! text.

use std::collections::BTreeMap;
use std::fmt;

use super::json::write_string;
use super::MAX_TEXT_LEN;
use crate::guards::{Action, RuleName};
use tollgate_guard::detector::Family;
use tollgate_guard::finding::Rule;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuardFindings {
    /// How often, by the names of the rules.
    times: BTreeMap<Box<str>, u64>,
    /// The strictest thing that was done about it.
    action: Option<Action>,
    /// How sure it is that somebody gives the model other orders, from 1 to 100.
    injection_score: Option<u8>,
    /// The highest score that each classifier gave, in hundredths, by their names.
    scores: BTreeMap<Box<str>, u8>,
    /// A classifier has not said whether the request may pass, and it has passed all the same.
    is_unjudged: bool,
}

impl GuardFindings {
    /// Notes that something was found so often, the surest of it with this score, and what is done about it.
    pub fn note(&mut self, rule: &Rule, times: u32, score: u8) {
        let known = self.times.entry(RuleName(rule).to_string().into()).or_default();
        *known = known.saturating_add(u64::from(times));
        self.action = self.action.max(Some(rule.action));
        if rule.family == Family::Injection {
            self.note_injection(score);
        }
    }

    /// Notes the score that a classifier gave a text.
    pub fn note_score(&mut self, rule: &Rule, score: u8) {
        let known = self.scores.entry(RuleName(rule).to_string().into()).or_default();
        *known = score.max(*known);
    }

    /// Notes how likely it is that somebody gives the model other orders, from 0 to 100: also where that is not enough
    /// to be found. Of nothing, nothing is said.
    pub fn note_injection(&mut self, score: u8) {
        self.injection_score = self.injection_score.max(Some(score).filter(|score| *score > 0));
    }

    /// Notes that a classifier has not said whether the request may pass, and it passes all the same.
    pub fn note_unjudged(&mut self) {
        self.is_unjudged = true;
    }

    /// How likely it is that somebody gives the model other orders, also where that is not enough to be found; `None`: not
    /// at all, or nobody asks.
    #[must_use]
    pub fn injection_score(&self) -> Option<u8> {
        self.injection_score
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty() && self.scores.is_empty() && !self.is_unjudged
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_numbers(out, b",\"guard\":", &self.times);
        if let Some(action) = self.action {
            out.extend_from_slice(format!(",\"guard_action\":\"{}\"", action.name()).as_bytes());
        }
        if let Some(score) = self.injection_score {
            out.extend_from_slice(format!(",\"injection_score\":{score}").as_bytes());
        }
        write_numbers(out, b",\"classifier_scores\":", &self.scores);
        if self.is_unjudged {
            out.extend_from_slice(b",\"guard_unjudged\":true");
        }
    }
}

/// An object with numbers behind its name, unless there are none.
fn write_numbers<N: fmt::Display>(out: &mut Vec<u8>, name: &[u8], numbers: &BTreeMap<Box<str>, N>) {
    if numbers.is_empty() {
        return;
    }
    out.extend_from_slice(name);
    out.push(b'{');
    for (index, (rule, number)) in numbers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(out, rule.as_bytes(), MAX_TEXT_LEN);
        out.extend_from_slice(format!(":{number}").as_bytes());
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(family: Family, name: &str, action: Action) -> Rule {
        Rule { family, name: name.into(), label: "LABEL".into(), action }
    }

    #[test]
    fn a_line_has_names_and_numbers() {
        let mut found = GuardFindings::default();
        let mut line = Vec::new();
        found.write(&mut line);
        found.note_injection(0);
        found.write(&mut line);
        assert!(found.is_empty() && line.is_empty());
        found.note_injection(20);
        found.note_injection(10);
        found.write(&mut line);
        assert_eq!(
            String::from_utf8(std::mem::take(&mut line)).unwrap(),
            ",\"injection_score\":20"
        );
        let mut unjudged = GuardFindings::default();
        unjudged.note_unjudged();
        unjudged.write(&mut line);
        assert!(!unjudged.is_empty());
        assert_eq!(line, b",\"guard_unjudged\":true");
        line.clear();
        let mut judged = GuardFindings::default();
        let classifier = rule(Family::Classifier, "classifier", Action::Block);
        judged.note_score(&classifier, 3);
        judged.note_score(&rule(Family::Classifier, "harm", Action::Block), 0);
        judged.note_score(&classifier, 40);
        judged.note_score(&classifier, 7);
        judged.write(&mut line);
        assert!(!judged.is_empty());
        assert_eq!(line, b",\"classifier_scores\":{\"classifier\":40,\"classifier.harm\":0}");
        line.clear();
        found.note(&rule(Family::Pii, "email", Action::Mask), 2, 90);
        found.note(&rule(Family::Pii, "email", Action::Mask), 1, 60);
        found.note(&rule(Family::Injection, "injection", Action::Log), 1, 55);
        found.note(&rule(Family::Pattern, "code-name", Action::Log), 1, 100);
        found.write(&mut line);
        assert_eq!(
            String::from_utf8(line).unwrap(),
            ",\"guard\":{\"injection\":1,\"pattern.code-name\":1,\"pii.email\":3},\"guard_action\":\"mask\",\"injection_score\":55"
        );
    }
}

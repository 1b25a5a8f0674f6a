//! What was found of what is there.

use std::collections::BTreeMap;
use std::ops::Range;

use super::samples::{Label, Span};
use crate::guard::sought::{Kind, Of};

/// One thing that a guard found.
pub(super) struct Found {
    /// As logs name it: `pii.email`.
    pub(super) rule: String,
    /// Where, in characters.
    pub(super) range: Range<usize>,
}

/// Of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many there are.
    pub(super) spans: u64,
    /// How many of them were found.
    pub(super) hit: u64,
    /// How many findings there are.
    pub(super) findings: u64,
    /// How many of them are right.
    pub(super) right: u64,
}

impl Tally {
    /// How many of the findings are right, from 0 to 1. `None`: there are none.
    pub(super) fn precision(self) -> Option<f64> {
        ratio(self.right, self.findings)
    }

    /// How many of what is there was found.
    pub(super) fn recall(self) -> Option<f64> {
        ratio(self.hit, self.spans)
    }

    /// The harmonic mean of both. Of what is not there, or not found, nothing.
    pub(super) fn f1(self) -> Option<f64> {
        let recall = self.recall()?;
        let precision = self.precision().unwrap_or(0.0);
        match precision + recall > 0.0 {
            true => Some(2.0 * precision * recall / (precision + recall)),
            false => Some(0.0),
        }
    }

    fn add(&mut self, other: Self) {
        self.spans += other.spans;
        self.hit += other.hit;
        self.findings += other.findings;
        self.right += other.right;
    }
}

/// How many of something are over the threshold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) over: u64,
    pub(super) all: u64,
}

impl Share {
    /// From 0 to 1.
    pub(super) fn rate(self) -> Option<f64> {
        ratio(self.over, self.all)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a ratio of counts far below 2^53")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// All that was counted.
#[derive(Default)]
pub(super) struct Counts {
    /// Texts whose spans are marked.
    pub(super) texts: u64,
    /// By the kind of the spans, with its family; or by the rule, where no span is of a kind that has it.
    kinds: BTreeMap<String, Tally>,
    /// The rules that the kinds of the spans stand for.
    rules: BTreeMap<String, Vec<String>>,
    /// Spans of kinds that guards don't know.
    pub(super) unknown: BTreeMap<String, u64>,
    /// By the file and the label.
    pub(super) labels: BTreeMap<(String, Label), Share>,
    /// What was found by each rule: which kind that is, is known when all spans have been seen.
    found: BTreeMap<String, (u64, u64)>,
}

impl Counts {
    /// Counts a text whose spans are marked.
    pub(super) fn text(&mut self, spans: &[Span], found: &[Found]) {
        self.texts += 1;
        let mut known = Vec::new();
        for span in spans {
            let Some(kind) = self.kind(&span.kind) else {
                *self.unknown.entry(span.kind.clone()).or_default() += 1;
                continue;
            };
            let is_it = |found: &&Found| {
                overlap(&found.range, &span.range())
                    && self.rules.get(&kind).is_some_and(|rules| rules.contains(&found.rule))
            };
            let is_hit = found.iter().any(|one| is_it(&one));
            let tally = self.kinds.entry(kind.clone()).or_default();
            tally.spans += 1;
            tally.hit += u64::from(is_hit);
            known.push((kind, span.range()));
        }
        for one in found {
            let is_right = known.iter().any(|(kind, range)| {
                overlap(&one.range, range)
                    && self.rules.get(kind).is_some_and(|rules| rules.contains(&one.rule))
            });
            let (findings, right) = self.found.entry(one.rule.clone()).or_default();
            *findings += 1;
            *right += u64::from(is_right);
        }
    }

    /// Counts a text that is an attack, or none.
    pub(super) fn labelled(&mut self, file: &str, label: Label, is_over: bool) {
        let share = self.labels.entry((file.to_owned(), label)).or_default();
        share.all += 1;
        share.over += u64::from(is_over);
    }

    /// The full name of a kind, whose rules are known then. `None`: no guard knows it.
    fn kind(&mut self, name: &str) -> Option<String> {
        let kind = Kind::named(name)?;
        let family = match kind.family {
            Of::Pii => "pii",
            Of::Secrets => "secrets",
        };
        let full = format!("{family}.{}", kind.name);
        if !self.rules.contains_key(&full) {
            let rules = kind.detectors.iter().map(|one| format!("{family}.{}", one.name));
            self.rules.insert(full.clone(), rules.collect());
        }
        Some(full)
    }

    /// By kind. A rule whose kind no span has, is there by itself.
    pub(super) fn kinds(&self) -> BTreeMap<String, Tally> {
        let mut kinds = self.kinds.clone();
        for (rule, (findings, right)) in &self.found {
            let of_several = || self.rules.iter().find(|(_, rules)| rules.contains(rule));
            let kind = match self.rules.contains_key(rule) {
                true => rule,
                false => of_several().map_or(rule, |(kind, _)| kind),
            };
            let tally = Tally { findings: *findings, right: *right, ..Tally::default() };
            kinds.entry(kind.clone()).or_default().add(tally);
        }
        kinds
    }

    /// All kinds together that spans have; where no span has one, all.
    pub(super) fn total(&self) -> Tally {
        let kinds = self.kinds();
        let has_spans = kinds.values().any(|tally| tally.spans > 0);
        let mut total = Tally::default();
        for tally in kinds.values().filter(|tally| tally.spans > 0 || !has_spans) {
            total.add(*tally);
        }
        total
    }

    /// All files together, by label.
    pub(super) fn by_label(&self) -> BTreeMap<Label, Share> {
        let mut all: BTreeMap<Label, Share> = BTreeMap::new();
        for ((_, label), share) in &self.labels {
            let sum = all.entry(*label).or_default();
            sum.all += share.all;
            sum.over += share.over;
        }
        all
    }
}

fn overlap(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && other.start < one.end
}

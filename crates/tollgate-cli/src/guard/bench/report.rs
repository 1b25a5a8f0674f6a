//! How well guards do, for people and for programs.

use serde_json::{json, Value};

use super::counts::{Counts, Tally};
use crate::audit::table::{grouped, Table};

/// What was measured, when and with what.
pub(super) struct Report<'c> {
    pub(super) counts: &'c Counts,
    pub(super) date: String,
    /// The version of the rules that give scores.
    pub(super) rules: &'c str,
    pub(super) threshold: u8,
}

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let counts = self.counts;
        let mut text = format!(
            "{}, tollgate {}, injection rules of {}, threshold {}\n",
            self.date,
            env!("CARGO_PKG_VERSION"),
            self.rules,
            self.threshold
        );
        if counts.texts > 0 {
            text.push_str(&format!("\n{} texts with marked spans\n", grouped(counts.texts.into())));
            text.push_str(&self.kinds());
        }
        if !counts.unknown.is_empty() {
            text.push_str("\nspans of kinds that no guard knows\n");
            let names = counts.unknown.keys().map(|kind| Some(kind.as_str()));
            let spans = counts.unknown.values().map(|spans| grouped((*spans).into()));
            text.push_str(&Table::new("kind", names).column("spans", spans).render());
        }
        if !counts.labels.is_empty() {
            text.push_str("\ntexts with a label\n");
            text.push_str(&self.labels());
        }
        text
    }

    fn kinds(&self) -> String {
        let mut rows: Vec<(String, Tally)> = self.counts.kinds().into_iter().collect();
        rows.push(("all that spans have".to_owned(), self.counts.total()));
        let count = |number: u64| grouped(number.into());
        let of = |pick: fn(&Tally) -> String| rows.iter().map(move |(_, tally)| pick(tally));
        Table::new("kind", rows.iter().map(|(kind, _)| Some(kind.as_str())))
            .column("spans", rows.iter().map(|(_, tally)| count(tally.spans)))
            .column("found", rows.iter().map(|(_, tally)| count(tally.hit)))
            .column("findings", rows.iter().map(|(_, tally)| count(tally.findings)))
            .column("right", rows.iter().map(|(_, tally)| count(tally.right)))
            .column("precision", of(|tally| share(tally.precision())))
            .column("recall", of(|tally| share(tally.recall())))
            .column("F1", of(|tally| share(tally.f1())))
            .render()
    }

    fn labels(&self) -> String {
        let counts = self.counts;
        let files =
            counts.labels.iter().map(|((file, label), share)| (file.as_str(), *label, *share));
        let all = counts.by_label().into_iter().map(|(label, share)| ("all files", label, share));
        let rows: Vec<_> = files.chain(all).collect();
        Table::new("file", rows.iter().map(|(file, ..)| Some(*file)))
            .names("label", rows.iter().map(|(_, label, _)| Some(label.name())))
            .column("texts", rows.iter().map(|(.., share)| grouped(share.all.into())))
            .column("over", rows.iter().map(|(.., share)| grouped(share.over.into())))
            .column("rate", rows.iter().map(|(.., over)| share(over.rate())))
            .render()
    }

    pub(super) fn json(&self) -> Value {
        let counts = self.counts;
        let tally = |tally: Tally| {
            json!({
                "spans": tally.spans, "found": tally.hit, "findings": tally.findings,
                "right": tally.right, "precision": tally.precision(), "recall": tally.recall(),
                "f1": tally.f1(),
            })
        };
        let kinds: serde_json::Map<_, _> =
            counts.kinds().into_iter().map(|(kind, one)| (kind, tally(one))).collect();
        let labels: Vec<Value> = counts
            .labels
            .iter()
            .map(|((file, label), share)| {
                json!({
                    "file": file, "label": label.name(), "texts": share.all, "over": share.over,
                    "rate": share.rate(),
                })
            })
            .collect();
        let by_label: serde_json::Map<_, _> = counts
            .by_label()
            .into_iter()
            .map(|(label, share)| {
                let of_all =
                    json!({ "texts": share.all, "over": share.over, "rate": share.rate() });
                (label.name().to_owned(), of_all)
            })
            .collect();
        json!({
            "date": self.date, "version": env!("CARGO_PKG_VERSION"), "rules": self.rules,
            "threshold": self.threshold, "texts": counts.texts, "kinds": kinds,
            "all": tally(counts.total()), "unknown": counts.unknown, "files": labels,
            "labels": by_label,
        })
    }
}

/// `0.974`, or a mark where there is nothing to compare.
fn share(ratio: Option<f64>) -> String {
    ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.3}"))
}

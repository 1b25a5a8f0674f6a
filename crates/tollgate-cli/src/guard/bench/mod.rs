//! `tollgate guard bench`

mod counts;
mod report;
mod samples;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::injection::Rules;

use self::counts::{Counts, Found};
use self::report::Report;
use self::samples::Sample;
use super::sought::Sought;
use crate::escape::shown_json;
use crate::exit::{print, Exit, Failure};
use crate::time::{date_of, now};

/// Measure how well guards do on labelled texts: precision, recall and F1 of each kind, and how many texts have an
/// injection score of the threshold or more.
///
/// Each line of a file is one JSON object. Of one like
/// {"text": "mail a@example.com", "spans": [{"kind": "email", "start": 5, "end": 18}]} all that is to be found is
/// marked; start and end are counted in characters from 0 on, as Python does. {"text": "...", "label": "attack"} and
/// "benign" are texts that should be over the threshold, and that should not. A line may have both.
///
/// A finding is right, and a span is found, where they overlap and are of the same kind. Spans of kinds that guards
/// don't know (names of persons, say) are counted by themselves. Nothing of the texts is printed.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The folder with the files: those whose name ends in .jsonl, .ndjson or .json. Or one file.
    #[arg(value_name = "DIR", value_hint = ValueHint::AnyPath)]
    folder: PathBuf,
    #[command(flatten)]
    sought: Sought,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let guard = self.sought.guard()?;
        let (trust, threshold) = (self.sought.trust(), self.sought.threshold);
        let shipped = Rules::shipped().map_err(|error| Failure::failed(error.to_string()))?;
        let rules = guard.injection_rules().unwrap_or(shipped);
        let mut counts = Counts::default();
        for file in samples::files(&self.folder)? {
            let name = file.file_name().unwrap_or(file.as_os_str()).to_string_lossy();
            samples::each(&file, |sample| {
                if let Some(spans) = &sample.spans {
                    counts.text(spans, &found(&guard, &sample, trust));
                }
                let score = guard.injection(&sample.text, trust);
                if let (Some(label), Some(score)) = (sample.label, score) {
                    counts.labelled(&name, label, score.score >= threshold);
                }
            })?;
        }
        let report =
            Report { counts: &counts, date: date_of(now()), rules: rules.version(), threshold };
        let text = match self.json {
            true => format!("{}\n", shown_json(&report.json().to_string())),
            false => report.text(),
        };
        print(text.as_bytes())?;
        Ok(Exit::Yes)
    }
}

/// What a guard finds in a text, in characters.
fn found(guard: &Guard, sample: &Sample, trust: Trust) -> Vec<Found> {
    let mut findings = Vec::new();
    guard.scan(&sample.text, trust, &mut findings);
    let (mut byte, mut character) = (0, 0);
    let mut at = |place: usize| {
        // Findings come in the order of places.
        character += sample.text.get(byte..place).unwrap_or_default().chars().count();
        byte = byte.max(place);
        character
    };
    let with_rule = findings.into_iter().filter(|finding| !finding.range.is_empty());
    with_rule
        .filter_map(|finding| {
            let rule = guard.rules().get(usize::from(finding.rule))?;
            let rule = format!("{}.{}", rule.family.name(), rule.name);
            let start = at(finding.range.start);
            Some(Found { rule, range: start..at(finding.range.end) })
        })
        .collect()
}

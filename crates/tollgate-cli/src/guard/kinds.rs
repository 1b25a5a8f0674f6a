//! `tollgate guard kinds`

use clap::Args;
use serde_json::json;
use tollgate_guard::detector::Detector;
use tollgate_guard::{pii, secrets};

use crate::escape::shown;
use crate::exit::{print, Exit, Failure};

/// List the kinds of personal data and of secrets that guards know, and what takes their place.
///
/// In place of several kinds of secrets, their first word may be named: github for github_token and others.
/// national_id stands for all numbers that states give to persons.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let kinds = known();
        let text = match self.json {
            true => {
                let of = |family: &str| -> Vec<_> {
                    let of_it = kinds.iter().filter(|kind| kind.family.name() == family);
                    of_it.map(|kind| json!({ "kind": kind.name, "label": kind.label })).collect()
                };
                format!("{}\n", json!({ "pii": of("pii"), "secrets": of("secrets") }))
            }
            false => {
                let names =
                    kinds.iter().map(|kind| format!("{}.{}", kind.family.name(), kind.name));
                let names: Vec<String> = names.collect();
                let width = names.iter().map(String::len).max().unwrap_or(0);
                let lines = names.iter().zip(&kinds).map(|(name, kind)| {
                    format!("{:<width$}  [{}]\n", shown(name), shown(&kind.label))
                });
                lines.collect()
            }
        };
        print(text.as_bytes())?;
        Ok(Exit::Yes)
    }
}

/// A detector of each kind, in the order in which they are documented.
fn known() -> Vec<Detector> {
    let mut kinds: Vec<Detector> = Vec::new();
    for detector in pii::detectors().into_iter().chain(secrets::detectors()) {
        let is_known =
            |kind: &Detector| kind.family == detector.family && kind.name == detector.name;
        if !kinds.iter().any(is_known) {
            kinds.push(detector);
        }
    }
    kinds
}

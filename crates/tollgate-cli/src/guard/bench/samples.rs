//! Labelled texts in files of JSON lines.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::exit::Failure;

/// How the names of the files end.
const ENDINGS: [&str; 3] = ["jsonl", "ndjson", "json"];

/// One labelled text.
#[derive(Deserialize)]
pub(super) struct Sample {
    pub(super) text: String,
    /// All that is to be found in it, if that is marked.
    pub(super) spans: Option<Vec<Span>>,
    /// What it is, if that is known.
    pub(super) label: Option<Label>,
}

/// What is to be found.
#[derive(Deserialize)]
pub(super) struct Span {
    pub(super) kind: String,
    start: usize,
    end: usize,
}

impl Span {
    /// Where it is, in characters.
    pub(super) fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}

/// Whether a text wants to give a model other orders.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub(super) enum Label {
    Attack,
    Benign,
}

impl Label {
    /// As it stands in the files.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Attack => "attack",
            Self::Benign => "benign",
        }
    }
}

/// The files of a folder, in the order of their names; or the one file.
pub(super) fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    if !fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        let ending = file.extension().unwrap_or_default();
        if file.is_file() && ENDINGS.iter().any(|known| ending == *known) {
            files.push(file);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(Failure::failed(format!(
            "{} holds no file whose name ends in .{}",
            path.display(),
            ENDINGS.join(", .")
        ))),
        false => Ok(files),
    }
}

/// Calls `each` with every text of a file. Empty lines are passed over.
pub(super) fn each(path: &Path, mut each: impl FnMut(Sample)) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut lines = BufReader::new(File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        if lines.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        match read(&line) {
            Ok(sample) => each(sample),
            Err(why) => {
                return Err(Failure::failed(format!("{}, line {number}: {why}", path.display())))
            }
        }
    }
}

/// One line. The reader's own words may have a part of the text.
fn read(line: &[u8]) -> Result<Sample, &'static str> {
    let sample: Sample = serde_json::from_slice(line).map_err(|_| {
        "no JSON object with \"text\", and \"spans\" of \"kind\", \"start\" and \"end\", or a \"label\" that is \
         \"attack\" or \"benign\""
    })?;
    if sample.spans.is_none() && sample.label.is_none() {
        return Err("neither \"spans\" nor \"label\" is there");
    }
    let length = sample.text.chars().count();
    let is_in = |span: &Span| span.start < span.end && span.end <= length;
    match sample.spans.iter().flatten().all(is_in) {
        true => Ok(sample),
        false => {
            Err("a span ends before it begins, or behind the text; they are counted in characters")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_is_wrong_without_its_text() {
        for line in [
            "secret",
            r#"["secret"]"#,
            r#"{"text":"secret"}"#,
            r#"{"text":"secret","label":"secret"}"#,
            r#"{"text":7,"label":"attack"}"#,
            r#"{"text":"secret","spans":[{"kind":"email","start":2,"end":2}]}"#,
            r#"{"text":"secret","spans":[{"kind":"email","start":0,"end":7}]}"#,
            r#"{"text":"secret","spans":[{"kind":"email","start":-1,"end":1}]}"#,
        ] {
            let why = read(line.as_bytes()).err().unwrap_or_default();
            assert!(!why.is_empty() && !why.contains("secret"), "{line}");
        }
        for line in [
            r#"{"text":"ééé","spans":[{"kind":"email","start":0,"end":3}],"id":4}"#,
            r#"{"text":"","spans":[]}"#,
            r#"{"text":"a","label":"benign"}"#,
        ] {
            assert!(read(line.as_bytes()).is_ok(), "{line}");
        }
    }
}

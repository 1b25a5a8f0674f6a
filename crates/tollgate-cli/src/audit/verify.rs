//! `tollgate audit verify`

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tollgate_core::audit::seal::{file_order, HeadsLine, Place, Report, Verifier, VerifyingKey};
use zeroize::Zeroizing;

use super::input::{self, Input};
use super::logs::Logs;
use crate::escape::{shown, shown_json};
use crate::exit::{print, Exit, Failure};

/// Find out what was changed, removed, added or reordered in a sealed log.
///
/// Give all files of the log that are there, the rotated ones as well, in any order; they may be compressed with
/// gzip. What was cut off the end is found with --heads alone.
///
/// Exit status: 0 if nothing was done to the log, 1 if something was, 2 if the command line is wrong, 3 if it could
/// not be found out.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The key that verifies.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    logs: Logs,
    /// Lines of "tollgate audit heads" that were kept elsewhere; repeatable.
    #[arg(long, value_name = "FILE")]
    heads: Vec<PathBuf>,
    /// Lines that the machine says are lost are as bad as lines that were taken out.
    #[arg(long)]
    strict: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut verifier = Verifier::new(read_key(&self.key)?);
        for path in &self.heads {
            for heads in read_heads(path)? {
                verifier.heads(heads);
            }
        }
        let (found, damage) = self.logs.files();
        if let Some(failure) = damage {
            return Err(failure);
        }
        let (files, inputs): (Vec<_>, Vec<_>) = in_order(found)?.into_iter().unzip();
        let progress = input::progress(&files);
        for input in inputs {
            verifier.begin_file();
            let mut number = 0_u64;
            input.each_line(&progress, |line| {
                number = number.saturating_add(1);
                verifier.line(number, line);
            })?;
        }
        progress.finish_and_clear();
        let report = verifier.finish();
        if report.seals == 0 {
            return Err(Failure::failed("there is no seal in these files: is it a sealed log?"));
        }
        let is_lossy = report.notes.iter().any(|note| note.is_loss);
        let is_intact = report.findings.is_empty() && !(self.strict && is_lossy);
        let text = match self.json {
            true => self.json(&report, &files, is_intact)?,
            false => self.text(&report, &files, is_intact),
        };
        print(text.as_bytes())?;
        Ok(if is_intact { Exit::Yes } else { Exit::No })
    }

    fn text(&self, report: &Report, files: &[PathBuf], is_intact: bool) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}", shown(&line));
        };
        for finding in &report.findings {
            line(format!("{}{}: {}", at(finding.place, files), finding.kind, finding.text));
        }
        for note in &report.notes {
            let word = if note.is_loss { "lost" } else { "note" };
            line(format!("{}{word}: {}", at(note.place, files), note.text));
        }
        let unshown = report.count.saturating_sub(report.findings.len() as u64);
        if unshown > 0 {
            line(format!("and {unshown} more findings"));
        }
        let Report { lines, seals, chains, manifests, .. } = report;
        line(format!("{lines} lines, {seals} seals, {chains} chains, {manifests} manifests"));
        if let Some((first, last)) = &report.span {
            line(format!("sealed from {first} to {last}"));
        }
        line(match (is_intact, report.count) {
            (true, _) => "nothing was changed, removed, added or reordered".to_owned(),
            (false, 0) => "lines are lost".to_owned(),
            (false, 1) => "the log is not as it was written: 1 finding".to_owned(),
            (false, count) => format!("the log is not as it was written: {count} findings"),
        });
        if is_intact && !report.is_whole {
            line("what was before the first of these files is not known".to_owned());
        }
        if is_intact && self.heads.is_empty() {
            line("what was cut off the end can't be found without --heads".to_owned());
        }
        text
    }

    fn json(&self, report: &Report, files: &[PathBuf], is_intact: bool) -> Result<String, Failure> {
        let entry = |kind: &'static str, place: Option<Place>, text: &str| JsonFinding {
            kind,
            file: place.and_then(|place| Some(files.get(place.file)?.display().to_string())),
            line: place.map(|place| place.line),
            text: text.to_owned(),
        };
        let findings = report.findings.iter();
        let notes = report.notes.iter();
        let json = JsonReport {
            intact: is_intact,
            count: report.count,
            findings: findings
                .map(|finding| entry(finding.kind.as_str(), finding.place, &finding.text))
                .collect(),
            notes: notes
                .map(|note| {
                    entry(if note.is_loss { "lost" } else { "note" }, note.place, &note.text)
                })
                .collect(),
            lines: report.lines,
            seals: report.seals,
            chains: report.chains,
            manifests: report.manifests,
            first: report.span.as_ref().map(|(first, _)| first.as_str()),
            last: report.span.as_ref().map(|(_, last)| last.as_str()),
            from_beginning: report.is_whole,
            with_heads: !self.heads.is_empty(),
        };
        let text = serde_json::to_string_pretty(&json)
            .map_err(|error| Failure::failed(error.to_string()))?;
        Ok(shown_json(&text) + "\n")
    }
}

#[derive(Serialize)]
struct JsonReport<'a> {
    intact: bool,
    count: u64,
    findings: Vec<JsonFinding>,
    notes: Vec<JsonFinding>,
    lines: u64,
    seals: u64,
    chains: usize,
    manifests: usize,
    first: Option<&'a str>,
    last: Option<&'a str>,
    from_beginning: bool,
    with_heads: bool,
}

#[derive(Serialize)]
struct JsonFinding {
    kind: &'static str,
    file: Option<String>,
    line: Option<u64>,
    text: String,
}

fn at(place: Option<Place>, files: &[PathBuf]) -> String {
    let named = place.and_then(|place| Some((files.get(place.file)?, place.line)));
    named.map_or(String::new(), |(file, line)| format!("{}:{line}: ", file.display()))
}

fn read_key(path: &Path) -> Result<VerifyingKey, Failure> {
    let failed =
        |problem: &dyn std::fmt::Display| Failure::failed(format!("{} {problem}", path.display()));
    let bytes = std::fs::read(path).map(Zeroizing::new);
    let bytes = bytes.map_err(|error| failed(&format!("can't be read: {error}")))?;
    VerifyingKey::parse(&bytes).map_err(|error| failed(&error))
}

fn read_heads(path: &Path) -> Result<Vec<HeadsLine>, Failure> {
    let failed = |problem: &str| Failure::failed(format!("{}: {problem}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(&error.to_string()))?;
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    // Others may write to the same file of a logger.
    let heads: Vec<_> = lines.filter_map(HeadsLine::parse).collect();
    match heads.is_empty() {
        true => Err(failed("there is no line of \"tollgate audit heads\" in it")),
        false => Ok(heads),
    }
}

/// The oldest first, as their seals say; of those without a seal, each behind all others.
fn in_order(paths: Vec<PathBuf>) -> Result<Vec<(PathBuf, Input)>, Failure> {
    const LAST: (u32, u64, u64) = (u32::MAX, u64::MAX, u64::MAX);
    let mut files = Vec::new();
    for path in paths {
        let mut input = Input::open(&path)?;
        let order = input.first(file_order)?.unwrap_or(LAST);
        files.push((order, (path, input)));
    }
    files.sort_by_key(|(order, _)| *order);
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

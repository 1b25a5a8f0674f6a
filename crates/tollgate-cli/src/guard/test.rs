//! `tollgate guard test`

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde_json::{json, Value};
use tollgate_guard::detector::Family;
use tollgate_guard::guard::{Guard, Trust};
use tollgate_guard::injection::{RuleNumber, Rules};

use super::place::Places;
use super::sought::Sought;
use crate::escape::{shown, shown_json};
use crate::exit::{print, Exit, Failure};

/// The most that is read of a text: more than a body that guards look into may have.
const LARGEST: u64 = 64 << 20;

/// Say what guards would find in a text, where, and why.
///
/// Each finding has its place (line and column), the score that says how sure it is, and the copy of the text in
/// which it was seen: as it is, normalised, or decoded. Of what was decoded, the place is that of what it was decoded
/// from. What is found is not printed, but how long it is. A text is looked at as a whole; nginx looks at long ones
/// 32 KB at a time.
///
/// Exit status: 0 if nothing is found, 1 if something is.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The file that holds the text; - for stdin.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "text")]
    file: Option<PathBuf>,
    /// The text itself. Others on this machine can read it in the list of processes.
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    #[command(flatten)]
    sought: Sought,
    /// Print what is found, too.
    #[arg(long)]
    show: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let guard = self.sought.guard()?;
        let text = match (&self.text, &self.file) {
            (Some(text), _) => text.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => return Err(Failure::usage("a FILE or --text is needed")),
        };
        let trust = self.sought.trust();
        let sights = sights(&guard, &text, trust);
        let injection = guard.injection_rules().zip(guard.injection(&text, trust));
        let injection = injection.map(|(rules, found)| Injection {
            score: found.score,
            threshold: self.sought.threshold,
            rules: found.rules.iter().filter_map(|number| name(rules, *number)).collect(),
            version: rules.version(),
        });
        let is_clean = sights.is_empty() && !injection.as_ref().is_some_and(Injection::is_found);
        let out = match self.json {
            true => {
                let found: Vec<_> = sights.iter().map(|sight| sight.json(self.show)).collect();
                let injection = injection.as_ref().map(Injection::json);
                let report = json!({ "clean": is_clean, "found": found, "injection": injection });
                format!("{}\n", shown_json(&report.to_string()))
            }
            false => {
                let mut out = String::new();
                for sight in &sights {
                    out.push_str(&sight.line(self.show));
                }
                if let Some(injection) = &injection {
                    out.push_str(&injection.line());
                }
                if is_clean {
                    out.push_str("nothing found\n");
                }
                out
            }
        };
        print(out.as_bytes())?;
        Ok(if is_clean { Exit::Yes } else { Exit::No })
    }
}

/// The text in a file. What is no UTF-8 in it, counts as U+FFFD.
fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    match path.as_os_str() == "-" {
        true => io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)),
    }
    .map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        let most = LARGEST >> 20;
        return Err(Failure::failed(format!("{}: longer than {most} MB", path.display())));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One thing that was found.
struct Sight<'t> {
    rule: String,
    line: usize,
    column: usize,
    score: u8,
    seen: &'static str,
    /// What it is; of what was decoded, what it was decoded from.
    found: &'t str,
}

/// All that is found in a text, in the order of places.
fn sights<'t>(guard: &Guard, text: &'t str, trust: Trust) -> Vec<Sight<'t>> {
    let mut places = Places::new(text);
    let mut sights = Vec::new();
    for sight in guard.describe(text, trust) {
        let finding = sight.finding;
        let rule = guard.rules().get(usize::from(finding.rule));
        let Some(rule) = rule.filter(|rule| rule.family != Family::Injection) else { continue };
        let (line, column) = places.of(finding.range.start);
        sights.push(Sight {
            rule: format!("{}.{}", rule.family.name(), rule.name),
            line,
            column,
            score: finding.score,
            seen: sight.seen.name(),
            found: text.get(finding.range).unwrap_or_default(),
        });
    }
    sights
}

impl Sight<'_> {
    fn line(&self, show: bool) -> String {
        let Self { rule, line, column, score, seen, found } = self;
        let found = match show {
            true => format!("\"{}\"", shown(found)),
            false => format!("{} characters", found.chars().count()),
        };
        format!("{line}:{column}: {rule}, score {score}, {seen}: {found}\n")
    }

    fn json(&self, show: bool) -> Value {
        let mut object = json!({
            "rule": self.rule, "line": self.line, "column": self.column, "score": self.score,
            "seen": self.seen, "length": self.found.chars().count(),
        });
        if let (true, Value::Object(members)) = (show, &mut object) {
            members.insert("text".to_owned(), self.found.into());
        }
        object
    }
}

/// What rules make of a text.
struct Injection<'r> {
    score: u8,
    threshold: u8,
    /// Those that the score comes from.
    rules: Vec<&'r str>,
    version: &'r str,
}

fn name(rules: &Rules, number: RuleNumber) -> Option<&str> {
    rules.ids().get(usize::from(number)).map(|id| &**id)
}

impl Injection<'_> {
    fn is_found(&self) -> bool {
        self.score >= self.threshold
    }

    fn line(&self) -> String {
        let Self { score, threshold, rules, version } = self;
        if *score == 0 && rules.is_empty() {
            return String::new();
        }
        let than = if self.is_found() { "found" } else { "below the threshold" };
        format!(
            "injection, score {score}, {than} of {threshold}, rules of {version}: {}\n",
            rules.join(", ")
        )
    }

    fn json(&self) -> Value {
        json!({
            "score": self.score, "threshold": self.threshold, "found": self.is_found(),
            "rules": self.rules, "version": self.version,
        })
    }
}

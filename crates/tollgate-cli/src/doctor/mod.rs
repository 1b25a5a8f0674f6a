//! `tollgate doctor`: what is wrong with an nginx that stands before an engine.
//!
//! * `source`: the configuration, as nginx tells it or as the files have it;
//! * `look`: what can be found out about the machine; `kernel`, `callers`, `probe`: parts of it;
//! * `report`: what is printed.
//!
//! What is looked for, and what follows from it, is in the crate `tollgate-doctor`.

mod callers;
pub(crate) mod kernel;
mod look;
mod probe;
mod report;
pub(crate) mod source;

use std::path::PathBuf;

use clap::{Args, ValueHint};
use tollgate_doctor::{examine, Severity, CHECKS};

use crate::exit::{print, Exit, Failure};

/// Look at an nginx that stands before an engine, and say what is wrong, and which line mends it
///
/// Reads the configuration by `nginx -T`, and looks at the files that it names, at who listens where, at the module,
/// at the clock, at the end of the audit log, and asks the store of a cluster. Nothing is changed. Run it as root: nginx reads its configuration as
/// root, too. Each finding has its place, why it matters, and the line that mends it; docs/doctor.md tells more of each.
///
/// Exit status: 0 if nothing was found, or notes alone; 1 if there are warnings; 2 if there are errors, or if the
/// command line is wrong, and then nothing is on stdout; 3 if it could not look.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The configuration; by default the one that nginx was built for.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// The program; by default the nginx of PATH.
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    nginx: Option<PathBuf>,
    /// The folder from which nginx takes relative paths (its option -p).
    #[arg(long, short, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    prefix: Option<PathBuf>,
    /// Judge this instead: what `nginx -T` has printed, on this machine or another one; - for stdin. Nothing else is
    /// looked at.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["config", "nginx", "prefix", "url"])]
    dump: Option<PathBuf>,
    /// Ask there without a key, which must be refused; repeatable. Needs curl.
    #[arg(long, value_name = "URL", value_parser = probe::url)]
    url: Vec<String>,
    /// Leave this out; repeatable. --list names all.
    #[arg(long, value_name = "NAME", value_parser = name)]
    ignore: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print what is looked for, and end.
    #[arg(long)]
    list: bool,
}

fn name(text: &str) -> Result<String, String> {
    match CHECKS.iter().copied().flatten().any(|check| check.name == text) {
        true => Ok(text.to_owned()),
        false => Err("nothing of that name is looked for; --list names all".to_owned()),
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        if self.list {
            print(report::list().as_bytes())?;
            return Ok(Exit::Yes);
        }
        let source = match &self.dump {
            Some(dump) => source::dumped(dump)?,
            None => source::asked(self.nginx, self.config.as_deref(), self.prefix.as_deref())?,
        };
        let mut facts = source.facts;
        let mut unknown = source.unknown;
        if self.dump.is_none() {
            look::look(&source.conf, &source.folders, &source.pid_path, &mut facts, &mut unknown);
            facts.probes = self.url.iter().map(|url| probe::ask(url)).collect();
        }
        let findings = examine(&source.conf, &facts, &source.folders, &self.ignore);
        let text = match self.json {
            true => report::json(&source.name, facts.nginx, &findings, &unknown),
            false => report::text(&source.name, &findings, &unknown),
        };
        print(text.as_bytes())?;
        Ok(match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Error) => Exit::Bad,
            Some(Severity::Warning) => Exit::No,
            Some(Severity::Note) | None => Exit::Yes,
        })
    }
}

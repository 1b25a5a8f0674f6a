//! What a check is, what it looks at, and what it has found.

use crate::conf::{Conf, Place, Scope};
use crate::facts::Facts;
use crate::finding::Severity;
use crate::named::Folders;

/// Something that is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Its name, as `--ignore` takes it.
    pub name: &'static str,
    /// How bad it is, as a rule.
    pub severity: Severity,
    /// Why it matters: a sentence or two.
    pub why: &'static str,
    pub(super) look: fn(&View<'_>) -> Vec<Found>,
}

/// What a check looks at.
pub(super) struct View<'v> {
    pub(super) conf: &'v Conf,
    pub(super) facts: &'v Facts,
    pub(super) folders: &'v Folders,
    /// All locations, and blocks in them.
    pub(super) locations: Vec<Scope<'v>>,
    /// Those from which clients' requests go to an engine.
    pub(super) engines: Vec<Scope<'v>>,
}

/// What a check has found.
pub(super) struct Found {
    pub(super) what: String,
    pub(super) place: Option<Place>,
    pub(super) mend: Vec<String>,
    /// `None`: as bad as the check says.
    pub(super) severity: Option<Severity>,
}

impl Found {
    pub(super) fn new(what: impl Into<String>, place: &Place) -> Self {
        Self { what: what.into(), place: Some(place.clone()), mend: Vec::new(), severity: None }
    }

    pub(super) fn mend(mut self, line: impl Into<String>) -> Self {
        self.mend.push(line.into());
        self
    }

    pub(super) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }
}

impl View<'_> {
    /// Whether nginx is known to be at least of this version.
    pub(super) fn is_nginx(&self, at_least: (u32, u32, u32)) -> bool {
        self.facts.nginx.is_some_and(|version| version >= at_least)
    }

    /// How many workers there are; `None`: as many as processors, which aren't known.
    pub(super) fn workers(&self) -> Option<usize> {
        match self.conf.top("worker_processes").and_then(|line| line.arg(0)) {
            Some("auto") => self.facts.cpus,
            Some(number) => number.parse().ok(),
            None => Some(1),
        }
    }
}

/// Where to look for what holds in a scope: where it is said, or the server in which it isn't.
pub(super) fn blamed(scope: &Scope<'_>, name: &str) -> Place {
    scope.last(name).map_or_else(|| scope.server.place.clone(), |said| said.place.clone())
}

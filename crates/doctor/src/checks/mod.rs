//! What is looked for. Each check is a function of the configuration and of what is known about the machine.
//!
//! * [`check`]: what a check is, what it looks at, and what it has found;
//! * [`engine`]: the way to the engine;
//! * [`exposure`]: who gets in, and from where;
//! * [`bypass`]: who gets past Tollgate;
//! * [`traces`]: what is left of keys, in logs and in headers;
//! * [`capacity`]: how much there is of what;
//! * [`cluster`]: the way to the store of a cluster;
//! * [`files`]: who may read and write which file;
//! * [`machine`]: nginx itself, the module, and the clock.

mod bypass;
mod capacity;
mod check;
mod cluster;
mod engine;
mod exposure;
mod files;
mod machine;
mod traces;

use crate::conf::Conf;
use crate::facts::Facts;
use crate::finding::Finding;
use crate::named::Folders;
use check::View;

pub use check::Check;

/// All of them, in the order of `docs/doctor.md`.
pub const CHECKS: &[&[Check]] = &[
    machine::CHECKS,
    exposure::CHECKS,
    bypass::CHECKS,
    traces::CHECKS,
    engine::CHECKS,
    capacity::CHECKS,
    cluster::CHECKS,
    files::CHECKS,
];

/// What the checks find, but for those of these names: the worst first. What a directive does in many places is
/// told once.
#[must_use]
pub fn examine(conf: &Conf, facts: &Facts, folders: &Folders, ignored: &[String]) -> Vec<Finding> {
    let locations = conf.locations();
    let engines = locations.iter().filter(|scope| scope.is_to_engine()).cloned().collect();
    let view = View { conf, facts, folders, locations, engines };
    let mut findings: Vec<Finding> = Vec::new();
    for check in CHECKS.iter().copied().flatten() {
        if ignored.iter().any(|name| name == check.name) {
            continue;
        }
        for found in (check.look)(&view) {
            let is_told = |known: &Finding| {
                known.check == check.name && known.place == found.place && known.place.is_some()
            };
            if !findings.iter().any(is_told) {
                findings.push(Finding {
                    check: check.name,
                    severity: found.severity.unwrap_or(check.severity),
                    what: found.what,
                    why: check.why,
                    place: found.place,
                    mend: found.mend,
                });
            }
        }
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

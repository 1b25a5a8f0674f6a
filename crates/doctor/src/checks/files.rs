//! Who may read and write which file.

use super::check::{Check, Found, View};
use crate::conf::value::shell;
use crate::facts::{Chain, Rights};
use crate::finding::Severity;
use crate::named::{named, Named, Use};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "unreadable",
        severity: Severity::Error,
        why: "nginx reads the file as root when it starts, and its workers read it again when it changes. One that they \
              can't read stays as it was: keys that are revoked stay good.",
        look: unreadable,
    },
    Check {
        name: "world-readable",
        severity: Severity::Warning,
        why: "Every user of this machine can read it: who has which key, who asked for what, or a secret.",
        look: world_readable,
    },
    Check {
        name: "world-writable",
        severity: Severity::Error,
        why: "Every user of this machine can make a key, or take the log away.",
        look: world_writable,
    },
    Check {
        name: "unwritable-state",
        severity: Severity::Error,
        why: "The workers write the state. If they can't, a restart forgets what clients have used.",
        look: unwritable_state,
    },
];

/// The files that the configuration names, and what is known of them.
fn known<'v>(view: &'v View<'_>) -> Vec<(Named, &'v Chain)> {
    let all = named(view.conf, view.folders).into_iter();
    all.filter_map(|named| view.facts.files.get(&named.path).map(|chain| (named, chain))).collect()
}

fn unreadable(view: &View<'_>) -> Vec<Found> {
    let Some(workers) = &view.facts.workers else { return Vec::new() };
    let mut found = Vec::new();
    for (named, chain) in known(view) {
        if !matches!(named.used_as, Use::ApiKeys | Use::TokenKeys) {
            continue;
        }
        let path = &named.path;
        if chain.file.is_none() {
            let what = format!("\"{path}\" isn't there");
            let one = Found::new(what, &named.place);
            found.push(match named.used_as {
                Use::ApiKeys => one.mend(format!(
                    "tollgate key create --client NAME --tier TIER --file {}",
                    shell(path)
                )),
                _ => one,
            });
            continue;
        }
        if let Some(Rights { path: closed, .. }) = chain.obstacle(workers) {
            let (name, is_folder) = (&workers.name, closed != path);
            let what = match is_folder {
                true => format!("\"{name}\", as whom the workers run, can't enter \"{closed}\", where \"{path}\" is"),
                false => format!("\"{name}\", as whom the workers run, can't read \"{path}\""),
            };
            let mode = if is_folder { "g+x" } else { "g+r" };
            found.push(
                Found::new(what, &named.place)
                    .mend(format!("chgrp {name} {0} && chmod {mode} {0}", shell(closed))),
            );
        }
    }
    found
}

/// Whether all users reach it: those of no folder on the way are closed to them.
fn is_open_to_all(chain: &Chain, bit: u32) -> bool {
    let reached = chain.folders.iter().all(|folder| folder.mode & 0o001 != 0);
    reached && chain.file.as_ref().is_some_and(|file| file.mode & bit != 0)
}

fn world_readable(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (named, _) in known(view).into_iter().filter(|(_, chain)| is_open_to_all(chain, 0o004)) {
        let path = &named.path;
        let severity = match named.used_as {
            Use::Salt | Use::TlsKey => Severity::Error,
            Use::ApiKeys | Use::AuditLog => Severity::Warning,
            // Public keys may be read by all; a secret among them is told by nginx. The state is made by nginx.
            Use::TokenKeys | Use::State => continue,
        };
        let what = format!("everybody can read \"{path}\"");
        found.push(
            Found::new(what, &named.place)
                .mend(format!("chmod o-rwx {}", shell(path)))
                .severity(severity),
        );
    }
    found
}

fn world_writable(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for (named, chain) in known(view) {
        // In a folder that all may write to, all may replace the file, unless only its owner may (sticky).
        let open_folder = chain
            .folders
            .last()
            .filter(|folder| folder.mode & 0o002 != 0 && folder.mode & 0o1000 == 0);
        let open = match (open_folder, is_open_to_all(chain, 0o002)) {
            (Some(folder), _) => &folder.path,
            (None, true) => &named.path,
            (None, false) => continue,
        };
        let what = format!("everybody can write \"{open}\"");
        found.push(Found::new(what, &named.place).mend(format!("chmod o-w {}", shell(open))));
    }
    found
}

fn unwritable_state(view: &View<'_>) -> Vec<Found> {
    let Some(workers) = &view.facts.workers else { return Vec::new() };
    let mut found = Vec::new();
    for (named, chain) in known(view).into_iter().filter(|(named, _)| named.used_as == Use::State) {
        let folder = named.path.rsplit_once('/').map_or("/", |(folder, _)| folder);
        // A folder that isn't there is made by nginx.
        let is_there = chain.folders.last().is_some_and(|last| last.path == folder);
        if let Some(closed) = chain.obstacle_to_writing(workers).filter(|_| is_there) {
            let name = &workers.name;
            let what = format!(
                "\"{name}\", as whom the workers run, can't write the state in \"{}\"",
                closed.path
            );
            found.push(
                Found::new(what, &named.place).mend(format!("chown {name} {}", shell(folder))),
            );
        }
    }
    found
}

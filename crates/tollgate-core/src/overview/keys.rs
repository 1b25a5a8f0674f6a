//! What is in force of the files with keys, and of those of guards.

use serde::Serialize;

use crate::clients::view::time;
use crate::clock::UnixMillis;
use crate::status::{SetKind, Status};

/// A set of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Keys {
    paths: Vec<String>,
    kind: SetKind,
    /// Absent, as what follows: that is being written just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
    /// Of files of guards: rules or terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// How the digest begins of what the files held. Of keys, it is nobody's business.
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// Since when it is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    workers_on_it: usize,
    workers: usize,
    /// What is in the files and not in force, and why: the first ones.
    refused: Vec<String>,
    refused_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
    warnings: Vec<String>,
}

/// Why what the files hold now was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Failure {
    at: String,
    error: String,
}

/// How much of a digest is shown: as much as a person compares.
const SHOWN: usize = 12;

/// How it is with each of them: those with keys, or those of guards.
pub(super) fn of(status: &Status, are_keys: bool, now: UnixMillis) -> Vec<Keys> {
    let sets = status.description.sets.iter().zip(&status.sets).enumerate();
    let sets = sets.filter(|(_, (set, _))| set.kind.is_of_keys() == are_keys);
    sets.map(|(index, (set, state))| {
        let of_guards = state.as_ref().filter(|_| !are_keys);
        let digest = of_guards.and_then(|state| state.digests.first());
        let version = of_guards.map(|state| state.version.clone());
        let failure = state.as_ref().and_then(|state| state.failure.as_ref());
        Keys {
            paths: set.paths.clone(),
            kind: set.kind,
            keys: state.as_ref().filter(|_| are_keys).map(|state| state.keys),
            entries: of_guards.map(|state| state.keys),
            version: version.filter(|version| !version.is_empty()),
            sha256: digest.map(|digest| digest.chars().take(SHOWN).collect()),
            generation: state.as_ref().map(|state| state.generation),
            since: state.as_ref().map(|state| time(UnixMillis(state.since_ms))),
            workers_on_it: status.following(index, now.0),
            workers: status.workers.len(),
            refused: state.as_ref().map(|state| state.refused.clone()).unwrap_or_default(),
            refused_count: state.as_ref().map_or(0, |state| state.refused_count),
            failure: failure.map(|failure| Failure {
                at: time(UnixMillis(failure.at_ms)),
                error: failure.error.clone(),
            }),
            warnings: state.as_ref().map(|state| state.warnings.clone()).unwrap_or_default(),
        }
    })
    .collect()
}

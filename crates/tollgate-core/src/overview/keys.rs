//! What is in force of the files with keys.

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

/// How it is with each of them.
pub(super) fn of(status: &Status, now: UnixMillis) -> Vec<Keys> {
    let sets = status.description.sets.iter().zip(&status.sets).enumerate();
    sets.map(|(index, (set, state))| {
        let failure = state.as_ref().and_then(|state| state.failure.as_ref());
        Keys {
            paths: set.paths.clone(),
            kind: set.kind,
            keys: state.as_ref().map(|state| state.keys),
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

//! What was counted in the last minutes: all that was counted, without what had been counted by then.
//!
//! Counters only rise, from the day on which nginx was started. In the minute of an incident nobody wants to know
//! of that day.

use std::collections::{BTreeMap, VecDeque};

use super::models::Sums;
use crate::clock::UnixMillis;
use crate::decision::Reason;
use crate::metrics::{Outcome, Readings};

/// How long ago the last minutes begin, at most.
pub const WINDOW_MS: i64 = 300_000;
/// Between two looks. The last minutes begin with one.
pub const STEP_MS: i64 = 30_000;

/// What had been counted at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Mark {
    at: UnixMillis,
    models: BTreeMap<String, Sums>,
    /// For each of [`Reason::ALL`].
    refused: Vec<u64>,
    /// What guards had found.
    found: BTreeMap<[String; 3], u64>,
}

/// What had been counted by when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent(VecDeque<Mark>);

impl Recent {
    /// Whether it is time for another look.
    #[must_use]
    pub fn is_due(&self, now: UnixMillis) -> bool {
        self.0.back().is_none_or(|last| !(0..STEP_MS).contains(&now.0.saturating_sub(last.at.0)))
    }

    /// Remembers what has been counted by now.
    pub fn note(&mut self, readings: &Readings, now: UnixMillis) {
        // A clock that was set back makes a new beginning.
        self.0.retain(|mark| (0..=WINDOW_MS).contains(&now.0.saturating_sub(mark.at.0)));
        self.0.push_back(Mark {
            at: now,
            models: super::models::sums(readings),
            refused: refused(readings),
            found: readings.guards.clone(),
        });
    }

    /// How long the last minutes are by now.
    #[must_use]
    pub fn window_ms(&self, now: UnixMillis) -> u64 {
        let first = self.0.front().map_or(now, |mark| mark.at);
        u64::try_from(now.0.saturating_sub(first.0)).unwrap_or(0)
    }

    /// What of a model had been counted before the last minutes.
    #[must_use]
    pub(super) fn model_before(&self, model: &str) -> Option<&Sums> {
        self.0.front()?.models.get(model)
    }

    /// How many requests had been refused before the last minutes.
    #[must_use]
    pub(super) fn refused_before(&self, reason: Reason) -> u64 {
        let counts = self.0.front().map(|mark| &mark.refused);
        counts.and_then(|counts| counts.get(reason as usize)).copied().unwrap_or(0)
    }
}

impl Recent {
    /// How often a rule of a guard had found something before the last minutes.
    #[must_use]
    pub(super) fn found_before(&self, labels: &[String; 3]) -> u64 {
        self.0.front().and_then(|mark| mark.found.get(labels)).copied().unwrap_or(0)
    }
}

/// How many requests were refused, or cut off, for each of [`Reason::ALL`].
pub(super) fn refused(readings: &Readings) -> Vec<u64> {
    let mut sums = vec![0_u64; Reason::ALL.len()];
    for cells in readings.flows.values() {
        for (outcome, count) in Outcome::all().zip(cells) {
            if let Some(sum) = reason(outcome).and_then(|reason| sums.get_mut(reason as usize)) {
                *sum = sum.saturating_add(*count);
            }
        }
    }
    sums
}

/// Whether a request of this outcome was refused, or cut off, and why.
fn reason(outcome: Outcome) -> Option<Reason> {
    match outcome {
        Outcome::Denied(reason) | Outcome::CutOff(reason) => Some(reason),
        Outcome::Allowed | Outcome::Undecided => None,
    }
}

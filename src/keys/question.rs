//! What is counted of questions to providers.

use nginx::subrequest::Outcome;
use tollgate_core::metrics::Family;

use crate::observed;

/// What came of a question to a provider, as it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// It gave an answer that can be used.
    Answered,
    /// It gave none.
    Error,
    /// It took too long.
    TimedOut,
}

impl Asked {
    /// That of an outcome which is of no use.
    pub(crate) fn failed(outcome: &Outcome<'_>) -> Self {
        match outcome {
            // nginx says so, whose own time was shorter.
            Outcome::Late | Outcome::Answer { status: 504, .. } => Self::TimedOut,
            _ => Self::Error,
        }
    }
}

/// Counts a question to the provider behind this internal location.
pub(crate) fn count(uri: &str, asked: Asked) {
    let result = match asked {
        Asked::Answered => "ok",
        Asked::Error => "error",
        Asked::TimedOut => "timeout",
    };
    observed::happened(Family::ProviderRequests, uri, result);
}

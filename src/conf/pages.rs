//! The pages that locations are answered with.

use tollgate_core::permissions::scopes::Scope;

/// What a location shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// `tollgate_metrics`
    Metrics,
}

impl Shown {
    /// What whoever looks needs where the location is protected (`tollgate on`); `None`: to be a client suffices.
    pub(crate) fn scope(self) -> Option<Scope> {
        match self {
            Self::Metrics => Some(Scope::Admin),
        }
    }
}

//! The pages that locations are answered with.

use tollgate_core::permissions::scopes::Scope;

/// What a location shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// `tollgate_metrics`
    Metrics {
        /// For how many clients there are metrics of their own.
        clients: usize,
    },
    /// `tollgate_usage`
    Usage,
    /// `tollgate_status`
    Status,
}

/// The directives.
pub(crate) const NAMES: [&str; 3] = ["tollgate_metrics", "tollgate_usage", "tollgate_status"];

/// The most clients that may have metrics of their own.
pub(crate) const MAX_CLIENTS: usize = 1000;

impl Shown {
    /// Whether it shows more than sums of all requests: single clients, or the last hour.
    pub(crate) fn looks_into(self) -> bool {
        match self {
            Self::Metrics { clients } => clients > 0,
            Self::Status | Self::Usage => true,
        }
    }

    /// Whether it has a page for browsers.
    pub(crate) fn has_html(self) -> bool {
        match self {
            Self::Metrics { .. } => false,
            Self::Status | Self::Usage => true,
        }
    }

    /// What whoever looks needs where the location is protected (`tollgate on`); `None`: to be a client suffices.
    pub(crate) fn scope(self) -> Option<Scope> {
        match self {
            Self::Metrics { .. } | Self::Status => Some(Scope::Admin),
            Self::Usage => None,
        }
    }
}

//! The pages that locations are answered with.

/// What a location shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// `tollgate_metrics`
    Metrics,
}

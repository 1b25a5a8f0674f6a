//! What clients and the log are told of limits.

use std::sync::Arc;

use tollgate_core::limits::Standing;

/// One limit, for headers and log.
#[derive(Clone, Debug)]
pub(crate) struct LimitReport {
    /// Such as `requests 100r/m`.
    pub(crate) label: Arc<str>,
    pub(crate) standing: Standing,
    /// Whether it is the client's own, and not that of a rule.
    pub(crate) is_own: bool,
    /// Whether what is left is money, in nano-units.
    pub(crate) is_money: bool,
}

impl Shown {
    /// The one that is nearest to refusing, by the share that is left.
    pub(crate) fn tightest(&self) -> Option<&LimitReport> {
        let (Some(requests), Some(tokens)) = (&self.requests, &self.tokens) else {
            return self.requests.as_ref().or(self.tokens.as_ref());
        };
        // The shares, with a common denominator.
        let share = |of: &Standing, other: &Standing| {
            u128::from(of.remaining) * u128::from(other.capacity.max(1))
        };
        let (of_requests, of_tokens) = (&requests.standing, &tokens.standing);
        let requests_first = share(of_requests, of_tokens) <= share(of_tokens, of_requests);
        Some(if requests_first { requests } else { tokens })
    }
}

/// The limits that the client is told about: of each family, the one with least left.
#[derive(Default)]
pub(crate) struct Shown {
    pub(crate) requests: Option<LimitReport>,
    pub(crate) tokens: Option<LimitReport>,
}

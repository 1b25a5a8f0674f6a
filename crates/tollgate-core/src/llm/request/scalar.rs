//! Numbers on which something is decided.

use crate::json::Scalar;

/// The whole number that this is, or `Some(None)` for null. `16.0` is one, as it is for the engines;
/// beyond 2^53 a float says no longer which one.
pub(super) fn whole(scalar: Scalar) -> Option<Option<i128>> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match scalar {
        Scalar::Null => Some(None),
        Scalar::Unsigned(value) => Some(Some(value.into())),
        Scalar::Negative(value) => Some(Some(value.into())),
        Scalar::Float(value) if value.fract() == 0.0 && value.abs() <= EXACT => {
            #[expect(clippy::cast_possible_truncation, reason = "whole, and at most 2^53")]
            let value = value as i128;
            Some(Some(value))
        }
        Scalar::Bool(_) | Scalar::Float(_) | Scalar::Other => None,
    }
}

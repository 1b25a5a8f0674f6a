//! What is told of an entry that is not in force.

use super::error::{KeysError, Problem};

/// An entry of the file that is not in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which, and why.
    pub error: KeysError,
    /// It is revoked, disabled or expired, and would not be in force anyway.
    pub is_off: bool,
}

impl Refused {
    /// Whether somebody has made a mistake in the file, in an entry that was to be in force. A tier that
    /// isn't declared may well be declared tomorrow.
    #[must_use]
    pub fn is_mistake(&self) -> bool {
        !self.is_off && !matches!(self.error.problem, Problem::UndeclaredTier(_))
    }
}

//! One bucket that a request takes from.

use super::bucket::Scale;
use super::key::Key;
use super::quota::Period;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dimension {
    /// Requests that were let through.
    Requests,
    /// Credentials that were presented and found wrong.
    AuthFailures,
}

impl Dimension {
    /// The name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::AuthFailures => "auth_failures",
        }
    }
}

/// Buckets of one key: one for each dimension and period.
pub(super) const BUCKETS: usize = 8;

/// The place of a bucket in its slot depends on what it counts and for how long, and on nothing that
/// a reload could change.
fn bucket_index(dimension: Dimension, period: Period) -> usize {
    let row = match dimension {
        Dimension::Requests => 0,
        Dimension::AuthFailures => 4,
    };
    row + usize::from(period.index())
}

/// One bucket that a request takes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whose bucket.
    pub key: Key,
    /// What it counts.
    pub dimension: Dimension,
    /// Its quota, as [`Zone::scale`] gives it.
    pub scale: Scale,
    /// How many tokens.
    pub n: u32,
}

impl Ask {
    /// Where the bucket is in the slot of its key.
    pub(super) fn bucket(&self) -> usize {
        bucket_index(self.dimension, self.scale.quota().period())
    }
}

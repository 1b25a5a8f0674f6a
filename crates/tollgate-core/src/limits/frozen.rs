//! The word of a slot that is about to be given to somebody else.

/// No bucket, budget or count of requests in flight is that word: each of them keeps clear of it.
pub(super) const FROZEN: u64 = u64::MAX;

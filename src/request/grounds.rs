//! What a request was judged by, and when.

use tollgate_core::clock::UnixSeconds;

use crate::clock::wall_now;
use crate::keys::live;
use crate::zone::revocations;

/// What a judgement rests on: as long as it is the same, so is the judgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grounds {
    /// Of files; in its upper half, of the keys that are revoked in all nodes: each request has one of these numbers.
    epoch: u64,
    /// Running requests are looked at once in a second.
    at: UnixSeconds,
}

impl Grounds {
    pub(crate) fn now() -> Self {
        Self {
            epoch: live::epoch() ^ revocations::turns().rotate_left(32),
            at: wall_now().seconds(),
        }
    }
}

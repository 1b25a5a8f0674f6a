//! This worker's part in the zone: there from the start of the process on.

use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_core::cluster::OnLoss;
use tollgate_core::limits::Holder;

use super::leases::MappedLeases;
use super::revocations::MappedRevocations;
use super::Mapped;
use crate::per_worker::PerWorker;

/// What this process holds in the zone.
#[derive(Default)]
pub(crate) struct Member {
    pub(crate) zone: Option<Mapped>,
    /// What this node has leased, and what becomes of requests when the store is lost, where it is in a cluster.
    pub(crate) leases: Option<(MappedLeases, OnLoss)>,
    /// The keys that are revoked in all nodes, where it is in a cluster.
    pub(crate) revocations: Option<MappedRevocations>,
    /// `None`: the zone has no room for a further process.
    pub(crate) holder: Option<Holder>,
}

static MEMBER: PerWorker<Member> = PerWorker::new(Member::default);

/// Runs `f` with it. `f` must not call into nginx, which might call us back.
pub(crate) fn with<T>(f: impl FnOnce(&mut Member) -> T) -> T {
    MEMBER.with(f)
}

/// Whether this process has changed limits since it was last asked.
static CHANGED: AtomicBool = AtomicBool::new(false);

/// Notes that limits are about to be changed, or have been: that makes the state worth writing.
pub(crate) fn note_changed() {
    CHANGED.store(true, Ordering::Relaxed);
}

/// Whether that was noted since it was last asked.
pub(crate) fn take_changed() -> bool {
    CHANGED.swap(false, Ordering::Relaxed)
}

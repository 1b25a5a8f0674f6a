//! What is told of a cluster.

use std::sync::Arc;

use nginx::conf::Position;
use store_client::{Access, Config};

/// The smallest memory for leases, in bytes.
pub(super) const MIN_LEASES: usize = 64 * 1024;

/// `tollgate_cluster`
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) config: Arc<Config>,
    /// What the files hold that it names.
    pub(super) access: Access,
    /// Bytes for leases; `None`: it goes by the size of the zone.
    pub(super) leases: Option<usize>,
    /// Where the keys are kept that are revoked in all nodes; `None`: beside the state of the zone, if that is kept.
    pub(super) revocations: Option<String>,
    pub(super) place: Position,
}

/// What this machine is called; empty where that can't be told.
pub(super) fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().to_owned()
}
